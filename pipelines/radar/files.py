"""Files of radar fields of any of the formats that are read: which there are, what each holds, and its values.

A format is one file, pipelines/radar_*.py, with two functions and one line in `FORMATS`: `header(path)` says what a
file holds, `values(path, number)` gives frame `number` of it, float32 with dims (y, x), row 0 in the south, NaN
missing, in the unit of its quantity. Both raise any exception where they cannot.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np

from pipelines.errors import InputError
from pipelines.radar.grid import Grid

FORMATS = {
    "MRMS GRIB2": "pipelines.radar.mrms",
    "ODIM HDF5": "pipelines.radar.odim",
    "KNMI HDF5": "pipelines.radar.knmi",
    "CF NetCDF": "pipelines.radar.cf",
    "CF Zarr": "pipelines.radar.cf",
}
_SUFFIXES = {
    ".grib2": "MRMS GRIB2",
    ".grb2": "MRMS GRIB2",
    ".grib2.gz": "MRMS GRIB2",
    ".h5": "HDF5",
    ".hdf": "HDF5",
    ".hdf5": "HDF5",
    ".nc": "CF NetCDF",
    ".nc4": "CF NetCDF",
    ".zarr": "CF Zarr",
}
_TIME_IN_NAME = re.compile(  # of 20210704, 20210704155000, 2021-07-04_15-50, 2021070415 and the like
    r"(?<!\d)((?:19|20)\d\d)[-_]?(\d\d)[-_]?(\d\d)(?:[-_.T]?(\d\d)(?:[-_:]?(\d\d)(?:[-_:]?(\d\d))?)?)?(?!\d)"
)

_HALF_MINUTE = timedelta(seconds=30)


@dataclass(frozen=True)
class Header:
    """What a file holds.

    Attributes:
        grid: Where its fields lie.
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
    """The files that are named, and those of a known suffix in the folders that are named, each once, in order.

    Raises:
        InputError: when there is no such file or folder, or no file in it.
    """
    found: dict[Path, None] = {}
    for source in map(Path, sources):
        is_folder = source.is_dir() and not _suffix(source)
        files = sorted(path for path in source.rglob("*") if _suffix(path)) if is_folder else [source]
        if not files or not files[0].exists():
            raise InputError(f"no radar file at {source}", expected=f"a folder or files of {', '.join(_SUFFIXES)}")
        found |= dict.fromkeys(files)
    return list(found)


def product(path: Path) -> str:
    """What a file is called without its time: equal for the files of one series."""
    stem = path.name.removesuffix(_suffix(path))
    return _TIME_IN_NAME.sub("", stem).strip("._- ") or "radar"


def time_in_name(path: Path) -> datetime | None:
    """The UTC time in a file's name, to the hour at least, if it has one."""
    match = _TIME_IN_NAME.search(path.name)
    if match is None or match[4] is None:
        return None
    try:
        return datetime(*(int(part or 0) for part in match.groups()))  # type: ignore[arg-type]
    except ValueError:
        return None


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
    """What a file holds.

    Raises:
        InputError: when it cannot be read.
    """
    try:
        found = _format(path).header(path)
        if not found.times:
            raise ValueError("it holds no frame")
        return found
    except Exception as error:  # the libraries have exceptions of their own for damaged files
        raise _unreadable(path, error) from error


def read_values(path: Path, number: int) -> np.ndarray:
    """Frame `number` of a file, float32 with dims (y, x), row 0 in the south, NaN missing, in its quantity's unit.

    Raises:
        InputError: when it cannot be read.
    """
    try:
        return _format(path).values(path, number)
    except Exception as error:
        raise _unreadable(path, error) from error


def text(attribute: object) -> str:
    """Text of an HDF5 attribute, which may be bytes, or an array of one."""
    value = np.asarray(attribute).ravel()[0]
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def number(attribute: object) -> float:
    """Number of an HDF5 attribute, which may be an array of one."""
    return float(np.asarray(attribute).ravel()[0])


def _format(path: Path) -> _Format:
    name = _SUFFIXES.get(_suffix(path), "")
    if name == "HDF5":
        with h5py.File(path) as file:
            name = "KNMI HDF5" if "image1" in file else "ODIM HDF5"
    if not name:
        raise InputError("no known format", got=path.suffix, expected=", ".join(_SUFFIXES))
    return import_module(FORMATS[name])  # type: ignore[return-value]


def _suffix(path: Path) -> str:
    suffixes: Sequence[str] = [suffix for suffix in _SUFFIXES if path.name.lower().endswith(suffix)]
    return max(suffixes, key=len, default="")


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
    return InputError(f"{path.name} cannot be read", got=reason)
