"""A plan: the events of a store, how to read them, and the parts of the source that are not taken.

Every reader makes one of these (`pipelines.sevir`, `pipelines.radar`, `pipelines.video`), `pipelines.building.prepare`
makes its store. A new reader is a list of events and a function that reads some of them.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.store.kind import RADAR, VIDEO
from pipelines.store.protocol import Protocol
from pipelines.store.schema import Event, attributes

_LISTED = 10

Reader = Callable[[Sequence[Any]], np.ndarray]


@dataclass(frozen=True)
class LeftOut:
    """A part of the source that is not taken, or that cannot be read, and why.

    Attributes:
        id: Name of the part; empty where the reason gives it.
        reason: Why.
    """

    id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.id}: {self.reason}" if self.id else self.reason


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The events of a store and how to read them; `str` describes the plan in a few lines.

    Attributes:
        title: One line that describes the events.
        events: The events of the store, in order.
        read: Reads some of them: uint8 with the store's dims, values above the kind's data_range missing. Raises
            InputError where it cannot, PartlyReadError where it can in part, and is then asked for one event at a time.
            Must be picklable.
        rules: The protocol of the store, which gives its grid, reducer and cadence.
        files: Name and bytes of each source file; None where it is absent.
        left_out: Parts of the source that are not taken.
        source: Noun for a part of the source, in the singular.
        faults: Parts that are taken and cannot be read.
        notes: More lines for the reader of the plan.
        pixel_m: Metres along a side of a pixel; of a video 1.
        channels: Names of the channels of a video; none for radar.
        attrs: More attributes of the store.
    """

    title: str
    events: tuple[Any, ...]
    read: Reader
    rules: Protocol
    files: tuple[tuple[str, int | None], ...]
    left_out: tuple[LeftOut, ...] = ()
    source: str = "file"
    faults: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    pixel_m: float = 1.0
    channels: tuple[str, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        rules, frames, lines = self.rules, len(self.events[0].offsets), [f"plan: {self.title}", *self.notes]
        windows = max(0, (frames - rules.history - rules.lead) // rules.stride + 1)
        lines.append(f"  protocol {rules.name}: {rules.reducer} to {rules.grid} x {rules.grid} pixels")
        for split, count in splits(self.events).items():
            events, shown = counted(count, "event"), counted(count * windows, "window")
            lines.append(f"  {split}: {events}, {shown} of {rules.history} -> {rules.lead} frames")
        if not windows:
            lines.append(f"  too short to score: {counted(frames, 'frame')}, {rules.history + rules.lead} needed")
        left_out = listed(f"left out of the {self.source}s", self.left_out)
        return "\n".join(lines + listed("cannot be read", self.faults) + left_out)

    def attributes(self) -> dict[str, Any]:
        """The attributes of the store."""
        sizes = [f"{name} absent" if size is None else f"{name} {size} bytes" for name, size in self.files]
        made = attributes(
            self.events,
            protocol=self.rules.name,
            reducer=self.rules.reducer,
            cadence_minutes=self.rules.cadence_minutes,
            source_files=sizes,
            kind=VIDEO if self.channels else RADAR,
        )
        return made | {"left_out": [str(part) for part in self.left_out]} | dict(self.attrs)


def splits(events: Sequence[Event]) -> dict[str, int]:
    """How many events each split has."""
    return dict(Counter(event.split for event in events))


def counted(number: int, noun: str) -> str:
    """A number of things: "1 file", "2 files"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def amount(files: Sequence[tuple[str, int | None]], noun: str = "file") -> str:
    """How many files there are and how large they are together: "12 files (0.7 MB)"."""
    size = sum(size or 0 for _, size in files)
    unit, divisor = ("GB", 1e9) if size >= 1e8 else ("MB", 1e6)
    return f"{counted(len(files), noun)} ({size / divisor:.1f} {unit})"


def listed(title: str, parts: Sequence[LeftOut]) -> list[str]:
    """Lines that say what was left out, by reason; none where nothing was."""
    by_reason: dict[str, list[str]] = {}
    for part in parts:
        by_reason.setdefault(part.reason, []).append(part.id)
    lines = [f"{title}: {len(parts)}"] if parts else []
    for reason, ids in list(by_reason.items())[:_LISTED]:
        names = ", ".join(filter(None, ids[:_LISTED]))
        more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
        lines.append(f"  {reason}: {names}{more}" if names else f"  {reason}")
    return lines + [f"  and {len(by_reason) - _LISTED} more reasons"] * (len(by_reason) > _LISTED)
