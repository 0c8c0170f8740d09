"""CF NetCDF and Zarr of radar: the variable whose name or unit is that of radar, its times and its grid mapping.

`pipelines.store.units` knows a variable by its standard name, its own name or its unit. The grid is either projected,
with projection_x_coordinate, projection_y_coordinate and a grid mapping, or of one-dimensional latitudes and
longitudes. Values of _FillValue and missing_value are missing. MRMS alone gives them two meanings, no coverage and no
echo, and they keep these (see `pipelines.radar.mrms`).
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import pandas as pd
import xarray as xr
from pyproj import CRS

from pipelines.errors import InputError
from pipelines.radar.files import Header
from pipelines.radar.grid import Grid
from pipelines.radar.mrms import CODES
from pipelines.store.geo import in_metres, lat_lon
from pipelines.store.units import known_name, quantity_of

_METRES = {**dict.fromkeys(("m", "metre", "meter", "metres", "meters"), 1.0),
           **dict.fromkeys(("km", "kilometre", "kilometer", "kilometres", "kilometers"), 1000.0)}  # fmt: skip
_DEGREES = {  # CF tells them by their units alone
    **dict.fromkeys(("degrees_north", "degree_north", "degrees_N", "degree_N"), "latitude"),
    **dict.fromkeys(("degrees_east", "degree_east", "degrees_E", "degree_E"), "longitude"),
}
_CALENDARS = ("standard", "gregorian", "proleptic_gregorian")
_NO_ECHO = "code_of_no_echo"  # an attribute that `_open` sets
_FARTHEST = 1e8  # metres; farther from the origin no projection puts the earth
_EVEN = 0.01  # of a pixel
_ONE_READER = Lock()  # netCDF fails at times where threads open and close a file at once


def header(path: Path) -> Header:
    """See `pipelines.radar.files`."""
    with _ONE_READER, _open(path) as dataset:
        field = _field(dataset)
        times = pd.DatetimeIndex(np.atleast_1d(field[_axis(field, "time")].values)).round("s")
        return Header(_grid(dataset, field), quantity_of(field)[0], tuple(times.to_pydatetime()))


def radar_field(dataset: xr.Dataset) -> tuple[xr.DataArray, dict[str, str]]:
    """The one variable of radar of a dataset, and its dims by their meanings "time", "y" and "x", where it has them.

    Raises:
        InputError: for none or several, for a forecast, and for more dimensions than time, y and x.
    """
    field = _field(dataset)
    return field, {name: axis for name in ("time", "y", "x") if (axis := _axis(field, name)) in field.dims}


def places(dataset: xr.Dataset, field: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Latitudes and longitudes in degrees, each with shape (y, x), of a field's pixels, in the order of its axes.

    Args:
        dataset: Its grid mapping, which `field` names.
        field: A field with coordinates of a projection.

    Raises:
        InputError: when axes or grid mapping do not tell where it lies.
    """
    y, x = (field[_axis(field, name)] for name in ("y", "x"))
    scales = _metres(y), _metres(x)
    centres = [scale * axis.values.astype("float64") for scale, axis in zip(scales, (y, x), strict=True)]
    return lat_lon(_proj(dataset, field, scales), 0.0, 0.0, centres[1], centres[0])


def values(path: Path, number: int) -> np.ndarray:
    """See `pipelines.radar.files`."""
    with _ONE_READER, _open(path) as dataset:
        field = _field(dataset)
        time, y, x = (_axis(field, name) for name in ("time", "y", "x"))
        frame = field.isel({time: number}) if time in field.dims else field
        frame = frame.sortby([y, x]).transpose(y, x)
        no_echo = frame.values == field.attrs.get(_NO_ECHO, np.nan)
        return np.where(no_echo, -np.inf, frame.values * quantity_of(field)[1]).astype("float32")


def _open(path: Path) -> xr.Dataset:
    engine: dict = {"engine": "zarr", "consolidated": False} if path.is_dir() else {}
    dataset = xr.open_dataset(path, decode_cf=False, **engine)
    for name, variable in dataset.variables.items():
        attrs = variable.attrs
        if "since" in str(attrs.get("units")) and attrs.get("calendar", "standard").lower() not in _CALENDARS:
            raise InputError(f"the calendar of {name} is not read", got=attrs["calendar"], expected=_CALENDARS[0])
        if {"_FillValue", "missing_value"} <= set(attrs) and _are_codes([attrs["_FillValue"], attrs["missing_value"]]):
            attrs[_NO_ECHO] = attrs.pop("missing_value")
    with warnings.catch_warnings():  # of two codes of missing pixels
        warnings.simplefilter("ignore", xr.SerializationWarning)
        return xr.decode_cf(dataset, decode_timedelta=False)


def _are_codes(pair: Sequence) -> bool:
    return any(np.array_equal(pair, codes) for codes in CODES)


