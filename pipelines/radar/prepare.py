"""Radar that is not SEVIR's to a store: MRMS GRIB2, ODIM HDF5, KNMI HDF5 and CF NetCDF.

What the radar measures becomes SEVIR's counts by the relations in `pipelines.store.units`, pixel by pixel at the
radar's own resolution (see `pipelines.radar.grid` for latitude-longitude grids), then pixels are averaged if that is
asked for, and tiles of 128 x 128 are cut: whole ones only, about the middle of the grid. The store says in
`counts_from` what the counts were made of. Which files make which events is told in `pipelines.radar.plan`.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np

from pipelines.building import engine
from pipelines.errors import InputError
from pipelines.radar.files import read_counts
from pipelines.radar.grid import on_square
from pipelines.radar.plan import Loop, Plan, RadarEvent, make_plan
from pipelines.sevir.prepare import Summary
from pipelines.store.protocol import FACTOR, Protocol, load_protocol
from pipelines.store.rejects import PartlyReadError, read_rejects
from pipelines.store.schema import TILE, attributes
from pipelines.store.units import MISSING, QUANTITIES

log = logging.getLogger(__name__)

PROTOCOL = "radar-128-10-10"


class Choice(TypedDict, total=False):
    """What to take, and how; all may be left out.

    Attributes:
        protocol: Name or file of the protocol, which gives windows and splits; `PROTOCOL` takes any radar as test data.
        coarsen: Pixels averaged along each side; by default as the protocol's reducer has it.
        frames: Frames of an event; by default the longest sequence is divided evenly into at most 49 each.
        limit: Take the first so many events only.
    """

    protocol: str
    coarsen: int | None
    frames: int | None
    limit: int | None


def plan_radar(sources: Iterable[str | Path], **choice: Unpack[Choice]) -> tuple[Plan, Protocol]:
    """Decide what to take of files and folders, and under which protocol; nothing is written.

    Raises:
        InputError: for anything wrong with the files or the choice.
    """
    rules = load_protocol(choice.get("protocol", PROTOCOL))
    if rules.grid != TILE:
        raise InputError(
            f"protocol {rules.name} has a grid of {rules.grid}", expected=TILE, remedy=f"such as {PROTOCOL}"
        )
    coarsen = choice.get("coarsen") or rules.factor
    plan = make_plan(sources, rules, coarsen=coarsen, frames=choice.get("frames"), limit=choice.get("limit"))
    reducer = {1: "none", FACTOR: "mean"}.get(coarsen, f"mean{coarsen}")
    return plan, rules.of_radar(plan.cadence_minutes, reducer)


def prepare(
    sources: Iterable[str | Path],
    store: str | Path,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    overwrite: bool = False,
    tell: Callable[[str], None] = log.info,
    **choice: Unpack[Choice],
) -> Summary:
    """Make the store of radar files; run again, it goes on, mends, or does nothing.

    A file that cannot be read costs its frames only: it is among the summary's rejects, or left out where its name does
    not say its time.

    Args:
        sources: Files, and folders of files.
        store: Where the store will appear.
        workers: Processes; each holds one loop of the whole grid, a byte a pixel.
        scheduler: Address of a dask scheduler that does the work instead.
        overwrite: Replace a store made from other events or otherwise.
        tell: Is given the plan in words before the work begins.
        **choice: See `Choice`.

    Raises:
        InputError: for anything wrong with the files or the options, or when none can be read.
    """
    plan, rules = plan_radar(sources, **choice)
    tell(plan.describe(rules))
    written = engine.build(
        Path(store),
        plan.events,
        read_events,
        side=TILE,
        pixel_m=plan.pixel_m,
        attrs=_attributes(plan, rules),
        workers=workers,
        scheduler=scheduler,
        overwrite=overwrite,
    )
    splits = dict(Counter(event.split for event in plan.events))
    rejects = tuple(read_rejects(Path(store)))
    return Summary(Path(store), len(plan.events), written, splits, len(plan.left_out), rejects, "files")


def _attributes(plan: Plan, rules: Protocol) -> dict:
    return attributes(
        plan.events,
        protocol=rules.name,
        reducer=rules.reducer,
        cadence_minutes=rules.cadence_minutes,
        source_files=[f"{name} {size} bytes" for name, size in plan.files],
    ) | {
        "counts_from": [f"{quantity}: {QUANTITIES[quantity].relation}" for quantity in plan.quantities],
        "left_out": list(plan.left_out),
    }


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
