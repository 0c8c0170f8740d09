"""KNMI's HDF5 (Roozekrans and Holleman, KNMI HDF5 data format specification 3.5): composites of the Netherlands.

A value follows from a raw one by the formula in the calibration's text. The corner is counted in pixels from the
projection's origin, row 0 of a file is in the north. Rain accumulated over the product's minutes becomes a rain rate.
A file of several images of one parameter is a forecast, and refused.
"""

import re
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np

from pipelines.errors import InputError
from pipelines.radar.files import Header, hours, number, text
from pipelines.radar.grid import Grid
from pipelines.store.inside import open_hdf5
from pipelines.store.units import RAIN_RATE, REFLECTIVITY

_QUANTITIES = {"[MM]": RAIN_RATE, "[MM/H]": RAIN_RATE, "[DBZ]": REFLECTIVITY}  # by the unit in the parameter's name
_FORMULA = re.compile(r"GEO\s*=\s*([-+.\dE]+)\s*\*\s*PV\s*\+\s*([-+.\dE]+)", re.IGNORECASE)
_IMAGE = re.compile(r"image\d+")
_LARGEST_KM = 1e5  # the axes of the earth are smaller in kilometres, larger in metres
_NOT_SEEN = ("calibration_missing_data", "calibration_out_of_image")


def header(path: Path) -> Header:
    """See `pipelines.radar.files`."""
    with open_hdf5(path) as file:
        place = file["geographic"].attrs
        metres = 1000.0 if text(place["geo_dim_pixel"]).startswith("KM") else 1.0
        width, height = (metres * number(place[f"geo_pixel_size_{axis}"]) for axis in "xy")
        rows, columns = (int(number(place[f"geo_number_{name}"])) for name in ("rows", "columns"))
        north = number(place["geo_row_offset"]) * height  # a height is negative: rows are counted southwards
        west = number(place["geo_column_offset"]) * width
        grid = Grid(_proj(file), west, north + rows * height, width, -height, rows, columns)
        return Header(grid, _QUANTITIES[_unit(file)], (_time(file, "end"),))


def values(path: Path, number: int) -> np.ndarray:
    """See `pipelines.radar.files`."""
    with open_hdf5(path) as file:
        unit, image = _unit(file), file["image1"]
        raw = image["image_data"][:][::-1]
        formula = _FORMULA.search(text(image["calibration"].attrs["calibration_formulas"]))
        if formula is None:
            raise InputError("its calibration formula is not GEO=a*PV+b")
        field = np.float32(formula[1]) * raw + np.float32(formula[2])
        field[np.isin(raw, [image["calibration"].attrs[name] for name in _NOT_SEEN])] = np.nan
        is_sum = unit == "[MM]"
        return (field / hours(_time(file, "start"), _time(file, "end")) if is_sum else field).astype("float32")


def _unit(file: h5py.File) -> str:
    """The unit in the name of the parameter of its image.

    Raises:
        InputError: for another unit than those of `_QUANTITIES`, and for several images of the parameter.
    """
    parameters = [text(file[name].attrs["image_geo_parameter"]) for name in file if _IMAGE.fullmatch(name)]
    parameter = text(file["image1"].attrs["image_geo_parameter"])
    unit = "[" + parameter.rpartition("[")[2].upper()
    if unit not in _QUANTITIES:
        raise InputError(f"its parameter {parameter!r} is not read", expected=f"one in {', '.join(_QUANTITIES)}")
    if (images := parameters.count(parameter)) > 1:
        raise InputError(f"it holds {images} images of {parameter}, as a forecast does", expected="one observed image")
    return unit


def _proj(file: h5py.File) -> str:
    """The PROJ string in metres: theirs may have the axes of the earth, and all lengths, in kilometres."""
    given = text(file["geographic/map_projection"].attrs["projection_proj4_params"])
    parts = dict(re.findall(r"(\w+)=(\S+)", given))
    metres = 1000.0 if float(parts["a"]) < _LARGEST_KM else 1.0
    lengths = {name: f"{metres * float(parts[name]):.15g}" for name in ("a", "b", "x_0", "y_0") if name in parts}
    return " ".join(f"+{name}={value}" for name, value in (parts | lengths | {"units": "m"}).items())


def _time(file: h5py.File, which: str) -> datetime:
    """UTC time at which the product starts or ends."""
    return datetime.strptime(text(file["overview"].attrs[f"product_datetime_{which}"]), "%d-%b-%Y;%H:%M:%S.%f")
