"""A catalog to a checked plan: which events will be taken, from where in which file, and why not the others.

Everything is checked before anything is written, in three degrees.

- A row that is unfit by itself (a repeated id, another cadence, too many missing pixels, a time that cannot be read)
  is left out and listed: without it the plan is another plan. It ends the run where just that event was asked for.
- A row that points at nothing (no such file, a file that cannot be opened, no such index) is a fault: catalog and
  archive do not belong together, or the archive is not all there. It ends the run before anything is written, unless
  `skip_bad` is given: then the event keeps its place in the store, wholly missing, and is listed among the rejects.
- A file_name that leaves the archive always ends the run.

Damage that shows only in reading (a damaged chunk) is not seen by the plan: the events concerned become rejects (see
pipelines.building.engine).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from pipelines.building.plan import LeftOut, Plan, amount, counted
from pipelines.errors import InputError
from pipelines.sevir.archive import Archive
from pipelines.sevir.read import PlannedEvent, read_events
from pipelines.sevir.rows import Usual, choose, lacking, one_row_an_event, unfit, with_offsets
from pipelines.store import geo
from pipelines.store.progress import progress
from pipelines.store.protocol import Protocol


def make_plan(
    rows: pd.DataFrame,
    archive: Archive,
    protocol: Protocol,
    *,
    side: int,
    events: Collection[str] | None = None,
    limit: int | None = None,
    max_missing: float | None = None,
    skip_bad: bool = False,
) -> Plan:
    """Decide what to take, and check that it can be read.

    Args:
        rows: See `catalog.read_catalog`.
        archive: Its files.
        protocol: Gives cadence and splits.
        side: Pixels along a side of an archive event.
        events: Ids to take; all by default.
        limit: Take the first `limit` events only.
        max_missing: Leave out events with a larger share of missing pixels, by the catalog.
        skip_bad: Give events that cannot be read a fault instead of raising.

    Raises:
        InputError: when a row points at what is not there or cannot be read, or nothing remains to be taken.
    """
    splits = protocol.splits(row["id"] for row in rows.to_dict("records") if not lacking(row, protocol.image_types))
    if events is not None:
        rows = choose(rows, events)
    rows, left_out = one_row_an_event(rows)
    rows = with_offsets(rows, protocol.cadence_minutes)
    usual = Usual.of(rows, side)
    taken = []
    for row in rows.to_dict("records"):
        reason = unfit(row, usual, protocol, max_missing)
        if reason:
            left_out.append(LeftOut(row["id"], reason))
        else:
            taken.append(_planned(row, protocol, splits))
    lost = [row for row in left_out if row.id not in {event.id for event in taken}]
    if events is not None and lost and not skip_bad:
        raise InputError(f"event {lost[0].id} cannot be taken", got=lost[0].reason, remedy="take it out of the events")
    taken = sorted(taken, key=lambda event: (event.time, event.id))[:limit]
    if not taken:
        raise InputError("no event to take", got=f"{len(left_out)} left out", remedy=_summary(left_out) or None)
    checked, files = _check_files(taken, archive, side)
    faults = [event.fault for event in checked if event.fault]
    if faults and (len(faults) == len(checked) or not skip_bad):
        others = f" (and {len(faults) - 1} more events like it)" if len(faults) > 1 else ""
        raise InputError(f"{faults[0]}{others}", remedy="or say --skip-bad to go on without its events")
    checked = [replace(event, offsets=event.offsets[: protocol.frames]) for event in checked]
    return _described(tuple(checked), tuple(left_out), files, archive, protocol, protocol.factor * usual.pixel_m)


def _described(
    events: tuple[PlannedEvent, ...],
    left_out: tuple[LeftOut, ...],
    files: tuple[tuple[str, int | None], ...],
    archive: Archive,
    protocol: Protocol,
    pixel_m: float,
) -> Plan:
    return Plan(
        title=f"{counted(len(events), 'event')} of {counted(len(events[0].offsets), 'frame')} every "
        f"{protocol.cadence_minutes:g} minutes, {protocol.grid} x {protocol.grid} pixels ({pixel_m / 1000:g} km), from "
        f"{amount(files)}",
        events=events,
        read=partial(read_events, archive, protocol.reducer),
        rules=protocol,
        files=files,
        left_out=left_out,
        source="catalog row",
        faults=tuple(LeftOut(event.id, event.fault) for event in events if event.fault),
        pixel_m=pixel_m,
    )


def _planned(row: dict, protocol: Protocol, splits: Mapping[str, str]) -> PlannedEvent:
    time = row["time_utc"].to_pydatetime()
    proj = row["proj"] or geo.SEVIR_PROJ
    corner_x, corner_y = geo.corner(proj, row["llcrnrlat"], row["llcrnrlon"])
    return PlannedEvent(
        id=row["id"],
        time=time,
        offsets=row["offsets"],
        proj=proj,
        corner_x=corner_x,
        corner_y=corner_y,
        split=splits[row["id"]] if splits else protocol.split(time),
        event_type=row["event_type"],
        file=row["file_name"],
        index=int(row["file_index"]),
        step=row["step"],
    )


def _summary(left_out: Iterable[LeftOut]) -> str:
    reasons = Counter(row.reason for row in left_out)
    return "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))


def _check_files(
    events: Sequence[PlannedEvent], archive: Archive, side: int
) -> tuple[list[PlannedEvent], tuple[tuple[str, int | None], ...]]:
    """Open every file once and check what the plan says about it.

    Returns:
        The events, with a fault where they cannot be read, and name and bytes of each file.
    """
    by_file: dict[str, list[PlannedEvent]] = {}
    for event in events:
        by_file.setdefault(event.file, []).append(event)
    files: list[tuple[str, int | None]] = []
    faults: dict[str, str] = {}
    with progress("checking files", len(by_file)) as advance:
        for name, members in sorted(by_file.items()):
            archive.check_name(name, members[0].id)
            size = None
            try:
                size = archive.size(name)
                faults |= _check_file(archive, name, members, side)
            except InputError as error:
                faults |= {event.id: f"event {event.id}: {error}" for event in members}
            files.append((name, size))
            advance()
    return [replace(event, fault=faults.get(event.id, "")) for event in events], tuple(files)


def _check_file(archive: Archive, name: str, events: Sequence[PlannedEvent], side: int) -> dict[str, str]:
    """The faults of events of a file, by event.

    Raises:
        InputError: when it is the file that is wrong.
    """

    def look() -> tuple[np.ndarray, tuple[int, ...], np.dtype]:
        with archive.hdf5(name) as file:
            return file["id"].asstr()[:], file["vil"].shape, file["vil"].dtype

    path = f"{archive.root}/{name}"
    try:
        ids, shape, dtype = archive.trying(look)
    except MemoryError:
        raise
    except Exception as error:  # HDF5 has many exceptions for damaged files
        raise InputError(
            f"{path} cannot be read", got=error, expected="HDF5 with id and vil", remedy="fetch it anew"
        ) from error
    if dtype != np.uint8 or len(shape) != 4 or shape[:3] != (len(ids), side, side):
        expected = f"uint8 ({len(ids)}, {side}, {side}, frames)"
        raise InputError(f"{path}: vil has the wrong shape or type", got=f"{dtype} {shape}", expected=expected)
    found = {event.id: _mismatch(event, name, ids, shape[3]) for event in events}
    return {event: f"event {event}: {problem}" for event, problem in found.items() if problem}


def _mismatch(event: PlannedEvent, name: str, ids: np.ndarray, frames: int) -> InputError | None:
    if not 0 <= event.index < len(ids):
        return InputError(f"file_index out of range in {name}", got=event.index, expected=f"0 to {len(ids) - 1}")
    if ids[event.index] != event.id:
        what = f"{name} holds another event at index {event.index}"
        return InputError(what, got=ids[event.index], remedy="use the catalog that belongs to these files")
    if -(-frames // event.step) != len(event.offsets):
        what = f"the catalog lists another number of frames than {name} holds"
        return InputError(what, got=len(event.offsets), expected=-(-frames // event.step))
    return None
