"""An archive of as many events as a benchmark asks for: a few simulated ones, each time shifted and turned."""

import csv
from datetime import datetime, timedelta
from pathlib import Path

import h5py
import numpy as np

from pipelines.simulation.fields import FRAMES, SIZE, simulate_counts
from pipelines.store.geo import SEVIR_PROJ

_SIMULATED, _EVENTS_A_FILE = 4, 60


def make_archive(root: Path, events: int) -> Path:
    """Write `events` events below `root`, contiguous as SEVIR's own files are; gives `root`."""
    base = [simulate_counts(np.random.default_rng([7, number])) for number in range(_SIMULATED)]
    rows = []
    for start in range(0, events, _EVENTS_A_FILE):
        name = f"vil/2018/BENCH_{start:05d}.h5"
        numbers = range(start, min(start + _EVENTS_A_FILE, events))
        (root / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(root / "data" / name, "w") as file:
            file["id"] = np.array([f"B{number:05d}" for number in numbers], "S")
            vil = file.create_dataset("vil", (len(numbers), SIZE, SIZE, FRAMES), "uint8")
            for index, number in enumerate(numbers):
                turned = np.rot90(base[number % _SIMULATED], number // _SIMULATED % 4)
                vil[index] = np.roll(turned, 17 * number, axis=(0, 1))
        rows += [_row(number, name, index) for index, number in enumerate(numbers)]
    with (root / "CATALOG.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return root


def _row(number: int, name: str, index: int) -> dict:
    return {
        "id": f"B{number:05d}",
        "file_name": name,
        "file_index": index,
        "img_type": "vil",
        "time_utc": datetime(2018, 1, 1) + timedelta(hours=number),
        "minute_offsets": ":".join(str(minutes) for minutes in range(-120, 121, 5)),
        "event_type": "Hail",
        "llcrnrlat": 38.0,
        "llcrnrlon": -98.0,
        "proj": SEVIR_PROJ,
        "size_x": SIZE,
        "width_m": 1000 * SIZE,
    }
