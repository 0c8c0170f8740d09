"""GeoTIFF, one frame per file, read by rasterio.

The unit is that of the band or of the tag `units`, or is told by the file's name: dbz, or rate. The time is that of the
file's name, else of the tag TIFFTAG_DATETIME, which may also be the time at which the file was made.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from pyproj import CRS

from pipelines.errors import InputError
from pipelines.radar.cf_mapping import proj4
from pipelines.radar.files import Header, time_in_name
from pipelines.radar.grid import Grid
from pipelines.store.units import quantity_of

_IN_NAME = {
    re.compile("dbz", re.IGNORECASE): "dBZ",
    re.compile(r"(?<![a-z])(?:rain|precip|prec)?_?rate(?![a-z])|mm_?p?h(?![a-z])", re.IGNORECASE): "mm h-1",
}


def header(path: Path) -> Header:
    """See `pipelines.radar.files`."""
    with _opened(path) as file:
        return Header(_grid(file), _quantity(file, path)[0], (_time(file, path),))


def values(path: Path, number: int) -> np.ndarray:
    """See `pipelines.radar.files`."""
    with _opened(path) as file:
        band = file.read(1, masked=True).astype("float32").filled(np.nan) * file.scales[0] + file.offsets[0]
        northwards = band if file.transform.e > 0 else band[::-1]
        return (_quantity(file, path)[1] * northwards).astype("float32")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import rasterio
    except ImportError as error:
        raise InputError("GeoTIFF is read by rasterio", remedy="pip install 'sevir-nowcast[geotiff]'") from error
    with rasterio.open(path, driver="GTiff") as file:
        if file.count > 1:
            raise InputError(f"it has {file.count} bands", expected="one, a frame per file")
        yield file


def _grid(file: Any) -> Grid:
    """The grid, in metres or degrees.

    Raises:
        InputError: when the file says no projection, or is turned.
    """
    if file.crs is None:
        raise InputError("it has no projection", remedy="set one, such as by gdal_edit.py -a_srs EPSG:3035 FILE")
    west, width, turned, north, also_turned, height = (file.transform[place] for place in (2, 0, 1, 5, 3, 4))
    if turned or also_turned:
        raise InputError("its grid is turned", remedy="warp it north up, such as by gdalwarp")
    crs = CRS.from_user_input(file.crs)
    metres = 1.0 if crs.is_geographic else crs.axis_info[0].unit_conversion_factor
    west = (west + 180) % 360 - 180 if crs.is_geographic else west
    south = min(north, north + file.height * height)
    return Grid(proj4(crs), metres * west, metres * south, metres * width, metres * abs(height), *file.shape)


def _quantity(file: Any, path: Path) -> tuple[str, float]:
    """The quantity of the band, and the factor to its unit.

    Raises:
        InputError: when nothing tells it.
    """
    tags = {name.lower(): value for name, value in {**file.tags(), **file.tags(1)}.items()}
    named = (unit for pattern, unit in _IN_NAME.items() if pattern.search(path.name))
    units = file.units[0] or tags.get("units") or next(named, "none")
    quantity, factor = quantity_of(xr.DataArray(0, name="band", attrs={"units": units}))
    if not quantity:
        got, remedy = f"units {units}", "set the unit of the band, such as by gdal_edit.py -units mm/h FILE"
        raise InputError("it is not known as radar", got=got, expected="mm/h or dBZ", remedy=remedy)
    return quantity, factor


def _time(file: Any, path: Path) -> datetime:
    """UTC time of the frame.

    Raises:
        InputError: when neither name nor tag tells it.
    """
    try:
        return time_in_name(path) or datetime.strptime(file.tags().get("TIFFTAG_DATETIME", ""), "%Y:%m:%d %H:%M:%S")
    except ValueError as error:
        expected = "one in its name, such as rate_202407011205.tif, or the tag TIFFTAG_DATETIME"
        raise InputError("it has no time", expected=expected) from error
