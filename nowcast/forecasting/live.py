"""Live mode: the newest frames of a file of radar as a store of one event, which is forecast like any other.

The file is of any format of `pipelines.radar.files` that holds several frames: CF NetCDF or Zarr. What it measures
becomes counts as in `pipelines.radar.loops`, and a latitude-longitude grid square pixels as in
`pipelines.radar.grid`. The whole grid is one event, called as the file is, however large it is.
"""

from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from nowcast.data.conventions import DURATION, TIME
from pipelines.building.workers import progress
from pipelines.errors import InputError
from pipelines.radar.files import commonest_step, read_counts, read_header
from pipelines.radar.grid import on_square, square
from pipelines.store.kind import RADAR
from pipelines.store.schema import Event, template
from pipelines.store.units import MISSING, QUANTITIES

LENGTH = 10  # frames given and forecast where the model takes any number
_OFF_STEP = 0.25
_MINUTE = np.timedelta64(1, "m")


def is_store(path: Path) -> bool:
    """Whether a path is an archive store, of this or another version of its schema."""
    try:
        return path.is_dir() and "schema" in zarr.open_group(path, mode="r").attrs
    except (OSError, KeyError, ValueError):
        return False


def read_history(path: Path, frames: int, init: np.datetime64 | None = None) -> xr.Dataset:
    """The newest frames of a file, as `pipelines.store.schema.open_store` gives a store.

    Args:
        path: File of radar.
        frames: How many.
        init: Time of the last of them, UTC; by default the file's last.

    Returns:
        A store in memory of one event that has these frames, dims (event, frame, y, x), without protocol and reducer.

    Raises:
        InputError: when the file cannot be read, has too few frames, uneven steps between them, or an empty one.
    """
    header = read_header(path)
    numbers = _newest(path, np.array(header.times, TIME), frames, init)
    times = np.array(header.times, TIME)[numbers]
    step = _step(path, times)
    counts = []
    with progress("read", frames) as advance:
        for number in numbers:
            counts.append(on_square(read_counts(path, int(number), header.quantity), header.grid))
            if (counts[-1] == MISSING).all():
                raise InputError(f"{path.name} has nothing but missing pixels at {header.times[number]}")
            advance()
    grid = square(header.grid)
    event = Event(
        id=path.stem,
        time=header.times[numbers[-1]],
        offsets=tuple(step / np.timedelta64(1, "s") * np.arange(1 - frames, 1)),
        split="test",
        proj=grid.proj,
        corner_x=grid.west,
        corner_y=grid.south,
    )
    attrs = {
        "cadence_minutes": step / _MINUTE,
        "kind": RADAR.name,
        "data_range": RADAR.data_range,
        "counts_from": f"{header.quantity} of {path.name}: {QUANTITIES[header.quantity].relation}",
    }
    return _store(event, np.stack(counts), grid.width_m, attrs)


def _store(event: Event, counts: np.ndarray, pixel_m: float, attrs: dict) -> xr.Dataset:
    """A store in memory of counts, uint8 with shape (frame, y, x), 255 missing."""
    rows, columns = counts.shape[1:]
    store = template([event], side=max(rows, columns), pixel_m=pixel_m, attrs=attrs)
    store = store.isel(y=slice(rows), x=slice(columns))
    missing = counts == MISSING
    store["vil"] = store["vil"].copy(data=np.where(missing, np.nan, counts).astype("float32")[None])
    store["missing_fraction"] = store["missing_fraction"].copy(data=missing.mean((1, 2), dtype="float32")[None])
    return store


def _newest(path: Path, times: np.ndarray, frames: int, init: np.datetime64 | None) -> np.ndarray:
    """The places in the file of the newest frames, or of those up to `init`, in order of time."""
    order = np.argsort(times, kind="stable")
    if init is not None:
        order = order[times[order] <= init]
        if not len(order) or times[order[-1]] != init:
            raise InputError(f"{path.name} has no frame of {init}", expected=f"{times.min()} to {times.max()}")
    if len(order) < frames:
        held = "1 frame" if len(order) == 1 else f"{len(order)} frames"
        raise InputError(
            f"{path.name} holds {held}{'' if init is None else f' up to {init}'}, and {frames} are needed",
            remedy="where each file holds one frame, make a store of all: `nowcast prepare-radar FILES... STORE`",
        )
    return order[-frames:]


def _step(path: Path, times: np.ndarray) -> np.timedelta64:
    """The step between frames (see `pipelines.radar.files.commonest_step`).

    Raises:
        InputError: when a frame is off by more than a quarter of a step.
    """
    steps = np.diff(times)
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
