"""THE schema of a forecast file: dims, coordinates, encoding; create, fill, open.

A NetCDF or Zarr file by its suffix, CF-1.8, one variable with dims (case, member, lead_time, y, x): `vil` in counts or
kg m-2, `rainfall_rate` in mm h-1 or `reflectivity` in dBZ; or of video `video` with dims (case, member, lead_time,
channel, y, x). A case is an event and an init time. Counts are packed into signed 16-bit integers in steps of 1/128,
other units are 32-bit floats of the same steps (see nowcast.data.packing). All are written member batch by member
batch, so that an ensemble never stands in memory whole, and opened as counts.
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
from nowcast.data.observations import COUNT_UNITS
from nowcast.data.packing import COUNT_STEP, FILL, counts_again, pack, unpacked
from nowcast.data.pysteps_file import from_pysteps
from nowcast.data.windows import Window
from pipelines.errors import InputError
from pipelines.store.geo import grid_mapping, lat_lon
from pipelines.store.kind import kind_of
from pipelines.store.reading import guarded, readable
from pipelines.store.schema import consolidate, data_range, pixels
from pipelines.store.units import COUNTS, MAX_COUNT, QUANTITIES, quantity_of
from pipelines.store.whole import whole

_CF = ("units", "long_name", "standard_name", "grid_mapping", "cell_methods", "comment")  # of a variable, not of a file
_KEPT = ("protocol", "reducer", "event_list_hash", "counts_from")  # of a store's attributes
_COMPRESSION = {"zlib": True, "complevel": 1}


def open_forecast(path: Path) -> xr.Dataset:
    """A forecast file, opened lazily: counts, float32, NaN missing, whatever unit the file is in.

    Returns:
        See `as_counts`.

    Raises:
        InputError: when there is no such file, it holds no forecast, or it cannot be read; also in reading the counts,
            where they are damaged.
    """
    if not path.exists():
        raise InputError(f"no forecast {path}")
    engine: dict[str, Any] = {"engine": "zarr", "consolidated": False} if path.is_dir() else {}
    with readable(path):
        forecast = xr.open_dataset(path, decode_timedelta=True, decode_coords="all", **engine)
        forecast = from_pysteps(forecast, path)
    if forecast.attrs.get("summary_of"):
        raise InputError(
            f"{path} holds a summary of an ensemble and no members", remedy="forecast again without --summary-only"
        )
    counts = as_counts(forecast, path)
    if "lead_time" not in pixels(counts).dims:
        raise _no_forecast(forecast, path)
    return counts


def as_counts(forecast: xr.DataArray | xr.Dataset, name: str | Path = "the forecast") -> xr.Dataset:
    """A forecast of any quantity of radar in counts, converted when it is read, or a video as it is.

    Args:
        forecast: One variable of radar; its dim case may be absent, and its rows may run southward.
        name: Its name in messages.

    Returns:
        `vil` in counts, with a dim case, row 0 in the south; the attribute `quantity` says what it was, if not counts.

    Raises:
        InputError: when it has no such variable; on reading, where it is damaged.
    """
    if isinstance(forecast, xr.DataArray):
        forecast = forecast.to_dataset(name=forecast.name or "vil")
    field = _forecast_field(forecast, name)
    forecast = _with_cases(forecast)
    forecast.attrs = {key: value for key, value in field.attrs.items() if key not in _CF} | forecast.attrs
    if field.name == "video":
        return guarded(forecast, name)
    forecast = _southward_turned(forecast.rename({field.name: "vil"}))
    if field.attrs.get("units") in COUNT_UNITS:
        return guarded(forecast, name)
    quantity, factor = quantity_of(field)
    mapping = {key: value for key, value in field.attrs.items() if key == "grid_mapping"}
    forecast["vil"].attrs = QUANTITIES[COUNTS].attrs | mapping
    converted = guarded(forecast, name, {"vil": lambda values: counts_again(factor * values, quantity)})
    return converted.assign_attrs(quantity=quantity)


def _forecast_field(forecast: xr.Dataset, name: str | Path) -> xr.DataArray:
    """The one variable of a forecast: `vil` or `video`, or another that is of radar by its name or units."""
    fields = [field for key, field in forecast.data_vars.items() if key in ("vil", "video") or quantity_of(field)[0]]
    if len(fields) != 1:
        raise _no_forecast(forecast, name)
    return fields[0]


def _no_forecast(dataset: xr.Dataset, name: str | Path) -> InputError:
    return InputError(
        f"{name} is not a forecast",
        got=f"the variables {', '.join(sorted(map(str, dataset.variables))) or 'none'}",
        expected=f"one of radar, such as vil, with dims {', '.join(FORECAST_DIMS)}",
    )


def _with_cases(forecast: xr.Dataset) -> xr.Dataset:
    """The forecast with a dim case."""
    if "case" in forecast.dims:
        return forecast.copy()
    cased = [name for name in ("event", "init_time", "valid_time") if name in forecast.coords]
    forecast = forecast.expand_dims("case")
    return forecast.assign_coords({name: forecast[name].expand_dims("case") for name in cased})


def _southward_turned(forecast: xr.Dataset) -> xr.Dataset:
    """The forecast with row 0 in the south, where its rows run from north to south."""
    y = forecast.get("y")
    southward = y is not None and y.size > 1 and bool(y[0] > y[-1])
    return forecast.isel(y=slice(None, None, -1)) if southward else forecast


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
    out: Path, template: xr.Dataset, quantity: str = COUNTS, *, overwrite: bool = False
) -> Iterator[Callable[[int, slice, np.ndarray], None]]:
    """Write a forecast that becomes `out` only if all goes well.

    Args:
        out: File to write.
        template: See `forecast_template`.
        quantity: The quantity of `forecast_template`.
        overwrite: Replace `out` where it exists.

    Yields:
        A function that takes the number of a case, a slice of members and their counts (member, lead_time, ..., y, x).
    """
    name = str(field_of(template).name)

    def in_unit(counts: np.ndarray) -> np.ndarray:
        return counts if quantity == COUNTS else unpacked(pack(counts, COUNT_STEP), quantity)

    with writing(out, template, overwrite=overwrite) as put:
        yield lambda case, batch, counts: put(name, (case, batch), in_unit(counts))


@contextmanager
def writing(
    out: Path, template: xr.Dataset, *, overwrite: bool = False
) -> Iterator[Callable[[str, Any, np.ndarray], None]]:
    """Write a file that becomes `out` only if all goes well.

    Args:
        out: File to write.
        template: See `forecast_template`. Variables are packed in the steps that their encoding gives as scale_factor,
            or else written as float32; their dask chunks become the file's.
        overwrite: Replace `out` where it exists.

    Yields:
        A function that takes the name of a variable, an index of a part of it, and the values of that part.

    Raises:
        InputError: see `pipelines.store.whole.whole`.
    """
    with whole(out, overwrite=overwrite) as growing, _packed_arrays(growing, template) as packed:

        def put(name: str, part: Any, values: np.ndarray) -> None:
            step = template[name].encoding.get("scale_factor")
            packed[name][part] = values if step is None else pack(values, step)

        yield put


@contextmanager
def _packed_arrays(path: Path, template: xr.Dataset) -> Iterator[Mapping[str, Any]]:
    """Write the template's coordinates to `path` and yield its packed arrays, to be assigned part by part."""
    names = [str(name) for name in template.data_vars]
    encoding = _coordinate_encoding(template)
    is_zarr = path.suffix == ".zarr"
    for name in names:
        packing = dict(template[name].encoding)
        packing |= {"dtype": "int16", "_FillValue": FILL} if packing else {"dtype": "float32", "_FillValue": np.nan}
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


