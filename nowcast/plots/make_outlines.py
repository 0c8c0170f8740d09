"""Make `outlines.npz` from Natural Earth and the US Census Bureau; README.md says where the inputs come from.

    python -m nowcast.plots.make_outlines world-atlas-2.0.2.tgz us-atlas-3.0.1.tgz ne_10m_lakes.shp outlines.npz

Lines are merged, cut into pieces of at most 128 vertices and 1 degree, and each vertex is given its detail: in how
many of the coarser sets of `outlines.TOLERANCES` it remains (Douglas and Peucker, in each set from the one before).
"""

import json
import sys
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from cartopy.io.shapereader import Reader

from nowcast.plots.outlines import KINDS, STEPS_PER_DEGREE, TOLERANCES
from pipelines.store.whole import whole

_VERTICES, _DEGREES = 128, 1.0  # of a piece, at most
_METRES_PER_DEGREE = 111_195
_SMALL = 4  # tolerances across: an island or a lake that leaves as a whole

Lines = list[np.ndarray]


def shared_arcs(package: Path, name: str, layer: str) -> tuple[Lines, Lines]:
    """Arcs of one area and arcs of several, of a layer of a TopoJSON file in an npm package.

    Args:
        package: Its .tgz file.
        name: Name of the file, such as countries-10m.json.
        layer: Name of the layer of areas.

    Returns:
        Two lists of longitudes and latitudes in degrees, each with shape (vertex, 2).
    """
    with tarfile.open(package) as archive, archive.extractfile(f"package/{name}") as file:  # type: ignore[union-attr]
        topology = json.load(file)
    scale, offset = (np.array(topology["transform"][key]) for key in ("scale", "translate"))
    areas = defaultdict(set)
    for number, area in enumerate(topology["objects"][layer]["geometries"]):
        for arc in _numbers(area.get("arcs", [])):
            areas[arc if arc >= 0 else ~arc].add(number)
    arcs = [np.cumsum(steps, axis=0) * scale + offset for steps in topology["arcs"]]
    one, several = ([arcs[arc] for arc in sorted(areas) if (len(areas[arc]) > 1) is shared] for shared in (False, True))
    return one, several


def _numbers(nested: list[Any]) -> Iterator[int]:
    for item in nested:
        if isinstance(item, list):
            yield from _numbers(item)
        else:
            yield item


def pieces(lines: Lines) -> Lines:
    """Lines merged where two meet and cut to pieces, in steps, int32 with shape (vertex, 2), without repetition."""
    merged = shapely.line_merge(shapely.MultiLineString([line for line in lines if len(line) > 1]))
    cut = []
    for part in shapely.get_parts(merged):
        degrees = shapely.get_coordinates(part)
        turn = np.flatnonzero(np.abs(np.diff(degrees[:, 0])) > 180) + 1  # across the antimeridian
        for side in np.split(degrees, turn):
            steps = np.rint(side * STEPS_PER_DEGREE).astype("int32")
            steps = steps[np.append(True, (np.diff(steps, axis=0) != 0).any(axis=1))]
            cut += _cut(_with_vertices_along(steps)) if len(steps) > 1 else []
    return cut


def _with_vertices_along(steps: np.ndarray) -> np.ndarray:
    """With more vertices on edges longer than a piece: a border along a parallel is no straight line on maps."""
    longest = _DEGREES * STEPS_PER_DEGREE
    parts = [steps[:1]]
    for one, other in pairwise(steps):
        number = int(np.ceil(np.abs(other - one).max() / longest))
        parts.append(np.rint(np.linspace(one, other, number + 1)[1:]).astype("int32"))
    return np.concatenate(parts)


def _cut(steps: np.ndarray) -> Lines:
    """Pieces whose last vertex is the first of the next."""
    cut, start = [], 0
    while start < len(steps) - 1:
        ahead = steps[start : start + _VERTICES]
        spans = np.maximum.accumulate(ahead) - np.minimum.accumulate(ahead)
        number = max(2, int((spans.max(axis=1) <= _DEGREES * STEPS_PER_DEGREE).sum()))
        cut.append(ahead[:number])
        start += number - 1
    return cut


def details(piece: np.ndarray) -> np.ndarray:
    """In how many of the sets of `TOLERANCES` each vertex of a piece remains, uint8; a closed one leaves when small."""
    degrees = piece / STEPS_PER_DEGREE
    metres = degrees * _METRES_PER_DEGREE * (np.cos(np.radians(degrees[:, 1].mean())), 1)
    detail = np.zeros(len(piece), "uint8")
    remain = np.arange(len(piece))
    closed = (piece[0] == piece[-1]).all()
    for tolerance in TOLERANCES:
        if closed and np.ptp(metres, axis=0).max() < _SMALL * tolerance:
            break
        line = shapely.linestrings(np.column_stack([metres[remain], remain]))
        remain = shapely.get_coordinates(shapely.simplify(line, tolerance, preserve_topology=False), include_z=True)
        remain = remain[:, 2].astype(int)
        detail[remain] += 1
    return detail


def make(world_atlas: Path, us_atlas: Path, lakes: Path, out: Path) -> None:
    """Write the file `out` of the inputs that the module names."""
    coasts, borders = shared_arcs(world_atlas, "countries-10m.json", "countries")
    _, states = shared_arcs(us_atlas, "counties-10m.json", "states")
    shores = [
        shapely.get_coordinates(ring)
        for lake in Reader(lakes).geometries()
        for polygon in shapely.get_parts(lake)
        for ring in (polygon.exterior, *polygon.interiors)
    ]
    every = {"coast": coasts, "border": borders, "state": states, "lake": shores}
    kinds, lines = zip(*[(KINDS.index(kind), piece) for kind in KINDS for piece in pieces(every[kind])], strict=True)
    vertices = np.concatenate(lines)
    with whole(out) as growing:
        np.savez_compressed(
            growing,
            steps=np.diff(vertices, axis=0, prepend=0),
            detail=np.concatenate([details(line) for line in lines]),
            length=np.array([len(line) for line in lines], "uint8"),
            kind=np.array(kinds, "uint8"),
        )


if __name__ == "__main__":
    make(*map(Path, sys.argv[1:]))
