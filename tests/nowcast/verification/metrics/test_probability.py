"""Probabilities by hand, and against xskillscore, scores and pysteps."""

import numpy as np
import pytest
import xarray as xr
import xskillscore
from pysteps.verification import probscores
from scores.plotdata import roc as scores_roc
from scores.probability import brier_score_for_ensemble

from nowcast.verification.contract import Pair
from nowcast.verification.metrics.probability import (
    brier,
    brier_reliability,
    brier_resolution,
    brier_uncertainty,
    csi_decided,
    csi_warned,
    forecast_share,
    observed_frequency,
    probabilities,
    roc_area,
    roc_pod,
    roc_pofd,
)


def totals(members: np.ndarray, obs: np.ndarray, thresholds=(74.0,)) -> xr.Dataset:
    members, obs = np.asarray(members, "float32"), np.asarray(obs, "float32")
    return xr.Dataset(probabilities(Pair(members, obs, np.isfinite(obs) & np.isfinite(members).all(0), thresholds)))


def test_four_pixels_of_two_members_by_hand() -> None:
    # Probabilities 0, 1/2, 1/2, 1; the event came at the second and at the last; 74 itself is one.
    members, obs = [[[0, 80, 0, 74]], [[10, 0, 90, 74]]], [[0, 74, 73, 200]]
    table = totals(members, obs).isel(threshold=0)
    assert list(table["forecasts_of_probability"]) == [1, 2, 1]
    assert list(table["events_at_probability"]) == [0, 1, 1]
    assert brier(table) == (0 + 1 / 4 + 1 / 4 + 0) / 4
    assert brier_reliability(table) == 0
    assert brier_resolution(table) == 2 * (1 / 2) ** 2 / 4
    assert brier_uncertainty(table) == 1 / 4
    assert list(observed_frequency(table)) == [0, 1 / 2, 1]
    assert list(forecast_share(table)) == [1 / 4, 1 / 2, 1 / 4]
    assert list(roc_pod(table)) == [1, 1, 1 / 2]
    assert list(roc_pofd(table)) == [1, 1 / 2, 0]
    assert roc_area(table) == (1 / 2) * 1 + (1 / 2) * (1 + 1 / 2) / 2


def ties_and_gaps() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.uniform(40, 100, (20, 20))
    members, obs = np.round(truth + rng.normal(0, 15, (5, 20, 20))), np.round(truth)
    obs[3, 4:9], members[0, 7, 7] = np.nan, np.nan
    return members, obs


@pytest.fixture
def oracle_fields() -> tuple[xr.DataArray, xr.DataArray]:
    """Probability of 74 or more, and whether it came, where both are known."""
    members, obs = ties_and_gaps()
    known = np.isfinite(obs) & np.isfinite(members).all(axis=0)
    return (xr.DataArray(values[known], dims="pixel") for values in ((members >= 74).mean(axis=0), obs >= 74))


def test_brier_agrees_with_xskillscore_and_scores(oracle_fields) -> None:
    probability, event = oracle_fields
    score = brier(totals(*ties_and_gaps())).item()
    assert score == pytest.approx(xskillscore.brier_score(event, probability).item())
    members, obs = ties_and_gaps()
    oracle = brier_score_for_ensemble(
        xr.DataArray(members, dims=("m", "y", "x")).where(np.isfinite(members).all(axis=0)),
        xr.DataArray(obs, dims=("y", "x")), "m", 74, fair_correction=False)  # fmt: skip
    assert score == pytest.approx(oracle.item())


def test_the_decomposition_is_exact() -> None:
    table = totals(*ties_and_gaps(), thresholds=(50.0, 74.0, 95.0))
    parts = brier_reliability(table) - brier_resolution(table) + brier_uncertainty(table)
    np.testing.assert_allclose(brier(table), parts)


