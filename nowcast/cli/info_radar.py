"""`nowcast info` of files of radar: what was understood of them, and what would be refused, with the reason."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np

from nowcast.forecasting.live import LENGTH, read_history
from pipelines.building.plan import LeftOut, counted, listed
from pipelines.errors import InputError
from pipelines.radar.files import commonest_step, find_files, read_values
from pipelines.radar.grid import Grid, square
from pipelines.radar.series import Frame, Series, find_series, scan
from pipelines.store.amounts import units_text
from pipelines.store.geo import projection
from pipelines.store.progress import progress
from pipelines.store.schema import TILE
from pipelines.store.units import COUNTS, MISSING, quantise

_GAPS = 5  # that are listed
_CORNERS = {"south-west": (0, 0), "south-east": (0, 1), "north-east": (1, 1), "north-west": (1, 0)}


def describe_radar(sources: Sequence[Path], *, everything: bool = False) -> str:
    """What is read of files of radar, folders and wildcards.

    Args:
        sources: Their paths.
        everything: Look at the values of all frames, not of the newest ten.

    Raises:
        InputError: when no file of radar is there, or none can be read.
    """
    files, left_out = find_files(sources), list[LeftOut]()
    lines = []
    for series in find_series(scan(files), left_out):
        name = files[0].name if len(files) == 1 else series.name
        lines += [*_series(name, series, everything)]
    return "\n".join([*lines, *listed("left out", left_out), *_forecast(sources)])


def _series(name: str, series: Series, everything: bool) -> Iterator[str]:
    frames = {time: frame for time, frame in sorted(series.frames.items()) if not frame.fault}
    faults = [LeftOut("", frame.fault) for frame in series.frames.values() if frame.fault]
    files = counted(len({frame.file for frame in frames.values()}), "file")
    yield f"radar {name}: {counted(len(frames), 'frame')} in {files}"
    yield f"quantity: {series.header.quantity}"
    yield from _grid(series.header.grid)
    yield from _times(list(frames))
    chosen = list(frames.values())[0 if everything else -LENGTH :]
    yield _values(chosen, series.header.quantity, "" if len(chosen) == len(frames) else "newest ")
    yield from listed("cannot be used, missing", faults)


def _grid(grid: Grid) -> Iterator[str]:
    unit = "degrees" if grid.is_lat_lon else "m"
    yield f"grid: {grid.rows} x {grid.columns} pixels (rows x columns) of {grid.height_m:g} x {grid.width_m:g} {unit}"
    yield f"projection: {grid.proj}"
    corners = []
    for name, (north, east) in _CORNERS.items():
        x, y = grid.west + east * grid.columns * grid.width_m, grid.south + north * grid.rows * grid.height_m
        lon, lat = (x, y) if grid.is_lat_lon else projection(grid.proj)(x, y, inverse=True)
        corners.append(f"{name} {abs(lat):.3f} {'N' if lat >= 0 else 'S'} {abs(lon):.3f} {'E' if lon >= 0 else 'W'}")
    yield f"corners: {', '.join(corners)}"
    try:
        used = square(grid)
    except InputError as error:
        yield f"refused by all commands: {error}"
        return
    if grid.is_lat_lon:
        yield f"forecast on: {used.rows} x {used.columns} square pixels of {used.width_m / 1000:g} km"
    if min(used.rows, used.columns) < TILE:
        size = f"{used.rows} x {used.columns} pixels, {TILE} x {TILE} are needed"
        yield f"refused by prepare-radar and by the models that come trained: {size}"


def _times(times: Sequence[datetime]) -> Iterator[str]:
    step = commonest_step(times)
    if step is None:
        yield f"time: {_minute(times[0])} UTC"
        return
    yield f"times: {_minute(times[0])} to {_minute(times[-1])} UTC, every {step / timedelta(minutes=1):g} minutes"
    gaps = [(start, round((end - start) / step) - 1) for start, end in pairwise(times)]
    gaps = [(start, lacking) for start, lacking in gaps if lacking > 0]
    where = ", ".join(f"{lacking} after {_minute(start)}" for start, lacking in gaps[:_GAPS])
    more = f", and {len(gaps) - _GAPS} more gaps" if len(gaps) > _GAPS else ""
    yield (
        f"gaps: {counted(sum(lacking for _, lacking in gaps), 'frame')} lacking: {where}{more}"
        if gaps
        else "gaps: none"
    )


def _values(frames: Sequence[Frame], quantity: str, which: str) -> str:
    """The largest value of some frames, with its counts, and the share of their pixels that are missing."""
    largest, missing = [], []
    label = f"values of the {which}{counted(len(frames), 'frame')}"
    with progress("reading values", len(frames)) as advance:
        for frame in frames:
            try:
                values = read_values(Path(frame.file), frame.number)
                missing.append(float((quantise(values, quantity) == MISSING).mean()))
            except InputError as error:
                return f"{label}: refused by all commands: {error}"
            largest.append(values[np.isfinite(values)].max(initial=-np.inf))
            advance()
    top = max(largest)
    if np.isfinite(top):
        counts = f" ({quantise(np.array([top], 'float32'), quantity)[0]} counts)" if quantity != COUNTS else ""
        most = f"largest {top:.4g} {units_text(quantity)}{counts}"
    else:
        most = "no echo" if min(missing) < 1 else "no pixel observed"
    return f"{label}: {most}, {np.mean(missing):.1%} of pixels missing"


def _forecast(sources: Sequence[Path]) -> list[str]:
    """What `nowcast forecast` makes of the files, by lines; the reason where it refuses them."""
    notes: list[str] = []
    try:
        history = read_history(sources, LENGTH, tell=notes.append)
    except InputError as error:
        return [f"forecast: refused: {error}"]
    return [f"forecast: starts from {_minute(history['valid_time'].values[0, -1].astype('datetime64[s]').item())} UTC",
            *(f"  {note}" for note in notes)]  # fmt: skip


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}" + (f":{time:%S}" if time.second else "")
