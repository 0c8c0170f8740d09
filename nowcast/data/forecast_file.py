"""THE schema of a forecast file: fill and open.

A NetCDF or Zarr file by its suffix, CF-1.8, one variable with dims (case, member, lead_time, y, x): `vil` in counts or
kg m-2, `rainfall_rate` in mm h-1 or `reflectivity` in dBZ; or of video `video` with dims (case, member, lead_time,
channel, y, x). A case is an event and an init time. Counts are packed into signed 16-bit integers in steps of 1/128,
other units are 32-bit floats of the same steps (see nowcast.data.packing). All are written member batch by member
batch, so that an ensemble never stands in memory whole, and opened as counts.

Beside it, of radar, stands what can be trusted: `reached` (case, lead_time, y, x), 1 where advection reaches a pixel
from inside the domain; `observed` (case, y, x), the share of the history's frames in which a pixel was observed; and
the attribute `quality`, one note a line. `nowcast.data.forecast_template` makes a file without its numbers.
A file of summaries (see nowcast.forecasting.summary) has other variables on the same grid.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr
import zarr

from nowcast.data.conventions import FORECAST_DIMS
from nowcast.data.forecast_template import field_of
from nowcast.data.observations import COUNT_UNITS
from nowcast.data.packing import FILL, counts_again, in_unit, pack
from nowcast.data.pysteps_file import from_pysteps
from pipelines.errors import InputError
from pipelines.store.reading import guarded, open_dataset, readable
from pipelines.store.schema import consolidate, pixels
from pipelines.store.units import COUNTS, QUANTITIES, quantity_of
from pipelines.store.whole import whole

PutMembers = Callable[[int, slice, np.ndarray], None]
Put = Callable[[str, Any, np.ndarray], None]

# Attributes of a variable, not of a file.
_CF = {"units", "long_name", "standard_name", "grid_mapping", "cell_methods", "comment", "ancillary_variables"}
_COORDINATES = {  # dims, and the kind of the dtype where it is told here
    "event": (("case",), None),
    "init_time": (("case",), "M"),
    "lead_time": (("lead_time",), None),
    "valid_time": (("case", "lead_time"), "M"),
}
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
    with readable(path):
        forecast = open_dataset(path, decode_timedelta=True, decode_coords="all")
        forecast = from_pysteps(forecast, path)
    if forecast.attrs.get("summary_of"):
        raise InputError(
            f"{path} holds a summary of an ensemble and no members", remedy="forecast again without --summary-only"
        )
    counts = as_counts(forecast, path)
    if "lead_time" not in pixels(counts).dims:
        raise _no_forecast(forecast, path)
    _check_coordinates(counts, path)
    return counts


def _check_coordinates(forecast: xr.Dataset, path: Path) -> None:
    """Refuse a forecast without any pixel, or whose coordinates are not those of `_COORDINATES`, where it has them.

    Raises:
        InputError: naming the first that is wrong.
    """
    if empty := [dim for dim, size in pixels(forecast).sizes.items() if not size]:
        raise InputError(f"{path} is an empty forecast", got=f"no {empty[0]}")
    for name, (dims, kind) in _COORDINATES.items():
        one = forecast[name].variable if name in forecast.variables else None
        if one is not None and (set(one.dims) != set(dims) or kind not in (None, one.dtype.kind)):
            got = f"{one.dtype} with dims ({', '.join(map(str, one.dims))})"
            expected = f"{'times with ' if kind else ''}dims ({', '.join(dims)})"
            raise InputError(f"{path}: {name} is not that of a forecast", got=got, expected=expected)


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
    if not isinstance(forecast, xr.Dataset):
        raise InputError(
            f"{name} is no object of xarray",
            got=f"a {type(forecast).__name__}",
            expected="a DataArray or Dataset, as `Model.forecast` gives it, or the path of a forecast file",
        )
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
    cased = [name for name in ("event", "init_time", "valid_time", "reached", "observed") if name in forecast.coords]
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
) -> Iterator[tuple[PutMembers, Put]]:
    """Write a forecast that becomes `out` only if all goes well.

    Args:
        out: File to write.
        template: See `forecast_template`.
        quantity: The quantity of `forecast_template`.
        overwrite: Replace `out` where it exists.

    Yields:
        Two functions. One takes the number of a case, a slice of members and their counts (member, lead_time, ..., y,
        x). The other is that of `writing`.
    """
    name = str(field_of(template).name)

    with writing(out, template, overwrite=overwrite) as put:
        yield (lambda case, batch, counts: put(name, (case, batch), in_unit(counts, quantity))), put


@contextmanager
def writing(out: Path, template: xr.Dataset, *, overwrite: bool = False) -> Iterator[Put]:
    """Write a file that becomes `out` only if all goes well.

    Args:
        out: File to write.
        template: See `forecast_template`. Variables are packed in the steps that their encoding gives as scale_factor,
            or else written as they are; their dask chunks become the file's.
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
        if "scale_factor" in packing:
            packing |= {"dtype": "int16", "_FillValue": FILL}
        elif template[name].dtype == np.float32:
            packing |= {"_FillValue": np.nan}
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
