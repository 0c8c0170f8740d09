"""Wet cases of small archives made by hand: even times, pixels that are seen, and how many frames are looked at."""

import numpy as np
import pytest
import xarray as xr

from nowcast.forecasting import wet
from nowcast.forecasting.wet import wet_cases
from pipelines.errors import InputError

NOON = np.datetime64("2024-07-01T12:00", "us")
STEP = np.timedelta64(300, "s")


def archive(frames: np.ndarray, times: np.ndarray) -> xr.Dataset:
    """Files of radar as a store of one event (see `nowcast.data.radar_file.open_radar`), 10 x 10 pixels a frame."""
    return xr.Dataset(
        {"vil": (("event", "frame", "y", "x"), frames[None].astype("float32"))},
        {"event": ["mine"], "split": ("event", ["test"]), "valid_time": (("event", "frame"), times[None])},
        {"kind": "radar", "data_range": 254},
    )


def wet_pixels(numbers: list[int]) -> np.ndarray:
    """Frames of which the first so many pixels have echo, shape (frame, 10, 10)."""
    return np.where(np.arange(100) < np.array(numbers)[:, None], 74.0, 0).reshape(-1, 10, 10)


def found(store: xr.Dataset, number: int = 9) -> list[tuple[int, float]]:
    """Steps since noon of the cases of two frames given and two forecast, and the share of their pixels with echo."""
    return [
        (round(float((case.init_time - NOON) / STEP), 2), case.echo)
        for case in wet_cases(store, number, history=2, lead=2)
    ]


def test_frames_off_their_times_are_cases_at_their_own_times():
    off = np.array([7, -7, 3, 7, -7, 0, 7, 0]) * np.timedelta64(1, "s")
    store = archive(wet_pixels([5, 10, 15, 20, 25, 30, 35, 40]), NOON + np.arange(8) * STEP + off)
    assert found(store) == [(0.98, 0.1), (3.02, 0.2), (5.0, 0.3)]


def test_no_case_reaches_over_a_gap():
    steps = np.array([0, 1, 2, 3, 5, 6, 7, 8])
    assert found(archive(wet_pixels([5, 10, 15, 20, 25, 30, 35, 40]), NOON + steps * STEP)) == [(1, 0.1), (6, 0.3)]
    with pytest.raises(InputError, match=r"no window of 2 \+ 2 frames"):
        found(archive(wet_pixels([10, 10, 10, 10]), NOON + np.array([0, 1, 3, 4]) * STEP))
    with pytest.raises(InputError, match=r"no window of 2 \+ 2 frames"):
        found(archive(wet_pixels([10]), NOON + np.arange(1) * STEP))


def test_a_frame_of_which_hardly_anything_was_seen_is_no_case():
    frames = wet_pixels([100] * 8).reshape(8, 100)
    frames[1, 9:] = frames[3, 10:] = np.nan  # 9 and 10 % of the pixels are seen, and wet
    store = archive(frames.reshape(8, 10, 10), NOON + np.arange(8) * STEP)
    assert found(store) == [(3, 1.0), (5, 1.0)]


def test_echo_is_a_share_of_what_was_seen_and_a_case_is_wet_from_one_percent():
    frames = wet_pixels([0, 1, 0, 0, 0, 5, 0, 0]).reshape(8, 100)
    frames[5, 50:] = np.nan
    frames[3, 0] = 5.4  # no echo
    times = NOON + np.arange(8) * STEP
    assert found(archive(frames.reshape(8, 10, 10), times)) == [(1, 0.01), (5, 0.1)]
    larger = np.zeros((8, 11, 10))
    larger[1, 0, 0] = 74  # one of 110 pixels
    with pytest.raises(InputError, match=r"no case is wet: 3 were looked at; got echo on at most 0\.9%"):
        found(archive(larger, times))


@pytest.mark.parametrize(("number", "looked_at"), [(1, [1]), (2, [1, 11]), (3, [1, 5, 11]), (6, [1, 3, 5, 7, 9, 11])])
def test_of_a_long_archive_frames_spread_over_its_time_are_read(monkeypatch, number, looked_at):
    monkeypatch.setattr(wet, "_LOOKED_AT", 1)
    seen = []

    def progress(candidates):
        for event, frame in candidates:
            seen.append(frame)
            yield event, frame

    store = archive(wet_pixels([10 * frame for frame in range(14)]), NOON + np.arange(14) * STEP)
    cases = wet_cases(store, number, 2, 2, progress)
    assert seen == looked_at and [round((case.init_time - NOON) / STEP) for case in cases] == looked_at
