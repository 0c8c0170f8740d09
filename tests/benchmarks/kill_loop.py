"""SIGKILLs at random moments over an archive, each store resumed and compared with an undisturbed one.

    python tests/benchmarks/kill_loop.py [KILLS] [EVENTS]

One run in two works in two more processes. A run that ends before its kill is compared and begun anew, so that the
kills fall everywhere between the first and the last moment of a run.
"""

import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
from archives import make_archive

from pipelines.sevir.prepare import prepare


def start(archive: Path, store: Path, workers: int) -> BaseProcess:
    """A process that prepares the store, forked from one that has imported all that it needs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipelines.sevir.prepare"])
    process = context.Process(target=prepare, args=(archive, store), kwargs={"workers": workers})
    process.start()
    return process


def contents(store: Path) -> dict[str, bytes]:
    """Every file of a store."""
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def undisturbed(archive: Path, store: Path, workers: int) -> float:
    """Prepare the store; gives the seconds that took."""
    began = time.monotonic()
    process = start(archive, store, workers)
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - began


def main(kills: int, events: int) -> None:
    """Kill so many runs; print how far they were, and whether each store came out equal."""
    moments = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = make_archive(folder / "archive", events)
        durations = {workers: undisturbed(archive, folder / f"whole-{workers}.zarr", workers) for workers in (1, 2)}
        whole, store = contents(folder / "whole-1.zarr"), folder / "killed.zarr"
        assert contents(folder / "whole-2.zarr") == whole
        killed = stores = 0
        workers_seen: set[psutil.Process] = set()
        while killed < kills or store.exists() or (folder / ".killed.zarr.partial").exists():
            workers = moments.choice([1, 2])
            process = start(archive, store, workers)
            process.join(moments.uniform(0, 1.1 * durations[workers]) if killed < kills else None)
            if process.exitcode is None:
                workers_seen |= set(psutil.Process(process.pid).children(recursive=True))
                process.kill()
                process.join()
                killed += 1
                done = len(list((folder / ".killed.zarr.partial" / "done").glob("*.json")))
                print(
                    f"kill {killed}: {done} shards done, store {'there' if store.exists() else 'not there'}", flush=True
                )
                continue
            assert process.exitcode == 0
            assert contents(store) == whole, "a store differs from the undisturbed one"
            left = [path.name for path in folder.iterdir() if "killed" in path.name]
            assert left == [store.name], left
            shutil.rmtree(store)
            stores += 1
        assert not psutil.wait_procs(workers_seen, timeout=10)[1], "a worker outlived its run"
    print(
        f"{killed} kills over {events} events: {stores} stores, each equal to the undisturbed one, nothing left behind"
    )


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] + ["24", "60"][len(sys.argv) - 1 :])))
