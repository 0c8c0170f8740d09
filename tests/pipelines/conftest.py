"""A tiny archive in SEVIR's layout: 12x12 pixels and 5 frames an event, with a protocol of 4x4 pixels to match."""

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest

SIDE, FRAMES = 12, 5
PROTOCOL = """
source: a test
grid: 4
reducer: mean
history: 2
lead: 2
stride: 1
cadence_minutes: 5
val_from: 2019-01-01T00:00:00
test_from: 2019-06-01T00:00:00
thresholds: [16]
"""


class TinyArchive:
    """Writes CATALOG.csv and HDF5 files below `root`; `rows` may be spoilt before `write_catalog`."""

    def __init__(self, root: Path):
        self.root = root
        self.data = root / "data"
        self.protocol = root / "tiny.yaml"
        self.rows: list[dict] = []
        self.counts: dict[str, np.ndarray] = {}
        self.data.mkdir(parents=True)
        self.protocol.write_text(PROTOCOL)

    def add_file(self, name: str, ids: list[str], time: str, seed: int = 0) -> Path:
        """One HDF5 file with these events, an hour apart from `time` on, a fifth of their pixels missing."""
        rng = np.random.default_rng(seed)
        counts = rng.integers(0, 255, (len(ids), SIDE, SIDE, FRAMES), dtype="uint8")
        counts[rng.random(counts.shape) < 0.2] = 255
        path = self.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["id"] = np.array(ids, "S")
            file.create_dataset("vil", data=counts, chunks=(1, SIDE, SIDE, FRAMES), compression="gzip")
        for index, event in enumerate(ids):
            self.counts[event] = counts[index]
            self.rows.append(
                {
                    "id": event,
                    "file_name": name,
                    "file_index": index,
                    "img_type": "vil",
                    "time_utc": str(np.datetime64(time) + np.timedelta64(index, "h")).replace("T", " "),
                    "minute_offsets": "-10:-5:0:5:10",
                    "event_type": "Hail",
                    "llcrnrlat": 38 + 0.1 * index,
                    "llcrnrlon": -98,
                    "proj": "+proj=laea +lat_0=38 +lon_0=-98 +units=m +a=6370997.0 +ellps=sphere",
                    "size_x": SIDE,
                    "width_m": 1000 * SIDE,
                }
            )
        return path

    def write_catalog(self, path: Path | None = None) -> Path:
        """CATALOG.csv of the rows as they are now."""
        path = path or self.root / "CATALOG.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        return path


@pytest.fixture
def archive(tmp_path) -> TinyArchive:
    """Three events in two files: A and B of 2018 (train), C of July 2019 (test)."""
    tiny = TinyArchive(tmp_path / "archive")
    tiny.add_file("vil/2018/one.h5", ["A", "B"], "2018-05-01T10:00:00", seed=1)
    tiny.add_file("vil/2019/two.h5", ["C"], "2019-07-01T10:00:00", seed=2)
    tiny.write_catalog()
    return tiny
