"""SEVIR's HDF5 files of VIL, in a folder or a bucket, to a store."""

import logging
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TypedDict, Unpack

import dask.array
import numpy as np
import xarray as xr

from pipelines.building.plan import Plan, Reader
from pipelines.building.prepare import Summary
from pipelines.building.prepare import prepare as make_store
from pipelines.building.resample import REDUCERS
from pipelines.errors import InputError
from pipelines.sevir.archive import locate
from pipelines.sevir.catalog import read_catalog
from pipelines.sevir.plan import make_plan
from pipelines.sevir.read import PlannedEvent
from pipelines.store.protocol import Protocol, load_protocol
from pipelines.store.schema import template
from pipelines.store.units import MISSING

log = logging.getLogger(__name__)


class Choice(TypedDict, total=False):
    """Options of a plan; each may be left out.

    Attributes:
        catalog: Another catalog than the archive's own, a path or a URL.
        protocol: Name or file of the protocol, which gives grid, reducer, cadence and splits.
        grid: Pixels along a side instead: 384 takes all pixels, 128 reduces them.
        reducer: Another reducer than the protocol's.
        events: Ids to take; all by default.
        limit: Take the first `limit` events only.
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


def plan_archive(archive: str | Path, **choice: Unpack[Choice]) -> Plan:
    """Decide what to take of an archive, and check that it can be read; nothing is written.

    Args:
        archive: Folder or fsspec URL with CATALOG.csv and data/, or that data folder with the catalog beside it.
        **choice: See `Choice`.

    Raises:
        InputError: for anything wrong with the archive or the choice.
    """
    rules = _rules(choice.get("protocol", "sevir-128-10-10"), choice.get("grid"), choice.get("reducer"))
    files, catalog = locate(archive, choice.get("catalog"))
    return make_plan(
        read_catalog(catalog),
        files,
        rules,
        side=rules.grid * rules.factor,
        events=choice.get("events"),
        limit=choice.get("limit"),
        max_missing=rules.max_missing if choice.get("max_missing") is None else choice["max_missing"],
        skip_bad=choice.get("skip_bad", False),
    )


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
    """Make the store of an archive (see `pipelines.building.prepare`).

    Faults that the plan finds (no catalog, an absent file, an index out of range) end the run before anything is
    written, unless `skip_bad`. Events with faults that show only in reading (a damaged chunk) become the summary's
    rejects.

    Raises:
        InputError: for anything wrong with the archive or the options, or when no event can be read.
    """
    plan = plan_archive(archive, **choice)
    return make_store(plan, store, workers=workers, scheduler=scheduler, overwrite=overwrite, tell=tell)


def open_archive(archive: str | Path, **choice: Unpack[Choice]) -> xr.Dataset:
    """Open an archive as a lazy dataset, as `prepare` would write it; an event is read when it is computed.

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
    plan = plan_archive(archive, **choice)
    side = plan.rules.grid
    dataset = template(plan.events, side=side, pixel_m=plan.pixel_m, attrs=plan.attributes())
    shape = (len(plan.events[0].offsets), side, side)
    read = dask.delayed(partial(_lazy_event, plan.read), pure=False, traverse=False)
    vil = dask.array.stack([dask.array.from_delayed(read(event), shape, "float32") for event in plan.events])
    return dataset.drop_vars("missing_fraction").assign(vil=(dataset["vil"].dims, vil, dataset["vil"].attrs))


def _lazy_event(read: Reader, event: PlannedEvent) -> np.ndarray:
    counts = read([event])[0].astype("float32")
    counts[counts == MISSING] = np.nan
    return counts


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
