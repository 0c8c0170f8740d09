"""Bad input by the thousand: each must end in success or in one line, and never write outside of its output.

    python tests/faults/bad_input.py --inputs 10000 --seed 0        # the long form; the tests run a short one
    python tests/faults/bad_input.py --only 'netcdf forecast' --first 17 --inputs 1      # one input again

An input is a sound one of `samples`, spoilt once to three times by `mutators`, and read as a command reads it. Inputs
run in batches in processes of their own: what crashes, takes over 10 s of a processor, waits for a minute, or takes
over 2 GB fails alone. Opening a file to write it outside of the output, a process, or a connection fails too.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
import mutators as spoil
import numpy as np
import samples
import xarray as xr

CPU_S, WAIT_S, BYTES, BATCH = 10, 60, 2 * 2**30, 40


class Kind(NamedTuple):
    """How inputs of a kind are made, spoilt and read.

    Attributes:
        make: Makes a sound one in a folder, and returns its path.
        mutators: Ways to spoil it.
        read: Reads it by one of these, writing into a folder.
    """

    make: Callable[[Path], Path]
    mutators: list[spoil.Mutator]
    read: list[Callable[[Path, Path], object]]


def info(path: Path, out: Path) -> None:
    from nowcast.cli.console import tell
    from nowcast.cli.info import describe

    tell(describe(path, everything=True))


def prepare_sevir(path: Path, out: Path) -> None:
    from pipelines.sevir.prepare import prepare

    root = next(folder for folder in path.parents if (folder / "tiny.yaml").exists())
    prepare(root, out / "s.zarr", protocol=str(root / "tiny.yaml"))


def prepare_video(path: Path, out: Path) -> None:
    from pipelines.building.prepare import prepare
    from pipelines.video.folder import plan_folder

    prepare(plan_folder(path.parents[-2] if path.is_file() else path, size=16, fps=10), out / "s.zarr")


def radar(path: Path, out: Path) -> None:
    from nowcast.data.observations import Observations

    Observations.open(path).store["vil"].isel(frame=[0, -1]).load()


def store(path: Path, out: Path) -> None:
    from nowcast.data.observations import Observations

    Observations.open(path).store["vil"].load()


def at(path: Path, out: Path) -> None:
    from nowcast.data.forecast_file import open_forecast
    from nowcast.forecasting.answer_files import save_answers
    from nowcast.forecasting.answers import answer
    from nowcast.forecasting.places import points_of
    from nowcast.forecasting.sentences import sentences

    answered = answer(open_forecast(path), points_of(["A=38.05,-97.95"]), thresholds=["74counts"])
    list(sentences(answered))
    save_answers(answered, out / "a.nc", overwrite=True)


def page(path: Path, out: Path) -> None:
    from nowcast.report.nowcast_page import write_page

    written = write_page(path, out / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in written and written.count("<script") >= 3


def verify(path: Path, out: Path) -> None:
    from nowcast import verification

    states = verification.states(path, path.parent / "truth.zarr")
    verification.save(verification.scores_of(states, samples=10), out / "s.nc")


def merge(path: Path, out: Path) -> None:
    from nowcast import verification

    verification.scores_of(verification.merge_states([path]), samples=10)


def run_config(path: Path, out: Path) -> None:
    from nowcast.training.config import load_config

    load_config(str(path), ["network.width=1"])


def protocol(path: Path, out: Path) -> None:
    from pipelines.store.protocol import load_protocol

    load_protocol(str(path))


def experiment(path: Path, out: Path) -> None:
    from nowcast.experiments.settings import expand, load_experiment, load_scale

    expand(load_experiment(str(path)), load_scale("tiny"))


def points(path: Path, out: Path) -> None:
    from nowcast.forecasting.places import points_of

    points_of(path)


def areas(path: Path, out: Path) -> None:
    from nowcast.forecasting.places import read_areas

    read_areas(path)


def _written(name: str, text: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(text)
        return folder / name

    return make


def _truth(folder: Path) -> Path:
    from pipelines.sevir.prepare import prepare

    root = samples.archive(folder / "of")
    prepare(root, folder / "truth.zarr", protocol=str(root / "tiny.yaml"), tell=lambda text: None)
    shutil.rmtree(root)
    said = folder / "truth.zarr/zarr.json"
    said.write_text(said.read_text().replace('"tiny"', '"sevir-128-10-10"'))
    return folder / "truth.zarr"


def _forecast(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        _truth(folder)
        return _dataset(samples.forecast(), folder / f"forecast{suffix}")

    return make


def _radar(suffix: str) -> Callable[[Path], Path]:
    return lambda folder: _dataset(samples.cf_radar(), folder / f"rate_20190701{suffix}")


def _dataset(dataset: xr.Dataset, path: Path) -> Path:
    if path.suffix == ".nc":
        dataset.to_netcdf(path)
    else:
        dataset.to_zarr(path, consolidated=False)
    return path


def _sums(folder: Path) -> Path:
    from nowcast import verification

    states = verification.states(samples.forecast(), _truth(folder))
    verification.save_states(states, folder / "sums.nc")
    return folder / "sums.nc"


def _published(folder: Path) -> Path:
    shutil.copy(Path(__file__).parents[2] / "configs/experiments/table1.yaml", folder / "e.yaml")
    return folder / "e.yaml"


_BYTES, _HDF5, _TEXT = [spoil.bytes_of], [spoil.bytes_of, spoil.hdf5, spoil.hdf5], [spoil.bytes_of, spoil.text]
_NETCDF, _ZARR = [*_HDF5, spoil.dataset, spoil.dataset], [spoil.bytes_of, spoil.json_text, spoil.json_text, spoil.store]
_FORECAST = [info, at, page, verify]
KINDS = {
    "catalog": Kind(lambda folder: samples.archive(folder) / "CATALOG.csv", [*_TEXT, spoil.text], [prepare_sevir]),
    "hdf5 archive": Kind(lambda folder: samples.archive(folder) / "data/vil/one.h5", _HDF5, [prepare_sevir]),
    "hdf5 odim": Kind(lambda folder: samples.odim(folder / "c_202107041550.h5"), _HDF5, [info, radar]),
    "hdf5 knmi": Kind(lambda folder: samples.knmi(folder / "k_201008260000.h5"), _HDF5, [info, radar]),
    "zarr store": Kind(_truth, _ZARR, [info, store]),
    "zarr radar": Kind(_radar(".zarr"), [*_ZARR, spoil.dataset], [info, radar]),
    "netcdf radar": Kind(_radar(".nc"), _NETCDF, [info, radar]),
    "grib2": Kind(lambda folder: samples.grib2(folder / "m_201906100002.grib2"), _BYTES, [info, radar]),
    "grib2 gzip": Kind(lambda folder: samples.grib2(folder / "m_201906100002.grib2.gz"), _BYTES, [radar]),
    "radolan": Kind(lambda folder: samples.radolan(folder / "ry-2407011200---bin.gz"), _BYTES, [radar]),
    "geotiff": Kind(lambda folder: samples.geotiff(folder / "rate_202407011205.tif"), _BYTES, [info, radar]),
    "netcdf forecast": Kind(_forecast(".nc"), _NETCDF, _FORECAST),
    "zarr forecast": Kind(_forecast(".zarr"), [*_ZARR, spoil.dataset], _FORECAST),
    "sums": Kind(_sums, _HDF5, [info, merge]),
    "yaml": Kind(_written("run.yaml", samples.RUN), [*_TEXT, spoil.yaml], [run_config, info]),
    "yaml protocol": Kind(_written("p.yaml", samples.PROTOCOL), [*_TEXT, spoil.yaml], [protocol]),
    "yaml experiment": Kind(_published, [*_TEXT, spoil.yaml], [experiment]),
    "safetensors": Kind(lambda folder: samples.checkpoint(folder / "m.safetensors"),
                        [spoil.bytes_of, spoil.safetensors, spoil.safetensors], [info]),
    "video": Kind(samples.video, _BYTES, [prepare_video]),
    "points": Kind(_written("p.csv", samples.POINTS), _TEXT, [points]),
    "geojson": Kind(_written("a.json", json.dumps(samples.AREAS)),
                    [spoil.bytes_of, spoil.json_text, spoil.json_text], [areas]),
}  # fmt: skip


def attempt(name: str, number: int, seed: int, folder: Path, sound: Path) -> tuple[str, str]:
    """How one input ends: accepted, refused or failed, and the reason."""
    from pipelines.errors import InputError

    kind, rng = KINDS[name], np.random.default_rng([seed, list(KINDS).index(name), number])
    relative = next(iter(sound.glob(".sound"))).read_text()
    shutil.copytree(sound, work := folder / "input", symlinks=True)
    path, out = work / relative, folder / "out"
    out.mkdir()
    for _ in range(int(rng.integers(1, 4))):
        try:
            spoil.pick(rng, kind.mutators)(path, rng)
        except Exception:  # already too spoilt for this one
            break
    read = spoil.pick(rng, kind.read)
    before = _listing(folder, out)
    _OUTSIDE[:] = [""]
    try:
        read(path, out)
        end = ("accepted", read.__name__)
    except InputError as error:
        end = ("refused", "") if len(str(error).splitlines()) == 1 else ("failed", f"a message of lines: {error!r}")
    except (PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError):
        end = ("refused", "")
    except BaseException as error:
        last = [f"{Path(at.filename).name}:{at.lineno}" for at in traceback.extract_tb(error.__traceback__)
                if "/nowcast/" in at.filename or "/pipelines/" in at.filename][-2:]  # fmt: skip
        end = ("failed", f"{type(error).__name__}: {' '.join(str(error).split())[:120]} at {' '.join(last)}")
    outside = _OUTSIDE[1:]
    _OUTSIDE.clear()
    if outside:
        return "failed", outside[0]
    return end if _listing(folder, out) == before else ("failed", "the folder of the input changed")


def _listing(folder: Path, out: Path) -> list:
    """Names and bytes of all that is in a folder, except for its output."""
    entries = [entry for entry in folder.rglob("*") if not entry.is_relative_to(out)]
    return sorted((entry.as_posix(), entry.lstat().st_size) for entry in entries)


def batch(name: str, numbers: list[int], seed: int, sound: Path, pipe: int) -> None:
    """Attempt some inputs in this process, and write a line per end into a pipe."""
    used = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmSize" in line)
    resource.setrlimit(resource.RLIMIT_AS, (1024 * used + BYTES, resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    here = [tempfile.mkdtemp(prefix="bad-input-")]
    sys.addaudithook(lambda event, args: _watch(event, args, here[0]))
    with os.fdopen(pipe, "w") as lines:
        for number in numbers:
            folder = Path(here[0]) / str(number)
            folder.mkdir()
            os.chdir(folder)
            signal.setitimer(signal.ITIMER_PROF, CPU_S)
            signal.alarm(WAIT_S)
            end = attempt(name, number, seed, folder, sound)
            lines.write(f"{number}\t{end[0]}\t{end[1]}\n")
            lines.flush()
            os.chdir("/")
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(here[0], ignore_errors=True)


_OUTSIDE: list[str] = []  # what the reader of an input did that it may not; empty while none reads
_CHANGES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate", "shutil.rmtree"}
_NEVER = {"socket.connect", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn"}


def _watch(event: str, args: tuple, here: str) -> None:
    """Note what no reader may do."""
    if not _OUTSIDE:
        return
    writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    changes = (writes or event in _CHANGES) and not isinstance(args[0], int)
    path = str(Path(os.fsdecode(args[0])).absolute()) if changes else here
    if event in _NEVER or not (path.startswith((here, "/dev/", "/proc/")) or "__pycache__" in path):
        _OUTSIDE.append(f"{event} {str(args)[:200]}")


def run(name: str, numbers: list[int], seed: int, folder: Path) -> dict[int, tuple[str, str]]:
    """The ends of some inputs of a kind, by their numbers."""
    sound = folder / name.replace(" ", "-")
    sound.mkdir()
    made = KINDS[name].make(sound)
    (sound / ".sound").write_text(made.relative_to(sound).as_posix())
    ends: dict[int, tuple[str, str]] = {}
    left = list(numbers)
    while left:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.close(reading)
                batch(name, left[:BATCH], seed, sound, writing)
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as lines:
            for line in lines:
                number, end, reason = line.rstrip("\n").split("\t", 2)
                ends[int(number)] = end, reason
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            dead = next(number for number in left if number not in ends)
            ends[dead] = "failed", f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
        left = [number for number in left if number not in ends]
    return ends


def _line(name: str, counts: Counter) -> str:
    numbers = (counts.total(), counts["refused"], counts["accepted"], counts["failed"])
    return "{:16} {:6} {:8} {:9} {:7}".format(name, *numbers)


def main() -> int:
    """Run the campaign, print its counts and the failures, and say by the exit code whether there were any."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--inputs", type=int, default=10_000, help="how many, of all kinds together")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--only", choices=KINDS, action="append", help="of this kind alone; repeat for more")
    words.add_argument("--first", type=int, default=0, help="number of the first input of each kind")
    said = words.parse_args()
    warnings.simplefilter("ignore")
    for heavy in (
        "nowcast.report.nowcast_page",
        "nowcast.forecasting.answer_files",
        "nowcast.cli.info",
        "numba",
        "av",
        "nowcast.experiments.settings",
        "nowcast.models.unet",
        "pipelines.sevir.prepare",
        "rasterio.crs",
        "pipelines.video.folder",
        "nowcast.forecasting.sentences",
        "nowcast.cli.models",
        "dask.array",
        "pipelines.radar.cf",
        "pipelines.radar.mrms",
        "pipelines.radar.odim",
        "pipelines.radar.knmi",
    ):
        import_module(heavy)
    names = said.only or list(KINDS)
    print(f"{'kind':16} {'tried':>6} {'refused':>8} {'accepted':>9} {'failed':>7}", flush=True)
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for place, name in enumerate(names):
            each = said.inputs // len(names) + (place < said.inputs % len(names))
            ends = run(name, list(range(said.first, said.first + each)), said.seed, Path(folder))
            counts = Counter(end for end, _ in ends.values())
            total += counts
            print(
                f"{name:16} {len(ends):6} {counts['refused']:8} {counts['accepted']:9} {counts['failed']:7}", flush=True
            )
            for number, (end, reason) in sorted(ends.items()):
                if end == "failed":
                    print(f"    {name} {number}: {reason}", flush=True)
    print(_line("all", total))
    return int(total["failed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
