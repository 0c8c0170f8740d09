"""THE schema of a forecast file: dims, coordinates, encoding; create, fill, open.

A NetCDF or Zarr file by its suffix, CF-1.8, one variable `vil` in counts, dims (case, member, lead_time, y, x), or of
video `video` with dims (case, member, lead_time, channel, y, x). A case is an event and an init time. Numbers are
packed into signed 16-bit integers in steps of 1/128 count, and written member batch by member batch, so that an
ensemble never stands in memory whole.
A file of summaries (see nowcast.forecasting.summary) has other variables on the same grid.
"""

import json
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
from nowcast.data.conventions import COORDINATE_ATTRS, FORECAST_DIMS, TIME
from nowcast.data.windows import Window
from pipelines.errors import InputError
from pipelines.store.geo import grid_mapping, lat_lon
from pipelines.store.kind import kind_of
from pipelines.store.reading import guarded, readable
from pipelines.store.schema import consolidate, data_range, pixels
from pipelines.store.whole import whole

COUNT_STEP = np.float32(1 / 128)
_FILL = np.int16(-1)
_KEPT = ("protocol", "reducer", "event_list_hash", "counts_from")  # of a store's attributes
_COMPRESSION = {"zlib": True, "complevel": 1}


def open_forecast(path: Path) -> xr.Dataset:
    """A forecast file, opened lazily: counts, float32, NaN missing.

    Raises:
        InputError: when there is no such file, it holds no forecast, or it cannot be read; also in reading the counts,
            where they are damaged.
    """
    if not path.exists():
        raise InputError(f"no forecast {path}")
    engine: dict[str, Any] = {"engine": "zarr", "consolidated": False} if path.is_dir() else {}
    with readable(path):
        forecast = xr.open_dataset(path, decode_timedelta=True, decode_coords="all", **engine)
    if forecast.attrs.get("summary_of"):
        raise InputError(
            f"{path} holds a summary of an ensemble and no members", remedy="forecast again without --summary-only"
        )
    if not {"vil", "video"} & set(forecast) or not {"case", "lead_time"} <= set(pixels(forecast).dims):
        held = ", ".join(map(str, list(forecast)[:3])) or "no variable"
        raise InputError(f"{path} is not a forecast", got=f"{held}, ...", expected=f"vil with dims {FORECAST_DIMS}")
    return guarded(forecast, path)


def check_target(out: Path, overwrite: bool) -> None:
    """Refuse a path that no forecast can be written to.

    Raises:
        InputError: for an `out` of another suffix, or that exists and may not be replaced or is not a forecast.
    """
    if out.suffix not in {".nc", ".zarr"}:
        raise InputError(f"cannot write {out}", expected="a name ending in .nc or .zarr")
    if out.exists() and not ((out / "zarr.json").is_file() if out.suffix == ".zarr" else out.is_file()):
        raise InputError(f"{out} exists and is not a forecast", remedy="choose another path")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists", remedy="say --overwrite to replace it")


@contextmanager
def writing_members(
    out: Path, template: xr.Dataset, *, overwrite: bool = False
) -> Iterator[Callable[[int, slice, np.ndarray], None]]:
    """Write a forecast that becomes `out` only if all goes well.

    Args:
        out: File to write.
        template: See `forecast_template`.
        overwrite: Replace `out` where it exists.

    Yields:
        A function that takes the number of a case, a slice of members and their counts (member, lead_time, ..., y, x).
    """
    name = str(pixels(template).name)
    with writing(out, template, overwrite=overwrite) as put:
        yield lambda case, batch, counts: put(name, (case, batch), counts)


@contextmanager
def writing(
    out: Path, template: xr.Dataset, *, overwrite: bool = False
) -> Iterator[Callable[[str, Any, np.ndarray], None]]:
    """Write a file that becomes `out` only if all goes well.

    Args:
        out: File to write.
        template: See `forecast_template`. Variables are packed in the steps that their encoding gives as scale_factor;
            their dask chunks become the file's.
        overwrite: Replace `out` where it exists.

    Yields:
        A function that takes the name of a variable, an index of a part of it, and the values of that part.

    Raises:
        InputError: see `pipelines.store.whole.whole`.
    """
    with whole(out, overwrite=overwrite) as growing, _packed_arrays(growing, template) as packed:

        def put(name: str, part: Any, values: np.ndarray) -> None:
            packed[name][part] = pack(values, template[name].encoding["scale_factor"])

        yield put


