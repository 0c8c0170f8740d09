"""Live mode: the newest frames of a file of radar as a store of one event, which is forecast like any other."""

from pathlib import Path

import numpy as np
import xarray as xr

from nowcast.data.conventions import DURATION, TIME, minute_text
from nowcast.data.radar_file import is_store, open_radar
from pipelines.errors import InputError
from pipelines.radar.files import commonest_step
from pipelines.store.progress import progress

__all__ = ["LENGTH", "is_store", "read_history"]

LENGTH = 10  # frames given and forecast where the model takes any number
_OFF_STEP = 0.25  # of a step, by which a frame may miss its time
_MINUTE = np.timedelta64(1, "m")


def read_history(path: Path, frames: int, init: np.datetime64 | None = None) -> xr.Dataset:
    """The newest frames of a file, as `pipelines.store.schema.open_store` gives a store.

    Args:
        path: File of radar.
        frames: Number of frames.
        init: Time of the last of them, UTC; by default the file's last.

    Returns:
        A store in memory of one event that has these frames, dims (event, frame, y, x), without protocol and reducer.

    Raises:
        InputError: when the file cannot be read, has too few frames, uneven steps between them, or an empty one.
    """
    radar = open_radar(path)
    store = radar.isel(frame=_newest(path, radar["valid_time"].values[0].astype(TIME), frames, init))
    times = store["valid_time"].values[0].astype(TIME)
    step = _step(path, times)
    counts = []
    with progress("read", frames) as advance:
        for number, time in enumerate(times):
            counts.append(store["vil"][0, number].values)
            if np.isnan(counts[-1]).all():
                raise InputError(f"{path.name} has nothing but missing pixels at {minute_text(time)}")
            advance()
    even = times[-1] + step * np.arange(1 - frames, 1)
    store["vil"] = store["vil"].copy(data=np.stack(counts)[None])
    store = store.assign_coords(
        valid_time=store["valid_time"].copy(data=even.astype(store["valid_time"].dtype)[None]),
        event=store["event"],
        missing_fraction=(("event", "frame"), np.isnan(counts).mean((1, 2), dtype="float32")[None]),
    )
    return store.assign_attrs(cadence_minutes=step / _MINUTE)


def _newest(path: Path, times: np.ndarray, frames: int, init: np.datetime64 | None) -> slice:
    """The newest frames of a file, or those up to `init`, its times being in order."""
    last = len(times)
    if init is not None:
        last = int(np.searchsorted(times, init.astype(TIME), side="right"))
        if not last or times[last - 1] != init:
            raise InputError(f"{path.name} has no frame of {init}", expected=f"{times.min()} to {times.max()}")
    if last < frames:
        held = "1 frame" if last == 1 else f"{last} frames"
        raise InputError(
            f"{path.name} holds {held}{'' if init is None else f' up to {init}'}, and {frames} are needed",
            remedy="where each file holds one frame, make a store of all: `nowcast prepare-radar FILES... STORE`",
        )
    return slice(last - frames, last)


def _step(path: Path, times: np.ndarray) -> np.timedelta64:
    """The step between frames (see `pipelines.radar.files.commonest_step`).

    Raises:
        InputError: when a frame is off by more than a quarter of a step, or is there twice.
    """
    steps = np.diff(times)
    if (steps == 0).any():
        raise InputError(f"{path.name} has the frame of {minute_text(times[1:][steps == 0][-1])} UTC twice")
    step = np.timedelta64(commonest_step(times.tolist()) or 0, "us").astype(DURATION)
    even = times[-1] - step * np.arange(len(times))[::-1]
    if step == 0 or (np.abs(times - even) > _OFF_STEP * step).any():
        got = ", ".join(f"{minutes:g}" for minutes in steps / _MINUTE)
        raise InputError(
            f"the last {len(times)} frames of {path.name} are not evenly spaced",
            got=f"{got} minutes",
            expected="equal steps",
            remedy="add what is missing, or end before it with --init",
        )
    return step
