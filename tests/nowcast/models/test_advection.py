import contextlib
import io

import h5py
import numpy as np
import pytest
import xarray as xr

from nowcast.models.advection import Advection
from nowcast.models.persistence import Persistence
from pipelines.building.resample import mean

HISTORY, LEAD = 10, 10


def test_a_storm_goes_on_as_it_went(to_history, lead_times, moving_storm):
    path = moving_storm((12, 40), (2, -1), 14)
    forecast = Advection().forecast(to_history(path[None, :8]), lead_times(6), 1, 0)[0, 0]
    assert abs(forecast - path[8:]).max() < 15  # of a peak of 150; persistence is wrong by 130
    row, column = divmod(int(forecast[-1].values.argmax()), 64)
    assert np.hypot(row - 27, column - 38) <= 1  # (12, 40) + 13 frames of (2, -1)


def test_without_echo_it_is_persistence(to_history, lead_times):
    counts = np.zeros((1, 4, 16, 16))
    counts[0, :, 3, 3] = np.nan
    forecast = Advection().forecast(to_history(counts), lead_times(3), 1, 0)
    xr.testing.assert_equal(forecast, Persistence().forecast(to_history(counts), lead_times(3), 1, 0))


def test_what_comes_from_outside_is_persistence(to_history, lead_times, moving_storm):
    counts = np.full((1, 6, 64, 64), 20.0)
    counts[0] += moving_storm((20, 32), (4, 0), 6)
    forecast = Advection().forecast(to_history(counts), lead_times(2), 1, 0)
    np.testing.assert_allclose(forecast[0, 0, :, :, :4], np.broadcast_to(counts[0, -1, :, :4], (2, 64, 4)), atol=1e-4)


def test_missing_pixels_are_missing_only_where_never_seen(to_history, lead_times, moving_storm):
    counts = moving_storm((20, 32), (2, 0), 6)[None]
    counts[:, :, :, :10] = np.nan
    counts[:, -1, 40:, :] = np.nan
    forecast = Advection().forecast(to_history(counts), lead_times(4), 1, 0)
    missing = np.isnan(forecast[0, 0])
    assert missing[..., :10].all() and not missing[..., 10:].any()


def _windows(shared_data) -> dict[str, np.ndarray]:
    """Windows of 20 frames at 128x128 of the two real SEVIR events and of each European radar, NaN missing."""
    windows = {}
    with xr.open_dataset(shared_data / "sevir_real_128.nc") as sevir:
        windows["sevir"] = [sevir["vil"].values[event, start : start + 20] for event in (0, 1) for start in (0, 5)]
    for file, events in {
        "2016/SEVIR_VIL_FMI_20160928": (0, 3, 5),
        "2021/SEVIR_VIL_RMI_NOMFB_20210704": (0, 1, 2),
    }.items():
        with h5py.File(shared_data / "sevir-layout" / "data" / "vil" / f"{file}.h5") as archive:
            frames = [np.moveaxis(mean(archive["vil"][event][..., :30]), -1, 0) for event in events]
        windows[file] = [
            np.where(event == 255, np.nan, event)[start : start + 20] for event in frames for start in (0, 10)
        ]
    return {name: np.stack(cases).astype("float32") for name, cases in windows.items()}


def _pysteps_advection(history: np.ndarray, steps: int) -> np.ndarray:
    """pysteps' Lucas-Kanade motion and semi-Lagrangian extrapolation of the last frame, persistence outside."""
    from pysteps.extrapolation.semilagrangian import extrapolate
    from pysteps.motion.lucaskanade import dense_lucaskanade

    carried = extrapolate(history[-1], dense_lucaskanade(history), steps, allow_nonfinite_values=True)
    return np.where(np.isnan(carried), history[-1], carried)


def _scores(forecast: np.ndarray, observed: np.ndarray) -> dict[str, float]:
    valid = np.isfinite(forecast) & np.isfinite(observed)
    forecast, observed = forecast[valid], observed[valid]
    csi = {t: ((forecast >= t) & (observed >= t)).sum() / ((forecast >= t) | (observed >= t)).sum() for t in (16, 74)}
    return {"CSI 16": csi[16], "CSI 74": csi[74], "MAE": np.abs(forecast - observed).mean()}


def test_scores_on_real_radar_are_at_most_two_percent_behind_pysteps(shared_data, to_history, lead_times):
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.importorskip("pysteps")
    for name, cases in _windows(shared_data).items():
        histories, observed = cases[:, :HISTORY], cases[:, HISTORY:]
        ours = Advection().forecast(to_history(histories), lead_times(LEAD), 1, 0).values[:, 0]
        theirs = np.stack([_pysteps_advection(history, LEAD) for history in histories])
        ours, theirs = _scores(ours, observed), _scores(theirs, observed)
        assert ours["CSI 16"] >= 0.98 * theirs["CSI 16"], (name, ours, theirs)
        assert ours["CSI 74"] >= 0.98 * theirs["CSI 74"], (name, ours, theirs)
        assert ours["MAE"] <= 1.02 * theirs["MAE"], (name, ours, theirs)
