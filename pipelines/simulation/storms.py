"""A simulated SEVIR archive: CATALOG.csv and VIL files in SEVIR's own layout, for the demo and the tests.

Every draw of event k comes from (seed, k), so an event is the same however many others are simulated with it.
The fields themselves are made in `pipelines.simulation.fields`.
"""

import csv
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import h5py
import numpy as np

from pipelines.errors import InputError
from pipelines.simulation.fields import FRAMES, MISSING, SIZE, simulate_counts
from pipelines.store.geo import SEVIR_PROJ, projection
from pipelines.store.whole import whole

_CADENCE = 5  # minutes
_SEASONS = {  # first and last day of a split's events: the storm season within the dates of sevir-128-10-10
    "train": (datetime(2018, 4, 1), datetime(2018, 10, 31)),
    "val": (datetime(2019, 3, 1), datetime(2019, 5, 31)),
    "test": (datetime(2019, 6, 1), datetime(2019, 10, 31)),
}
_VAL_TURNS = {2, 12}  # events of every twenty, early ones so that a small archive has all splits
_TEST_TURNS = {3, 9, 16}
_TYPES = ("Thunderstorm Wind", "Hail", "Flash Flood", "Tornado", "Flood", "Heavy Rain")
_TYPE_SHARES = (0.42, 0.24, 0.14, 0.1, 0.06, 0.04)


@dataclass
class _Row:
    """One row of CATALOG.csv, in the order of SEVIR's columns."""

    id: str
    file_name: str
    file_index: int
    img_type: str = field(default="vil", init=False)
    time_utc: str
    minute_offsets: str
    episode_id: str
    event_id: str
    event_type: str
    llcrnrlat: float
    llcrnrlon: float
    urcrnrlat: float
    urcrnrlon: float
    proj: str = field(default=SEVIR_PROJ, init=False)
    size_x: int = field(default=SIZE, init=False)
    size_y: int = field(default=SIZE, init=False)
    height_m: float = field(default=1000.0 * SIZE, init=False)
    width_m: float = field(default=1000.0 * SIZE, init=False)
    data_min: int = field(default=0, init=False)
    data_max: int = field(default=0, init=False)
    pct_missing: float = field(default=0.0, init=False)


def simulate_archive(
    out: Path, *, events: int = 24, seed: int = 0, progress: Callable[[range], Iterable[int]] = iter
) -> Path:
    """Writes a simulated SEVIR archive: OUT/CATALOG.csv and OUT/data/vil/YYYY/SEVIR_VIL_*.h5.

    The archive appears whole or not at all. From four events on, the splits of protocol sevir-128-10-10 (training to
    2019-01-01, validation to 2019-06-01, test after) all have events, about 75, 10 and 15 %.

    Args:
        out: Folder to write, new or empty.
        events: Number of events.
        seed: Seed of the archive; event k of a seed does not depend on `events`.
        progress: Wraps the range of events that is iterated over, to show how far it is.

    Returns:
        `out`.

    Raises:
        InputError: when `events` is below one, `seed` is negative, or `out` exists and is not an empty folder.
    """
    if events < 1:
        raise InputError("too few events to simulate", got=events, expected="at least 1")
    if seed < 0:
        raise InputError("negative seed", got=seed, expected="0 or more")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} exists and is not an empty folder", remedy="give another folder or remove it")
    with whole(out) as growing:
        rows = _plan(seed, events)
        for number in progress(range(events)):
            _write_event(growing / "data", rows[number], rows, _generator(seed, number, "fields"))
        _write_catalog(growing / "CATALOG.csv", rows)
    return out


def _generator(seed: int, number: int, draw: str) -> np.random.Generator:
    """The generator of event `number` for its catalog row or its fields."""
    return np.random.default_rng([seed, number, ("row", "fields").index(draw)])


def _plan(seed: int, events: int) -> list[_Row]:
    """The catalog rows of the events in order, with the statistics of the data still to come."""
    rows: list[_Row] = []
    for number in range(events):
        row = _draw_row(_generator(seed, number, "row"), number)
        row.file_index = sum(other.file_name == row.file_name for other in rows)
        rows.append(row)
    return rows


