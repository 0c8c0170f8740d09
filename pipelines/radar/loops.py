"""Events cut from loops of radar fields, and how their counts are read.

The radar's quantity is converted to SEVIR's counts by the relations in `pipelines.store.units`, pixel by pixel at the
radar's own resolution (see `pipelines.radar.grid` for latitude-longitude grids), then pixels are averaged where that is
asked for, and tiles of 128 x 128 are cut: whole ones only, about the middle of the grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipelines.errors import InputError
from pipelines.radar.files import read_counts
from pipelines.radar.grid import Grid, Tiling, on_square
from pipelines.radar.series import Frame
from pipelines.store.rejects import PartlyReadError
from pipelines.store.schema import TILE, Event
from pipelines.store.units import MISSING


@dataclass(frozen=True)
class Loop:
    """Frames of the whole grid that the tiles of one time are cut from.

    Attributes:
        frames: One a step of the cadence; None where there is no file.
        grid: Grid of the files.
        quantity: One of `units.QUANTITIES`.
        tiling: The tiles.
    """

    frames: tuple[Frame | None, ...]
    grid: Grid
    quantity: str
    tiling: Tiling


@dataclass(frozen=True, kw_only=True)
class RadarEvent(Event):
    """Tile (row, column) of a loop, counted from the south-west."""

    loop: Loop
    row: int
    column: int


def read_events(events: Sequence[RadarEvent]) -> np.ndarray:
    """Counts of events, uint8 with shape (event, frame, y, x), 255 missing.

    Raises:
        PartlyReadError: when frames of one of them cannot be read.
    """
    counts = np.empty((len(events), len(events[0].offsets), TILE, TILE), np.uint8)
    for number, event in enumerate(events):
        whole, faults = _read_loop(event.loop)
        south, west = TILE * event.row, TILE * event.column
        counts[number] = whole[:, south : south + TILE, west : west + TILE]
        if faults:
            raise PartlyReadError(counts[number], faults)
    return counts


@lru_cache(maxsize=1)  # the tiles of a loop follow each other
def _read_loop(loop: Loop) -> tuple[np.ndarray, dict[str, str]]:
    """Counts of all tiles with shape (frame, y, x), uint8, 255 missing; why files could not be read, by name."""
    rows, columns = loop.tiling.shape
    counts = np.full((len(loop.frames), TILE * rows, TILE * columns), MISSING, np.uint8)
    faults = {}
    for number, frame in enumerate(loop.frames):
        if frame is None:
            continue
        try:
            if frame.fault:
                raise InputError(frame.fault)
            field = read_counts(Path(frame.file), frame.number, loop.quantity)
            counts[number] = loop.tiling.average(on_square(field, loop.grid))
        except InputError as error:
            faults[Path(frame.file).name] = str(error)
    return counts, faults
