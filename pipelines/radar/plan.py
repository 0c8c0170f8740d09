"""Files of radar fields to a checked plan: series, loops, events; nothing is written.

- The files of one product are a series (see `pipelines.radar.series`). All series of a store have one cadence and one
  size of pixels.
- The cadence is the commonest step between frames (see `files.commonest_step`). A time counts as the nearest step if
  it is off by at most a quarter of one, as services' files often are by seconds.
- Frames that follow at the cadence are a sequence. Where some are lacking they are missing; where as many are lacking
  as an event has, or a time falls between the steps, another sequence begins.
- A loop is a fixed number of frames of a sequence, the last one filled with missing frames; an event is one tile of a
  loop. No frame is in two loops.
- A file that cannot be read, or is of another grid or quantity, costs its frames only: they are missing and it is
  listed among the rejects if its name says its time, else it is left out.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path

import numpy as np

from pipelines.building.plan import LeftOut, Plan, amount, counted
from pipelines.errors import InputError
from pipelines.radar.files import OFF_STEP, commonest_step, find_files
from pipelines.radar.grid import Tiling, square
from pipelines.radar.loops import Loop, RadarEvent, read_events
from pipelines.radar.series import Frame, Series, find_series, scan
from pipelines.store.paths import state_of
from pipelines.store.protocol import FACTOR, Protocol
from pipelines.store.schema import TILE
from pipelines.store.units import QUANTITIES

MAX_FRAMES = 49  # of an event by default, as SEVIR's
_SAME_PIXELS = 0.01


def make_plan(
    sources: Iterable[str | Path],
    protocol: Protocol,
    *,
    coarsen: int = 1,
    frames: int | None = None,
    limit: int | None = None,
) -> Plan:
    """Decide what to take.

    Args:
        sources: Files, and folders of files.
        protocol: Gives the splits.
        coarsen: Pixels averaged along each side.
        frames: Frames of an event; by default the longest sequence is divided evenly into at most `MAX_FRAMES` each.
        limit: Take the first `limit` events only.

    Raises:
        InputError: when there are no files, none can be read, or they do not belong into one store.
    """
    paths = find_files(sources)
    left_out: list[LeftOut] = []
    series = find_series(scan(paths), left_out)
    cadence = _cadence(series)
    tilings = {one.name: Tiling(square(one.header.grid), coarsen) for one in series}
    pixel_m = _pixel(tilings)
    sequences = [(one, found) for one in series for found in _sequences(one, cadence, frames or MAX_FRAMES, left_out)]
    longest = max(max(steps) + 1 for _, (_, steps) in sequences)
    length = min(frames, longest) if frames else ceil(longest / ceil(longest / MAX_FRAMES))
    events = [
        event
        for one, (start, steps) in sequences
        for first in range(0, max(steps) + 1, length)
        for event in _events(
            one.name,
            start + first * cadence,
            Loop(tuple(map(steps.get, range(first, first + length))), one.header.grid, one.header.quantity,
                 tilings[one.name]),
            cadence,
            protocol,
        )
    ]  # fmt: skip
    events = sorted(events, key=lambda event: (event.time, event.id))[:limit]
    reducer = {1: "none", FACTOR: "mean"}.get(coarsen, f"mean{coarsen}")
    return _described(
        events,
        files=tuple((path.name, state_of(path)[0]) for path in paths),
        left_out=tuple(left_out),
        rules=protocol.of_radar(cadence.total_seconds() / 60, reducer),
        pixel_m=pixel_m,
    )


def _described(
    events: Sequence[RadarEvent],
    *,
    files: tuple[tuple[str, int], ...],
    left_out: tuple[LeftOut, ...],
    rules: Protocol,
    pixel_m: float,
) -> Plan:
    loops = {event.loop: event for event in events}
    quantities = sorted({loop.quantity for loop in loops})
    lacking = sum(frame is None for loop in loops for frame in loop.frames)
    frames = sum(len(loop.frames) for loop in loops)
    faults = sorted({frame.fault for loop in loops for frame in loop.frames if frame and frame.fault})
    tiles = counted(len(events), "tile") if len(loops) == 1 else f"{len(events)} tiles of {len(loops)} sequences"
    times = [time for event in (events[0], events[-1]) for time in event.valid_times[[0, -1]]]
    return Plan(
        title=f"{tiles}, {TILE} x {TILE} pixels ({pixel_m / 1000:g} km), {counted(len(events[0].offsets), 'frame')} "
        f"every {rules.cadence_minutes:g} minutes, {_span(min(times), max(times))} UTC, from "
        f"{amount(files)} of {', '.join(quantities)}; "
        + (f"{lacking} of {frames} frames are missing" if lacking else "no gaps"),
        events=tuple(events),
        read=read_events,
        rules=rules,
        files=files,
        left_out=left_out,
        faults=tuple(LeftOut("", fault) for fault in faults),
        pixel_m=pixel_m,
        attrs={"counts_from": [f"{quantity}: {QUANTITIES[quantity].relation}" for quantity in quantities]},
    )


def _span(first: np.datetime64, last: np.datetime64) -> str:
    """Two times to the minute; a date that is the same is said once."""
    begin, end = (str(time.astype("datetime64[m]")).replace("T", " ") for time in (first, last))
    return f"{begin} to {end.removeprefix(begin[:11])}"


def _cadence(series: Sequence[Series]) -> timedelta:
    """The step that is commonest in each series.

    Raises:
        InputError: when there is none, or series differ.
    """
    found = {one.name: step for one in series if (step := commonest_step(one.frames))}
    if len(set(found.values())) != 1:
        every = (f"{name} every {step.total_seconds() / 60:g} minutes" for name, step in found.items())
        got = ", ".join(every) or "one time of each product"
        raise InputError("the files have no common cadence", got=got, remedy="make a store of each")
    return next(iter(found.values()))


def _pixel(tilings: dict[str, Tiling]) -> float:
    """Metres along a side of a pixel of the store, to the metre.

    Raises:
        InputError: when a grid is smaller than a tile, or series differ.
    """
    for name, tiling in tilings.items():
        if 0 in tiling.shape:
            size = f"{tiling.grid.rows // tiling.coarsen} x {tiling.grid.columns // tiling.coarsen} pixels"
            raise InputError(f"{name} does not fill a tile", got=size, expected=f"{TILE} x {TILE} or more")
    pixels = [tiling.pixel_m for tiling in tilings.values()]
    if max(pixels) / min(pixels) - 1 > _SAME_PIXELS:
        got = ", ".join(f"{name} {tiling.pixel_m:.0f} m" for name, tiling in tilings.items())
        raise InputError("the files have pixels of several sizes", got=got, remedy="make a store of each")
    return float(round(pixels[0]))


def _sequences(
    series: Series, cadence: timedelta, gap: int, left_out: list[LeftOut]
) -> Iterator[tuple[datetime, dict[int, Frame]]]:
    """Start and frames, by the number of their step, of each sequence; `gap` lacking frames end one."""
    start, steps = datetime.min, dict[int, Frame]()
    for time, frame in sorted(series.frames.items()):
        exact = (time - start) / cadence
        step = round(exact)
        if steps and abs(exact - step) <= OFF_STEP and step - max(steps) <= gap:
            if step in steps:
                left_out.append(LeftOut(Path(frame.file).name, f"a second field within a step of {cadence}, at {time}"))
            else:
                steps[step] = frame
            continue
        if steps:
            yield start, steps
        start, steps = time, {0: frame}
    yield start, steps


def _events(name: str, start: datetime, loop: Loop, cadence: timedelta, protocol: Protocol) -> Iterator[RadarEvent]:
    """One event a tile; none where the loop has no frame."""
    rows, columns = loop.tiling.shape if any(loop.frames) else (0, 0)
    offsets = tuple(round(number * cadence.total_seconds()) for number in range(len(loop.frames)))
    for row in range(rows):
        for column in range(columns):
            x, y = loop.tiling.corner(row, column)
            yield RadarEvent(
                id=f"{name}-{start:%Y%m%dT%H%M%S}-{row:02}-{column:02}",
                time=start,
                offsets=offsets,
                proj=loop.tiling.grid.proj,
                corner_x=x,
                corner_y=y,
                split=protocol.split(start),
                loop=loop,
                row=row,
                column=column,
            )
