"""Coasts, country borders and US states for maps, from a file of the package: cartopy would download its own.

`outlines.npz` holds polylines one after another, as 16-bit differences of their vertices in 1/180 degree, the
number of vertices of each, and its kind (see README.md).
"""

from functools import lru_cache
from importlib.resources import as_file, files

import numpy as np

from pipelines.store.geo import projection

KINDS = ("coast", "border", "state")
_STEPS_PER_DEGREE = 180
_MARGIN = 0.3  # of the extent: a line leaves the picture before it is cut


@lru_cache(maxsize=1)
def load_outlines() -> dict[str, np.ndarray]:
    """Longitudes and latitudes in degrees of each kind of `KINDS`, shape (vertex, 2), polylines parted by NaN."""
    with as_file(files("nowcast.plots") / "outlines.npz") as path, np.load(path, allow_pickle=False) as packed:
        differences = np.stack([packed["longitude_steps"], packed["latitude_steps"]], axis=1)
        lengths, kinds = packed["length"].astype(int), packed["kind"]
    # A difference that did not fit wrapped around at 16 bits, and so does the sum, to the right vertex.
    vertices = np.cumsum(differences, axis=0, dtype="int16") / _STEPS_PER_DEGREE
    return {
        name: np.insert(vertices[np.repeat(kinds == kind, lengths)], np.cumsum(lengths[kinds == kind]), np.nan, axis=0)
        for kind, name in enumerate(KINDS)
    }


def outlines_within(proj: str, extent: tuple[float, float, float, float]) -> dict[str, np.ndarray]:
    """Outlines of each kind of `KINDS` in projected metres, shape (vertex, 2), lines parted by NaN.

    Args:
        proj: PROJ string.
        extent: West, east, south and north edge in projected metres; lines far outside are left out.
    """
    west, east, south, north = extent
    margin_x, margin_y = _MARGIN * (east - west), _MARGIN * (north - south)
    within = {}
    for name, degrees in load_outlines().items():
        x, y = projection(proj)(*degrees.T)
        near = (x > west - margin_x) & (x < east + margin_x) & (y > south - margin_y) & (y < north + margin_y)
        kept = near | np.roll(near, 1)  # with one vertex more after each run, made NaN to part it from the next
        within[name] = np.where(near[:, None], np.stack([x, y], axis=1), np.nan)[kept]
    return within
