"""CATALOG.csv to a checked plan: which events will be taken, from where in which file, and why not the others.

A row that is unfit by itself (a repeated id, another cadence, a time that cannot be read) is left out and listed. A row
that points at nothing (no such file, no such index) is an error, since then catalog and archive do not belong
together. Everything is checked before anything is written.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from pipelines import geo
from pipelines.errors import InputError
from pipelines.protocol import Protocol
from pipelines.store import Event

log = logging.getLogger(__name__)

COLUMNS = (
    "id",
    "file_name",
    "file_index",
    "img_type",
    "time_utc",
    "minute_offsets",
    "event_type",
    "llcrnrlat",
    "llcrnrlon",
    "proj",
    "size_x",
    "width_m",
)
_NUMBERS = ("file_index", "llcrnrlat", "llcrnrlon", "size_x", "width_m")


@dataclass(frozen=True, kw_only=True)
class PlannedEvent(Event):
    """An event and where its pixels are: `vil[index]` of `file`, a name below the data folder."""

    file: str
    index: int


@dataclass(frozen=True)
class LeftOut:
    """A row of the catalog that is not taken, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What will be read.

    Attributes:
        events: In order of time, then id.
        left_out: Rows not taken.
        pixel_m: Metres along a side of an archive pixel.
        files: Name and bytes of each source file.
    """

    events: tuple[PlannedEvent, ...]
    left_out: tuple[LeftOut, ...]
    pixel_m: float
    files: tuple[tuple[str, int], ...]


def read_catalog(path: Path) -> pd.DataFrame:
    """The VIL rows of a catalog, with `COLUMNS`; a value that cannot be read is NaN or NaT.

    Raises:
        InputError: when there is no such file, it is not CSV, or it lacks a column or any VIL row.
    """
    if not path.is_file():
        raise InputError(f"no catalog at {path}", expected="a folder with CATALOG.csv", remedy="or say --catalog CSV")
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise InputError(f"{path} is not a CSV table", got=error) from error
    absent = [name for name in COLUMNS if name not in rows]
    if absent:
        raise InputError(f"{path} lacks columns", got=f"no {', '.join(absent)}", expected=", ".join(COLUMNS))
    rows = rows.loc[rows["img_type"] == "vil", list(COLUMNS)].reset_index(drop=True)
    if rows.empty:
        raise InputError(f"{path} has no row of img_type vil")
    times = pd.to_datetime(rows["time_utc"], format="ISO8601", errors="coerce", utc=True)
    rows["time_utc"] = times.dt.tz_localize(None)
    for name in _NUMBERS:
        rows[name] = pd.to_numeric(rows[name], errors="coerce")
    lost = rows["proj"] == ""
    if lost.any():
        log.warning("%s: %d rows without a projection, taken to be in SEVIR's", path, lost.sum())
        rows.loc[lost, "proj"] = geo.SEVIR_PROJ
    return rows


def make_plan(
    rows: pd.DataFrame,
    data: Path,
    protocol: Protocol,
    *,
    side: int,
    events: Collection[str] | None = None,
    limit: int | None = None,
) -> Plan:
    """Decide what to take, and check that it can be read.

    Args:
        rows: See `read_catalog`.
        data: Folder that the file names of the catalog start from.
        protocol: Gives cadence and splits.
        side: Pixels along a side of an archive event.
        events: Ids to take; all by default.
        limit: Take the first so many only.

    Raises:
        InputError: when a row points at what is not there or cannot be read, or nothing remains to be taken.
    """
    if events is not None:
        rows = _choose(rows, events)
    rows, left_out = _one_row_an_event(rows)
    taken = []
    for row in rows.to_dict("records"):
        offsets = _offsets(row["minute_offsets"])
        reason = _unfit(row, offsets, protocol.cadence_minutes)
        if reason:
            left_out.append(LeftOut(row["id"], reason))
        else:
            taken.append(_planned(row, offsets, protocol))
    taken = sorted(taken, key=lambda event: (event.time, event.id))[:limit]
    for one in left_out:
        log.warning("left out %s: %s", one.id, one.reason)
    if not taken:
        raise InputError("no event to take", got=f"{len(left_out)} left out", remedy=_summary(left_out) or None)
    pixel_m = _pixel_size(rows[rows["id"].isin({event.id for event in taken})])
    return Plan(tuple(taken), tuple(left_out), pixel_m, _check_files(taken, data, side))


def _choose(rows: pd.DataFrame, events: Collection[str]) -> pd.DataFrame:
    unknown = sorted(set(events) - set(rows["id"]))
    if unknown:
        raise InputError(
            f"the catalog has no VIL event {', '.join(unknown)}", expected=f"an id such as {rows['id'].iloc[0]}"
        )
    return rows[rows["id"].isin(set(events))]


def _one_row_an_event(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[LeftOut]]:
    """One row an id: of equal rows the first; of rows that differ none, since nothing says which is right."""
    repeated = rows.duplicated()
    left_out = [LeftOut(id_, "a repeated row, equal to the one taken") for id_ in rows.loc[repeated, "id"]]
    rows = rows[~repeated]
    conflicting = rows["id"].duplicated(keep=False)
    for row in rows[conflicting].to_dict("records"):
        place = f"{row['file_name']}[{row['file_index']:g}]"
        left_out.append(LeftOut(row["id"], f"one of several differing rows of this id, at {place}"))
    return rows[~conflicting], left_out


def _offsets(text: str) -> tuple[int, ...]:
    """Seconds from the reference time to each frame; empty when they cannot be read."""
    try:
        return tuple(round(60 * float(minutes)) for minutes in text.split(":"))
    except ValueError:
        return ()


def _unfit(row: dict, offsets: tuple[int, ...], cadence_minutes: float) -> str | None:
    """Why this row cannot be taken, judged by itself."""
    if pd.isna(row["time_utc"]):
        return "its time_utc cannot be read"
    if len(offsets) < 2:
        return "its minute_offsets cannot be read"
    if set(np.diff(offsets)) != {round(60 * cadence_minutes)}:
        steps = ", ".join(f"{step / 60:g}" for step in sorted(set(np.diff(offsets))))
        return f"frames every {steps} minutes, not every {cadence_minutes:g}"
    unread = [name for name in _NUMBERS if not np.isfinite(row[name])]
    if unread:
        return f"its {', '.join(unread)} cannot be read"
    return None


def _planned(row: dict, offsets: tuple[int, ...], protocol: Protocol) -> PlannedEvent:
    time = row["time_utc"].to_pydatetime()
    corner_x, corner_y = geo.corner(row["proj"], row["llcrnrlat"], row["llcrnrlon"])
    return PlannedEvent(
        id=row["id"],
        time=time,
        offsets=offsets,
        proj=row["proj"],
        corner_x=corner_x,
        corner_y=corner_y,
        split=protocol.split(time),
        event_type=row["event_type"],
        file=row["file_name"],
        index=int(row["file_index"]),
    )


def _pixel_size(rows: pd.DataFrame) -> float:
    """Metres along a side of a pixel, to the metre: SEVIR's 1000, within the rounding of corners from other maps."""
    sizes = rows["width_m"] / rows["size_x"]
    typical = float(sizes.median())
    odd = rows[(sizes / typical - 1).abs() > 0.01]
    if len(odd):
        raise InputError(
            f"event {odd['id'].iloc[0]} has pixels of another size", expected=f"{typical:g} m as in the others"
        )
    return float(round(typical))