def test_reliability_curve_agrees_with_xskillscore_and_pysteps(oracle_fields) -> None:
    probability, event = oracle_fields
    table = totals(*ties_and_gaps()).isel(threshold=0)
    edges = (np.arange(7) - 0.5) / 5
    curve = xskillscore.reliability(event, probability, dim="pixel", probability_bin_edges=edges)
    np.testing.assert_allclose(observed_frequency(table), curve)
    np.testing.assert_allclose(forecast_share(table), curve["samples"] / probability.size)
    diagram = probscores.reldiag_init(0.5, n_bins=6, min_count=1)
    diagram["bin_edges"] = edges
    probscores.reldiag_accum(diagram, probability.values, event.values.astype(float))
    np.testing.assert_allclose(observed_frequency(table), probscores.reldiag_compute(diagram)[1])


def test_roc_agrees_with_xskillscore_scores_and_pysteps(oracle_fields) -> None:
    probability, event = oracle_fields
    table = totals(*ties_and_gaps()).isel(threshold=0)
    assert roc_area(table).item() == pytest.approx(xskillscore.roc(event, probability, dim="pixel").item())
    steps = list(table["probability"].values)
    curve = scores_roc(probability, event.astype(float), thresholds=steps)
    np.testing.assert_allclose(roc_pod(table), curve["POD"].values[:-1])
    np.testing.assert_allclose(roc_pofd(table), curve["POFD"].values[:-1])
    assert roc_area(table).item() == pytest.approx(curve["AUC"].item())
    theirs = probscores.ROC_curve_init(0.5, n_prob_thrs=6)
    theirs["prob_thrs"] = steps
    probscores.ROC_curve_accum(theirs, probability.values, event.values.astype(float))
    pofd, pod, area = probscores.ROC_curve_compute(theirs, compute_area=True)
    np.testing.assert_allclose((roc_pofd(table), roc_pod(table)), (pofd, pod))
    assert roc_area(table).item() == pytest.approx(area)


def test_csi_when_warned_is_that_of_the_members_quantile() -> None:
    rng = np.random.default_rng(0)
    members, obs = rng.integers(0, 160, (10, 1, 400)), rng.integers(0, 160, (1, 400))
    table = totals(members, obs)
    for quantile, probability in ((0.65, 0.4), (0.95, 0.1)):  # between two order statistics
        field = np.quantile(members, quantile, axis=0, method="inverted_cdf")
        for threshold in table["threshold"].values:
            forecast, observed = field >= threshold, obs >= threshold
            expected = (forecast & observed).sum() / max(1, (forecast | observed).sum())
            got = csi_warned(table).sel(threshold=threshold).sel(probability=probability, method="nearest")
            assert expected == pytest.approx(float(got.fillna(0)))


def test_the_warning_is_where_forecasts_expect_the_largest_csi_whatever_comes() -> None:
    # From 1/2 on the forecasts expect 2 events in 3 warnings, CSI 2 / 3; from 1 on 1 in 1, of 2 in all: 1 / 2.
    members = [[[0, 80, 0, 74]], [[10, 0, 90, 74]]]
    assert csi_decided(totals(members, [[0, 74, 73, 200]])) == 2 / 3
    assert csi_decided(totals(members, [[0, 0, 0, 200]])) == 1 / 3
    # One sure pixel and ten of 1/10: from 1/10 on 2 events in 11 warnings, CSI 2 / 11; from 1 on 1 in 1, of 2: 1 / 2.
    members = np.zeros((10, 1, 11))
    members[:, :, 0], members[0] = 100, 100
    assert csi_decided(totals(members, [[100, 100, *[0] * 9]])) == 1 / 2
    assert csi_decided(totals(members, [[0, 100, *[0] * 9]])) == 0


def test_what_no_member_has_is_not_warned_of_and_one_member_decides_for_itself() -> None:
    dry, wet = np.zeros((3, 1, 2)), [[80, 0]]
    assert csi_decided(totals(dry, wet)) == 0
    assert np.isnan(csi_decided(totals(dry, np.zeros((1, 2)))))
    assert csi_decided(totals([[[80, 80, 0]]], [[80, 0, 80]])) == 1 / 3


def test_an_event_that_never_came_has_no_roc_but_a_brier_score() -> None:
    table = totals(np.full((2, 1, 4), 80), np.zeros((1, 4)))
    assert brier(table).item() == 1 and brier_uncertainty(table).item() == 0
    assert np.isnan(roc_pod(table)).all() and np.isnan(roc_area(table)).all()