def _field(dataset: xr.Dataset) -> xr.DataArray:
    """The one variable of radar.

    Raises:
        InputError: for none or several, for a forecast, and for more dimensions than time, y and x.
    """
    radar = [name for name in dataset.data_vars if quantity_of(dataset[name])[0]]
    known = [name for name in radar if known_name(dataset[name])] or radar
    if len(known) != 1:
        raise InputError(
            f"{len(known)} of its variables {', '.join(map(str, dataset.data_vars))} are radar",
            expected="one, known by its standard name, the name vil, or units of mm h-1 or dBZ",
        )
    if periods := [name for name, variable in dataset.variables.items() if _is_forecast_period(variable)]:
        raise InputError(f"it is a forecast, by its {periods[0]}", expected="observed radar")
    field = dataset[known[0]]
    places = {_axis(field, name) for name in ("time", "y", "x")}
    field = field.squeeze([name for name in field.dims if name not in places and field.sizes[name] == 1], drop=True)
    if more := set(field.dims) - places:
        raise InputError(f"{field.name} has the dimensions {', '.join(map(str, more))} beside time, y and x")
    return field


def _is_forecast_period(variable: xr.Variable) -> bool:
    """Whether a variable holds the times from an init time to the fields, other than none."""
    return variable.attrs.get("standard_name") == "forecast_period" and bool(np.any(variable.values != 0))


def _axis(field: xr.DataArray, wanted: str) -> str:
    """The name of the coordinate of time, y (or latitude) or x (or longitude)."""
    meanings = {"y": ("projection_y_coordinate", "latitude"), "x": ("projection_x_coordinate", "longitude")}
    for name, coordinate in field.coords.items():
        if _meaning(coordinate) in meanings.get(wanted, (wanted,)) and coordinate.ndim < 2:
            return str(name)
    if {"grid_latitude", "grid_longitude"} & {_meaning(coordinate) for coordinate in field.coords.values()}:
        raise InputError(f"{field.name} is on a rotated pole, which is not read", remedy="project it first")
    raise InputError(f"{field.name} has no coordinate of {' or '.join(meanings.get(wanted, (wanted,)))}")


def _meaning(coordinate: xr.DataArray) -> str:
    by_units = _DEGREES.get(str(coordinate.attrs.get("units")), coordinate.name)
    return str(coordinate.attrs.get("standard_name", by_units))


def _grid(dataset: xr.Dataset, field: xr.DataArray) -> Grid:
    y, x = field[_axis(field, "y")], field[_axis(field, "x")]
    if _meaning(x) == "longitude":
        proj, scales = "+proj=longlat", (1.0, 1.0)
    else:
        scales = _metres(y), _metres(x)
        proj = _proj(dataset, field, scales)
    (south, height), (west, width) = (
        _edge_and_step(scale * axis.values.astype("float64")) for scale, axis in zip(scales, (y, x), strict=True)
    )
    return Grid(proj, west, south, width, height, y.size, x.size)


def _metres(coordinate: xr.DataArray) -> float:
    """Metres in the unit of a coordinate."""
    units = coordinate.attrs.get("units")
    if units not in _METRES:
        raise InputError(f"{coordinate.name} has the units {units!r}", expected=f"one of {', '.join(_METRES)}")
    return _METRES[units]


def _edge_and_step(centres: np.ndarray) -> tuple[float, float]:
    """Lower edge and step of evenly spaced pixel centres, ascending or descending."""
    centres = np.sort(centres)
    step = (centres[-1] - centres[0]) / (len(centres) - 1)
    if np.abs(centres - np.linspace(centres[0], centres[-1], len(centres))).max() > _EVEN * step:
        raise InputError("its pixels are not evenly spaced")
    return float(centres[0] - step / 2), float(step)


def _proj(dataset: xr.Dataset, field: xr.DataArray, scales: tuple[float, float]) -> str:
    """The PROJ string, in metres, of the grid mapping; `scales` are metres in the units of y and x.

    Well-known text has units of its own. False northings and eastings without it are in the units of y and x, by CF.
    """
    mapping = field.attrs.get("grid_mapping", field.encoding.get("grid_mapping"))
    if mapping not in dataset.variables:
        raise InputError(f"{field.name} has no grid mapping")
    attrs = dict(dataset[mapping].attrs)
    if not {"crs_wkt", "spatial_ref"} & set(attrs):
        for name, scale in zip(("false_northing", "false_easting"), scales, strict=True):
            attrs[name] = scale * float(attrs.get(name, 0))
            if abs(attrs[name]) > _FARTHEST:
                raise InputError(
                    f"its {name} is {attrs[name] / 1000:g} km", expected="a length in the unit of the axes"
                )
    with warnings.catch_warnings():  # a PROJ string says less than CF: names, and what they call the datum
        warnings.simplefilter("ignore", UserWarning)
        return in_metres(CRS.from_cf(attrs).to_proj4().replace(" +no_defs", "").replace(" +type=crs", ""))
