"""CF NetCDF and Zarr of radar: the variable whose name or unit says what it measures, its times and its grid mapping.

Taken are SEVIR's counts (`vil`, units 1), VIL in kg m-2 (`vil`), rain rates and reflectivity factors by their standard
names, or, where no variable has one of these, by units that nothing else has. The grid is either projected, with
projection_x_coordinate, projection_y_coordinate and a grid mapping, or of one-dimensional latitudes and longitudes.
"""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from pyproj import CRS

from pipelines.radar.files import Header
from pipelines.radar.grid import Grid
from pipelines.store.units import COUNTS, RAIN_RATE, REFLECTIVITY, VIL

_HOURLY = ("mm h-1", "mm/h", "mm hr-1", "mm/hr", "mm hour-1", "mm/hour", "mm h**-1")
_RATES = {**dict.fromkeys(_HOURLY, 1.0), "kg m-2 h-1": 1.0,
          "kg m-2 s-1": 3600.0, "mm s-1": 3600.0, "mm/s": 3600.0, "m s-1": 3.6e6}  # fmt: skip
# By standard name, or by the variable's name where it has none: the quantity, and its units in ours.
_KNOWN = {
    "rainfall_rate": (RAIN_RATE, _RATES),
    "lwe_precipitation_rate": (RAIN_RATE, _RATES),
    "rainfall_flux": (RAIN_RATE, _RATES),
    "precipitation_flux": (RAIN_RATE, _RATES),
    "equivalent_reflectivity_factor": (REFLECTIVITY, {"dBZ": 1.0}),
}
_BY_UNITS = {**dict.fromkeys(_HOURLY, RAIN_RATE), "dBZ": REFLECTIVITY}
_VIL = {"1": COUNTS, "count": COUNTS, "counts": COUNTS, "kg m-2": VIL, "kg/m2": VIL}
_METRES = {**dict.fromkeys(("m", "metre", "meter", "metres", "meters"), 1.0),
           **dict.fromkeys(("km", "kilometre", "kilometer", "kilometres", "kilometers"), 1000.0)}  # fmt: skip
_DEGREES = {  # CF tells them by their units alone
    **dict.fromkeys(("degrees_north", "degree_north", "degrees_N", "degree_N"), "latitude"),
    **dict.fromkeys(("degrees_east", "degree_east", "degrees_E", "degree_E"), "longitude"),
}
_EVEN = 0.01  # of a pixel


def header(path: Path) -> Header:
    """See `pipelines.radar.files`."""
    with _open(path) as dataset:
        field = _field(dataset)
        times = pd.DatetimeIndex(np.atleast_1d(field[_axis(field, "time")].values)).round("s")
        return Header(_grid(dataset, field), _quantity(field)[0], tuple(times.to_pydatetime()))


def values(path: Path, number: int) -> np.ndarray:
    """See `pipelines.radar.files`."""
    with _open(path) as dataset:
        field = _field(dataset)
        time, y, x = (_axis(field, name) for name in ("time", "y", "x"))
        frame = field.isel({time: number}) if time in field.dims else field
        frame = frame.sortby([y, x]).transpose(y, x)
        return (frame.values * _quantity(field)[1]).astype("float32")


def _open(path: Path) -> xr.Dataset:
    engine: dict = {"engine": "zarr", "consolidated": False} if path.is_dir() else {}
    return xr.open_dataset(path, decode_timedelta=False, **engine)


def _field(dataset: xr.Dataset) -> xr.DataArray:
    radar = [name for name in dataset.data_vars if _quantity(dataset[name])[0]]
    known = [name for name in radar if name == "vil" or _name(dataset[name]) in _KNOWN] or radar
    if len(known) != 1:
        raise ValueError(
            f"{len(known)} of its variables {', '.join(map(str, dataset.data_vars))} are radar: of standard name "
            f"{', '.join(_KNOWN)}, called vil, or in {', '.join(_BY_UNITS)}; give it one"
        )
    field = dataset[known[0]]
    places = {_axis(field, name) for name in ("time", "y", "x")}
    field = field.squeeze([name for name in field.dims if name not in places and field.sizes[name] == 1], drop=True)
    if more := set(field.dims) - places:
        raise ValueError(f"{field.name} has the dimensions {', '.join(map(str, more))} beside time, y and x")
    return field


def _quantity(field: xr.DataArray) -> tuple[str, float]:
    """Quantity, and what to multiply by; empty where it is none of radar's."""
    name, units = _name(field), str(field.attrs.get("units", ""))
    if field.name == "vil" and units in _VIL:
        return _VIL[units], 1.0
    if name not in _KNOWN:
        return _BY_UNITS.get(units, ""), 1.0
    quantity, factors = _KNOWN[name]
    if units not in factors:
        raise ValueError(f"{field.name} has the units {units!r}, not one of {', '.join(factors)}")
    return quantity, factors[units]


def _name(field: xr.DataArray) -> str:
    """The standard name, or the variable's own where it has none."""
    return str(field.attrs.get("standard_name", field.name))


def _axis(field: xr.DataArray, wanted: str) -> str:
    """The name of the coordinate of time, y (or latitude) or x (or longitude)."""
    meanings = {"y": ("projection_y_coordinate", "latitude"), "x": ("projection_x_coordinate", "longitude")}
    for name, coordinate in field.coords.items():
        if _meaning(coordinate) in meanings.get(wanted, (wanted,)) and coordinate.ndim < 2:
            return str(name)
    raise ValueError(f"{field.name} has no coordinate of {' or '.join(meanings.get(wanted, (wanted,)))}")


def _meaning(coordinate: xr.DataArray) -> str:
    by_units = _DEGREES.get(str(coordinate.attrs.get("units")), coordinate.name)
    return str(coordinate.attrs.get("standard_name", by_units))


def _metres(coordinate: xr.DataArray) -> float:
    units = coordinate.attrs.get("units")
    if units not in _METRES:
        raise ValueError(f"{coordinate.name} has the units {units!r}, not one of {', '.join(_METRES)}")
    return _METRES[units]


def _grid(dataset: xr.Dataset, field: xr.DataArray) -> Grid:
    y, x = field[_axis(field, "y")], field[_axis(field, "x")]
    if _meaning(x) == "longitude":
        proj, metres = "+proj=longlat", 1.0
    else:
        proj, metres = _proj(dataset, field), _metres(x)
    (south, height), (west, width) = (_edge_and_step(metres * axis.values.astype("float64")) for axis in (y, x))
    return Grid(proj, west, south, width, height, y.size, x.size)


def _edge_and_step(centres: np.ndarray) -> tuple[float, float]:
    """Lower edge and step of evenly spaced pixel centres, ascending or descending."""
    centres = np.sort(centres)
    step = (centres[-1] - centres[0]) / (len(centres) - 1)
    if np.abs(centres - np.linspace(centres[0], centres[-1], len(centres))).max() > _EVEN * step:
        raise ValueError("its pixels are not evenly spaced")
    return float(centres[0] - step / 2), float(step)


def _proj(dataset: xr.Dataset, field: xr.DataArray) -> str:
    mapping = field.attrs.get("grid_mapping", field.encoding.get("grid_mapping"))
    if mapping not in dataset.variables:
        raise ValueError(f"{field.name} has no grid mapping")
    with warnings.catch_warnings():  # a PROJ string says less than CF: names, and what they call the datum
        warnings.simplefilter("ignore", UserWarning)
        return CRS.from_cf(dataset[mapping].attrs).to_proj4().replace(" +no_defs", "").replace(" +type=crs", "")
