"""Axes of a CF field: its times, and where its pixels lie.

An axis is known by its standard name, else by the attribute axis, else by its units, else by its name. Pixels have
coordinates in a projection, in any unit of length, or latitudes and longitudes. Two-dimensional ones are read where
they make a regular grid, in degrees or in the projection of the grid mapping.
"""

from calendar import isleap
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from pipelines.errors import InputError
from pipelines.radar.cf_mapping import Attrs, mapping_of, proj_of
from pipelines.store.geo import lat_lon, projection
from pipelines.store.unit_text import metres

_STANDARD = {
    "time": "time",
    **dict.fromkeys(("projection_y_coordinate", "latitude", "grid_latitude"), "y"),
    **dict.fromkeys(("projection_x_coordinate", "longitude", "grid_longitude"), "x"),
}
_AXIS = {"T": "time", "Y": "y", "X": "x"}
_DEGREES = {
    **dict.fromkeys(("degrees_north", "degree_north", "degrees_n", "degree_n"), "y"),
    **dict.fromkeys(("degrees_east", "degree_east", "degrees_e", "degree_e"), "x"),
}
_LAT_LON = {"lat": "y", "latitude": "y", "lon": "x", "long": "x", "longitude": "x"}
_NAMES = {
    **dict.fromkeys(("time", "t", "valid_time", "datetime", "date"), "time"),
    **dict.fromkeys(("y", "yc", "northing", "rlat", "projection_y_coordinate"), "y"),
    **dict.fromkeys(("x", "xc", "easting", "rlon", "projection_x_coordinate"), "x"),
    **_LAT_LON,
}
LONGLAT = "+proj=longlat"
_SHORT = ("noleap", "365_day")  # calendars that lack a day, and are otherwise UTC
_CALENDARS = ("standard", "gregorian", "proleptic_gregorian", *_SHORT)
_ROTATED = {"grid_latitude", "grid_longitude", "rotated_latitude_longitude"}
EVEN = 0.01  # of a pixel, by which the steps of a regular grid may differ


@dataclass(frozen=True)
class Pixels:
    """Where the pixels of a field lie.

    Attributes:
        dims: Names of the dimensions of rows and of columns.
        y: Centres of the rows, in the order of the file, in metres, or in degrees for longlat.
        x: The same of the columns; longitudes go on across the date line.
        proj: PROJ string in metres.
    """

    dims: tuple[str, str]
    y: np.ndarray
    x: np.ndarray
    proj: str

    def lat_lon(self) -> tuple[np.ndarray, np.ndarray]:
        """Latitudes and longitudes in degrees, each with shape (y, x)."""
        if "longlat" in self.proj:
            lon, lat = np.meshgrid((self.x + 180) % 360 - 180, self.y)
            return lat, lon
        return lat_lon(self.proj, 0.0, 0.0, self.x, self.y)


def with_coordinates(dataset: xr.Dataset) -> xr.Dataset:
    """A dataset whose axes are coordinates, also where no attribute says so."""
    small = [(name, one, *_rank(one)) for name, one in dataset.data_vars.items() if one.ndim < 3]
    axes = [name for name, one, axis, rank in small if is_degrees(one) or (one.ndim < 2 and axis and rank < 3)]
    return dataset.set_coords(axes)


def coordinate(field: xr.DataArray, wanted: str) -> xr.DataArray | None:
    """The coordinate of "time", "y" or "x", of at most one dimension; None where there is none."""
    found = [
        (not one.dims, rank, name not in field.dims, str(name).lower() not in _NAMES, str(name))
        for name, one in field.coords.items()
        for meaning, rank in [_rank(one)]
        if meaning == wanted and one.ndim < 2
    ]
    return field[min(found)[-1]] if found else None


def dims(field: xr.DataArray) -> dict[str, str]:
    """Dimensions by their meanings "time", "y" and "x", where the field has them."""
    found = {}
    for wanted in ("time", "y", "x"):
        one = coordinate(field, wanted)
        by_name = [str(name) for name in field.dims if _NAMES.get(str(name).lower()) == wanted]
        if one is not None and one.dims:
            found[wanted] = str(one.dims[0])
        elif by_name:
            found[wanted] = by_name[0]
    flat = _flat(field)
    if flat and not {"y", "x"} <= set(found):
        lat, (first, second) = flat[0], map(str, flat[0].dims)
        northwards = np.ptp(lat[:, 0].values) >= np.ptp(lat[0].values)
        found |= {"y": first, "x": second} if northwards else {"y": second, "x": first}
    return found


def utc(times: np.ndarray) -> pd.DatetimeIndex:
    """UTC to the second, of times as datetime64, by cftime, or as text by ISO 8601.

    Raises:
        InputError: for a calendar of other days, numbers without a unit, and text that is no time.
    """
    times = np.atleast_1d(times)
    calendar = getattr(times.flat[0], "calendar", "standard") if times.size else "standard"
    check_calendar(calendar)
    if times.dtype.kind in "iuf":
        raise InputError("its times have no unit", got=f"{times.flat[0]:g}", expected="minutes since 2024-07-01 12:00")
    try:
        written = [getattr(time, "isoformat", lambda time=time: time)() for time in times.tolist()]
        found = times if times.dtype.kind == "M" else pd.to_datetime(written, utc=True).tz_localize(None)
    except ValueError as error:
        raise InputError("its times cannot be read", got=error, expected="such as 2024-07-01T12:00:00Z") from error
    index = pd.DatetimeIndex(found).round("s")
    if calendar in _SHORT:
        first, last = index.min(), index.max()
        leap = [pd.Timestamp(year, 2, 29) for year in range(first.year, last.year + 1) if isleap(year)]
        if any(first < day <= last for day in leap):
            raise InputError(f"its calendar {calendar} has no 29 February, which lies among its times")
    return index


