"""A catalog to a checked plan: which events will be taken, from where in which file, and why not the others.

Everything is checked before anything is written, in three degrees.

- A row that is unfit by itself (a repeated id, another cadence, too many missing pixels, a time that cannot be read)
  is left out and listed: without it the plan is another plan. It ends the run where just that event was asked for.
- A row that points at nothing (no such file, a file that cannot be opened, no such index) is a fault: catalog and
  archive do not belong together, or the archive is not all there. It ends the run before anything is written, unless
  `skip_bad` is given: then the event keeps its place in the store, wholly missing, and is listed among the rejects.
- A file_name that leaves the archive always ends the run.

What a file turns out to hold only when it is read (a damaged chunk) is no matter of the plan: it always costs its
events only (see pipelines.building.engine).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipelines.building.workers import progress
from pipelines.errors import InputError
from pipelines.sevir.archive import Archive
from pipelines.sevir.rows import LeftOut, Usual, choose, one_row_an_event, unfit, with_offsets
from pipelines.store import geo
from pipelines.store.protocol import Protocol
from pipelines.store.schema import Event

_LISTED_IDS = 10


@dataclass(frozen=True, kw_only=True)
class PlannedEvent(Event):
    """An event and where its pixels are: `vil[index]` of `file`, a name below the data folder.

    Attributes:
        file: Name of its file.
        index: Its place in the file.
        step: Every so many-th frame of the file is taken.
        fault: Why it cannot be read; empty when it can.
    """

    file: str
    index: int
    step: int = 1
    fault: str = ""


@dataclass(frozen=True)
class Plan:
    """What will be read.

    Attributes:
        events: In order of time, then id.
        left_out: Rows not taken.
        pixel_m: Metres along a side of an archive pixel.
        files: Name and bytes of each source file; None where it is absent.
    """

    events: tuple[PlannedEvent, ...]
    left_out: tuple[LeftOut, ...]
    pixel_m: float
    files: tuple[tuple[str, int | None], ...]

    def describe(self, protocol: Protocol) -> str:
        """The plan in a few lines: events and windows of each split, and what is not taken and why."""
        frames = len(self.events[0].offsets)
        windows = max(0, (frames - protocol.history - protocol.lead) // protocol.stride + 1)
        size = sum(size or 0 for _, size in self.files) / 1e9
        lines = [
            f"plan: {len(self.events)} events of {frames} frames from {len(self.files)} files ({size:.2f} GB), "
            f"protocol {protocol.name}: {protocol.reducer} to {protocol.grid} x {protocol.grid}"
        ]
        for split, count in Counter(event.split for event in self.events).items():
            lines.append(
                f"  {split}: {count} events, {count * windows} windows of {protocol.history} -> {protocol.lead}"
            )
        faulty = [LeftOut(event.id, event.fault) for event in self.events if event.fault]
        lines += listed("cannot be read", faulty) + listed("left out of the catalog's rows", self.left_out)
        return "\n".join(lines)


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
        limit: Take the first so many only.
        max_missing: Leave out events with a larger share of missing pixels, by the catalog.
        skip_bad: Give events that cannot be read a fault instead of raising.

    Raises:
        InputError: when a row points at what is not there or cannot be read, or nothing remains to be taken.
    """
    if events is not None:
        rows = choose(rows, events)
    rows, left_out = one_row_an_event(rows)
    rows = with_offsets(rows, protocol.cadence_minutes)
    usual = Usual.of(rows, side)
    taken = []
    for row in rows.to_dict("records"):
        reason = unfit(row, usual, protocol.cadence_minutes, max_missing)
        if reason:
            left_out.append(LeftOut(row["id"], reason))
        else:
            taken.append(_planned(row, protocol))
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
    return Plan(tuple(checked), tuple(left_out), usual.pixel_m, files)


def _planned(row: dict, protocol: Protocol) -> PlannedEvent:
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
        split=protocol.split(time),
        event_type=row["event_type"],
        file=row["file_name"],
        index=int(row["file_index"]),
        step=row["step"],
    )


def _summary(left_out: Iterable[LeftOut]) -> str:
    reasons = Counter(row.reason for row in left_out)
    return "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))


def listed(title: str, rows: Sequence[LeftOut]) -> list[str]:
    """Lines that say what was left out, by reason; none where nothing was."""
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        by_reason.setdefault(row.reason, []).append(row.id)
    lines = [f"{title}: {len(rows)}"] if rows else []
    for reason, ids in by_reason.items():
        more = f" and {len(ids) - _LISTED_IDS} more" if len(ids) > _LISTED_IDS else ""
        lines.append(f"  {reason}: {', '.join(ids[:_LISTED_IDS])}{more}")
    return lines


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
    """What is wrong with events of a file, by event.

    Raises:
        InputError: when it is the file that is wrong.
    """

    def look() -> tuple[np.ndarray, tuple[int, ...], np.dtype]:
        with archive.hdf5(name) as file:
            return file["id"].asstr()[:], file["vil"].shape, file["vil"].dtype

    path = f"{archive.root}/{name}"
    try:
        ids, shape, dtype = archive.trying(look)
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
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
