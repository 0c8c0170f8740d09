"""SEVIR's HDF5 files of VIL to a store."""

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from pipelines import catalog as catalogs
from pipelines import engine, store
from pipelines.errors import InputError
from pipelines.protocol import Protocol, load_protocol
from pipelines.resample import FACTOR, REDUCERS

log = logging.getLogger(__name__)


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


def prepare(
    archive: str | Path,
    store_path: str | Path,
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
        store_path: Where the store will appear.
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
    attrs = store.attributes(
        plan.events,
        protocol=rules.name,
        reducer=reducer,
        cadence_minutes=rules.cadence_minutes,
        source_files=[f"{name} {size} bytes" for name, size in plan.files],
    )
    written = engine.build(
        Path(store_path),
        plan.events,
        partial(read_events, data, reducer),
        side=rules.grid,
        pixel_m=FACTOR * plan.pixel_m,
        attrs=attrs,
        workers=workers,
        overwrite=overwrite,
    )
    splits = dict(Counter(event.split for event in plan.events))
    return Summary(Path(store_path), len(plan.events), written, splits, plan.left_out)


def read_events(data: Path, reducer: str, events: Sequence[catalogs.PlannedEvent]) -> np.ndarray:
    """Reduced counts of events, uint8 with shape (event, frame, y, x), 255 missing.

    Raises:
        InputError: when a file cannot be read.
    """
    reduced: list[np.ndarray | None] = [None] * len(events)
    for name in {event.file for event in events}:
        path = catalogs.below(data, name, events[0].id)
        try:
            with h5py.File(path) as file:
                for position, event in enumerate(events):
                    if event.file == name:
                        reduced[position] = REDUCERS[reducer](file["vil"][event.index])
        except OSError as error:
            raise InputError(f"{path} cannot be read", got=error, remedy="fetch it anew and run again") from error
    return np.stack(reduced)


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
