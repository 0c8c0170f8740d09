"""A file of radar as a store of one event, named as the file, its frames read when they are asked for.

The file is of any format of `pipelines.radar.files` that holds several frames: CF NetCDF or Zarr. What it measures
becomes counts as in `pipelines.radar.loops`, and a latitude-longitude grid square pixels as in
`pipelines.radar.grid`. The whole grid is one event, however large it is.
"""

from collections.abc import Callable
from pathlib import Path

import dask
import dask.array
import numpy as np
import xarray as xr
import zarr

from nowcast.data.conventions import TIME
from pipelines.errors import InputError
from pipelines.radar.files import Header, read_counts, read_header
from pipelines.radar.grid import on_square, square
from pipelines.store.kind import RADAR
from pipelines.store.schema import Event, template
from pipelines.store.units import MISSING, QUANTITIES


def is_store(path: Path) -> bool:
    """Whether a path is an archive store, of this or another version of its schema."""
    try:
        return path.is_dir() and "schema" in zarr.open_group(path, mode="r").attrs
    except (OSError, KeyError, ValueError):
        return False


def is_forecast(path: Path) -> bool:
    """Whether a path is a NetCDF or Zarr file with the dimensions of a forecast."""
    try:
        with xr.open_dataset(path, decode_cf=False, **_engine(path)) as dataset:
            return {"case", "lead_time"} <= set(dataset.dims)
    except Exception:  # the libraries have exceptions of their own for damaged files
        return False


def is_radar(path: Path) -> bool:
    """Whether a path is a file of radar that can be read."""
    try:
        read_header(path)
    except InputError:
        return False
    return True


def open_radar(path: Path) -> xr.Dataset:
    """A file of radar as a store of one event, all its frames in order of time, none of them read yet.

    Returns:
        Dims (event, frame, y, x), as `pipelines.store.schema.open_store` gives them, without protocol and reducer.

    Raises:
        InputError: when the file cannot be read, or is a forecast.
    """
    if not path.exists():
        raise InputError(f"no store and no radar at {path}")
    if is_forecast(path):
        raise InputError(f"{path.name} is a forecast", expected="a store, or a file of radar that was observed")
    header = read_header(path)
    times = np.array(header.times, TIME)
    order = np.argsort(times, kind="stable")
    grid = square(header.grid)
    event = Event(
        id=path.stem,
        time=header.times[order[-1]],
        offsets=tuple((times[order] - times[order[-1]]) / np.timedelta64(1, "s")),
        split="test",
        proj=grid.proj,
        corner_x=grid.west,
        corner_y=grid.south,
    )
    attrs = {
        "kind": RADAR.name,
        "data_range": RADAR.data_range,
        "counts_from": f"{header.quantity} of {path.name}: {QUANTITIES[header.quantity].relation}",
    }
    store = template([event], side=max(grid.rows, grid.columns), pixel_m=grid.width_m, attrs=attrs)
    store = store.isel(y=slice(grid.rows), x=slice(grid.columns)).drop_vars("missing_fraction")
    read: Callable = dask.delayed(_frame)
    shape = (grid.rows, grid.columns)
    frames = [dask.array.from_delayed(read(path, int(number), header), shape, "float32") for number in order]
    store["vil"] = store["vil"].copy(data=dask.array.stack(frames)[None])
    return store


def _frame(path: Path, number: int, header: Header) -> np.ndarray:
    """Counts of one frame of a file, float32 with dims (y, x), NaN missing."""
    counts = on_square(read_counts(path, number, header.quantity), header.grid)
    return np.where(counts == MISSING, np.float32(np.nan), counts).astype("float32")


def _engine(path: Path) -> dict:
    return {"engine": "zarr", "consolidated": False} if path.is_dir() else {}
