"""Series: the files of one product, with their frames by time.

- Files whose names are equal without the time are of one product. Names that are equal except for their digits are of
  one product too, if the files have one grid and quantity and follow each other in time: then the digits are a time in
  a form that is not known.
- The grid and quantity of a series are those of its first file that can be read. A file of another grid or quantity
  counts as one that cannot be read.
- A time that two files have is taken from the first one that can be read.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pipelines.building.plan import LeftOut
from pipelines.errors import InputError
from pipelines.radar.files import Header, product, read_header, time_in_name
from pipelines.store.progress import progress

_DIGITS = re.compile(r"(\d+)")
_MOST_DOUBLED = 0.1  # share of the frames of one product whose times are there twice
_FARTHEST = timedelta(days=1)  # between the time in a name, which may be local, and that in the file

Scanned = tuple[Path, Header | InputError]


@dataclass(frozen=True)
class Frame:
    """A field of a file, or the fault for which it is missing.

    Attributes:
        file: Path of the file.
        number: Its place in the file.
        fault: Why it cannot be read; empty when it can.
    """

    file: str
    number: int
    fault: str = ""


@dataclass(frozen=True)
class Series:
    """The frames of a product.

    Attributes:
        name: Name of the product.
        header: Header of the first file that can be read.
        frames: By their UTC times.
    """

    name: str
    header: Header
    frames: dict[datetime, Frame]


def scan(paths: Sequence[Path]) -> list[Scanned]:
    """The header of each file, or why it cannot be read."""
    with progress("checking files", len(paths)) as advance:
        scanned = []
        for path in paths:
            scanned.append((path, _header(path)))
            advance()
        return scanned


def scan_newest(paths: Sequence[Path], number: int, until: datetime | None = None) -> list[Scanned]:
    """As `scan`, of the files of the newest frames only, where the times in their names put the files in order.

    Args:
        paths: The files.
        number: Least number of frames to find.
        until: Time of the last frame that is of interest, UTC.
    """
    named = [(time, path) for path in paths if (time := time_in_name(path))]
    if len(named) < len(paths) or len({product(path) for path in paths}) > 1:
        return scan(paths)
    scanned: list[Scanned] = []
    times: set[datetime] = set()
    for time, path in sorted(named, reverse=True):
        if until and time > until + _FARTHEST:
            continue
        if len(times) >= number:
            break
        scanned.append((path, header := _header(path)))
        if isinstance(header, InputError):
            continue
        if abs(max(header.times) - time) > _FARTHEST or (times and max(header.times) > min(times)):
            return scan(paths)
        times |= {own for own in header.times if until is None or own <= until}
    return scanned[::-1]


def _header(path: Path) -> Header | InputError:
    try:
        return read_header(path)
    except InputError as error:
        return error


def find_series(scanned: Sequence[Scanned], left_out: list[LeftOut]) -> list[Series]:
    """The series of all files that can be read, with what cannot be placed in one added to `left_out`.

    Raises:
        InputError: when no file can be read.
    """
    faults = [header for _, header in scanned if isinstance(header, InputError)]
    if len(faults) == len(scanned):
        raise faults[0] if len(faults) == 1 else InputError("no file can be read", got=faults[0])
    found = []
    for name, files in sorted(_products(scanned).items()):
        usual = next((header for _, header in files if isinstance(header, Header)), None)
        if usual is None:
            left_out += [LeftOut("", str(error)) for _, error in files]
        else:
            found.append(Series(name, usual, _frames(files, usual, left_out)))
    return found


def _products(scanned: Iterable[Scanned]) -> dict[str, list[Scanned]]:
    """The files of each product, by its name."""
    named: dict[str, list[Scanned]] = {}
    for path, header in scanned:
        named.setdefault(product(path), []).append((path, header))
    alike: dict[str, list[str]] = {}
    for name in named:
        alike.setdefault(_DIGITS.sub("#", name), []).append(name)
    products = {}
    for names in alike.values():
        files = [file for name in names for file in named[name]]
        if len(names) > 1 and _follow_each_other([header for _, header in files if isinstance(header, Header)]):
            products[_shared(names)] = files
        else:
            products |= {name: named[name] for name in names}
    return products


def _follow_each_other(headers: Sequence[Header]) -> bool:
    """Whether files are of one grid and quantity and, except for a few, of different times."""
    times = [time for header in headers for time in header.times]
    return (
        len(times) - len(set(times)) <= _MOST_DOUBLED * len(times)
        and len({header.quantity for header in headers}) == 1
        and all(header.grid.same_as(headers[0].grid) for header in headers)
    )


def _shared(names: Sequence[str]) -> str:
    """The parts that names which differ in their digits have in common."""
    parts = zip(*map(_DIGITS.split, names), strict=True)
    return "".join(same[0] for same in parts if len(set(same)) == 1).strip("._- ") or "radar"


def _frames(files: Iterable[Scanned], usual: Header, left_out: list[LeftOut]) -> dict[datetime, Frame]:
    frames: dict[datetime, Frame] = {}
    for path, header in files:
        fault = str(header) if isinstance(header, InputError) else _odd(path, header, usual)
        times = [time_in_name(path)] if isinstance(header, InputError) else header.times
        for number, time in enumerate(times):
            if time is None:
                left_out.append(LeftOut("", fault))
            elif time in frames and not frames[time].fault:
                left_out.append(LeftOut(path.name, f"a second field of {time}"))
            else:
                frames[time] = Frame(str(path), number, fault)
    return frames


def _odd(path: Path, header: Header, usual: Header) -> str:
    """How a file differs from the others of its series."""
    if header.quantity != usual.quantity:
        return f"{path.name} has {header.quantity}, not {usual.quantity} as the files before it"
    if header.grid.same_as(usual.grid):
        return ""
    return f"{path.name} has another grid than the files before it: {usual.grid.difference(header.grid)}"
