"""Files of radar fields of any known format: finding them, their headers, and their values.

A format is one module in pipelines/radar/ with two functions, and one line per suffix in `FORMATS`. `header(path)`
returns the `Header` of a file. `values(path, number)` returns frame `number` of it: float32 with dims (y, x), row 0 in
the south, NaN missing, -inf without echo, in the unit of its quantity. Both raise `InputError` for what they refuse,
and whatever their libraries raise for a damaged file. Other packages add formats of other suffixes by entry points of
the group `nowcast.readers`.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np

from pipelines.errors import InputError
from pipelines.radar.grid import Grid
from pipelines.store.inside import open_hdf5
from pipelines.store.paths import near
from pipelines.store.plugins import plugins
from pipelines.store.units import quantise

FORMATS = {  # by the end of a file's name
    ".grib2": "pipelines.radar.mrms",
    ".grb2": "pipelines.radar.mrms",
    ".grib2.gz": "pipelines.radar.mrms",
    ".h5": "pipelines.radar.odim",  # or KNMI's or NetCDF, told by its groups
    ".hdf": "pipelines.radar.odim",
    ".hdf5": "pipelines.radar.odim",
    "-hd5": "pipelines.radar.odim",  # as DWD publishes it
    ".nc": "pipelines.radar.cf",
    ".nc4": "pipelines.radar.cf",
    ".zarr": "pipelines.radar.cf",
    "---bin": "pipelines.radar.radolan",
    "---bin.gz": "pipelines.radar.radolan",
    "---bin.bz2": "pipelines.radar.radolan",
    ".tif": "pipelines.radar.geotiff",
    ".tiff": "pipelines.radar.geotiff",
}
_TIMES_IN_NAMES = (  # each with a group per part of the time; a name has the first that is found
    (re.compile(r"(?<!\d)(\d\d)([01]\d)([0-3]\d)([0-2]\d)([0-5]\d)(?=-dwd-)"), "%y%m%d%H%M"),  # 2007041510-dwd---bin
    (  # 20210704, 20210704155000, 2021-07-04_15-50, 2021070415 and the like
        re.compile(
            r"(?<!\d)((?:19|20)\d\d)[-_]?(\d\d)[-_]?(\d\d)"
            r"(?:[-_.T]?(\d\d)(?:[-_:]?(\d\d)(?:[-_:]?(\d\d))?)?)?(?!\d)"
        ),
        "%Y%m%d%H%M%S",
    ),
    (re.compile(r"(?<!\d)(\d\d)([01]\d)([0-3]\d)([0-2]\d)([0-5]\d)(?!\d)"), "%y%m%d%H%M"),  # 2107041550
    # MeteoSwiss' 211851550, by the day of the year, with or without a digit of quality
    (re.compile(r"(?<!\d)(\d\d)([0-3]\d\d)([0-2]\d)([0-5]\d)\d?(?!\d)"), "%y%j%H%M"),
)
_HALF_MINUTE = timedelta(seconds=30)
OFF_STEP = 0.25  # of the step between frames, by which a frame may miss its time


class UnreadableError(InputError):
    """A file that cannot be read."""


@dataclass(frozen=True)
class Header:
    """Contents of a file.

    Attributes:
        grid: Grid of its fields.
        quantity: One of `units.QUANTITIES`.
        times: UTC time of each of its frames.
    """

    grid: Grid
    quantity: str
    times: tuple[datetime, ...]


class _Format(Protocol):
    def header(self, path: Path) -> Header: ...

    def values(self, path: Path, number: int) -> np.ndarray: ...


def find_files(sources: Iterable[str | Path]) -> list[Path]:
    """The named files, those that a wildcard stands for, and those of a known suffix in folders, each once, in order.

    Names that begin with a dot are left out of folders: so are files called that are not complete yet.

    Raises:
        InputError: when a file or folder does not exist, or a folder or wildcard gives no file.
    """
    found: dict[Path, None] = {}
    for source in map(Path, sources):
        named = [source] if source.exists() else _matching(source)
        files = [file for path in named for file in ([path] if _suffix(path) or path.is_file() else _inside(path))]
        if not files:
            beside = "" if source.exists() else near(source)
            expected = f"a folder, wildcard or files of {', '.join(FORMATS)}"
            raise InputError(f"no radar file at {source}{beside}", expected=expected)
        found |= dict.fromkeys(files)
    return list(found)


def _matching(wildcard: Path) -> list[Path]:
    """The files and folders that a path with wildcards stands for, in order."""
    start = Path(wildcard.anchor)
    try:
        return sorted(path for path in start.glob(str(wildcard.relative_to(start))) if not path.name.startswith("."))
    except ValueError as error:
        raise InputError(f"no wildcard {wildcard}", got=error) from error


def _inside(folder: Path) -> Iterator[Path]:
    """The files of a known suffix in a folder and its folders, in order."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if _suffix(path):
            yield path
        elif path.is_dir() and not path.is_symlink():
            yield from _inside(path)


def product(path: Path) -> str:
    """Name of a file without its time, equal for all files of one series."""
    stem = path.name.removesuffix(_suffix(path))
    time = _time_match(stem)
    without = stem if time is None else time[0].re.sub("", stem)
    return without.strip("._- ") or "radar"


