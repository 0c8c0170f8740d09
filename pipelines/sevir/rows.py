"""Rows of a catalog judged by themselves and among each other: which cannot be taken, and why."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.building.plan import LeftOut
from pipelines.errors import InputError
from pipelines.sevir.catalog import NUMBERS
from pipelines.store import geo
from pipelines.store.protocol import Protocol


def choose(rows: pd.DataFrame, events: Collection[str]) -> pd.DataFrame:
    """The rows of these event ids.

    Raises:
        InputError: when the catalog lacks one of them.
    """
    unknown = sorted(set(events) - set(rows["id"]))
    if unknown:
        raise InputError(
            f"the catalog has no VIL event {', '.join(unknown)}", expected=f"an id such as {rows['id'].iloc[0]}"
        )
    return rows[rows["id"].isin(set(events))]


def one_row_an_event(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[LeftOut]]:
    """One row an id: of equal rows the first; of rows that differ none, since nothing says which is right."""
    repeated = rows.duplicated()
    left_out = [LeftOut(id_, "a repeated row, equal to the one taken") for id_ in rows.loc[repeated, "id"]]
    rows = rows[~repeated]
    conflicting = rows["id"].duplicated(keep=False)
    for row in rows[conflicting].to_dict("records"):
        place = f"{row['file_name']}[{row['file_index']:g}]"
        left_out.append(LeftOut(row["id"], f"one of several differing rows of this id, at {place}"))
    return rows[~conflicting], left_out


def with_offsets(rows: pd.DataFrame, cadence_minutes: float) -> pd.DataFrame:
    """The rows with columns `offsets`, the seconds from the reference time to each frame that is taken, and `step`.

    Every `step`-th frame is taken, where that gives the cadence. `offsets` is empty where it cannot be read.
    """
    seconds = [_seconds(text) for text in rows["minute_offsets"]]
    steps = [_step(offsets, cadence_minutes) for offsets in seconds]
    thinned = [offsets[::step] for offsets, step in zip(seconds, steps, strict=True)]
    return rows.assign(offsets=pd.Series(thinned, rows.index, dtype=object), step=steps)


def _seconds(text: str) -> tuple[int, ...]:
    try:
        return tuple(round(60 * float(minutes)) for minutes in text.split(":"))
    except (ValueError, OverflowError):  # nan and inf
        return ()


def _step(seconds: Sequence[int], cadence_minutes: float) -> int:
    steps = set(np.diff(seconds))
    cadence = round(60 * cadence_minutes)
    even = len(steps) == 1 and (step := steps.pop()) > 0 and cadence % step == 0
    return int(cadence // step) if even else 1


@dataclass(frozen=True)
class Usual:
    """Properties of most rows, which all must have.

    Attributes:
        side: Pixels along a side.
        frames: Frames of an event.
        pixel_m: Metres along a side of a pixel, to the metre: SEVIR's 1000, within the rounding of other maps' corners.
    """

    side: int
    frames: int
    pixel_m: float

    @classmethod
    def of(cls, rows: pd.DataFrame, side: int) -> "Usual":
        """The usual of rows from `with_offsets`."""
        frames = Counter(len(offsets) for offsets in rows["offsets"] if offsets)
        pixel_m = (rows["width_m"] / rows["size_x"]).median()
        return cls(side, max(frames, key=lambda count: (frames[count], count), default=0), float(np.round(pixel_m)))


def lacking(row: dict, image_types: Collection[str]) -> list[str]:
    """The image types that the catalog lacks of an event."""
    return [image_type for image_type in image_types if image_type not in row["image_types"].split()]


def unfit(row: dict, usual: Usual, protocol: Protocol, max_missing: float | None) -> str | None:
    """Why this row cannot be taken, judged by itself."""
    if not row["id"]:
        return "it has no id"
    if lacks := lacking(row, protocol.image_types):
        return f"the catalog has no {', '.join(lacks)} of it"
    if pd.isna(row["time_utc"]):
        return "its time_utc cannot be read"
    offsets = row["offsets"]
    if len(offsets) < 2:
        return "its minute_offsets cannot be read"
    if set(np.diff(offsets)) != {round(60 * protocol.cadence_minutes)}:
        steps = ", ".join(f"{step / 60:g}" for step in sorted(set(np.diff(offsets))))
        return f"frames every {steps} minutes, not every {protocol.cadence_minutes:g}"
    if len(offsets) != usual.frames:
        return f"{len(offsets)} frames, not {usual.frames} as most events"
    unread = [name for name in NUMBERS if not np.isfinite(row[name])]
    if unread:
        return f"its {', '.join(unread)} cannot be read"
    if row["size_x"] != usual.side:
        return f"{row['size_x']:g} pixels a side, not {usual.side}"
    if abs(row["width_m"] / row["size_x"] / usual.pixel_m - 1) > 0.01:
        return f"pixels of {row['width_m'] / row['size_x']:g} m, not {usual.pixel_m:g} m as most events"
    return _unplaced(row) or _too_much_missing(row["pct_missing"], max_missing)


def _unplaced(row: dict) -> str | None:
    """Why an event has no place on the map."""
    try:
        west, south = geo.corner(row["proj"] or geo.SEVIR_PROJ, row["llcrnrlat"], row["llcrnrlon"])
        east, north = geo.corner(row["proj"] or geo.SEVIR_PROJ, row["urcrnrlat"], row["urcrnrlon"])
    except InputError:
        return "its proj cannot be read"
    if not np.isfinite([west, south]).all():
        return "its corner is outside its map projection"
    known = np.isfinite([row["urcrnrlat"], row["urcrnrlon"]]).all()
    if not row["proj"] and known and not np.allclose([east - west, north - south], row["width_m"], rtol=0.01):
        return "its proj is lost, and its corners are not in SEVIR's"
    return None


def _too_much_missing(percent: float, max_missing: float | None) -> str | None:
    if max_missing is None or percent <= 100 * max_missing:
        return None
    return "its pct_missing cannot be read" if np.isnan(percent) else f"more than {max_missing:.2%} of it is missing"
