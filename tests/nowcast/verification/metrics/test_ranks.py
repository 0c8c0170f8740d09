"""Rank histogram by hand, with ties, and against xskillscore, scores and pysteps."""

import numpy as np
import pytest
import xarray as xr
import xskillscore
from pysteps.verification.ensscores import rankhist
from scores.plotdata import rank_histogram as scores_rank_histogram

from nowcast.verification.contract import Pair, coverage
from nowcast.verification.metrics.ranks import rank_histogram, ranks


def totals(members: np.ndarray, obs: np.ndarray, name: str = "") -> xr.Dataset:
    members, obs = np.asarray(members, "float32"), np.asarray(obs, "float32")
    pair = Pair(members, obs, np.isfinite(obs) & np.isfinite(members).all(axis=0), (74.0,), name)
    return xr.Dataset({**coverage(pair), **ranks(pair)})


def test_ranks_by_hand() -> None:
    members = [[[10, 10, 10, 10, np.nan]], [[30, 30, 30, 30, 30]]]
    table = totals(members, [[5, 20, 20, 40, 20]])
    assert list(table["pixels_of_rank"]) == [1, 2, 1]
    assert list(rank_histogram(table)) == [1 / 4, 1 / 2, 1 / 4]


def test_a_tie_takes_each_of_its_ranks_alike_and_no_other() -> None:
    members = np.array([0, 7, 7, 9]).reshape(4, 1, 1) * np.ones((4, 100, 100))
    table = totals(members, np.full((100, 100), 7))  # above the 0, below the 9: ranks 1, 2, 3
    np.testing.assert_allclose(rank_histogram(table), [0, 1 / 3, 1 / 3, 1 / 3, 0], atol=0.02)
    assert rank_histogram(table)[0] == rank_histogram(table)[4] == 0


def test_zero_echo_everywhere_is_flat() -> None:
    np.testing.assert_allclose(rank_histogram(totals(np.zeros((4, 100, 100)), np.zeros((100, 100)))), 0.2, atol=0.02)


def test_ties_are_drawn_by_the_pairs_name() -> None:
    zeros = np.zeros((4, 20, 20)), np.zeros((20, 20))
    xr.testing.assert_identical(totals(*zeros, "a+0"), totals(*zeros, "a+0"))
    assert not totals(*zeros, "a+0").identical(totals(*zeros, "a+1"))


def test_agrees_with_xskillscore_scores_and_pysteps_where_nothing_ties() -> None:
    rng = np.random.default_rng(0)
    members, obs = rng.normal(100, 30, (6, 20, 20)).astype("float32"), rng.normal(90, 40, (20, 20)).astype("float32")
    ours = totals(members, obs)
    ensemble, truth = xr.DataArray(members, dims=("member", "y", "x")), xr.DataArray(obs, dims=("y", "x"))
    np.testing.assert_array_equal(ours["pixels_of_rank"], xskillscore.rank_histogram(truth, ensemble))
    np.testing.assert_array_equal(ours["pixels_of_rank"], rankhist(members, obs, normalize=False))
    np.testing.assert_allclose(rank_histogram(ours), scores_rank_histogram(ensemble, truth, "member"))


def test_ties_and_gaps_agree_in_the_mean_with_scores_which_splits_ties() -> None:
    rng = np.random.default_rng(1)
    members, obs = rng.integers(0, 5, (4, 200, 200)).astype(float), rng.integers(0, 5, (200, 200)).astype(float)
    obs[:20] = np.nan
    ensemble, truth = xr.DataArray(members, dims=("member", "y", "x")), xr.DataArray(obs, dims=("y", "x"))
    oracle = scores_rank_histogram(ensemble, truth, "member")
    np.testing.assert_allclose(rank_histogram(totals(members, obs)), oracle, atol=0.01)
    assert rank_histogram(totals(members, obs)).sum() == pytest.approx(1)