def _draw_row(rng: np.random.Generator, number: int) -> _Row:
    """The catalog row of one event; as in SEVIR an event off the five minutes has offsets that bring its frames on."""
    turn = number % 20
    first, last = _SEASONS["val" if turn in _VAL_TURNS else "test" if turn in _TEST_TURNS else "train"]
    time = first + timedelta(days=int(rng.integers((last - first).days + 1)), hours=int(rng.normal(22, 3)) % 24)
    time += timedelta(minutes=int(rng.integers(60)) if rng.random() < 0.4 else 5 * int(rng.integers(12)))
    offset = -time.minute % _CADENCE - _CADENCE * (FRAMES // 2)
    is_storm = rng.random() < 0.75
    kind, letter = ("STORM", "S") if is_storm else ("RANDOM", "R")
    half = "0101_0630" if time.month <= 6 else "0701_1231"
    south_west, north_east = _corners(rng)
    event_id = 700000 + number
    return _Row(
        id=f"{letter}{event_id}" if is_storm else f"{letter}{time:%y%m%d%H%M}{number:04d}",
        file_name=f"vil/{time.year}/SEVIR_VIL_{kind}EVENTS_{time.year}_{half}.h5",
        file_index=0,
        time_utc=f"{time:%Y-%m-%d %H:%M:%S}",
        minute_offsets=":".join(str(offset + _CADENCE * frame) for frame in range(FRAMES)),
        episode_id=str(120000 + number) if is_storm else "",
        event_id=str(event_id) if is_storm else "",
        event_type=str(rng.choice(_TYPES, p=_TYPE_SHARES)) if is_storm else "",
        llcrnrlat=south_west[0],
        llcrnrlon=south_west[1],
        urcrnrlat=north_east[0],
        urcrnrlon=north_east[1],
    )


def _corners(rng: np.random.Generator) -> list[tuple[float, float]]:
    """Latitude and longitude of the south-west and north-east corner of a window inside the contiguous US."""
    project = projection(SEVIR_PROJ)
    x, y = project(rng.uniform(-106, -84), rng.uniform(33, 44))
    half = 500.0 * SIZE
    corners = [project(x + side, y + side, inverse=True) for side in (-half, half)]
    return [(round(latitude, 6), round(longitude, 6)) for longitude, latitude in corners]


def _write_event(data: Path, row: _Row, rows: list[_Row], rng: np.random.Generator) -> None:
    """Simulates the event of `row`, writes it in its place and completes the row's statistics."""
    counts = simulate_counts(rng)
    _lose_radars(counts, rng)
    seen = counts[counts != MISSING]
    row.data_min, row.data_max = int(seen.min()), int(seen.max())
    row.pct_missing = round(100 * float((counts == MISSING).mean()), 3)
    path = data / row.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "a") as file:
        if "vil" not in file:
            siblings = [other for other in rows if other.file_name == row.file_name]
            file["id"] = np.array([other.id.encode() for other in siblings])
            shape = (len(siblings), SIZE, SIZE, FRAMES)
            file.create_dataset("vil", shape, np.uint8, chunks=(1, *shape[1:]), compression="gzip", compression_opts=1)
        file["vil"][row.file_index] = counts


def _lose_radars(counts: np.ndarray, rng: np.random.Generator) -> None:
    """Sets counts (y, x, frame) missing as outages do: a wedge in one event of six, a few frames in one of twenty."""
    if rng.random() < 1 / 6:
        east, north = rng.uniform(0.2 * SIZE, 0.8 * SIZE, 2)  # of the radar whose beam is blocked
        y, x = np.mgrid[:SIZE, :SIZE]
        bearing = (np.arctan2(y - north, x - east) - rng.uniform(0, 2 * np.pi)) % (2 * np.pi)
        counts[bearing < rng.uniform(0.15, 0.8)] = MISSING
    if rng.random() < 1 / 20:
        start = int(rng.integers(FRAMES - 3))
        counts[..., start : start + int(rng.integers(1, 4))] = MISSING


def _write_catalog(path: Path, rows: list[_Row]) -> None:
    """Writes the rows as SEVIR's CATALOG.csv."""
    records = [asdict(row) for row in rows]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(records[0]))
        writer.writeheader()
        writer.writerows(records)
