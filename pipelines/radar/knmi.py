"""KNMI's HDF5 (Roozekrans and Holleman, KNMI HDF5 data format specification 3.5): composites of the Netherlands.

A value is what the formula in the calibration's text makes of a raw one. Lengths are in kilometres, the corner is
counted from the projection's origin, row 0 of a file is in the north. Rain accumulated over the product's minutes is
taken as a rain rate.
"""

import re
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np

from pipelines.radar.files import Header, number, text
from pipelines.radar.grid import Grid
from pipelines.store.units import RAIN_RATE, REFLECTIVITY

_QUANTITIES = {"[MM]": RAIN_RATE, "[MM/H]": RAIN_RATE, "[DBZ]": REFLECTIVITY}  # by the unit in the parameter's name
_FORMULA = re.compile(r"GEO\s*=\s*([-+.\dE]+)\s*\*\s*PV\s*\+\s*([-+.\dE]+)", re.IGNORECASE)
_NOT_SEEN = ("calibration_missing_data", "calibration_out_of_image")


def header(path: Path) -> Header:
    """See `pipelines.radar.files`."""
    with h5py.File(path) as file:
        place = file["geographic"].attrs
        metres = 1000.0 if text(place["geo_dim_pixel"]).startswith("KM") else 1.0
        width, height = (metres * number(place[f"geo_pixel_size_{axis}"]) for axis in "xy")
        rows, columns = (int(number(place[f"geo_number_{name}"])) for name in ("rows", "columns"))
        north = number(place["geo_row_offset"]) * height  # a height is negative: rows are counted southwards
        west = number(place["geo_column_offset"]) * width
        grid = Grid(_proj(file, metres), west, north + rows * height, width, -height, rows, columns)
        return Header(grid, _QUANTITIES[_unit(file)], (_time(file, "end"),))


def values(path: Path, number: int) -> np.ndarray:
    """See `pipelines.radar.files`."""
    with h5py.File(path) as file:
        image = file["image1"]
        raw = image["image_data"][:][::-1]
        formula = _FORMULA.search(text(image["calibration"].attrs["calibration_formulas"]))
        if formula is None:
            raise ValueError("its calibration formula is not GEO=a*PV+b")
        field = np.float32(formula[1]) * raw + np.float32(formula[2])
        field[np.isin(raw, [image["calibration"].attrs[name] for name in _NOT_SEEN])] = np.nan
        hours = (_time(file, "end") - _time(file, "start")).total_seconds() / 3600
        return (field / hours if _unit(file) == "[MM]" else field).astype("float32")


def _unit(file: h5py.File) -> str:
    return "[" + text(file["image1"].attrs["image_geo_parameter"]).rpartition("[")[2]


def _proj(file: h5py.File, metres: float) -> str:
    """The PROJ string in metres: theirs has the axes of the earth in kilometres where the pixels are."""
    given = text(file["geographic/map_projection"].attrs["projection_proj4_params"])
    parts = dict(re.findall(r"(\w+)=(\S+)", given))
    axes = {name: f"{metres * float(parts[name]):.15g}" for name in ("a", "b")}
    return " ".join(f"+{name}={value}" for name, value in (parts | axes | {"units": "m"}).items())


def _time(file: h5py.File, which: str) -> datetime:
    return datetime.strptime(text(file["overview"].attrs[f"product_datetime_{which}"]), "%d-%b-%Y;%H:%M:%S.%f")
