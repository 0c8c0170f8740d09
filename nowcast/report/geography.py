"""The map of a nowcast's page: outlines, lines of latitude and longitude, and the place of every pixel."""

import math
from typing import Any

import numpy as np

from nowcast.plots.graticule import graticule
from nowcast.plots.outlines import outlines_within
from nowcast.plots.panels import Place
from pipelines.store.geo import projection

_NODES = 33  # along each side of the coarse grid of places, which the page interpolates between
_MAP_POINTS = 180.0  # width of a map on a phone, in points of which labels have the size of those of `graticule`


def outline_path(metres: np.ndarray, place: Place, width: float, height: float) -> str:
    """Lines as the path of an SVG whose sides are `width` and `height`, from the north-west corner of a place.

    Args:
        metres: Vertices in projected metres, shape (vertex, 2), lines parted by NaN.
        place: The place that the picture shows; lines that leave it are kept as they are.
        width: Width of the picture.
        height: Height of the picture.
    """
    west, east, south, north = place.extent
    across = width * (metres[:, 0] - west) / (east - west)
    down = height * (north - metres[:, 1]) / (north - south)
    path, begun, last = [], False, ""
    for x, y in zip(across.tolist(), down.tolist(), strict=True):
        if not math.isfinite(x):
            begun = False
            continue
        here = f"{x:.1f} {y:.1f}"
        if not begun or here != last:
            path.append(f"{'L' if begun else 'M'}{here}")
        begun, last = True, here
    return "".join(path)


def nodes(place: Place) -> dict[str, Any]:
    """Latitudes and longitudes in degrees of a coarse grid over a place, from its north-west corner, row by row."""
    lat, lon = _degrees(place)
    return {
        "side": _NODES,
        "latitude": np.round(lat, 5).ravel().tolist(),
        "longitude": np.round(lon, 5).ravel().tolist(),
    }


def drawing(place: Place, width: int, height: int) -> dict[str, Any]:
    """The lines over the pixels of a map, as paths of an SVG whose unit is a pixel.

    Args:
        place: Where the pixels lie.
        width: Number of columns.
        height: Number of rows.

    Returns:
        The paths of `outlines` by kind and of the `graticule`, and `labels` of the graticule: their text, and how far
        along the west side from the north, or along the south side from the west, they stand, from 0 to 1.
    """
    outlines = outlines_within(place.proj, place.extent)
    lines, labels = _graticule(place, width, height)
    paths = {kind: outline_path(metres, place, width, height) for kind, metres in outlines.items()}
    return {"outlines": paths, "graticule": lines, "labels": labels}


def _degrees(place: Place) -> tuple[np.ndarray, np.ndarray]:
    """Latitudes and longitudes of the coarse grid; longitudes go beyond 180 degrees where it crosses the date line."""
    west, east, south, north = place.extent
    x, y = np.meshgrid(np.linspace(west, east, _NODES), np.linspace(north, south, _NODES))
    lon, lat = projection(place.proj)(x, y, inverse=True)
    return lat, np.degrees(np.unwrap(np.unwrap(np.radians(lon), axis=1), axis=0))


def _graticule(place: Place, width: int, height: int) -> tuple[str, list[dict[str, Any]]]:
    """The path of the lines of latitude and longitude, and the label of each where it meets the west or south edge."""
    found = graticule(place.proj, place.extent, _MAP_POINTS, _MAP_POINTS * height / width)
    west, east, south, north = place.extent
    near_x, near_y = 0.05 * (east - west), 0.05 * (north - south)
    paths, labels = [], []
    for x, y in found.lines:
        inside = (x > west - near_x) & (x < east + near_x) & (y > south - near_y) & (y < north + near_y)
        metres = np.where(inside[:, None], np.stack([x, y], axis=1), np.nan)
        paths.append(outline_path(metres, place, width, height))
    for side, at, degrees in found.labels:
        if side == "left":
            label = {"text": degree_text(degrees, "NS"), "side": "west", "at": round(1 - at, 4)}
        else:
            label = {"text": degree_text(degrees, "EW"), "side": "south", "at": round(at, 4)}
        labels.append(label)
    return "".join(paths), labels


def degree_text(degrees: float, letters: str) -> str:
    """A latitude or longitude for people, such as 2.5° W; `letters` are those of positive and negative degrees."""
    letter = letters[0] if degrees >= 0 else letters[1]
    return f"{abs(degrees):.4g}° {letter}" if round(degrees, 4) else "0°"
