"""Coasts, borders, US states and lakes for maps, from a file of the package: cartopy would download its own.

`outlines.npz` holds lines in short pieces, one after another (see README.md). A map is drawn from the pieces that lie
near it, with as many of their vertices as its scale shows.
"""

from functools import lru_cache
from importlib.resources import as_file, files
from typing import NamedTuple

import numpy as np

from pipelines.store.geo import projection

KINDS = ("coast", "border", "state", "lake")
STEPS_PER_DEGREE = 1000
TOLERANCES = (250.0, 1000.0, 4000.0)  # metres by which a vertex that a coarser set lacks is off its line, at most
_FINEST = 1000  # a tolerance is less than this part of a map, and so less than a pixel
_MARGIN = 0.02  # of the extent: a line leaves the picture before it is cut


class Outlines(NamedTuple):
    """All lines in short pieces.

    Attributes:
        degrees: Longitudes and latitudes of the vertices of all pieces, one piece after another, shape (vertex, 2).
        detail: In how many of the coarser sets of `TOLERANCES` each vertex remains, shape (vertex,).
        length: Number of vertices of each piece, shape (piece,).
        kind: Position in `KINDS` of each piece, shape (piece,).
        centre: Unit vectors from the Earth's centre to the middle of each piece, shape (piece, 3).
        reach: Angle in radians about its centre within which each piece lies, shape (piece,).
    """

    degrees: np.ndarray
    detail: np.ndarray
    length: np.ndarray
    kind: np.ndarray
    centre: np.ndarray
    reach: np.ndarray


@lru_cache(maxsize=1)
def load_outlines() -> Outlines:
    """The outlines of the whole world."""
    with as_file(files("nowcast.plots") / "outlines.npz") as path, np.load(path, allow_pickle=False) as packed:
        steps, detail, length, kind = (packed[name] for name in ("steps", "detail", "length", "kind"))
    length = length.astype(int)
    degrees = np.cumsum(steps, axis=0) / STEPS_PER_DEGREE
    first = np.cumsum(length) - length
    low, high = np.minimum.reduceat(degrees, first), np.maximum.reduceat(degrees, first)
    reach = np.radians(np.hypot(*(high - low).T) / 2)
    return Outlines(degrees, detail, length, kind, _unit(*(low + high).T / 2), reach)


def outlines_within(proj: str, extent: tuple[float, float, float, float]) -> dict[str, np.ndarray]:
    """Outlines of each kind of `KINDS` in projected metres, shape (vertex, 2), lines parted by NaN.

    Args:
        proj: PROJ string.
        extent: West, east, south and north edge in projected metres; lines farther outside are left out.
    """
    west, east, south, north = extent
    lines = load_outlines()
    centre, reach = _circle(proj, extent)
    near = np.arccos(np.clip(lines.centre @ centre, -1, 1)) <= lines.reach + reach
    coarse = sum(tolerance < max(east - west, north - south) / _FINEST for tolerance in TOLERANCES)
    piece = np.repeat(np.arange(len(near)), lines.length)
    shown = np.flatnonzero(near[piece] & (lines.detail >= coarse))
    piece = piece[shown]
    metres = np.stack(projection(proj)(*lines.degrees[shown].T), axis=1)
    margin = _MARGIN * np.array([east - west, north - south])
    edges = _edges_within(metres, np.array([west, south]) - margin, np.array([east, north]) + margin)
    edges &= piece == np.roll(piece, -1)
    edges[-1:] = False
    return {name: _parted(metres, edges & (lines.kind[piece] == kind)) for kind, name in enumerate(KINDS)}


def _unit(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """Unit vectors of places in degrees, shape (..., 3)."""
    east, north = np.radians(longitude), np.radians(latitude)
    return np.stack([np.cos(east) * np.cos(north), np.sin(east) * np.cos(north), np.sin(north)], axis=-1)


def _circle(proj: str, extent: tuple[float, float, float, float]) -> tuple[np.ndarray, float]:
    """Unit vector of the middle of an extent, and the angle in radians about it within which the extent lies."""
    west, east, south, north = extent
    across, up = np.meshgrid(np.linspace(west, east, 21), np.linspace(south, north, 21))
    places = _unit(*projection(proj)(across.ravel(), up.ravel(), inverse=True))
    places = places[np.isfinite(places).all(axis=1)]  # the corners of a map may lie beside the Earth
    centre = places.mean(axis=0)
    centre /= np.linalg.norm(centre)
    return centre, 1.1 * float(np.arccos(np.clip(places @ centre, -1, 1)).max())


def _edges_within(metres: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether the box around each vertex and the next one (around the last: the first) meets a box, shape (vertex,)."""
    following = np.roll(metres, -1, axis=0)
    meets = (np.minimum(metres, following) <= high) & (np.maximum(metres, following) >= low)
    return (meets & np.isfinite(metres) & np.isfinite(following)).all(axis=1)


def _parted(metres: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The vertices at both ends of the chosen edges, each named by its first vertex, with NaN after each run."""
    ending = np.roll(edges, 1)
    kept, last = edges | ending, ending & ~edges
    return np.insert(metres[kept], np.cumsum(kept)[last], np.nan, axis=0)
