"""Lines of latitude and longitude on a panel, with labels that stay within its edges.

Labels stand where lines cross the left and the bottom edge. One that would reach beyond the panel is moved until it
does not, and one that would reach over another is left out, so that the labels of neighbouring panels never meet.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

from pipelines.store.geo import projection

_LINES = 5  # that cross an edge, about
_SIZE, _PAD, _APART = 6.0, 2.0, 3.0  # of labels, from the panel, from each other; points
_ROOM = {"left": 15.0, "bottom": 25.0}  # along an edge for each label, points
_STEPS = (1, 2, 3, 5, 10)
_POINTS = 60  # along a line and along an edge


class Graticule(NamedTuple):
    """Lines of latitude and longitude over a map.

    Attributes:
        lines: The x and y of the vertices of each line in projected metres, not finite where they have none.
        labels: Of lines that cross the left or the bottom edge: the side, how far along it from the south or the west
            the label stands, from 0 to 1, and the degrees, of longitude from -180 to 180.
    """

    lines: list[tuple[np.ndarray, np.ndarray]]
    labels: list[tuple[str, float, float]]


def graticule(proj: str, extent: tuple[float, float, float, float], width: float, height: float) -> Graticule:
    """Lines of latitude and longitude at round degrees, and where they are labelled.

    Args:
        proj: PROJ string.
        extent: West, east, south and north edge in projected metres.
        width: Width of the map in points.
        height: Height of the map in points.
    """
    longitude, latitude = _degrees(proj, extent)
    sides = {"bottom": (longitude[0], longitude, width), "left": (latitude[:, 0], latitude, height)}
    values = {side: _round_values(*of_side[:2], int(of_side[2] / _ROOM[side])) for side, of_side in sides.items()}
    along_x, along_y = (np.linspace(np.nanmin(part), np.nanmax(part), _POINTS) for part in (longitude, latitude))
    lines = [(np.full(_POINTS, value), along_y) for value in values["bottom"]]
    lines += [(along_x, np.full(_POINTS, value)) for value in values["left"]]
    labels = [
        (side, place, degrees)
        for side, (edge, _, length) in sides.items()
        for place, degrees in _placed(values[side], side, edge, length)
    ]
    return Graticule([projection(proj)(*line) for line in lines], labels)


def draw_graticule(
    ax: Axes, proj: str, extent: tuple[float, float, float, float], colour: str, labels: Sequence[str] = ()
) -> None:
    """Draw lines of latitude and longitude, and label them at some sides.

    Args:
        ax: Axes whose data are projected metres.
        proj: PROJ string.
        extent: West, east, south and north edge in projected metres.
        colour: Colour of the lines.
        labels: Sides at which they are labelled: "left", "bottom".
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    found = graticule(proj, extent, *ax.get_position().size * figure.get_size_inches() * 72)
    for line in found.lines:
        x, y = np.ma.masked_invalid(line)
        ax.plot(x, y, color=colour, linewidth=0.4, linestyle=":", scalex=False, scaley=False)
    for side, place, degrees in found.labels:
        if side in labels:
            lying = side == "bottom"
            ax.annotate(
                _text(degrees, side),
                (place, 0) if lying else (0, place),
                (0, -_PAD) if lying else (-_PAD, 0),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="center" if lying else "right",
                va="top" if lying else "center",
                fontsize=_SIZE,
                annotation_clip=False,
            )


def _degrees(proj: str, extent: tuple[float, float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes, without a jump at the date line, and latitudes on a mesh over the extent, shape (y, x)."""
    west, east, south, north = extent
    x, y = np.meshgrid(np.linspace(west, east, _POINTS), np.linspace(south, north, _POINTS))
    longitude, latitude = (np.where(np.isfinite(part), part, np.nan) for part in projection(proj)(x, y, inverse=True))
    middle = longitude[_POINTS // 2, _POINTS // 2]
    return middle + (longitude - middle + 180) % 360 - 180, latitude


def _round_values(edge: np.ndarray, mesh: np.ndarray, number: int) -> np.ndarray:
    """Round values on a mesh in the step in which at most some number, and no more than `_LINES`, cross its edge."""
    low = np.nanmin(edge)
    span = max(np.nanmax(edge) - low, (np.nanmax(mesh) - np.nanmin(mesh)) / 3)
    ticks = MaxNLocator(min(max(number, 1), _LINES), steps=_STEPS).tick_values(low, low + span)
    step = ticks[1] - ticks[0]
    return step * np.arange(np.ceil(np.nanmin(mesh) / step), np.floor(np.nanmax(mesh) / step) + 1)


def _placed(values: np.ndarray, side: str, edge: np.ndarray, length: float) -> Iterator[tuple[float, float]]:
    """Where along an edge, as a part of it, and which degrees to write; `length` is in points."""
    order = np.argsort(edge)
    order = order[np.isfinite(edge[order])]
    places = np.interp(values, edge[order], np.linspace(0, length, len(edge))[order], left=np.nan, right=np.nan)
    free = 0.0
    for place, value in sorted(zip(places.tolist(), values.tolist(), strict=True)):
        degrees = round((value + 180) % 360 - 180, 6)
        size = TextPath((0, 0), _text(degrees, side), _SIZE).get_extents().width if side == "bottom" else _SIZE
        within = min(max(place, size / 2), length - size / 2)
        if free <= within - size / 2:
            yield within / length, degrees
            free = within + size / 2 + _APART


def _text(degrees: float, side: str) -> str:
    letter = "" if degrees in (0, -180) else ("EW" if side == "bottom" else "NS")[int(degrees < 0)]
    return f"{abs(degrees):g}°{letter}"
