"""DWD's RADOLAN binaries: composites of rain (RY, RW, YW, RV and others) and of reflectivity (WN, RX, WX).

A header in text up to the byte 3, then the pixels row by row from the south-west: two bytes each, 12 bits of a value
and 4 of flags, or one (DWD, RADOLAN/RADVOR Kompositformat). The grid is in polar stereographic projection, on a sphere
of 6370.04 km, or on WGS84 since version 5 of the format. Files may be compressed.

wradlib reads them too, and is not used: with it and xradar installed, xarray imports both before it opens any file of
any format, which takes seconds.
"""

import bz2
import gzip
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.errors import InputError
from pipelines.radar.files import Header
from pipelines.radar.grid import Grid
from pipelines.store.geo import projection
from pipelines.store.units import RAIN_RATE, REFLECTIVITY

_RAIN = ("RY", "RW", "RV", "RZ", "RH", "RB", "RQ", "YW", "EY", "EZ", "EW", "EH", "EB")
_REFLECTIVITY = ("WN", "RX", "WX", "EX")
_BYTES = ("RX", "WX", "EX")  # one a pixel
_CODES = (249, 250, 255)  # of clutter and of no data, in one byte
_FLAGS = 0x2000 | 0x8000  # no data, clutter; the other two say only how a value was found
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open}
_MOST = 2**26  # bytes of a composite, unpacked
_PROJ = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 {} +units=m"
_CENTRE = 9, 51  # degrees east and north, a corner of pixels of all grids
_GRIDS = {  # metres of a pixel, and metres to the centre from the west and the south, by rows and columns
    (900, 900): (1000, 450e3, 450e3),
    (1100, 900): (1000, 370e3, 550e3),
    (1200, 1100): (1000, 470e3, 600e3),
    (1500, 1400): (1000, 600e3, 800e3),
    (4800, 4400): (250, 470e3, 600e3),
}


def header(path: Path) -> Header:
    """See `pipelines.radar.files`."""
    text, _ = _parts(path)
    product, ahead = text[:2], _number(text, "VV", 0)
    if product not in (*_RAIN, *_REFLECTIVITY):
        raise InputError(f"RADOLAN's {product} is not read", expected=f"one of {', '.join((*_RAIN, *_REFLECTIVITY))}")
    if ahead:
        raise InputError(f"it is a forecast, {ahead} minutes after its time", expected="observed radar")
    time = datetime.strptime(text[2:8] + text[13:17], "%d%H%M%m%y")
    return Header(_grid(text), RAIN_RATE if product in _RAIN else REFLECTIVITY, (time,))


def values(path: Path, number: int) -> np.ndarray:
    """See `pipelines.radar.files`."""
    text, body = _parts(path)
    shape, product = _shape(text), text[:2]
    kind = np.dtype("u1" if product in _BYTES else "<u2")
    if len(body) != shape[0] * shape[1] * kind.itemsize:
        raise InputError(f"it has {len(body)} bytes of pixels", expected=f"{shape[0]} x {shape[1]} x {kind.itemsize}")
    raw = np.frombuffer(body, kind)
    if product in _BYTES:
        missing, field = np.isin(raw, _CODES), raw.astype("float32")
    else:
        missing, field = (raw & _FLAGS) > 0, (raw & 0xFFF).astype("float32") * 10.0 ** _number(text, "PR *E")
    if product in _RAIN:
        field = field * 60 / (_number(text, "INT") * (1440 if _number(text, "U", 0) == 1 else 1))
    else:
        field = field / 2 - 32.5
    return np.where(missing, np.nan, field).reshape(shape).astype("float32")


def _parts(path: Path) -> tuple[str, bytes]:
    """The header as text, without the names of radars at its end, and the bytes of the pixels.

    Raises:
        InputError: when it is no RADOLAN file.
    """
    with _OPENERS.get(path.suffix, open)(path, "rb") as file:
        content = file.read(_MOST + 1)
    if len(content) > _MOST:
        raise InputError(f"it unpacks to more than {_MOST:,} bytes")
    text, found, body = content.partition(b"\x03")
    if not found or not re.match(rb"[A-Z][A-Z0-9]\d{15}BY", text):
        raise InputError("it is no RADOLAN composite", got=repr(content[:20]))
    return text.decode("latin-1").partition("<")[0], body


def _grid(text: str) -> Grid:
    """The grid of a header.

    Raises:
        InputError: for one of another size than DWD's.
    """
    rows, columns = shape = _shape(text)
    if shape not in _GRIDS:
        raise InputError(
            f"a grid of {rows} x {columns} pixels is not known", expected=f"one of {', '.join(map(str, _GRIDS))}"
        )
    pixel, west, south = _GRIDS[shape]
    proj = _PROJ.format("+ellps=WGS84" if _number(text, "VS") >= 5 else "+a=6370040 +b=6370040")
    x, y = projection(proj)(*_CENTRE)
    return Grid(proj, x - west, y - south, pixel, pixel, rows, columns)


def _shape(text: str) -> tuple[int, int]:
    """Rows and columns."""
    found = re.search(r"GP *(\d+) *x *(\d+)", text)
    if found is None:
        raise InputError("its header says no size of its grid", got=text)
    return int(found[1]), int(found[2])


def _number(text: str, name: str, default: int | None = None) -> int:
    """The number after a name in a header.

    Raises:
        InputError: when it is not there and has no default.
    """
    found = re.search(rf"(?<=\d){name} *([-+]?\d+)", text[17:])
    if found is None and default is None:
        raise InputError(f"its header has no {name}", got=text)
    return int(found[1]) if found else int(default or 0)
