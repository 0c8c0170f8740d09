"""Composites in EUMETNET OPERA's data model: ODIM_H5 (Michelson et al. 2021, version 2.4), as most of Europe has them.

Attributes of `what`, `where` and `how` hold for all groups below, unless these have them too. A value is
gain x raw + offset; `nodata` is outside of the radars' reach, `undetect` within it and without echo. Row 0 of a file
is in the north.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipelines.radar.files import Header, number, text
from pipelines.radar.grid import Grid
from pipelines.store.geo import projection
from pipelines.store.units import RAIN_RATE, REFLECTIVITY, VIL

_QUANTITIES = {"VIL": VIL, "RATE": RAIN_RATE, "ACRR": RAIN_RATE, "DBZH": REFLECTIVITY, "TH": REFLECTIVITY}  # as wanted


def header(path: Path) -> Header:
    """See `pipelines.radar.files`."""
    with h5py.File(path) as file:
        data = _data(file)
        proj = text(_attribute(data, "where", "projdef"))
        width, height = (number(_attribute(data, "where", name)) for name in ("xscale", "yscale"))
        lon, lat = (number(_attribute(data, "where", name)) for name in ("LL_lon", "LL_lat"))
        west, south = projection(proj)(lon, lat)
        rows, columns = data["data"].shape
        time = text(file["what"].attrs["date"]) + text(file["what"].attrs["time"])
        quantity = _QUANTITIES[text(_attribute(data, "what", "quantity"))]
        grid = Grid(proj.strip(), west, south, width, height, rows, columns)
        return Header(grid, quantity, (datetime.strptime(time, "%Y%m%d%H%M%S"),))


def values(path: Path, number: int) -> np.ndarray:
    """See `pipelines.radar.files`."""
    with h5py.File(path) as file:
        data = _data(file)
        raw = data["data"][:][::-1]
        field = _scalar(data, "gain", 1) * raw.astype("float32") + np.float32(_scalar(data, "offset", 0))
        field[raw == _scalar(data, "undetect", np.nan)] = -np.inf  # no echo, in any unit
        field[raw == _scalar(data, "nodata", np.nan)] = np.nan
        return field / _hours(data) if text(_attribute(data, "what", "quantity")) == "ACRR" else field


def _data(file: h5py.File) -> h5py.Group:
    """The first group of data of the quantity that is wanted most."""
    groups: dict[str, h5py.Group] = {}
    for data in _data_groups(file):
        groups.setdefault(text(_attribute(data, "what", "quantity")), data)
    wanted = [name for name in _QUANTITIES if name in groups]
    if not wanted:
        raise ValueError(f"no {', '.join(_QUANTITIES)} but {', '.join(groups) or 'nothing'}")
    return groups[wanted[0]]


def _data_groups(file: h5py.File) -> Iterator[h5py.Group]:
    for dataset in (file[name] for name in sorted(file) if name.startswith("dataset")):
        yield from (dataset[name] for name in sorted(dataset) if name.startswith("data"))


def _attribute(data: h5py.Group, group: str, name: str) -> Any:
    """An attribute of `data` or, where it lacks it, of a group above.

    Raises:
        KeyError: when none has it.
    """
    for level in (data, data.parent, data.file):
        if group in level and name in level[group].attrs:
            return level[group].attrs[name]
    raise KeyError(f"no {group}/{name}")


def _scalar(data: h5py.Group, name: str, default: float) -> float:
    try:
        return number(_attribute(data, "what", name))
    except KeyError:
        return default


def _hours(data: h5py.Group) -> float:
    """Hours over which rain was accumulated."""
    start, end = (
        datetime.strptime(
            text(_attribute(data, "what", f"{which}date")) + text(_attribute(data, "what", f"{which}time")),
            "%Y%m%d%H%M%S",
        )
        for which in ("start", "end")
    )
    return (end - start).total_seconds() / 3600
