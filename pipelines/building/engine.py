"""Builds a store on dask, shard by shard: resumable, and at its place whole or not at all.

A store grows in `.NAME.partial` beside its place. A task reads the events of one shard, writes that shard and then
leaves a mark that it is done, with the missing fractions of its events; a run after a kill skips marked shards. When
all are marked the store is moved to its place. No two tasks write one object, and no two runs one store.

An event that cannot be read costs nothing else: it stays wholly missing and is listed in `rejects.jsonl` in the store;
of one that is read from several files only the frames of those that cannot be read are missing.
A later run of the same plan reads only such events again, in place: each object of a store is replaced in one step,
and the list is written last, so that a reader never meets half an object and a run after a kill does all of it again.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numcodecs.blosc
import numpy as np
import zarr

from pipelines.building.plan import Plan, Reader
from pipelines.building.workers import run
from pipelines.errors import InputError
from pipelines.store import schema as store
from pipelines.store.reading import readable
from pipelines.store.rejects import PartlyReadError, Reject, read_rejects, write_rejects
from pipelines.store.whole import clear_when_full, exclusive, replacing, to_disk

log = logging.getLogger(__name__)

# Several threads would write the blocks of a chunk in the order in which they finish, and no two runs the same bytes.
numcodecs.blosc.use_threads = False

_IDENTITY = ("schema", "schema_version", "protocol", "reducer", "cadence_minutes", "event_list_hash")


@dataclass(frozen=True)
class _Shard:
    """A task: the events of one shard, from number `start` of the store on, and which of them are to be read."""

    start: int
    events: Sequence[Any]
    todo: tuple[int, ...]


def build(path: Path, plan: Plan, *, workers: int = 1, scheduler: str | None = None, overwrite: bool = False) -> int:
    """Build the store of a plan at `path`; a run that was stopped is resumed.

    Args:
        path: Where the store will appear.
        plan: Its events and how they are read.
        workers: Processes.
        scheduler: Address of a dask scheduler whose workers, on the same file system, do the work instead.
        overwrite: Replace the store that is at `path`.

    Returns:
        Events written by this run; 0 when the same store was there already. `rejects.read_rejects(path)` gives those
        that could not be read.

    Raises:
        InputError: when something else is at `path`, or a store of another plan and `overwrite` is false; when another
            command is writing it; when no event can be read; when the disk is full.
    """
    building, events, attrs = path.with_name(f".{path.name}.partial"), plan.events, plan.attributes()
    with exclusive(path), clear_when_full(path, "free some and run again: what is written already is kept"):
        mending = path.exists() and not _may_be_replaced(path, attrs, overwrite)
        root = path if mending else building / "store"
        shards = _to_mend(path, building, events) if mending else _to_build(building, plan, attrs)
        if mending and not shards:
            log.info("%s is up to date: %d events", path, len(events))
            return 0
        for unfinished in root.rglob("*.partial*"):
            unfinished.unlink()
        write = partial(_write_shard, root, building / "done", plan.read)
        run(write, shards, workers=workers, scheduler=scheduler, label=f"writing {path.name}")
        rejects = _finish(building, root, path, events, attrs)
    asked = {shard.events[number].id for shard in shards for number in shard.todo}
    return len(asked - {reject.event for reject in rejects})


def _to_mend(path: Path, building: Path, events: Sequence[store.Event]) -> list[_Shard]:
    """The shards with events that an earlier run could not read, with a folder for their marks."""
    rejected = {reject.event for reject in read_rejects(path)}
    shards = _shards(events, [number for number, event in enumerate(events) if event.id in rejected])
    if shards or not (building / "store").exists():  # else a run of another plan is unfinished beside this store
        shutil.rmtree(building, ignore_errors=True)
    if shards:
        (building / "done").mkdir(parents=True)
    return shards


def _to_build(building: Path, plan: Plan, attrs: dict) -> list[_Shard]:
    """The shards that are not done, in the folder that the store grows in, which an earlier run may have left."""
    growing = building / "store"
    left = [reject for mark in _marks(building) for reject in _read_mark(mark)[1]]
    if not (growing.exists() and _is_same(growing, attrs, left)):
        shutil.rmtree(building, ignore_errors=True)
        (building / "done").mkdir(parents=True)
        store.create(
            building / "new",
            plan.events,
            side=plan.rules.grid,
            pixel_m=plan.pixel_m,
            channels=plan.channels,
            attrs=attrs,
        )
        (building / "new").rename(growing)
    return _unmarked_shards(building, plan.events)


def _may_be_replaced(path: Path, attrs: dict, overwrite: bool) -> bool:
    """Whether what is at `path` is to be built anew; else it is the same store.

    Raises:
        InputError: when it is another store and `overwrite` is false, or no store.
    """
    same = _is_same(path, attrs, read_rejects(path))
    if not same and not overwrite:
        raise InputError(f"{path} holds other events or was made otherwise", remedy="say --overwrite to replace it")
    return overwrite


def _is_same(path: Path, attrs: dict, rejects: Sequence[Reject]) -> bool:
    """Whether the store at `path` was made from the same events in the same way, files of rejects aside.

    Raises:
        InputError: when what is at `path` is no store, and so must not be replaced.
    """
    with readable(path):
        found = zarr.open(path, mode="r").attrs if (path / "zarr.json").is_file() else {}
    if found.get("schema") != store.SCHEMA:
        raise InputError(f"{path} exists and is not an archive store", remedy="choose another path")
    mended = tuple(f"{reject.file} " for reject in rejects)

    def files(source_files: Any) -> set[str]:
        return {line for line in source_files if not line.startswith(mended)}

    same_files = files(found.get("source_files", [])) == files(attrs["source_files"])
    return same_files and all(found.get(name) == attrs[name] for name in _IDENTITY)


def _unmarked_shards(building: Path, events: Sequence[store.Event]) -> list[_Shard]:
    """The shards that an unfinished run left to do, or could not read all of."""
    todo: list[int] = []
    for start in range(0, len(events), store.SHARD_EVENTS):
        mark = _mark(building / "done", start)
        shard = range(start, min(start + store.SHARD_EVENTS, len(events)))
        rejected = {reject.event for reject in _read_mark(mark)[1]} if mark.exists() else None
        todo += [number for number in shard if rejected is None or events[number].id in rejected]
    if len(todo) < len(events):
        log.info("resuming %s: %d of %d events are done", building, len(events) - len(todo), len(events))
    return _shards(events, todo)


def _shards(events: Sequence[store.Event], todo: Sequence[int]) -> list[_Shard]:
    starts = sorted({number - number % store.SHARD_EVENTS for number in todo})
    ends = [start + store.SHARD_EVENTS for start in starts]
    return [
        _Shard(start, events[start:end], tuple(number - start for number in todo if start <= number < end))
        for start, end in zip(starts, ends, strict=True)
    ]


def _mark(done: Path, start: int) -> Path:
    return done / f"{start}.json"


def _marks(building: Path) -> list[Path]:
    return sorted((building / "done").glob("[0-9]*.json"), key=lambda mark: int(mark.stem))


def _read_mark(mark: Path) -> tuple[np.ndarray, list[Reject]]:
    """Missing fractions with shape (event, frame), and rejects, of a shard that is done."""
    content = json.loads(mark.read_text())
    return np.array(content["missing_fraction"], "float32"), [Reject(**reject) for reject in content["rejects"]]


def _write_shard(root: Path, done: Path, read: Reader, shard: _Shard) -> None:
    # Else zarr compares every chunk with the fill value, which takes as long as compressing it.
    pixels = store.open_pixels(root, "r+")
    array = pixels.array.with_config({"write_empty_chunks": True})
    place = slice(shard.start, shard.start + len(shard.events))
    counts, rejects = _read_together(read, shard) or _read_one_by_one(read, shard, pixels[place])
    array[place] = counts
    for path in (root / array.basename / "c" / str(shard.start // store.SHARD_EVENTS)).rglob("*"):
        to_disk(path)
    top = store.data_range(zarr.open_group(root, mode="r").attrs)
    missing = np.array([[np.count_nonzero(frame > top) / frame.size for frame in event] for event in counts])
    unread = {reject.event for reject in rejects if not reject.partly}
    missing[[event.id in unread for event in shard.events]] = 1
    content = {"missing_fraction": missing.tolist(), "rejects": [asdict(reject) for reject in rejects]}
    with replacing(_mark(done, shard.start)) as growing:
        growing.write_text(json.dumps(content))


def _read_together(read: Reader, shard: _Shard) -> tuple[np.ndarray, list[Reject]] | None:
    """The counts of a shard of which all is to be read and can be, else None: at one go, to open each file once."""
    if len(shard.todo) < len(shard.events):
        return None
    try:
        return read(shard.events), []
    except InputError:
        return None


def _read_one_by_one(read: Reader, shard: _Shard, counts: np.ndarray) -> tuple[np.ndarray, list[Reject]]:
    """The counts as they are, with what is to be read and can be filled in, and what cannot."""
    rejects = []
    for number in shard.todo:
        event = shard.events[number]
        try:
            counts[number] = read([event])[0]
        except PartlyReadError as error:
            counts[number] = error.pixels
            rejects += [Reject(event.id, file, reason, partly=True) for file, reason in error.faults.items()]
        except InputError as error:
            rejects.append(Reject(event.id, getattr(event, "file", ""), str(error)))
    return counts, rejects


def _finish(building: Path, root: Path, path: Path, events: Sequence[store.Event], attrs: dict) -> list[Reject]:
    """Complete the store at `root` from the marks, and move it to its place, instead of what may be there.

    Returns:
        Its rejects.
    """
    fractions = zarr.open_array(root / "missing_fraction", mode="r+")
    values = np.asarray(fractions[:])
    rejects: list[Reject] = []
    for mark in _marks(building):
        missing, rejected = _read_mark(mark)
        start = int(mark.stem)
        values[start : start + len(missing)] = missing
        rejects += rejected
    if rejects and (values >= 1).all():
        shutil.rmtree(building)
        raise InputError("no event can be read", got=rejects[0].reason)
    fractions[:] = values
    group = zarr.open_group(root, mode="r+")
    if group.attrs["source_files"] != attrs["source_files"]:
        group.attrs["source_files"] = attrs["source_files"]
    write_rejects(root, rejects)
    if root != path:
        if path.exists():
            path.rename(building / "replaced")
        root.rename(path)
    shutil.rmtree(building)
    return rejects
