"""CF NetCDF and Zarr of radar: the variable whose name or unit is that of radar, its times and its grid mapping.

`pipelines.store.units` knows a variable by its standard name, its own name or its unit; amounts of rain become rain
rates. Of several, VIL is read before rain rate before reflectivity. Axes and projection are found by
`pipelines.radar.cf_axes`. Values of _FillValue and missing_value are missing. MRMS alone gives them two meanings, no
coverage and no echo, and they keep these (see `pipelines.radar.mrms`).
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
import xarray as xr

from pipelines.errors import InputError, printable
from pipelines.radar.cf_amounts import is_amount, per_hour
from pipelines.radar.cf_axes import (
    EVEN,
    Pixels,
    check_calendar,
    coordinate,
    dims,
    is_degrees,
    pixels,
    utc,
    with_coordinates,
)
from pipelines.radar.files import Header, time_in_name
from pipelines.radar.grid import Grid
from pipelines.radar.mrms import CODES
from pipelines.store.reading import open_dataset
from pipelines.store.units import COUNTS, QUANTITIES, RAIN_RATE, REFLECTIVITY, VIL, known_name, quantity_of

log = logging.getLogger(__name__)
_ORDER = (COUNTS, VIL, RAIN_RATE, REFLECTIVITY)
_MISSING = {RAIN_RATE: (-3, -99, -999, -9999), REFLECTIVITY: (-999, -9999)}  # codes that files forget to mark
_NO_ECHO = "code_of_no_echo"  # an attribute that `_open` sets
_ONE_READER = Lock()  # netCDF fails at times where threads open and close a file at once


def header(path: Path) -> Header:
    """See `pipelines.radar.files`."""
    with _ONE_READER, _open(path) as dataset:
        return header_of(dataset, path)


def values(path: Path, number: int) -> np.ndarray:
    """See `pipelines.radar.files`."""
    with _ONE_READER, _open(path) as dataset:
        return values_of(dataset, number)


def header_of(dataset: xr.Dataset, path: Path) -> Header:
    """The header of a file of one frame or several, opened as a CF dataset; see `pipelines.radar.files`."""
    field = _field(dataset, say=True)
    if is_amount(field):
        per_hour(dataset, field)
    return Header(_grid(pixels(dataset, field)), _quantity(field), _times(field, path))


def values_of(dataset: xr.Dataset, number: int) -> np.ndarray:
    """The values of a frame of a CF dataset; see `pipelines.radar.files`."""
    field = _field(dataset)
    places = pixels(dataset, field)
    time = dims(field).get("time")
    factor = float(per_hour(dataset, field)[number]) if is_amount(field) else quantity_of(field)[1]
    frame = (field.isel({time: number}) if time else field).transpose(*places.dims).values
    frame = frame[np.argsort(places.y)][:, np.argsort(places.x)]
    frame = np.where(np.isin(frame, _unmarked(frame, _quantity(field))), np.nan, frame)
    no_echo = frame == field.attrs.get(_NO_ECHO, np.nan)
    return np.where(no_echo, -np.inf, frame * factor).astype("float32")


def radar_field(dataset: xr.Dataset) -> tuple[xr.DataArray, dict[str, str]]:
    """The one variable of radar of a dataset, and its dims by their meanings "time", "y" and "x", where it has them.

    Its times are datetime64, and an amount of rain is a rain rate in mm h-1.

    Raises:
        InputError: for none or several, for a forecast, and for more dimensions than time, y and x.
    """
    dataset = with_coordinates(dataset)
    field = _field(dataset, say=True)
    time, names = coordinate(field, "time"), dims(field)
    if is_amount(field):
        factor = per_hour(dataset, field)
        factors = xr.DataArray(factor, dims=time.dims) if time is not None and time.dims else factor[0]
        field = (field * factors).assign_attrs(field.attrs | QUANTITIES[RAIN_RATE].attrs).rename(field.name)
    for meaning, dim in names.items():  # the coordinate that is the axis takes the place of another, or of none
        axis = coordinate(field, meaning)
        if axis is not None and axis.dims == (dim,) and axis.name != dim:
            field = field.swap_dims({dim: axis.name}).drop_vars(dim, errors="ignore")
            names = names | {meaning: str(axis.name)}
        if axis is not None and is_degrees(axis):  # also of another name
            units = {"y": "degrees_north", "x": "degrees_east"}[meaning]
            field = field.assign_coords({str(axis.name): axis.assign_attrs(units=units)})
    if time is not None and time.dtype.kind != "M":
        field = field.assign_coords({str(time.name): (time.dims, utc(time.values).values.reshape(time.shape))})
    return field, names


def is_of_pysteps(dataset: xr.Dataset) -> bool:
    """Whether a dataset is a nowcast that pysteps wrote, which looks like observed radar where it has no members."""
    return str(dataset.attrs.get("title", "")).startswith("pysteps-generated nowcast")


def places(dataset: xr.Dataset, field: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Latitudes and longitudes in degrees, each with shape (y, x), of a field's pixels, in the order of its axes.

    Args:
        dataset: Its grid mapping, which `field` names.
        field: A field with coordinates of a projection.

    Raises:
        InputError: when axes or grid mapping do not tell where it lies.
    """
    return pixels(dataset, field).lat_lon()


