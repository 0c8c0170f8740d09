"""Accidents of a run: it is killed, the disk is full, another one is there, the work is done elsewhere."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from distributed import Client

from pipelines.building import engine
from pipelines.errors import InputError
from pipelines.sevir.prepare import prepare
from pipelines.store.schema import open_store
from pipelines.store.whole import exclusive

CHANGES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def prepare_counting(archive: Path, protocol: Path, store: Path, fatal: int, changes=None) -> None:
    """Prepare in this process, which is killed before its `fatal`-th change of a file or folder of the store."""
    count = 0

    def hook(event, arguments):
        nonlocal count
        if event in CHANGES and arguments and store.name in os.fsdecode(arguments[0] if arguments[0] != -1 else b""):
            count += 1
            if count == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    prepare(archive, store, protocol=str(protocol))
    if changes is not None:
        changes.value = count


@pytest.fixture(scope="module")
def forkserver():
    """Processes that start at once, with the pipeline imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipelines.sevir.prepare"])
    return context


@pytest.fixture
def twenty(archive):
    """More events than one shard takes: sixteen and seven."""
    archive.add_file("vil/2018/more.h5", [f"M{n:02d}" for n in range(20)], "2018-06-01T00:00:00", seed=3)
    archive.write_catalog()
    return archive


def test_a_run_killed_at_any_change_of_a_file_goes_on_to_the_same_store(twenty, tmp_path, forkserver):
    def run(store, fatal, changes=None):
        arguments = (twenty.root, twenty.protocol, store, fatal, changes)
        process = forkserver.Process(target=prepare_counting, args=arguments)
        process.start()
        process.join()
        return process.exitcode

    total = forkserver.Value("i", 0)
    assert run(tmp_path / "whole.zarr", 0, total) == 0
    whole = contents(tmp_path / "whole.zarr")
    kills = [*range(9, total.value, total.value // 3), total.value - 3, total.value - 1]
    for fatal in kills:
        store = tmp_path / f"killed-{fatal}.zarr"
        assert run(store, fatal) == -signal.SIGKILL
        assert not store.exists() or contents(store) == whole  # at its place it is whole
        assert run(store, 0) == 0
        assert contents(store) == whole, f"killed at change {fatal} of {total.value}"
        assert not list(tmp_path.glob(f".{store.name}*"))


def test_a_second_run_into_one_store_is_refused_at_once(archive, tmp_path):
    store = tmp_path / "s.zarr"
    with exclusive(store), pytest.raises(InputError, match=r"s\.zarr is being written by another command"):
        prepare(archive.root, store, protocol=str(archive.protocol))
    assert prepare(archive.root, store, protocol=str(archive.protocol)).written == 3
    assert [path.name for path in tmp_path.iterdir() if "s.zarr" in path.name] == ["s.zarr"]


def test_a_full_disk_is_a_clear_line_and_the_run_goes_on(twenty, tmp_path, monkeypatch):
    store = tmp_path / "s.zarr"
    write = engine._write_shard
    monkeypatch.setattr(engine, "_write_shard", FullAt(16))
    with pytest.raises(InputError, match=r"no space is left on the disk of .*s\.zarr; free some and run again"):
        prepare(twenty.root, store, protocol=str(twenty.protocol), workers=2)
    assert not store.exists()
    monkeypatch.setattr(engine, "_write_shard", write)
    assert prepare(twenty.root, store, protocol=str(twenty.protocol)).written == 7
    assert open_store(store).sizes["event"] == 23


class FullAt:
    """Writes shards until the one that starts at `start`; picklable, as a worker needs it."""

    def __init__(self, start: int):
        self.start = start
        self.write = engine._write_shard

    def __call__(self, root, done, read, shard):
        if shard.start == self.start:
            time.sleep(1)
            raise OSError(errno.ENOSPC, "No space left on device")
        self.write(root, done, read, shard)


FILL = """
set -e
mount -t tmpfs -o size=40k,nr_inodes=1000 tmpfs "$1"
"$2" -c "
import sys
from pipelines.errors import InputError
from pipelines.sevir.prepare import prepare
try:
    prepare(sys.argv[1], sys.argv[2] + '/s.zarr', protocol=sys.argv[3])
except InputError as error:
    print(error)
" "$3" "$1" "$4"
mount -o remount,size=10m "$1"
"$2" -c "
import sys
from pipelines.sevir.prepare import prepare
print(prepare(sys.argv[1], sys.argv[2] + '/s.zarr', protocol=sys.argv[3]).events)
" "$3" "$1" "$4"
"""


def test_a_disk_that_is_really_full(twenty, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*unshare, "mount", "-t", "tmpfs", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("this system lets no user mount a small disk")
    command = [*unshare, "bash", "-c", FILL, "fill", small, sys.executable, twenty.root, twenty.protocol]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith(f"no space is left on the disk of {small}")
    assert done.stdout.splitlines()[1] == "23"


SLEEPING = """
import os, pathlib, sys, time
from pipelines.building.workers import run
def sleep(name):
    (pathlib.Path(sys.argv[1]) / name).write_text(str(os.getpid()))
    time.sleep(60)
run(sleep, ["one", "two"], workers=2, label="sleeping")
"""


def test_workers_end_with_the_process_that_started_them(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", SLEEPING, tmp_path])
    deadline = time.monotonic() + 30
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()
    process.wait()
    numbers = [int(path.read_text()) for path in tmp_path.iterdir()]
    assert len(numbers) == 2
    time.sleep(2)
    alive = [one for one in psutil.process_iter() if one.pid in numbers and one.status() != psutil.STATUS_ZOMBIE]
    assert alive == []


def test_a_worker_that_comes_up_after_its_parent_was_killed_ends_at_once(tmp_path):
    code = "import os, time; from pipelines.building.workers import _end_with; _end_with(os.getpid()); time.sleep(60)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 1


@pytest.fixture
def cluster(tmp_path):
    """Address of a dask scheduler with two workers, three processes of their own."""
    place = tmp_path / "scheduler.json"
    common = ["--scheduler-file", str(place), "--no-dashboard"]
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *common]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", *common]
    processes = [subprocess.Popen(one, stderr=subprocess.DEVNULL, cwd=tmp_path) for one in (command, worker, worker)]
    try:
        deadline = time.monotonic() + 30
        while not place.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        yield json.loads(place.read_text())["address"]
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()


def test_a_cluster_makes_the_same_store_each_shard_once(twenty, tmp_path, cluster):
    prepare(twenty.root, tmp_path / "here.zarr", protocol=str(twenty.protocol))
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
    summary = prepare(twenty.root, tmp_path / "there.zarr", protocol=str(twenty.protocol), scheduler=cluster)
    assert summary.written == 23
    assert contents(tmp_path / "there.zarr") == contents(tmp_path / "here.zarr")
    with Client(cluster) as client:
        log = client.run(lambda dask_worker: dask_worker.state.executed_count)
    assert len(log) == 2
    assert sum(log.values()) == 2  # two shards


def test_no_scheduler_is_one_line(archive, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.building.workers._CONNECT_S", 1)
    with pytest.raises(InputError, match=r"no dask scheduler at tcp://127\.0\.0\.1:9"):
        prepare(archive.root, tmp_path / "s.zarr", protocol=str(archive.protocol), scheduler="tcp://127.0.0.1:9")
