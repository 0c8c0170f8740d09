"""Contingency tables by hand."""

import numpy as np
import pytest
import xarray as xr
from pysteps.verification.detcatscores import det_cat_fct
from scores.categorical import ThresholdEventOperator

from nowcast.verification.contract import Pair
from nowcast.verification.metrics.categorical import contingency, csi, csi_m, ets, far, frequency_bias, hss, pod, sucr

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
        assert [one[name].item() for name in ("hits", "misses", "false_alarms", "correct_negatives")] == [3, 1, 2, 2]
        assert pod(one) == 3 / 4
        assert far(one) == 2 / 5
        assert sucr(one) == 3 / 5
        assert hss(one) == 2 * (3 * 2 - 2 * 1) / ((3 + 1) * (1 + 2) + (3 + 2) * (2 + 2))
        assert ets(one) == (3 - 5 * 4 / 8) / (6 - 5 * 4 / 8)
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
    for score in (pod, far, sucr, csi, frequency_bias, hss, ets, csi_m):
        assert np.isnan(score(table)).all(), score.__name__


def test_csi_m_is_the_plain_mean_over_thresholds_and_nan_with_one_of_them() -> None:
    table = totals(FORECAST[None], OBS, COUNTED, (74.0, 80.0))
    assert csi(table).sel(summary="mean").values == pytest.approx([3 / 6, 0 / 5])
    assert csi_m(table).sel(summary="mean").item() == pytest.approx(0.25)
    assert np.isnan(csi_m(totals(FORECAST[None], OBS, COUNTED, (74.0, 250.0)))).all()


ORACLES = {
    pod: "probability_of_detection",
    far: "false_alarm_ratio",
    sucr: "success_ratio",
    csi: "critical_success_index",
    frequency_bias: "frequency_bias",
    hss: "heidke_skill_score",
    ets: "equitable_threat_score",
}


@pytest.mark.parametrize("score", ORACLES)
def test_pooled_table_agrees_with_scores(score) -> None:
    members, obs = ties_and_gaps()
    counted = np.isfinite(obs) & np.isfinite(members).all(axis=0)
    table = totals(members, obs, counted).sel(summary="member", threshold=74)
    forecast, truth = (
        xr.DataArray(np.where(counted, members, np.nan), dims=("m", "y", "x")),
        xr.DataArray(obs, dims=("y", "x")),
    )
    event = ThresholdEventOperator(default_event_threshold=74.0)
    oracle = event.make_contingency_manager(forecast, truth.broadcast_like(forecast))
    assert score(table).item() == pytest.approx(getattr(oracle, ORACLES[score])().item())


def test_tables_agree_with_pysteps_whose_events_are_greater_than() -> None:
    (forecast,), obs = ties_and_gaps(members=1)
    counted = np.isfinite(forecast + obs)  # pysteps would take a missing pixel for no event
    table = totals(forecast[None], obs, counted).sel(summary="mean", threshold=74)
    oracle = det_cat_fct(forecast[counted], obs[counted], 73.5)  # of whole counts, > 73.5 is >= 74
    expected = {pod: "POD", far: "FAR", csi: "CSI", frequency_bias: "BIAS", hss: "HSS", ets: "GSS"}
    for score, name in expected.items():
        assert score(table).item() == pytest.approx(oracle[name]), name


def ties_and_gaps(members: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Members and observation of whole counts around 74, some missing."""
    rng = np.random.default_rng(1)
    field, obs = (np.round(rng.uniform(60, 90, shape)).astype("float32") for shape in ((members, 16, 16), (16, 16)))
    obs[2, 3:8], field[0, 9, 9] = np.nan, np.nan
    return field, obs
