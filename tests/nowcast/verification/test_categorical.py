"""Contingency tables by hand."""

import numpy as np
import pytest
import xarray as xr
from scores.categorical import ThresholdEventOperator

from nowcast.verification.categorical import contingency, csi, csi_m, far, frequency_bias, pod
from nowcast.verification.contract import Pair

OBS = np.array([[74, 80, 0], [10, 74, 73], [255, 0, 90]], "float32")
FORECAST = np.array([[74, 10, 90], [80, 100, 73], [200, 0, 74]], "float32")
COUNTED = np.array([[1, 1, 1], [1, 1, 1], [0, 1, 1]], bool)


def totals(members: np.ndarray, obs: np.ndarray, counted: np.ndarray, thresholds=(74.0,)) -> xr.Dataset:
    return xr.Dataset(contingency(Pair(members, obs, counted, thresholds)))


def test_a_three_by_three_table_with_equality_and_a_missing_pixel() -> None:
    # hits: (0,0) and (1,1) and (2,2); missed: (0,1); false: (0,2), (1,0); 73 is no event; the 255 does not count.
    table = totals(FORECAST[None], OBS, COUNTED)
    for summary in ("mean", "member"):
        one = table.sel(summary=summary, threshold=74)
        assert [one[name].item() for name in ("hits", "misses", "false_alarms")] == [3, 1, 2]
        assert pod(one) == 3 / 4
        assert far(one) == 2 / 5
        assert csi(one) == 3 / 6
        assert frequency_bias(one) == 5 / 4


def test_the_mean_of_the_members_is_not_the_members() -> None:
    # One pixel, observed 100; members 60 and 90: the mean 75 hits, of the members one does.
    members = np.array([60, 90], "float32").reshape(2, 1, 1)
    table = totals(members, np.full((1, 1), 100, "float32"), np.ones((1, 1), bool)).isel(threshold=0)
    assert table["hits"].sel(summary="mean") == 1
    assert (table["hits"].sel(summary="member"), table["misses"].sel(summary="member")) == (1, 1)
    assert (pod(table).sel(summary="mean"), pod(table).sel(summary="member")) == (1, 0.5)


def test_a_mean_equal_to_the_threshold_is_an_event() -> None:
    members = np.array([73, 75], "float32").reshape(2, 1, 1)
    table = totals(members, np.full((1, 1), 74, "float32"), np.ones((1, 1), bool))
    assert table["hits"].sel(summary="mean").item() == 1


def test_scores_without_any_event_are_nan() -> None:
    zeros = np.zeros((1, 2, 2), "float32")
    table = totals(zeros, zeros[0], np.ones((2, 2), bool))
    for score in (pod, far, csi, frequency_bias, csi_m):
        assert np.isnan(score(table)).all(), score.__name__


def test_csi_m_is_the_plain_mean_over_thresholds_and_nan_with_one_of_them() -> None:
    table = totals(FORECAST[None], OBS, COUNTED, (74.0, 80.0))
    assert csi(table).sel(summary="mean").values == pytest.approx([3 / 6, 0 / 5])
    assert csi_m(table).sel(summary="mean").item() == pytest.approx(0.25)
    assert np.isnan(csi_m(totals(FORECAST[None], OBS, COUNTED, (74.0, 250.0)))).all()


def test_pooled_table_agrees_with_scores() -> None:
    rng = np.random.default_rng(1)
    members, obs = (np.round(rng.uniform(60, 90, shape)).astype("float32") for shape in ((5, 16, 16), (16, 16)))
    table = totals(members, obs, np.ones((16, 16), bool)).sel(summary="member", threshold=74)
    forecast, truth = xr.DataArray(members, dims=("m", "y", "x")), xr.DataArray(obs, dims=("y", "x"))
    event = ThresholdEventOperator(default_event_threshold=74.0)
    oracle = event.make_contingency_manager(forecast, truth.broadcast_like(forecast))
    assert pod(table).item() == pytest.approx(oracle.probability_of_detection().item())
    assert far(table).item() == pytest.approx(oracle.false_alarm_ratio().item())
    assert csi(table).item() == pytest.approx(oracle.critical_success_index().item())
    assert frequency_bias(table).item() == pytest.approx(oracle.frequency_bias().item())
