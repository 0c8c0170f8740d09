"""Where pixels are: projected corners, pixel centres, CF grid mappings, latitude and longitude.

An event is a square tile in a map projection. Its place is its south-west corner in projected metres; its pixels are
counted from there, y northwards and x eastwards.
"""

import re
from functools import lru_cache

import numpy as np
from pyproj import CRS, Proj
from pyproj.exceptions import ProjError

from pipelines.errors import InputError
from pipelines.store.inside import check_proj

SEVIR_PROJ = "+proj=laea +lat_0=38 +lon_0=-98 +units=m +a=6370997.0 +ellps=sphere"


def in_metres(proj: str) -> str:
    """A PROJ string in metres, of one in any unit of length. False eastings and northings are metres in either."""
    return re.sub(r"(?<!\S)\+?(units|to_meter)=\S+", "+units=m", proj.strip())


@lru_cache
def projection(proj: str) -> Proj:
    """The projection of a PROJ string, in metres; latitude and longitude are those of its own sphere or ellipsoid.

    Raises:
        InputError: when PROJ cannot read the string, or it names a file.
    """
    try:
        return Proj(in_metres(check_proj(proj)))
    except ProjError as error:
        raise InputError(f"no map projection {proj!r}", got=error, expected="a PROJ string") from error


def corner(proj: str, lat: float, lon: float) -> tuple[float, float]:
    """Projected (x, y) in metres of the south-west corner at `lat`, `lon` in degrees."""
    return projection(proj)(lon, lat)


def pixel_centres(pixels: int, pixel_m: float) -> np.ndarray:
    """Distances in metres of `pixels` pixel centres from the tile's edge."""
    return (np.arange(pixels) + 0.5) * pixel_m


def lat_lon(proj: str, corner_x: float, corner_y: float, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Latitudes and longitudes in degrees, each with shape (y, x), of a tile's pixel centres.

    Args:
        proj: PROJ string.
        corner_x: Projected metres of the south-west corner.
        corner_y: Projected metres of the south-west corner.
        x: Metres east of the corner, one per column.
        y: Metres north of the corner, one per row.
    """
    east, north = np.meshgrid(corner_x + np.asarray(x), corner_y + np.asarray(y))
    lon, lat = projection(proj)(east, north, inverse=True)
    return lat, lon


def grid_mapping(proj: str) -> dict:
    """Attributes of the CF grid mapping variable of a PROJ string.

    Raises:
        InputError: when PROJ cannot read the string.
    """
    projection(proj)
    wkt = CRS.from_string(in_metres(proj)).to_wkt()
    # CF has one name for a projection on a sphere or an ellipsoid; PROJ has two, and pyproj maps only the second.
    return CRS.from_wkt(wkt.replace(" (Spherical)", "")).to_cf() | {"crs_wkt": wkt}
