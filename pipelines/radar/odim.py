"""Composites in EUMETNET OPERA's data model: ODIM_H5 (Michelson et al. 2021, version 2.4), as most of Europe has them.

Attributes of `what`, `where` and `how` hold for all groups below, unless these have them too. A value is
gain x raw + offset; `nodata` is outside of the radars' reach, `undetect` within it and without echo. Files that use one
raw value for both do not say which pixels are out of reach: these are then all without echo. Row 0 of a file is in the
north.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipelines.errors import InputError
from pipelines.radar.files import Header, hours, number, text
from pipelines.radar.grid import Grid
from pipelines.store.geo import in_metres, projection
from pipelines.store.inside import open_hdf5
from pipelines.store.units import RAIN_RATE, REFLECTIVITY, VIL

# In the order in which they are taken from a file that has several.
_QUANTITIES = {"VIL": VIL, "RATE": RAIN_RATE, "ACRR": RAIN_RATE,
               "DBZH": REFLECTIVITY, "DBZ": REFLECTIVITY, "TH": REFLECTIVITY}  # fmt: skip
_CARTESIAN = ("COMP", "IMAGE", "CVOL")  # objects that lie on a map
_SAME_PIXELS = 0.05
_AHEAD = timedelta(minutes=5)  # a scan may begin a little after the time of the file; one that begins later is forecast


def header(path: Path) -> Header:
    """See `pipelines.radar.files`."""
    with open_hdf5(path) as file:
        data = _data(file)
        stamp = text(file["what"].attrs["date"]) + text(file["what"].attrs["time"])
        time = datetime.strptime(stamp, "%Y%m%d%H%M%S")
        if _has(data, "what", "startdate") and _time(data, "start") - time >= _AHEAD:
            raise InputError(f"it is a forecast, for {_time(data, 'start')} from {time} on", expected="observed radar")
        return Header(_grid(data), _QUANTITIES[text(_attribute(data, "what", "quantity"))], (time,))


def values(path: Path, number: int) -> np.ndarray:
    """See `pipelines.radar.files`."""
    with open_hdf5(path) as file:
        data = _data(file)
        raw = data["data"][:][::-1]
        field = _scalar(data, "gain", 1) * raw.astype("float32") + np.float32(_scalar(data, "offset", 0))
        field[raw == _scalar(data, "nodata", np.nan)] = np.nan
        field[raw == _scalar(data, "undetect", np.nan)] = -np.inf
        is_sum = text(_attribute(data, "what", "quantity")) == "ACRR"
        return field / hours(_time(data, "start"), _time(data, "end")) if is_sum else field


def _grid(data: h5py.Group) -> Grid:
    """The grid, in metres.

    Raises:
        InputError: when the size of a pixel is not that between the corners, as where one is in kilometres.
    """
    proj = in_metres(text(_attribute(data, "where", "projdef")))
    width, height = (number(_attribute(data, "where", name)) for name in ("xscale", "yscale"))
    rows, columns = data["data"].shape
    west, south = _corner(data, proj, "LL")
    grid = Grid(proj, west, south, width, height, rows, columns)
    if not grid.is_lat_lon and _has(data, "where", "UR_lon"):
        east, north = _corner(data, proj, "UR")
        between = (east - west) / columns, (north - south) / rows
        if not np.allclose((width, height), between, rtol=_SAME_PIXELS):
            got = f"{width:g} x {height:g} m by xscale and yscale, {between[0]:.0f} x {between[1]:.0f} m by its corners"
            raise InputError("its pixels have two sizes", got=got)
    return grid


def _corner(data: h5py.Group, proj: str, name: str) -> tuple[float, float]:
    lon, lat = (number(_attribute(data, "where", f"{name}_{axis}")) for axis in ("lon", "lat"))
    return projection(proj)(lon, lat)


def _data(file: h5py.File) -> h5py.Group:
    """The group of data of the quantity that is wanted most.

    Raises:
        InputError: for polar data, for none of the quantities, and for several fields of the wanted one.
    """
    kind = text(file["what"].attrs.get("object", "COMP"))
    if kind not in _CARTESIAN:
        raise InputError(f"it is an ODIM {kind}, not on a map", expected="a composite (COMP)", remedy="grid it first")
    groups: dict[str, list[h5py.Group]] = {}
    for data in _data_groups(file):
        if _has(data, "what", "quantity"):
            groups.setdefault(text(_attribute(data, "what", "quantity")), []).append(data)
    wanted = next((name for name in _QUANTITIES if name in groups), None)
    if wanted is None:
        raise InputError(f"no {', '.join(_QUANTITIES)} but {', '.join(groups) or 'nothing'}")
    if len(groups[wanted]) > 1:
        names = ", ".join(data.name.strip("/") for data in groups[wanted])
        raise InputError(f"it holds several fields of {wanted}, as forecasts and volumes do", got=names, expected="one")
    return groups[wanted][0]


def _data_groups(file: h5py.File) -> Iterator[h5py.Group]:
    for dataset in (file[name] for name in sorted(file) if name.startswith("dataset")):
        yield from (dataset[name] for name in sorted(dataset) if name.startswith("data"))


def _attribute(data: h5py.Group, group: str, name: str) -> Any:
    """An attribute of `data` or, where it lacks it, of a group above.

    Raises:
        InputError: when none has it.
    """
    for level in (data, data.parent, data.file):
        if group in level and name in level[group].attrs:
            return level[group].attrs[name]
    raise InputError(f"it has no {group}/{name}")


def _has(data: h5py.Group, group: str, name: str) -> bool:
    return any(group in level and name in level[group].attrs for level in (data, data.parent, data.file))


def _scalar(data: h5py.Group, name: str, default: float) -> float:
    return number(_attribute(data, "what", name)) if _has(data, "what", name) else default


def _time(data: h5py.Group, which: str) -> datetime:
    """UTC time at which the measurement starts or ends."""
    date, time = (text(_attribute(data, "what", f"{which}{part}")) for part in ("date", "time"))
    return datetime.strptime(date + time, "%Y%m%d%H%M%S")
