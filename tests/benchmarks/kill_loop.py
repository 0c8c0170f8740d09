"""SIGKILLs at random moments over an archive, each store gone on with and compared with an undisturbed one.

    python tests/benchmarks/kill_loop.py [KILLS] [EVENTS]

The process that is killed has two workers. A run that ends before its kill is compared and begun anew, so that the
kills fall everywhere between the first and the last moment of a run.
"""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from archives import make_archive


def start(archive: Path, store: Path) -> subprocess.Popen:
    """`nowcast prepare-sevir` with two workers."""
    command = [sys.executable, "-c", "from nowcast.cli import main; main()", "prepare-sevir", archive, store]
    return subprocess.Popen([*map(str, command), "--workers", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def contents(store: Path) -> dict[str, bytes]:
    """Every file of a store."""
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def main(kills: int, events: int) -> None:
    """Kill so many runs; print how far they were, and whether each store came out equal."""
    moments = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = make_archive(folder / "archive", events)
        began = time.monotonic()
        assert start(archive, folder / "whole.zarr").wait() == 0
        duration = time.monotonic() - began
        whole, store = contents(folder / "whole.zarr"), folder / "killed.zarr"
        killed = stores = 0
        while killed < kills or store.exists() or (folder / ".killed.zarr.partial").exists():
            process = start(archive, store)
            try:
                process.wait(moments.uniform(0, 1.1 * duration) if killed < kills else None)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
                done = len(list((folder / ".killed.zarr.partial" / "done").glob("*.json")))
                print(f"kill {killed}: {done} shards done, store {'there' if store.exists() else 'not there'}")
                continue
            assert process.returncode == 0, process.stderr and process.stderr.read()
            assert contents(store) == whole, "a store differs from the undisturbed one"
            left = [path.name for path in folder.iterdir() if "killed" in path.name]
            assert left == [store.name], left
            shutil.rmtree(store)
            stores += 1
    print(
        f"{killed} kills over {events} events: {stores} stores, each equal to the undisturbed one, nothing left behind"
    )


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] + ["24", "60"][len(sys.argv) - 1 :])))