def check_calendar(calendar: str) -> None:
    """Refuse a calendar that has other days than UTC."""
    if calendar.lower() not in _CALENDARS:
        raise InputError(f"its calendar {calendar} has other days than UTC", expected=_CALENDARS[0])


def pixels(dataset: xr.Dataset, field: xr.DataArray) -> Pixels:
    """Where the pixels of a field lie.

    Args:
        dataset: Holds the grid mapping that `field` names.
        field: A field with coordinates.

    Raises:
        InputError: when axes and grid mapping do not tell it.
    """
    y, x, flat = coordinate(field, "y"), coordinate(field, "x"), _flat(field)
    mapping = mapping_of(dataset, field, [str(one.name) for one in (y, x) if one is not None])
    names = {str(one.attrs.get("standard_name")) for one in field.coords.values()}
    if _ROTATED & {*names, mapping.get("grid_mapping_name")}:
        raise InputError(f"{field.name} is on a rotated pole, which is not read", remedy="project it first")
    if y is not None and x is not None and y.dims and x.dims:
        rows_columns, metres_y, metres_x = (str(y.dims[0]), str(x.dims[0])), _length(y), _length(x)
        if is_degrees(x) or (mapping and not metres_x and proj_of(field, mapping, (1, 1)) == LONGLAT):
            return Pixels(rows_columns, _numbers(y), _eastward(_numbers(x)), LONGLAT)
        if metres_y and metres_x:
            proj = proj_of(field, mapping, (metres_y, metres_x))
            return Pixels(rows_columns, metres_y * _numbers(y), metres_x * _numbers(x), proj)
    if flat:
        return _of_flat(field, *flat, mapping)
    if y is None or x is None:
        raise InputError(
            f"{field.name} has no coordinate of {'y' if y is None else 'x'}",
            expected="one with standard name, axis, units or name of an axis",
        )
    odd = x if _length(y) else y
    raise InputError(f"{odd.name} has the units {odd.attrs.get('units')!r}", expected="a length, such as m or km")


def _of_flat(field: xr.DataArray, lat: xr.DataArray, lon: xr.DataArray, mapping: Attrs) -> Pixels:
    """The regular grid behind two-dimensional latitudes and longitudes.

    Raises:
        InputError: when there is none.
    """
    north, east = _numbers(lat), _eastward(_numbers(lon.transpose(*lat.dims)))
    rows, columns = map(str, lat.dims)
    grids = [(LONGLAT, north, east)]
    if mapping and (proj := proj_of(field, mapping, (1, 1))) != LONGLAT:
        x, y = projection(proj)(east, north)
        grids.append((proj, y, x))
    for proj, y, x in grids:
        for names, up, right in (((rows, columns), y, x), ((columns, rows), y.T, x.T)):
            if _is_even(up) and _is_even(right.T):
                return Pixels(names, up.mean(1), right.mean(0), proj)
    raise InputError(
        f"{field.name} has latitudes and longitudes in two dimensions, of no regular grid",
        remedy=None if mapping else "name the grid mapping of its projection in its attribute grid_mapping",
    )


def _is_even(values: np.ndarray) -> bool:
    """Whether each row has one value, except for rounding."""
    step = abs(values[-1, 0] - values[0, 0]) / max(len(values) - 1, 1)
    return bool((np.ptp(values, axis=1) <= EVEN * step).all())


def _rank(coordinate: xr.DataArray) -> tuple[str, int]:
    """Which axis a coordinate is of, if any, and by how weak an evidence: 0 for a standard name to 3 for a name."""
    attrs = {name: str(value) for name, value in coordinate.attrs.items()}
    if "standard_name" in attrs:
        return _STANDARD.get(attrs["standard_name"], ""), 0
    if attrs.get("axis", "").upper() in _AXIS:
        return _AXIS[attrs["axis"].upper()], 1
    if attrs.get("units", "").lower() in _DEGREES:
        return _DEGREES[attrs["units"].lower()], 2
    first = next(iter(coordinate.values.flat), None) if coordinate.dtype == object else None
    if coordinate.dtype.kind == "M" or hasattr(first, "calendar"):
        return "time", 2
    return _NAMES.get(str(coordinate.name).lower(), ""), 3


def is_degrees(coordinate: xr.DataArray) -> bool:
    """Whether a coordinate is of latitudes or longitudes."""
    name, units = coordinate.attrs.get("standard_name"), str(coordinate.attrs.get("units", "")).lower()
    if name in _STANDARD:
        return name in _LAT_LON
    return units in _DEGREES or (str(coordinate.name).lower() in _LAT_LON and units in ("", "degrees", "degree"))


def _flat(field: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray] | None:
    """Latitudes and longitudes of two dimensions, where a field has them."""
    found = {
        _rank(one)[0]: one
        for one in field.coords.values()
        if one.ndim == 2 and set(one.dims) <= set(field.dims) and is_degrees(one)
    }
    return (found["y"], found["x"]) if {"y", "x"} <= set(found) else None


def _eastward(lon: np.ndarray) -> np.ndarray:
    """Longitudes that go on across the date line: within 180 degrees of the middle one, which is -180 to 180."""
    middle = (lon[tuple(size // 2 for size in lon.shape)] + 180) % 360 - 180
    return middle + (lon - middle + 180) % 360 - 180


def _numbers(coordinate: xr.DataArray) -> np.ndarray:
    return coordinate.values.astype("float64")


def _length(coordinate: xr.DataArray) -> float:
    """Metres in the unit of a coordinate; 0 where it is no length."""
    return metres(coordinate.attrs.get("units"))
