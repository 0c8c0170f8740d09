"""FSS by hand, and against pysteps and scores."""

import numpy as np
import pytest
import xarray as xr
from pysteps.verification.spatialscores import fss as pysteps_fss
from scores.spatial import fss_2d

from nowcast.verification.contract import Pair
from nowcast.verification.metrics.neighbourhood import SCALES, fractions, fss, fss_mean


def totals(members: np.ndarray, obs: np.ndarray, thresholds=(74.0,)) -> xr.Dataset:
    members, obs = np.asarray(members, "float32"), np.asarray(obs, "float32")
    return xr.Dataset(fractions(Pair(members, obs, np.isfinite(obs) & np.isfinite(members).all(0), thresholds)))


def test_an_echo_one_pixel_off_by_hand() -> None:
    # One row: observed at 0, forecast at 1. At scale 1: 1 - 2 / 2. At scale 3 the fractions of 9 pixels are
    # O = 1 1 0 0 and F = 1 1 1 0: 1 - 1 / (2 + 3).
    obs, forecast = [[80, 0, 0, 0]], [[[0, 74, 0, 0]]]
    score = fss(totals(forecast, obs)).isel(threshold=0)
    assert score.sel(scale=1).item() == 0
    assert score.sel(scale=3).item() == pytest.approx(1 - 1 / 5)
    xr.testing.assert_allclose(score, fss_mean(totals(forecast, obs)).isel(threshold=0))


def test_an_ensembles_fraction_is_the_mean_of_its_members() -> None:
    # Probability 1/2 where observed, and 1/2 beside: 1 - (1/4 + 1/4) / (1 + 1/2); the mean 40 is no event at all.
    table = totals([[[80, 0]], [[0, 80]]], [[80, 0]])
    assert fss(table).sel(scale=1).item() == pytest.approx(1 - (1 / 2) / (1 + 1 / 2))
    assert fss_mean(table).sel(scale=1).item() == 0


def test_a_missing_pixel_is_no_event_on_either_side() -> None:
    gap = totals([[[80, 80, 0]]], [[np.nan, 80, 0]])
    xr.testing.assert_allclose(gap, totals([[[0, 80, 0]]], [[0, 80, 0]]))


def test_no_event_is_nan() -> None:
    assert np.isnan(fss(totals(np.zeros((2, 4, 4)), np.zeros((4, 4))))).all()


@pytest.mark.parametrize("scale", SCALES)
def test_agrees_with_pysteps_on_ties_and_gaps(scale: int) -> None:
    rng = np.random.default_rng(scale)
    forecast, obs = np.round(rng.uniform(60, 90, (2, 30, 40)))
    obs[3, 4:9] = forecast[3, 4:9] = np.nan  # pysteps drops a gap of one side on that side only
    ours = fss(totals(forecast[None], obs)).sel(scale=scale).item()
    assert ours == pytest.approx(pysteps_fss(forecast, obs, 74.0, scale))


@pytest.mark.parametrize("scale", [1, 3, 9])
def test_agrees_with_scores_where_its_border_rule_is_ours(scale: int) -> None:
    rng = np.random.default_rng(0)
    forecast, obs = np.zeros((2, 40, 40))
    forecast[9:31, 9:31], obs[9:31, 9:31] = np.round(rng.uniform(60, 90, (2, 22, 22)))  # nothing near the border
    ours = fss(totals(forecast[None], obs)).sel(scale=scale).item()
    fields = (xr.DataArray(values, dims=("y", "x")) for values in (forecast, obs))
    rule = {"window_size": (scale, scale), "spatial_dims": ("y", "x"), "threshold_operator": np.greater_equal}
    theirs = fss_2d(*fields, event_threshold=74.0, **rule)
    assert ours == pytest.approx(theirs.item())
