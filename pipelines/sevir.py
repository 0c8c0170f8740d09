"""SEVIR's HDF5 files of VIL to a store."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from pipelines import catalog as catalogs
from pipelines import engine
from pipelines.errors import InputError
from pipelines.protocol import Protocol, load_protocol
from pipelines.resample import FACTOR, REDUCERS
from pipelines.store import attributes


@dataclass(frozen=True)
class Summary:
    """What `prepare` did.

    Attributes:
        store: Path of the store.
        events: Events in it.
        written: Events written by this run; 0 when the store was up to date.
        splits: Events in each split.
        left_out: Rows of the catalog that were not taken, and why.
    """

    store: Path
    events: int
    written: int
    splits: dict[str, int]
    left_out: tuple[catalogs.LeftOut, ...]

    def __str__(self) -> str:
        splits = ", ".join(f"{count} {split}" for split, count in self.splits.items())
        done = f"{self.written} of them written now" if self.written else "up to date, nothing to do"
        return f"{self.store}: {self.events} events ({splits}); {done}; {len(self.left_out)} catalog rows left out"


def prepare(
    archive: str | Path,
    store: str | Path,
    *,
    catalog: str | Path | None = None,
    protocol: str = "sevir-128-10-10",
    events: Collection[str] | None = None,
    limit: int | None = None,
    workers: int = 1,
    overwrite: bool = False,
) -> Summary:
    """Make the store of an archive under a protocol; run again, it goes on or does nothing.

    Args:
        archive: Folder with CATALOG.csv and data/, or that data folder with the catalog beside it.
        store: Where the store will appear.
        catalog: Another catalog.
        protocol: Name or file of the protocol, which gives grid, reducer, cadence and splits.
        events: Ids to take; all by default.
        limit: Take the first so many events only.
        workers: Processes.
        overwrite: Replace a store made from other events or otherwise.

    Raises:
        InputError: for anything wrong with the archive or the options; nothing is written then.
    """
    rules = load_protocol(protocol)
    reducer = _known_reducer(rules)
    data, catalog_path = _locate(Path(archive), catalog)
    side = rules.grid * FACTOR
    plan = catalogs.make_plan(catalogs.read_catalog(catalog_path), data, rules, side=side, events=events, limit=limit)
    attrs = attributes(
        plan.events,
        protocol=rules.name,
        reducer=reducer,
        cadence_minutes=rules.cadence_minutes,
        source_files=[f"{name} {size} bytes" for name, size in plan.files],
    )
    written = engine.build(
        Path(store),
        plan.events,
        partial(read_events, data, reducer),
        side=rules.grid,
        pixel_m=FACTOR * plan.pixel_m,
        attrs=attrs,
        workers=workers,
        overwrite=overwrite,
    )
    splits = dict(Counter(event.split for event in plan.events))
    return Summary(Path(store), len(plan.events), written, splits, plan.left_out)


def read_events(data: Path, reducer: str, events: Sequence[catalogs.PlannedEvent]) -> np.ndarray:
    """Reduced counts of events, uint8 with shape (event, frame, y, x), 255 missing.

    Raises:
        InputError: when a file cannot be read.
    """
    reduced: dict[str, np.ndarray] = {}
    for name in {event.file for event in events}:
        members = [event for event in events if event.file == name]
        path = catalogs.below(data, name, members[0].id)
        try:
            with h5py.File(path) as file:
                reduced |= {event.id: REDUCERS[reducer](file["vil"][event.index]) for event in members}
        except OSError as error:
            raise InputError(f"{path} cannot be read", got=error, remedy="fetch it anew and run again") from error
    return np.stack([reduced[event.id] for event in events])


def _known_reducer(protocol: Protocol) -> str:
    if protocol.reducer not in REDUCERS:
        what = f"protocol {protocol.name}: no reducer {protocol.reducer!r}"
        raise InputError(what, expected=f"one of {', '.join(REDUCERS)}")
    return protocol.reducer


def _locate(archive: Path, catalog: str | Path | None) -> tuple[Path, Path]:
    """The data folder and the catalog of an archive."""
    if not archive.is_dir():
        raise InputError(f"no archive at {archive}", expected="a folder with CATALOG.csv and data/")
    data = archive / "data" if (archive / "data").is_dir() else archive
    if catalog is not None:
        return data, Path(catalog)
    beside = archive if data != archive or (archive / "CATALOG.csv").is_file() else archive.parent
    return data, beside / "CATALOG.csv"