def forecast_template(
    store: xr.Dataset,
    windows: Sequence[Window],
    history: int,
    members: Sequence[int],
    lead_times: np.ndarray,
    at_once: int,
    quantity: str = COUNTS,
) -> xr.Dataset:
    """A forecast file without its numbers.

    Args:
        store: The store that is forecast.
        windows: One window per case.
        history: Frames that the model sees; the last one's time is the init time.
        members: Member numbers.
        lead_times: Lead times, timedelta64.
        at_once: Members written at once, which makes the chunks.
        quantity: One of `pipelines.store.units.QUANTITIES`, in whose unit the file is; counts for a video.
    """
    array, kind = pixels(store), kind_of(store)
    events = store.isel(event=[window.event for window in windows])
    last = np.array([window.start + history - 1 for window in windows])
    init_times = store["valid_time"].values.astype(TIME)[[w.event for w in windows], last]
    shape = (len(windows), len(members), len(lead_times), *array.shape[2:])
    zeros = dask.array.zeros(shape, dtype="float32", chunks=(1, at_once, *shape[2:]))
    name, attrs = array.name, {"long_name": array.attrs["long_name"], "units": "1"}
    if quantity != COUNTS:
        name, attrs = QUANTITIES[quantity].name, dict(QUANTITIES[quantity].attrs)
    encoding = {"scale_factor": COUNT_STEP} if quantity == COUNTS else {}
    forecast = xr.Dataset(
        {name: (kind.forecast_dims, zeros, attrs, encoding)},
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


def field_of(template: xr.Dataset) -> xr.DataArray:
    """The variable that holds the members in a `forecast_template`."""
    return template[next(iter(template.data_vars))]


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
    field_of(forecast).attrs["grid_mapping"] = "crs"
    return forecast


def attributes(store: xr.Dataset, seed: int, described: Mapping[str, Any], quantity: str = COUNTS) -> dict[str, Any]:
    """Attributes that tell the origin of a forecast, with those of the model in `described`; settings become JSON."""
    attrs = {
        "Conventions": "CF-1.9" if "channel" in store.dims else "CF-1.8",  # 1.9 has 64-bit integers: times of video
        "title": f"nowcast by {described['model']}",
        "source": f"nowcast {__version__}",
        "seed": seed,
        **{key: store.attrs[key] for key in _KEPT if key in store.attrs},
        "kind": kind_of(store).name,
        "data_range": data_range(store.attrs),
        **limits(quantity),
        **described,
    }
    return {key: json.dumps(value) if isinstance(value, dict | list) else value for key, value in attrs.items()}


def limits(quantity: str) -> dict[str, str]:
    """The attribute that says where counts saturate, in the unit of a quantity; none for counts."""
    if quantity == COUNTS:
        return {}
    most, none = (f"{QUANTITIES[quantity].from_counts(np.array([count]))[0]:.3g}" for count in (float(MAX_COUNT), 0.0))
    unit = QUANTITIES[quantity].attrs["units"]
    return {"saturation": f"{MAX_COUNT} counts and more = {most} {unit}; 5 counts and less, no echo = {none} {unit}"}
