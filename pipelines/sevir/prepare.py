"""SEVIR's HDF5 files of VIL, in a folder or a bucket, to a store."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypedDict, Unpack

import dask.array
import numpy as np
import xarray as xr

from pipelines.building import engine
from pipelines.building.resample import REDUCERS
from pipelines.errors import InputError
from pipelines.sevir.archive import Archive, locate
from pipelines.sevir.catalog import read_catalog
from pipelines.sevir.plan import Plan, PlannedEvent, make_plan
from pipelines.store.protocol import Protocol, load_protocol
from pipelines.store.rejects import FILE, Reject, read_rejects
from pipelines.store.schema import attributes, template
from pipelines.store.units import MISSING

log = logging.getLogger(__name__)


class Choice(TypedDict, total=False):
    """What to take of an archive, and how; all may be left out.

    Attributes:
        catalog: Another catalog than the archive's own, a path or a URL.
        protocol: Name or file of the protocol, which gives grid, reducer, cadence and splits.
        grid: Pixels along a side instead: 384 takes all pixels, 128 reduces them.
        reducer: Another reducer than the protocol's.
        events: Ids to take; all by default.
        limit: Take the first so many events only.
        max_missing: Leave out events with a larger share of missing pixels, by the catalog.
        skip_bad: Go on without events whose file is absent or cannot be opened, or whose index is not in it: they
            become rejects. Without it any such event ends the run before anything is written.
    """

    catalog: str | Path | None
    protocol: str
    grid: int | None
    reducer: str | None
    events: Collection[str] | None
    limit: int | None
    max_missing: float | None
    skip_bad: bool


@dataclass(frozen=True)
class Job:
    """A checked plan, with the archive and the protocol that it was made for; its text says what will be taken."""

    archive: Archive
    rules: Protocol
    plan: Plan

    def __str__(self) -> str:
        return self.plan.describe(self.rules)


@dataclass(frozen=True)
class Summary:
    """What `prepare` did.

    Attributes:
        store: Path of the store.
        events: Events in it, rejects included.
        written: Events written by this run; 0 when the store was up to date.
        splits: Events in each split.
        left_out: Rows of the catalog that were not taken.
        rejects: Events that could not be read in whole.
        source: What is left out of: rows of a catalog, or files.
    """

    store: Path
    events: int
    written: int
    splits: dict[str, int]
    left_out: int
    rejects: tuple[Reject, ...] = ()
    source: str = "catalog rows"

    def __str__(self) -> str:
        splits = ", ".join(f"{count} {split}" for split, count in self.splits.items())
        parts = [f"{self.store}: {self.events} events ({splits})"]
        if self.written or not self.rejects:
            parts.append(f"{self.written} of them written now" if self.written else "up to date, nothing to do")
        parts.append(f"{self.left_out} {self.source} left out")
        if self.rejects:
            rejected = len({reject.event for reject in self.rejects})
            parts.append(
                f"{rejected} events could not be read and are missing, see {self.store / FILE}: "
                "mend their files and run again, only those are done"
            )
        return "; ".join(parts)


def plan_archive(archive: str | Path, **choice: Unpack[Choice]) -> Job:
    """Decide what to take of an archive, and check that it can be read; nothing is written.

    Args:
        archive: Folder or fsspec URL with CATALOG.csv and data/, or that data folder with the catalog beside it.
        **choice: See `Choice`.

    Raises:
        InputError: for anything wrong with the archive or the choice.
    """
    rules = _rules(choice.get("protocol", "sevir-128-10-10"), choice.get("grid"), choice.get("reducer"))
    files, catalog = locate(archive, choice.get("catalog"))
    plan = make_plan(
        read_catalog(catalog),
        files,
        rules,
        side=rules.grid * rules.factor,
        events=choice.get("events"),
        limit=choice.get("limit"),
        max_missing=rules.max_missing if choice.get("max_missing") is None else choice["max_missing"],
        skip_bad=choice.get("skip_bad", False),
    )
    return Job(files, rules, plan)


def prepare(
    archive: str | Path,
    store: str | Path,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    overwrite: bool = False,
    tell: Callable[[str], None] = log.info,
    **choice: Unpack[Choice],
) -> Summary:
    """Make the store of an archive under a protocol; run again, it goes on, mends, or does nothing.

    What is wrong already when the plan is made (no catalog, an absent file, an index out of range) ends the run before
    anything is written, unless `skip_bad`. What shows only in reading (a damaged chunk) costs its events only: they
    are the summary's rejects.

    Args:
        archive: Folder or fsspec URL with CATALOG.csv and data/, or that data folder with the catalog beside it.
        store: Where the store will appear.
        workers: Processes.
        scheduler: Address of a dask scheduler that does the work instead.
        overwrite: Replace a store made from other events or otherwise.
        tell: Is given the plan in words before the work begins.
        **choice: See `Choice`.

    Raises:
        InputError: for anything wrong with the archive or the options, or when no event can be read.
    """
    job = plan_archive(archive, **choice)
    tell(str(job))
    plan, rules = job.plan, job.rules
    written = engine.build(
        Path(store),
        plan.events,
        partial(read_events, job.archive, rules.reducer),
        side=rules.grid,
        pixel_m=rules.factor * plan.pixel_m,
        attrs=_attributes(job),
        workers=workers,
        scheduler=scheduler,
        overwrite=overwrite,
    )
    splits = dict(Counter(event.split for event in plan.events))
    rejects = tuple(read_rejects(Path(store)))
    return Summary(Path(store), len(plan.events), written, splits, len(plan.left_out), rejects)


def open_archive(archive: str | Path, **choice: Unpack[Choice]) -> xr.Dataset:
    """What `prepare` would write, as a lazy dataset: nothing is converted, an event is read when it is computed.

    Args:
        archive: See `prepare`.
        **choice: See `Choice`; without a protocol, grid or reducer all 384 x 384 pixels.

    Returns:
        `vil`, float32 counts with dims (event, frame, y, x), NaN missing, one dask chunk an event, with the coordinates
        and attributes of a store, but `missing_fraction`.

    Raises:
        InputError: for anything wrong with the archive or the choice; in computing, when an event cannot be read.
    """
    if not {"protocol", "grid", "reducer"} & set(choice):
        choice["reducer"] = "none"
    job = plan_archive(archive, **choice)
    plan, side = job.plan, job.rules.grid
    dataset = template(plan.events, side=side, pixel_m=job.rules.factor * plan.pixel_m, attrs=_attributes(job))
    shape = (len(plan.events[0].offsets), side, side)
    read = dask.delayed(partial(_lazy_event, job.archive, job.rules.reducer), pure=False, traverse=False)
    vil = dask.array.stack([dask.array.from_delayed(read(event), shape, "float32") for event in plan.events])
    return dataset.drop_vars("missing_fraction").assign(vil=(dataset["vil"].dims, vil, dataset["vil"].attrs))


def _lazy_event(archive: Archive, reducer: str, event: PlannedEvent) -> np.ndarray:
    counts = read_events(archive, reducer, [event])[0].astype("float32")
    counts[counts == MISSING] = np.nan
    return counts


def _attributes(job: Job) -> dict:
    plan, rules = job.plan, job.rules
    return attributes(
        plan.events,
        protocol=rules.name,
        reducer=rules.reducer,
        cadence_minutes=rules.cadence_minutes,
        source_files=[f"{name} absent" if size is None else f"{name} {size} bytes" for name, size in plan.files],
    ) | {"left_out": [f"{row.id}: {row.reason}" for row in plan.left_out]}


def read_events(archive: Archive, reducer: str, events: Sequence[PlannedEvent]) -> np.ndarray:
    """Reduced counts of events, uint8 with shape (event, frame, y, x), 255 missing.

    Raises:
        InputError: when one of them cannot be read.
    """
    faults = [event.fault for event in events if event.fault]
    if faults:
        raise InputError(faults[0])
    reduced: dict[str, np.ndarray] = {}
    for name in {event.file for event in events}:
        members = [event for event in events if event.file == name]
        try:
            reduced |= archive.trying(partial(_read_file, archive, name, reducer, members))
        except (OSError, KeyError, ValueError) as error:
            path = f"{archive.root}/{name}"
            raise InputError(f"{path} cannot be read", got=error, remedy="fetch it anew and run again") from error
    return np.stack([reduced[event.id] for event in events])


def _read_file(archive: Archive, name: str, reducer: str, events: Sequence[PlannedEvent]) -> dict[str, np.ndarray]:
    with archive.hdf5(name) as file:
        vil = file["vil"]
        counts = np.empty(vil.shape[1:], np.uint8)  # one for all: new memory would cost more than the reading
        reduced = {}
        for event in events:
            vil.read_direct(counts, np.s_[event.index])
            reduced[event.id] = REDUCERS[reducer](counts[..., :: event.step])
        return reduced


def _rules(protocol: str, grid: int | None, reducer: str | None) -> Protocol:
    """The protocol, by another reducer where that or another grid is asked for."""
    rules = load_protocol(protocol)
    if reducer is None and grid not in (None, rules.grid):
        reducer = "mean" if rules.reducer == "none" else "none"
    rules = rules.by(reducer or rules.reducer)
    if rules.reducer not in REDUCERS:
        what = f"protocol {rules.name}: no reducer {rules.reducer!r}"
        raise InputError(what, expected=f"one of {', '.join(REDUCERS)}")
    if grid not in (None, rules.grid):
        raise InputError(f"no grid of {grid} pixels by {rules.reducer}", expected=rules.grid)
    return rules
