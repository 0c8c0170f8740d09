"""Events a second of each part of prepare-sevir, beside a plain h5py + numpy loop in the same run.

python tests/benchmarks/prepare_sevir.py [EVENTS]
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
from archives import make_archive

from pipelines.building.resample import mean
from pipelines.sevir.prepare import prepare
from pipelines.store.schema import SHARD_EVENTS

_FEW = 2 * SHARD_EVENTS


def plain_loop(files: list[Path]) -> np.ndarray:
    """The loop that one writes without this package: 3x3 means of observed pixels, frames first, of every event."""
    reduced = []
    for path in files:
        with h5py.File(path) as file:
            for index in range(len(file["vil"])):
                counts = file["vil"][index].astype("float32")
                counts[counts == 255] = np.nan
                blocks = np.nanmean(counts.reshape(128, 3, 128, 3, 49), axis=(1, 3)).transpose(2, 0, 1)
                reduced.append(np.where(np.isnan(blocks), 255, np.round(blocks)).astype("uint8"))
    return np.stack(reduced)


def read_only(files: list[Path]) -> None:
    """Every event as an array."""
    for path in files:
        with h5py.File(path) as file:
            for index in range(len(file["vil"])):
                file["vil"][index]


def read_and_reduce(files: list[Path]) -> None:
    """Every event's 3x3 means, frames first."""
    for path in files:
        with h5py.File(path) as file:
            for index in range(len(file["vil"])):
                mean(file["vil"][index])


def means_until(end: float) -> int:
    """How often this process makes the 3x3 means of one event until `end`, of time.time()."""
    frames = np.full((384, 384, 49), 7, "uint8")
    done = 0
    while time.time() < end:
        mean(frames)
        done += 1
    return done


def ceiling() -> float:
    """How much two processes that share nothing compute, as a multiple of one: the most that two workers can gain."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:

        def together(processes: int) -> int:
            return sum(pool.map(means_until, [time.time() + 3] * processes))

        together(2)  # starts them
        counts = np.array([[together(1), together(2)] for _ in range(3)])
    one, two = counts.max(axis=0)
    return two / one


def cost(work: Callable[[], object]) -> np.ndarray:
    """Seconds, and seconds of processor time with that of workers; the better of two each."""
    costs = []
    for _ in range(2):
        start, before = time.perf_counter(), os.times()
        work()
        after = os.times()
        costs.append([time.perf_counter() - start, sum(after[:4]) - sum(before[:4])])
    return np.min(costs, axis=0)


def main(events: int) -> None:
    """Print the rates, and those by processor time against the plain loop, since other work may share the machine."""
    with tempfile.TemporaryDirectory() as folder:
        archive = make_archive(Path(folder) / "archive", events)
        files = sorted((archive / "data").rglob("*.h5"))
        store = Path(folder) / "s.zarr"

        def prepare_cost(workers: int) -> np.ndarray:
            """Of each further event: what a run costs more than one of two shards, which is mostly starting."""
            few = cost(lambda: prepare(archive, store, overwrite=True, workers=workers, limit=_FEW))
            return (cost(lambda: prepare(archive, store, overwrite=True, workers=workers)) - few) / (events - _FEW)

        costs = {
            "plain h5py + numpy loop": cost(lambda: plain_loop(files)) / events,
            "read only": cost(lambda: read_only(files)) / events,
            "read + reduce": cost(lambda: read_and_reduce(files)) / events,
            "prepare-sevir": prepare_cost(1),
            "prepare-sevir, two workers": prepare_cost(2),
        }
    plain = costs["plain h5py + numpy loop"]
    for name, (seconds, processor) in costs.items():
        print(
            f"{name:28} {1 / seconds:7.1f} events/s ({plain[0] / seconds:5.2f} x the plain loop), "
            f"{1 / processor:7.1f} events/s of a core ({plain[1] / processor:5.2f} x)"
        )
    gain = costs["prepare-sevir"][0] / costs["prepare-sevir, two workers"][0]
    print(f"two workers {gain:.2f} x one; two independent processes of 3x3 means alone {ceiling():.2f} x one")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 480)
