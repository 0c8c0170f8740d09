"""NOAA's MRMS (Multi-Radar Multi-Sensor) in GRIB2, as published: a latitude-longitude grid in PNG packing.

Only what MRMS uses of GRIB2 (WMO Manual on Codes, FM 92) is read, which takes no GRIB library: grid definition template
3.0, data representation templates 5.0 (plain) and 5.41 (PNG), no bitmap. A value is (R + raw x 2^E) / 10^D. Files may
be gzipped. Each message of a file, and each field of a message, is a frame; all of them are of one parameter and grid.
"""

import gzip
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from struct import unpack_from

import cv2
import numpy as np

from pipelines.errors import InputError
from pipelines.radar.files import Header
from pipelines.radar.grid import Grid
from pipelines.store.units import RAIN_RATE, REFLECTIVITY, VIL

_AMOUNT, _DECIBELS = CODES = (-3, -1), (-999, -99)  # values of no coverage, which is missing, and of no echo
_PARAMETERS = {  # by discipline, category and number of MRMS's own table
    (209, 6, 1): (RAIN_RATE, _AMOUNT),  # PrecipRate
    (209, 3, 41): (VIL, _AMOUNT),  # VIL
    (209, 10, 0): (REFLECTIVITY, _DECIBELS),  # MergedReflectivityQCComposite
}
_SOUTHWARDS, _NORTHWARDS = 0b00000000, 0b01000000  # scanning modes: rows of eastward pixels
_MOST = 2**29  # bytes of a file, unpacked
_MICRO = 1e-6  # degrees

Sections = dict[int, bytes]


def header(path: Path) -> Header:
    """See `pipelines.radar.files`."""
    fields = list(_fields(path))
    grid, parameter = _grid(fields[0][3]), _parameter(fields[0])
    for number, field in enumerate(fields, 1):
        if (_grid(field[3]), _parameter(field)) != (grid, parameter):
            raise InputError(f"message {number} of {len(fields)} is of another parameter or grid than the first")
    return Header(grid, parameter[0], tuple(_time(field) for field in fields))


def values(path: Path, number: int) -> np.ndarray:
    """See `pipelines.radar.files`."""
    sections = next(islice(_fields(path), number, None))
    grid = _grid(sections[3])
    reference, binary, decimal = _signed(sections[5], "f", 11), *_signed(sections[5], "HH", 15)
    raw = _raw(sections, grid.rows * grid.columns).astype("float32").reshape(grid.rows, grid.columns)
    field = (np.float32(reference[0]) + raw * np.float32(2.0**binary)) / np.float32(10.0**decimal)
    no_coverage, no_echo = _parameter(sections)[1]
    field[np.isclose(field, no_coverage)] = np.nan
    field[np.isclose(field, no_echo)] = -np.inf
    return field if sections[3][71] == _NORTHWARDS else field[::-1]


def _fields(path: Path) -> Iterator[Sections]:
    """The sections of each field, by their numbers: those of its message, up to the data of the field."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read(_MOST + 1)
    if len(content) > _MOST:
        raise InputError(f"it unpacks to more than {_MOST:,} bytes")
    start = 0
    while start == 0 or content[start:].strip(b"\0\r\n"):
        message = content[start:]
        if message[:4] != b"GRIB" or message[7] != 2:
            raise InputError("it is not GRIB2" if start == 0 else f"it is not GRIB2 from byte {start} on")
        (end,) = unpack_from(">Q", message, 8)
        if len(message) < end:
            raise InputError(f"it ends after {len(message)} of {end} bytes of a message")
        found, place = {0: message[:16]}, 16
        while message[place : place + 4] != b"7777" and place < end:
            length, number = unpack_from(">IB", message, place)
            found[number] = message[place : place + length]
            place += max(length, 5)
            if number == 7:
                yield dict(found)
        start += end


def _time(sections: Sections) -> datetime:
    """UTC time of a field.

    Raises:
        InputError: when it is a forecast.
    """
    (ahead,) = unpack_from(">I", sections[4], 18)
    if ahead:
        raise InputError(f"it is a forecast, {ahead} steps after its reference time", expected="observed radar")
    return datetime(*unpack_from(">H5B", sections[1], 12))


def _parameter(sections: Sections) -> tuple[str, tuple[float, float]]:
    """Quantity, and its values of no coverage and of no echo."""
    key = (sections[0][6], sections[4][9], sections[4][10])
    if key not in _PARAMETERS:
        raise InputError(f"GRIB2 parameter {key} is none of PrecipRate, VIL, MergedReflectivityQCComposite")
    return _PARAMETERS[key]


def _grid(section: bytes) -> Grid:
    (template,) = unpack_from(">H", section, 12)
    if template != 0 or section[71] not in (_SOUTHWARDS, _NORTHWARDS):
        raise InputError(f"grid template 3.{template}, scanning mode {section[71]}, is not a latitude-longitude grid")
    columns, rows = unpack_from(">II", section, 30)
    (first_lat,), (first_lon,), (last_lat,) = (_signed(section, "I", place) for place in (46, 50, 55))
    width, height = (_MICRO * step for step in unpack_from(">II", section, 63))
    west = (_MICRO * first_lon + 180) % 360 - 180 - width / 2
    south = _MICRO * min(first_lat, last_lat) - height / 2
    return Grid("+proj=longlat", round(west, 5), round(south, 5), width, height, rows, columns)


def _raw(sections: Sections, pixels: int) -> np.ndarray:
    """Packed numbers of all pixels in the order of the file."""
    (template,), bits = unpack_from(">H", sections[5], 9), sections[5][19]
    packed = np.frombuffer(sections[7], np.uint8, offset=5)
    if sections[6][5] != 255:
        raise InputError("it has a bitmap")
    if bits == 0:
        return np.zeros(pixels, np.uint8)
    if template == 0 and bits in (8, 16):
        return packed.view(f">u{bits // 8}")
    if template != 41:
        raise InputError(f"packing template 5.{template} of {bits} bits, is not PNG, which MRMS uses")
    content = packed.tobytes()
    told = unpack_from(">II", content, 16) if content.startswith(b"\x89PNG") and len(content) >= 24 else (0, 0)
    image = cv2.imdecode(packed, cv2.IMREAD_UNCHANGED) if told[0] * told[1] == pixels else None
    if image is None:
        raise InputError("its PNG is damaged")
    if image.ndim == 3:  # 24 bits, as red, green and blue, which OpenCV gives in the reverse order
        image = image.astype(np.uint32) @ np.array([1, 2**8, 2**16], np.uint32)
    return image


def _signed(section: bytes, kinds: str, place: int) -> tuple[float, ...]:
    """Numbers, of which GRIB's negative integers have the first bit set and are otherwise as positive ones."""
    numbers = unpack_from(f">{kinds}", section, place)
    signs = {"H": 2**15, "I": 2**31}
    return tuple(
        -(value - signs[kind]) if kind in signs and value >= signs[kind] else value
        for kind, value in zip(kinds, numbers, strict=True)
    )
