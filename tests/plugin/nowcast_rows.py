"""Rain rates in mm h-1 as rows of text from north to south, pixels of 1 km from the origin of EPSG:3035 on."""

from pathlib import Path

import numpy as np

from pipelines.errors import InputError
from pipelines.radar.files import Header, time_in_name
from pipelines.radar.grid import Grid
from pipelines.store.units import RAIN_RATE

PROJ = "+proj=laea +lat_0=52 +lon_0=10 +x_0=4321000 +y_0=3210000 +ellps=GRS80 +units=m"


def header(path: Path) -> Header:
    """See `pipelines.radar.files`."""
    time = time_in_name(path)
    if time is None:
        raise InputError("its name has no time", got=path.name)
    rows, columns = values(path, 0).shape
    return Header(Grid(PROJ, 4e6, 3e6, 1000, 1000, rows, columns), RAIN_RATE, (time,))


def values(path: Path, number: int) -> np.ndarray:
    """See `pipelines.radar.files`."""
    return np.loadtxt(path, dtype="float32", ndmin=2)[::-1]
