"""THE schema of a forecast file: dims, coordinates, encoding; create, fill, open.

A NetCDF or Zarr file by its suffix, CF-1.8, one variable `vil` in counts, dims (case, member, lead_time, y, x), or of
video `video` with dims (case, member, lead_time, channel, y, x). A case is an event and an init time. Numbers are
packed into signed 16-bit integers in steps of 1/128 count, and written member batch by member batch, so that an
ensemble never stands in memory whole.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask.array
import netCDF4
import numpy as np
import xarray as xr
import zarr

from nowcast import __version__
from nowcast.conventions import COORDINATE_ATTRS, FORECAST_DIMS, TIME, VIDEO_FORECAST_DIMS
from nowcast.windows import Window
from pipelines.errors import InputError
from pipelines.geo import lat_lon
from pipelines.store import data_range, pixels

_SCALE, _FILL = np.float32(1 / 128), np.int16(-1)
_PACKING = {"dtype": "int16", "scale_factor": _SCALE, "_FillValue": _FILL}


def open_forecast(path: Path) -> xr.Dataset:
    """A forecast file, opened lazily: counts, float32, NaN missing.

    Raises:
        InputError: when there is no such file or it holds no forecast.
    """
    if not path.exists():
        raise InputError(f"no forecast {path}")
    try:
        engine: dict[str, Any] = {"engine": "zarr", "consolidated": False} if path.is_dir() else {}
        forecast = xr.open_dataset(path, decode_timedelta=True, **engine)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read", got=error, expected="a NetCDF or Zarr file") from error
    if not {"vil", "video"} & set(forecast) or not {"case", "lead_time"} <= set(pixels(forecast).dims):
        raise InputError(f"{path} is not a forecast", got=list(forecast), expected=f"vil with dims {FORECAST_DIMS}")
    return forecast


def check_target(out: Path, overwrite: bool) -> None:
    """Refuse a name that is not a forecast's, or is taken.

    Raises:
        InputError: for an `out` that exists, or has another suffix.
    """
    if out.suffix not in {".nc", ".zarr"}:
        raise InputError(f"cannot write {out}", expected="a name ending in .nc or .zarr")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists", remedy="say --overwrite to replace it")


@contextmanager
def writing(out: Path, template: xr.Dataset, members: int) -> Iterator[Callable[[int, slice, np.ndarray], None]]:
    """Write a forecast that becomes `out` only if all goes well.

    Args:
        out: File to write or replace.
        template: See `forecast_template`.
        members: Members written at once, which makes the chunks.

    Yields:
        A function that takes the number of a case, a slice of members and their counts (member, lead_time, ..., y, x).
    """
    partial = out.with_name(f".{out.stem}.partial{out.suffix}")
    partial.parent.mkdir(parents=True, exist_ok=True)
    _remove(partial)
    try:
        with _packed_array(partial, template, members) as packed:

            def put(case: int, batch: slice, counts: np.ndarray) -> None:
                packed[case, batch] = _pack(counts, data_range(template.attrs))

            yield put
        _remove(out)
        partial.replace(out)
    finally:
        _remove(partial)


@contextmanager
def _packed_array(path: Path, template: xr.Dataset, members: int) -> Iterator[Any]:
    """Write the template's coordinates to `path` and yield its packed counts, to be assigned slice by slice."""
    array = pixels(template)
    name, chunks = str(array.name), (1, members, *array.shape[2:])
    coordinates = _coordinate_encoding(template)
    if path.suffix == ".zarr":
        encoding = {**coordinates, name: {**_PACKING, "chunks": chunks}}
        template.to_zarr(path, compute=False, consolidated=False, encoding=encoding)
        yield zarr.open_array(path / name, mode="r+")
        return
    encoding = {**coordinates, name: {**_PACKING, "chunksizes": chunks, "zlib": True, "complevel": 1}}
    template.to_netcdf(path, engine="netcdf4", compute=False, encoding=encoding)
    with netCDF4.Dataset(path, "a") as file:
        file[name].set_auto_maskandscale(False)
        yield file[name]


