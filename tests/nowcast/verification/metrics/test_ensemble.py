"""CRPS and spread by hand, and against xskillscore and scores."""

import numpy as np
import pytest
import xarray as xr
import xskillscore
from scores.probability import crps_for_ensemble

from nowcast.verification.contract import Pair, coverage
from nowcast.verification.metrics.continuous import mean_errors
from nowcast.verification.metrics.ensemble import crps, crps_fair, crps_standard, spread, spread_skill, variance


def pair_of(members: np.ndarray, obs: np.ndarray) -> Pair:
    members, obs = np.asarray(members, "float32"), np.asarray(obs, "float32")
    return Pair(members, obs, np.isfinite(obs) & np.isfinite(members).all(axis=0), (74.0,))


def totals_of(pair: Pair) -> xr.Dataset:
    return xr.Dataset({**coverage(pair), **mean_errors(pair), **crps(pair), **variance(pair)})


def test_both_crps_of_two_members_by_hand() -> None:
    # E|x - y| = (1 + 3) / 2 = 2; sum |x_i - x_j| = 2 * 4 = 8: over 2 * 4 it is 1, over 2 * 2 it is 2.
    totals = totals_of(pair_of([[[9]], [[13]]], [[10]]))
    assert crps_standard(totals).item() == pytest.approx(2 - 1)
    assert crps_fair(totals).item() == pytest.approx(2 - 2)


def test_crps_of_one_member_is_its_absolute_error() -> None:
    totals = totals_of(pair_of([[[9, 20]]], [[10, 17]]))
    assert crps_standard(totals).item() == crps_fair(totals).item() == pytest.approx(2)


def test_crps_of_members_that_all_tie_with_the_observation_is_zero() -> None:
    totals = totals_of(pair_of(np.full((4, 2, 2), 74), np.full((2, 2), 74)))
    assert crps_standard(totals).item() == crps_fair(totals).item() == 0


@pytest.mark.parametrize("members", [2, 5, 20])
def test_crps_agrees_with_xskillscore_and_scores_on_ties_and_gaps(members: int) -> None:
    rng = np.random.default_rng(members)
    field = np.round(rng.uniform(0, 12, (members, 16, 16)))  # whole counts: many ties
    obs = np.round(rng.uniform(0, 12, (16, 16)))
    obs[3, 3:9] = np.nan
    field[0, 10, 10] = np.nan
    totals = totals_of(pair_of(field, obs))

    whole = np.isfinite(field).all(axis=0)
    ensemble = xr.DataArray(np.where(whole, field, np.nan), dims=("member", "y", "x"))
    truth = xr.DataArray(np.where(whole, obs, np.nan), dims=("y", "x"))
    assert crps_standard(totals).item() == pytest.approx(xskillscore.crps_ensemble(truth, ensemble).item(), rel=1e-9)
    for method, score in {"ecdf": crps_standard, "fair": crps_fair}.items():
        oracle = crps_for_ensemble(ensemble, truth, "member", method=method)
        assert score(totals).item() == pytest.approx(oracle.item(), rel=1e-9)


def test_fair_crps_does_not_depend_on_the_ensemble_size() -> None:
    rng = np.random.default_rng(0)
    obs = rng.gamma(2, 30, (200, 200))
    small, large = (totals_of(pair_of(rng.gamma(2, 30, (size, 200, 200)), obs)) for size in (2, 40))
    assert crps_fair(small).item() == pytest.approx(crps_fair(large).item(), rel=0.01)
    assert crps_standard(small).item() > 1.2 * crps_standard(large).item()


def test_spread_is_the_root_of_the_mean_variance() -> None:
    # Variances (M - 1) 2 and 18: mean 10; the mean of the standard deviations would give another number.
    totals = totals_of(pair_of([[[1, 0]], [[3, 6]]], [[2, 3]]))
    assert spread(totals).item() == pytest.approx(10**0.5)


def test_spread_skill_by_hand_is_corrected_for_two_members() -> None:
    # Variance 2; the mean 2 errs by 2: sqrt(2 * 3 / 2) / 2.
    totals = totals_of(pair_of([[[1]], [[3]]], [[4]]))
    assert spread_skill(totals).item() == pytest.approx((2 * 3 / 2) ** 0.5 / 2)


@pytest.mark.parametrize("members", [2, 10])
def test_spread_skill_of_a_reliable_ensemble_is_one(members: int) -> None:
    draws = np.random.default_rng(2).normal(100, 20, (members + 1, 300, 300))
    assert spread_skill(totals_of(pair_of(draws[1:], draws[0]))).item() == pytest.approx(1, abs=0.01)


def test_spread_of_one_member_is_nan() -> None:
    totals = totals_of(pair_of([[[1, 2]]], [[1, 3]]))
    assert np.isnan(spread(totals)) and np.isnan(spread_skill(totals))


def test_spread_skill_of_a_perfect_mean_is_nan_not_infinite() -> None:
    assert np.isnan(spread_skill(totals_of(pair_of([[[1]], [[3]]], [[2]]))))