def _summary(left_out: Iterable[LeftOut]) -> str:
    reasons = Counter(row.reason for row in left_out)
    return "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))


def _check_files(events: Sequence[PlannedEvent], data: Path, side: int) -> tuple[tuple[str, int], ...]:
    """Open every file once and check what the plan says about it; gives the names and sizes of the files."""
    by_file: dict[str, list[PlannedEvent]] = {}
    for event in events:
        by_file.setdefault(event.file, []).append(event)
    files = []
    for name, members in sorted(by_file.items()):
        path = below(data, name, members[0].id)
        _check_file(path, members, side)
        files.append((name, path.stat().st_size))
    return tuple(files)


def below(data: Path, name: str, event: str) -> Path:
    """Path of the file `name` of a catalog, which is untrusted input: it must stay below the data folder.

    Raises:
        InputError: when it does not, by .., as an absolute path or through a link, or when there is no such file.
    """
    path = (data / name).resolve()
    if not path.is_relative_to(data.resolve()):
        raise InputError(f"event {event}: file_name {name!r} leaves the archive", expected=f"a file below {data}")
    if not path.is_file():
        raise InputError(
            f"event {event}: no file {data / name}", remedy="fetch it, or take its rows out of the catalog"
        )
    return path


def _check_file(path: Path, events: Sequence[PlannedEvent], side: int) -> None:
    try:
        with h5py.File(path) as file:
            ids, vil = file["id"].asstr()[:], file["vil"]
            shape, dtype = vil.shape, vil.dtype
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} cannot be read", got=error, expected="HDF5 with id and vil", remedy="fetch it anew"
        ) from error
    frames = len(events[0].offsets)
    expected = f"uint8 ({len(ids)}, {side}, {side}, {frames})"
    if dtype != np.uint8 or shape != (len(ids), side, side, frames):
        raise InputError(f"{path}: vil has the wrong shape or type", got=f"{dtype} {shape}", expected=expected)
    for event in events:
        if not 0 <= event.index < len(ids):
            what = f"event {event.id}: file_index out of range in {path.name}"
            raise InputError(what, got=event.index, expected=f"0 to {len(ids) - 1}")
        if ids[event.index] != event.id:
            what = f"event {event.id}: {path.name} holds another event at index {event.index}"
            raise InputError(what, got=ids[event.index], remedy="use the catalog that belongs to these files")
        if len(event.offsets) != frames:
            what = f"event {event.id}: the catalog lists another number of frames than {path.name} holds"
            raise InputError(what, got=len(event.offsets), expected=frames)
