"""Peak memory of prepare-sevir over a small and a tenfold archive, main process and workers.

python tests/benchmarks/memory.py [FEW] [MANY]
"""

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
from archives import make_archive


def peak(archive: Path, store: Path, workers: int) -> tuple[float, float]:
    """Largest resident MiB of `nowcast prepare-sevir` and of any of its workers."""
    command = [sys.executable, "-c", "from nowcast.cli.app import main; main()", "prepare-sevir", archive, store]
    process = subprocess.Popen([*map(str, command), "--workers", str(workers)], stdout=subprocess.DEVNULL)
    ended = threading.Event()
    threading.Thread(target=lambda: (process.wait(), ended.set())).start()
    main = worker = 0
    while not ended.wait(0.02):
        try:
            parent = psutil.Process(process.pid)
            main = max(main, parent.memory_info().rss)
            worker = max([worker, *(child.memory_info().rss for child in parent.children())])
        except psutil.NoSuchProcess:
            continue
    assert process.returncode == 0
    return main / 2**20, worker / 2**20


def main(few: int, many: int) -> None:
    """Print the peaks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for events in (few, many):
            archive = make_archive(folder / f"archive-{events}", events)
            for workers in (1, 2):
                parent, worker = peak(archive, folder / f"{events}-{workers}.zarr", workers)
                print(f"{events:5} events, {workers} workers: {parent:6.0f} MiB, a worker {worker:6.0f} MiB")


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] + ["60", "600"][len(sys.argv) - 1 :])))