@contextmanager
def _packed_arrays(path: Path, template: xr.Dataset) -> Iterator[Mapping[str, Any]]:
    """Write the template's coordinates to `path` and yield its packed arrays, to be assigned part by part."""
    names = [str(name) for name in template.data_vars]
    encoding = _coordinate_encoding(template)
    is_zarr = path.suffix == ".zarr"
    for name in names:
        packing = {"dtype": "int16", "scale_factor": template[name].encoding["scale_factor"], "_FillValue": _FILL}
        chunks = template[name].data.chunksize
        encoding[name] = packing | ({"chunks": chunks} if is_zarr else {"chunksizes": chunks, **_COMPRESSION})
    if is_zarr:
        template.to_zarr(path, compute=False, consolidated=False, encoding=encoding)
        consolidate(path)
        yield {name: zarr.open_array(path / name, mode="r+") for name in names}
        return
    template.to_netcdf(path, engine="netcdf4", compute=False, encoding=encoding)
    with netCDF4.Dataset(path, "a") as file:
        file.set_auto_maskandscale(False)
        yield {name: file[name] for name in names}


def _coordinate_encoding(template: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Encoding of coordinates by CF: no 64-bit integers, except for times of video, and no fill value."""
    rules: dict[str, dict[str, Any]] = {"f": {"_FillValue": None}}
    if "channel" not in template.dims:
        rules |= {"M": {"dtype": "int32"}, "m": {"dtype": "int32"}}
    return {str(name): rules.get(coord.dtype.kind, {}) for name, coord in template.coords.items()}


def pack(values: np.ndarray, step: np.float32) -> np.ndarray:
    """Values, none negative, NaN missing, as 16-bit integers in whole steps; missing becomes negative."""
    packed = np.rint(np.minimum(values / step, np.iinfo("int16").max))
    return np.where(np.isnan(packed), _FILL, packed).astype("int16")


def forecast_template(
    store: xr.Dataset,
    windows: Sequence[Window],
    history: int,
    members: Sequence[int],
    lead_times: np.ndarray,
    at_once: int,
) -> xr.Dataset:
    """A forecast file without its numbers.

    Args:
        store: The store that is forecast.
        windows: One window per case.
        history: Frames that the model sees; the last one's time is the init time.
        members: Member numbers.
        lead_times: Lead times, timedelta64.
        at_once: Members written at once, which makes the chunks.
    """
    array, kind = pixels(store), kind_of(store)
    events = store.isel(event=[window.event for window in windows])
    last = np.array([window.start + history - 1 for window in windows])
    init_times = store["valid_time"].values.astype(TIME)[[w.event for w in windows], last]
    shape = (len(windows), len(members), len(lead_times), *array.shape[2:])
    zeros = dask.array.zeros(shape, dtype="float32", chunks=(1, at_once, *shape[2:]))
    attrs, encoding = {"long_name": array.attrs["long_name"], "units": "1"}, {"scale_factor": COUNT_STEP}
    forecast = xr.Dataset(
        {array.name: (kind.forecast_dims, zeros, attrs, encoding)},
        coords={
            "event": ("case", events["event"].values.astype(object), {"long_name": "event"}),
            "init_time": ("case", init_times),
            "valid_time": (("case", "lead_time"), init_times[:, None] + lead_times[None]),
            "member": np.array(members, "int32"),
            "lead_time": lead_times,
            "y": store["y"],
            "x": store["x"],
            **({"channel": store["channel"].astype(object)} if kind.has_channels else _geography(events)),
        },
    )
    for name, described in COORDINATE_ATTRS.items():
        if name in forecast.coords:
            forecast[name].attrs |= described
    return forecast if kind.has_channels else _mapped(forecast)


def _geography(events: xr.Dataset) -> dict[str, Any]:
    """Coordinates that place the pixels of each event."""
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


def _mapped(forecast: xr.Dataset) -> xr.Dataset:
    """Add the grid mapping where all cases share a projection, and projected coordinates where they share a place."""
    if len(set(forecast["proj"].values)) > 1:
        return forecast
    mapping = grid_mapping(forecast["proj"].values[0])
    forecast = forecast.assign_coords(crs=((), np.int32(0), {**mapping, "long_name": "map projection of all cases"}))
    corners = {axis: np.unique(forecast[f"corner_{axis}"]) for axis in "yx"}
    if any(len(corner) > 1 for corner in corners.values()):
        return forecast
    for axis, (corner,) in corners.items():
        attrs = {"standard_name": f"projection_{axis}_coordinate", "units": "m", "axis": axis.upper()}
        forecast = forecast.assign_coords({axis: (axis, corner + forecast[axis].values, attrs)})
    forecast["vil"].attrs["grid_mapping"] = "crs"
    return forecast


def attributes(store: xr.Dataset, seed: int, described: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes that tell the origin of a forecast, with those of the model in `described`; settings become JSON."""
    attrs = {
        "Conventions": "CF-1.9" if "channel" in store.dims else "CF-1.8",  # 1.9 has 64-bit integers: times of video
        "title": f"nowcast by {described['model']}",
        "source": f"nowcast {__version__}",
        "seed": seed,
        **{key: store.attrs[key] for key in _KEPT if key in store.attrs},
        "kind": kind_of(store).name,
        "data_range": data_range(store.attrs),
        **described,
    }
    return {key: json.dumps(value) if isinstance(value, dict | list) else value for key, value in attrs.items()}