def _coordinate_encoding(template: xr.Dataset) -> dict[str, dict[str, Any]]:
    """What CF asks of coordinates: no 64-bit integers, but for times of video that need them, and nothing missing."""
    rules: dict[str, dict[str, Any]] = {"f": {"_FillValue": None}}
    if "channel" not in template.dims:
        rules |= {"M": {"dtype": "int32"}, "m": {"dtype": "int32"}}
    return {str(name): rules.get(coord.dtype.kind, {}) for name, coord in template.coords.items()}


def _pack(counts: np.ndarray, largest: int) -> np.ndarray:
    packed = np.rint(np.clip(counts, 0, largest) / _SCALE)
    return np.where(np.isnan(packed), _FILL, packed).astype("int16")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def forecast_template(
    store: xr.Dataset, windows: Sequence[Window], history: int, members: Sequence[int], lead_times: np.ndarray
) -> xr.Dataset:
    """A forecast file without its numbers.

    Args:
        store: The store that is forecast.
        windows: One a case.
        history: Frames that the model sees; the last one's time is the init time.
        members: Member numbers.
        lead_times: Lead times, timedelta64.
    """
    array = pixels(store)
    events = store.isel(event=[window.event for window in windows])
    last = np.array([window.start + history - 1 for window in windows])
    init_times = store["valid_time"].values.astype(TIME)[[w.event for w in windows], last]
    dims = VIDEO_FORECAST_DIMS if "channel" in array.dims else FORECAST_DIMS
    shape = (len(windows), len(members), len(lead_times), *array.shape[2:])
    zeros = dask.array.zeros(shape, dtype="float32", chunks=(1, *shape[1:]))
    forecast = xr.Dataset(
        {array.name: (dims, zeros, {"long_name": array.attrs["long_name"], "units": "1"})},
        coords={
            "event": ("case", events["event"].values.astype(object), {"long_name": "event"}),
            "init_time": ("case", init_times),
            "valid_time": (("case", "lead_time"), init_times[:, None] + lead_times[None]),
            "member": np.array(members, "int32"),
            "lead_time": lead_times,
            "y": store["y"],
            "x": store["x"],
            **({"channel": store["channel"].astype(object)} if "channel" in array.dims else _geography(events)),
        },
    )
    for name, attrs in COORDINATE_ATTRS.items():
        if name in forecast.coords:
            forecast[name].attrs |= attrs
    if "crs" in store:
        forecast = forecast.assign_coords(crs=store["crs"].assign_attrs(long_name="map projection of all events"))
    return forecast


def _geography(events: xr.Dataset) -> dict[str, Any]:
    """Coordinates that say where the pixels of each event are."""
    columns = (events[name].values for name in ("proj", "corner_x", "corner_y"))
    places = [
        lat_lon(str(proj), float(x), float(y), events["x"].values, events["y"].values)
        for proj, x, y in zip(*columns, strict=True)
    ]
    return {
        "latitude": (("case", "y", "x"), np.stack([lat for lat, _ in places]).astype("float32")),
        "longitude": (("case", "y", "x"), np.stack([lon for _, lon in places]).astype("float32")),
        "proj": ("case", events["proj"].values.astype(object), events["proj"].attrs),
        **{name: ("case", events[name].values, events[name].attrs) for name in ("corner_x", "corner_y")},
    }


def attributes(store: xr.Dataset, seed: int, described: Mapping[str, Any]) -> dict[str, Any]:
    """What a forecast file says of its origin; `described` is of the model, and settings become JSON."""
    attrs = {
        "Conventions": "CF-1.8",
        "title": f"nowcast by {described['model']}",
        "source": f"nowcast {__version__}",
        "seed": seed,
        **{key: store.attrs[key] for key in ("protocol", "reducer", "event_list_hash") if key in store.attrs},
        "data_range": data_range(store.attrs),
        **described,
    }
    return {key: json.dumps(value) if isinstance(value, dict) else value for key, value in attrs.items()}
