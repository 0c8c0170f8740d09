"""Random windows a second read back from a store, as training reads them, beside whole events of the HDF5 it came from.

python tests/benchmarks/windows.py [EVENTS]
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from archives import make_archive

from nowcast.data.windows import evaluation_windows
from nowcast.training.windows import TrainingWindows
from pipelines.sevir.prepare import prepare
from pipelines.store.protocol import load_protocol
from pipelines.store.schema import open_store


def rate(count: int, read: Callable[[int], object]) -> tuple[float, float]:
    """Reads a second, and reads a second of processor time, since other work may share the machine."""
    read(0)
    start, processor = time.perf_counter(), time.process_time()
    for number in range(count):
        read(number)
    return count / (time.perf_counter() - start), count / (time.process_time() - processor)


def main(events: int) -> None:
    """Print the rates."""
    with tempfile.TemporaryDirectory() as folder:
        archive, path = make_archive(Path(folder) / "archive", events), Path(folder) / "s.zarr"
        protocol = load_protocol("sevir-128-10-10")
        prepare(archive, path, protocol=protocol.name)
        windows = evaluation_windows(open_store(path), protocol, "train")
        training = TrainingWindows([(path, windows)], protocol.history, protocol.lead, side=128, seed=0)
        files = [h5py.File(file)["vil"] for file in sorted((archive / "data").rglob("*.h5"))]
        order = np.random.default_rng(0).integers(len(files), size=1000)
        rates = {
            "windows of the store (20 x 128 x 128)": rate(1000, lambda number: training[number]),
            "windows of the HDF5 (384 x 384 x 20)": rate(
                200, lambda number: files[order[number]][number % 16, ..., :20]
            ),
        }
    for name, (wall, core) in rates.items():
        print(f"{name:40} {wall:7.1f} a second, {core:7.1f} a second of a core")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 120)