@contextmanager
def _open(path: Path) -> Iterator[xr.Dataset]:
    with open_dataset(path, decode_cf=False) as dataset, warnings.catch_warnings():
        warnings.simplefilter("ignore", xr.SerializationWarning)  # of two codes of missing pixels
        for variable in dataset.variables.values():
            attrs = variable.attrs
            if "since" in str(attrs.get("units")):
                check_calendar(str(attrs.get("calendar", "standard")))
            if _are_codes([attrs.get("_FillValue"), attrs.get("missing_value")]):
                attrs[_NO_ECHO] = attrs.pop("missing_value")
        yield with_coordinates(xr.decode_cf(dataset, decode_timedelta=False))


def _are_codes(pair: Sequence) -> bool:
    return any(np.array_equal(pair, codes) for codes in CODES)


def _field(dataset: xr.Dataset, *, say: bool = False) -> xr.DataArray:
    """The one variable of radar; with `say`, the others are named once in the log.

    Raises:
        InputError: for none or several of one quantity, for a forecast, and for more dimensions than time, y and x.
    """
    radar = {name: quantity for name, one in dataset.data_vars.items() if (quantity := _quantity(one))}
    known = [name for name in radar if known_name(dataset[name])] or list(radar)
    first = min((_ORDER.index(radar[name]) for name in known), default=0)
    wanted = [name for name in known if radar[name] == _ORDER[first]]
    if len(wanted) != 1:
        raise InputError(
            f"{len(wanted)} of its variables {', '.join(map(str, dataset.data_vars))} are radar",
            expected="one, known by its standard name, the name vil, or units of mm h-1 or dBZ",
        )
    if is_of_pysteps(dataset):
        raise InputError("it is a forecast by pysteps", expected="observed radar")
    if periods := [name for name, variable in dataset.variables.items() if _is_forecast_period(variable)]:
        raise InputError(f"it is a forecast, by its {periods[0]}", expected="observed radar")
    if say and len(known) > 1:
        _say(str(wanted[0]), ", ".join(str(name) for name in known if name != wanted[0]))
    alone = [name for name, size in dataset.sizes.items() if size == 1 and name not in dataset[wanted[0]].dims]
    field = dataset.squeeze(alone)[wanted[0]]  # keeps the one time of a field without that dimension
    axes = set(dims(field).values())
    field = field.squeeze([name for name in field.dims if name not in axes and field.sizes[name] == 1], drop=True)
    if more := set(field.dims) - axes:
        raise InputError(f"{field.name} has the dimensions {', '.join(map(str, more))} beside time, y and x")
    return field


def _quantity(field: xr.DataArray) -> str:
    """The quantity of a field of pixels; empty where it is not of radar, or of its quality."""
    if field.ndim < 2 or " " in str(field.attrs.get("standard_name")):
        return ""
    return RAIN_RATE if is_amount(field) else quantity_of(field)[0]


@lru_cache
def _say(read: str, left_out: str) -> None:
    log.warning("%s is read, and %s beside it is left out", printable(read), printable(left_out))


def _unmarked(frame: np.ndarray, quantity: str) -> list[int]:
    """Codes in a frame that its quantity cannot have and that nothing marks as missing pixels, which they are."""
    found = [code for code in _MISSING.get(quantity, ()) if (frame == code).any()]
    for code in found:
        _say_missing(code, quantity)
    return found


@lru_cache
def _say_missing(code: int, quantity: str) -> None:
    log.warning("%d as a %s is taken as missing, although no _FillValue says so", code, quantity)


def _is_forecast_period(variable: xr.Variable) -> bool:
    """Whether a variable holds the times from an init time to the fields, other than none."""
    return variable.attrs.get("standard_name") == "forecast_period" and bool(np.any(variable.values != 0))


def _times(field: xr.DataArray, path: Path) -> tuple:
    """UTC times of a field, or that of its file's name where it has none.

    Raises:
        InputError: when neither says one.
    """
    time, named = coordinate(field, "time"), time_in_name(path)
    if time is not None:
        return tuple(utc(time.values).to_pydatetime())
    if named is None or "time" in dims(field):
        raise InputError(f"{field.name} has no coordinate of time", expected="one, or a time in the name of the file")
    return (named,)


def _grid(places: Pixels) -> Grid:
    (south, height), (west, width) = map(_edge_and_step, (places.y, places.x))
    return Grid(places.proj, west, south, width, height, places.y.size, places.x.size)


def _edge_and_step(centres: np.ndarray) -> tuple[float, float]:
    """Lower edge and step of evenly spaced pixel centres, ascending or descending.

    Raises:
        InputError: for others, and for fewer than two.
    """
    if len(centres) < 2:
        raise InputError("it has one row or column of pixels", expected="two or more")
    centres = np.sort(centres)
    step = (centres[-1] - centres[0]) / (len(centres) - 1)
    if np.abs(centres - np.linspace(centres[0], centres[-1], len(centres))).max() > EVEN * step:
        raise InputError("its pixels are not evenly spaced")
    return float(centres[0] - step / 2), float(step)