def time_in_name(path: Path) -> datetime | None:
    """UTC time in the name of a file; None where it has none, or a date only."""
    found = _time_match(path.name)
    if found is None or found[0][4] is None:
        return None
    match, form = found
    parts = [part for part in match.groups() if part]
    try:
        return datetime.strptime("".join(parts), form[: 2 * len(parts)])
    except ValueError:
        return None


def _time_match(name: str) -> tuple[re.Match[str], str] | None:
    """Where the time is in a name, and its form; None where there is none."""
    return next(((match, form) for pattern, form in _TIMES_IN_NAMES if (match := pattern.search(name))), None)


def commonest_step(times: Iterable[datetime]) -> timedelta | None:
    """The commonest step between times; None when all are equal.

    Where all steps are multiples of it, it is exact to the second. Otherwise it is rounded to half minutes, because the
    times of many services are off by seconds. Of equally common steps the shortest counts.
    """
    steps = [b - a for a, b in pairwise(sorted(set(times)))]
    exact = _commonest(steps)
    if exact is None or (len(steps) > 1 and not any(step % exact for step in steps)):
        return exact
    return _commonest([rounded for step in steps if (rounded := round(step / _HALF_MINUTE) * _HALF_MINUTE)]) or exact


def _commonest(steps: Sequence[timedelta]) -> timedelta | None:
    number = Counter(steps)
    return max(number, key=lambda step: (number[step], -step), default=None)


def read_header(path: Path) -> Header:
    """Read the header of a file.

    Raises:
        UnreadableError: when it cannot be read, or holds no frame.
    """
    try:
        found = _format(path).header(path)
        if not found.times:
            raise InputError("it holds no frame")
        found.grid.check()
        return found
    except Exception as error:  # each library has its own exceptions for damaged files
        raise _unreadable(path, error) from error


def read_values(path: Path, number: int) -> np.ndarray:
    """Read frame `number` of a file, in the unit of its quantity.

    Returns:
        float32 with dims (y, x), row 0 in the south, NaN missing, -inf without echo.

    Raises:
        UnreadableError: when it cannot be read.
    """
    try:
        return _format(path).values(path, number)
    except Exception as error:
        raise _unreadable(path, error) from error


def read_counts(path: Path, number: int, quantity: str) -> np.ndarray:
    """Read frame `number` of a file, which is of `quantity`, as counts on disk.

    Returns:
        uint8 with dims (y, x), row 0 in the south, 255 missing.

    Raises:
        UnreadableError: when it cannot be read.
        InputError: when it has values that the quantity cannot have.
    """
    values = read_values(path, number)
    try:
        return quantise(values, quantity)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error


def text(attribute: object) -> str:
    """Text of an HDF5 attribute, which may be bytes, or an array of one."""
    value = np.asarray(attribute).ravel()[0]
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def number(attribute: object) -> float:
    """Number of an HDF5 attribute, which may be an array of one."""
    return float(np.asarray(attribute).ravel()[0])


def hours(start: datetime, end: datetime) -> float:
    """Hours over which rain was accumulated.

    Raises:
        InputError: when it does not end after it starts.
    """
    if end <= start:
        raise InputError("its rain is accumulated over no time", got=f"{start} to {end}")
    return (end - start).total_seconds() / 3600


def _format(path: Path) -> _Format:
    suffix = _suffix(path)
    module = FORMATS.get(suffix) or _added().get(suffix)
    if module is None:
        raise InputError("its format is not known", got=path.suffix, expected=", ".join(FORMATS))
    if module == "pipelines.radar.odim":
        with open_hdf5(path) as file:
            module = "pipelines.radar.knmi" if "image1" in file else module if "what" in file else "pipelines.radar.cf"
    return import_module(module) if isinstance(module, str) else module  # type: ignore[return-value]


def _added() -> dict[str, _Format]:
    """The readers of plug-ins, by suffix."""
    taken = tuple(name for suffix in FORMATS for name in (suffix, suffix.removeprefix(".")))
    found = plugins("nowcast.readers", needs=("header", "values"), taken=taken)
    return {"." + name.removeprefix(".").lower(): module for name, module in found.items()}


def _suffix(path: Path) -> str:
    """The suffix of a known format; that of Zarr also for a folder with another name that is a Zarr store."""
    own = _longest(path, FORMATS) or _longest(path, _added())
    return own or (".zarr" if any((path / name).is_file() for name in (".zgroup", "zarr.json")) else "")


def _longest(path: Path, suffixes: Iterable[str]) -> str:
    return max((suffix for suffix in suffixes if path.name.lower().endswith(suffix)), key=len, default="")


def _unreadable(path: Path, error: Exception) -> UnreadableError:
    reason = str(error) if isinstance(error, InputError | FileNotFoundError) else f"{type(error).__name__}: {error}"
    if isinstance(error, OSError | RuntimeError | EOFError | zlib.error) and not isinstance(error, FileNotFoundError):
        reason = f"it is damaged, or open for writing elsewhere ({error})"
    return UnreadableError(f"{path.name} cannot be read: {reason}")
