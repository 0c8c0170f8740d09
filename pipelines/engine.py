"""Builds a store on dask, shard by shard: resumable, and at its place whole or not at all.

A store grows in `.NAME.partial` beside its place. A task reads the events of one shard, writes that shard and then
leaves a mark that it is done, with the missing fractions of its events; a run after a kill skips marked shards. When
all are marked the store is moved to its place. No two tasks write one object.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dask
import numpy as np
import zarr
from dask.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipelines import store
from pipelines.errors import InputError
from pipelines.units import MISSING

log = logging.getLogger(__name__)

Reader = Callable[[Sequence[Any]], np.ndarray]
_IDENTITY = ("schema", "schema_version", "protocol", "reducer", "cadence_minutes", "source_files", "event_list_hash")


def build(
    path: Path,
    events: Sequence[store.Event],
    read: Reader,
    *,
    side: int,
    pixel_m: float,
    attrs: dict,
    workers: int = 1,
    overwrite: bool = False,
) -> int:
    """Build the store of `events` at `path`, going on where an earlier run was stopped.

    Args:
        path: Where the store will appear.
        events: Its events, in order.
        read: Gives the counts of some of them, uint8 with shape (event, frame, y, x), 255 missing; must be picklable
            when there are several workers.
        side: Pixels along a side.
        pixel_m: Metres along a side of a pixel.
        attrs: Attributes of the store, see `store.attributes`.
        workers: Processes.
        overwrite: Replace the store that is at `path`.

    Returns:
        Events written by this run; 0 when the same store was there already.

    Raises:
        InputError: when something else is at `path`, or a store of another plan and `overwrite` is false.
    """
    building = path.with_name(f".{path.name}.partial")
    same = path.exists() and _is_same(path, attrs)
    if path.exists() and not overwrite:
        if not same:
            raise InputError(f"{path} holds other events or was made otherwise", remedy="say --overwrite to replace it")
        if not (building / "store").exists():  # what a run leaves that was killed after its last move
            shutil.rmtree(building, ignore_errors=True)
        log.info("%s is up to date: %d events", path, len(events))
        return 0
    _begin(building, events, side, pixel_m, attrs)
    starts = range(0, len(events), store.SHARD_EVENTS)
    todo = [
        (start, events[start : start + store.SHARD_EVENTS]) for start in starts if not _mark(building, start).exists()
    ]
    if len(todo) < len(starts):
        log.info("going on with %s: %d of %d shards are done", building, len(starts) - len(todo), len(starts))
    run(partial(_write_shard, building, read), todo, workers=workers, label=f"writing {path.name}")
    _finish(building, path, starts)
    return sum(len(shard) for _, shard in todo)


def run(function: Callable[[Any], Any], items: Sequence[Any], *, workers: int = 1, label: str) -> None:
    """Call `function` once for each item on dask, in this process or in `workers` others, with a progress bar."""
    tasks = [dask.delayed(partial(function, item), pure=False, traverse=False)() for item in items]
    scheduler = {"scheduler": "processes", "num_workers": workers} if workers > 1 else {"scheduler": "synchronous"}
    with _Bar(label, len(tasks)):
        dask.compute(*tasks, **scheduler)


class _Bar(Callback):
    """A progress bar over the tasks of a local dask scheduler, shown once they have taken two seconds."""

    def __init__(self, label: str, total: int):
        super().__init__(posttask=self._advance)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task(label, total=total)
        self._shown_from = time.monotonic() + 2

    def __exit__(self, *args: object) -> None:
        self._progress.stop()
        super().__exit__(*args)

    def _advance(self, *_: object) -> None:
        self._progress.advance(self._task)
        if time.monotonic() > self._shown_from:
            self._progress.start()


def _is_same(path: Path, attrs: dict) -> bool:
    """Whether the store at `path` was made from the same events in the same way.

    Raises:
        InputError: when what is at `path` is no store, and so must not be replaced.
    """
    found = zarr.open(path, mode="r").attrs if (path / "zarr.json").is_file() else {}
    if found.get("schema") != store.SCHEMA:
        raise InputError(f"{path} exists and is not an archive store", remedy="choose another path")
    return all(found.get(name) == attrs[name] for name in _IDENTITY)


def _begin(building: Path, events: Sequence[store.Event], side: int, pixel_m: float, attrs: dict) -> None:
    """Make the folder that the store grows in, unless an earlier run of the same plan left one."""
    growing = building / "store"
    if growing.exists() and _is_same(growing, attrs):
        return
    shutil.rmtree(building, ignore_errors=True)
    (building / "done").mkdir(parents=True)
    store.create(building / "new", events, side=side, pixel_m=pixel_m, attrs=attrs)
    (building / "new").rename(growing)


def _mark(building: Path, start: int) -> Path:
    return building / "done" / f"{start}.npy"


def _write_shard(building: Path, read: Reader, shard: tuple[int, Sequence[store.Event]]) -> None:
    start, events = shard
    counts = read(events)
    zarr.open_array(building / "store" / "vil", mode="r+")[start : start + len(events)] = counts
    for path in (building / "store" / "vil" / "c" / str(start // store.SHARD_EVENTS)).rglob("*"):
        _to_disk(path)
    mark = _mark(building, start)
    written = mark.with_suffix(".tmp")
    with written.open("wb") as file:
        np.save(file, (counts == MISSING).mean(axis=(2, 3), dtype="float32"))
    _to_disk(written)
    written.rename(mark)


def _to_disk(path: Path) -> None:
    """Have the operating system write a file out, so that a mark never outlives a power cut that its data did not."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _finish(building: Path, path: Path, starts: Sequence[int]) -> None:
    """Move the complete store to its place, instead of what may be there."""
    fractions = np.concatenate([np.load(_mark(building, start)) for start in starts])
    zarr.open_array(building / "store" / "missing_fraction", mode="r+")[:] = fractions
    if path.exists():
        path.rename(building / "replaced")
    (building / "store").rename(path)
    shutil.rmtree(building)
