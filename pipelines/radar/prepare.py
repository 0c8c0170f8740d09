"""Radar that is not SEVIR's to a store: MRMS GRIB2, ODIM HDF5, KNMI HDF5 and CF NetCDF.

Which files make which events is told in `pipelines.radar.plan`, how they become counts in `pipelines.radar.loops`; the
store says in `counts_from` what the counts were made of.
"""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypedDict, Unpack

from pipelines.building.plan import Plan
from pipelines.building.prepare import Summary
from pipelines.building.prepare import prepare as make_store
from pipelines.errors import InputError
from pipelines.radar.plan import make_plan
from pipelines.store.protocol import load_protocol
from pipelines.store.schema import TILE

log = logging.getLogger(__name__)

PROTOCOL = "radar-128-10-10"


class Choice(TypedDict, total=False):
    """Options of a plan; each may be left out.

    Attributes:
        protocol: Name or file of the protocol, which gives windows and splits; `PROTOCOL` takes any radar as test data.
        coarsen: Pixels averaged along each side; by default as the protocol's reducer has it.
        frames: Frames of an event; by default the longest sequence is divided evenly into at most 49 each.
        limit: Take the first `limit` events only.
    """

    protocol: str
    coarsen: int | None
    frames: int | None
    limit: int | None


def plan_radar(sources: Iterable[str | Path], **choice: Unpack[Choice]) -> Plan:
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
    return make_plan(sources, rules, coarsen=coarsen, frames=choice.get("frames"), limit=choice.get("limit"))


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
    """Make the store of radar files (see `pipelines.building.prepare`); a worker holds one loop of the whole grid.

    A file that cannot be read costs its frames only: it is among the summary's rejects, or left out where its name does
    not say its time.

    Raises:
        InputError: for anything wrong with the files or the options, or when none can be read.
    """
    plan = plan_radar(sources, **choice)
    return make_store(plan, store, workers=workers, scheduler=scheduler, overwrite=overwrite, tell=tell)
