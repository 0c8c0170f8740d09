"""NOAA's MRMS (Multi-Radar Multi-Sensor) in GRIB2, as published: one message, a latitude-longitude grid, PNG packing.

Only what MRMS uses of GRIB2 (WMO Manual on Codes, FM 92) is read, which takes no GRIB library: grid definition template
3.0, data representation templates 5.0 (plain) and 5.41 (PNG), no bitmap. A value is (R + raw x 2^E) / 10^D. Files may
be gzipped. Values of no coverage are missing, other negative ones are no echo.
"""

import gzip
from datetime import datetime
from pathlib import Path
from struct import unpack_from

import cv2
import numpy as np

from pipelines.radar.files import Header
from pipelines.radar.grid import Grid
from pipelines.store.units import RAIN_RATE, REFLECTIVITY, VIL

# By discipline, category and number of MRMS's own table: the quantity, and the value of no coverage.
_PARAMETERS = {
    (209, 6, 1): (RAIN_RATE, -3),  # PrecipRate
    (209, 3, 41): (VIL, -3),  # VIL
    (209, 10, 0): (REFLECTIVITY, -999),  # MergedReflectivityQCComposite
}
_SOUTHWARDS, _NORTHWARDS = 0b00000000, 0b01000000  # scanning modes: rows of eastward pixels
_MICRO = 1e-6  # degrees

Sections = dict[int, bytes]


def header(path: Path) -> Header:
    """See `pipelines.radar.files`."""
    sections = _sections(path)
    year, month, day, hour, minute, second = unpack_from(">H5B", sections[1], 12)
    time = datetime(year, month, day, hour, minute, second)
    return Header(_grid(sections[3]), _parameter(sections)[0], (time,))


def values(path: Path, number: int) -> np.ndarray:
    """See `pipelines.radar.files`."""
    sections = _sections(path)
    grid = _grid(sections[3])
    reference, binary, decimal = _signed(sections[5], "f", 11), *_signed(sections[5], "HH", 15)
    raw = _raw(sections, grid.rows * grid.columns).astype("float32").reshape(grid.rows, grid.columns)
    field = (np.float32(reference[0]) + raw * np.float32(2.0**binary)) / np.float32(10.0**decimal)
    field[np.isclose(field, _parameter(sections)[1])] = np.nan
    return field if sections[3][71] == _NORTHWARDS else field[::-1]


def _sections(path: Path) -> Sections:
    """The sections of the first message, by their numbers."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        message = file.read()
    if message[:4] != b"GRIB" or message[7] != 2:
        raise ValueError("it is not GRIB2")
    (end,) = unpack_from(">Q", message, 8)
    if len(message) < end:
        raise ValueError(f"it ends after {len(message)} of {end} bytes")
    found, start = {0: message[:16]}, 16
    while message[start : start + 4] != b"7777" and start < end:
        length, number = unpack_from(">IB", message, start)
        found[number] = message[start : start + length]
        start += max(length, 5)
    return found


def _parameter(sections: Sections) -> tuple[str, float]:
    """Quantity, and value of no coverage."""
    key = (sections[0][6], sections[4][9], sections[4][10])
    if key not in _PARAMETERS:
        raise ValueError(f"GRIB2 parameter {key} is none of PrecipRate, VIL, MergedReflectivityQCComposite")
    return _PARAMETERS[key]


def _grid(section: bytes) -> Grid:
    (template,) = unpack_from(">H", section, 12)
    if template != 0 or section[71] not in (_SOUTHWARDS, _NORTHWARDS):
        raise ValueError(f"grid template 3.{template}, scanning mode {section[71]}, is no latitude-longitude grid")
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
        raise ValueError("it has a bitmap")
    if bits == 0:
        return np.zeros(pixels, np.uint8)
    if template == 0 and bits in (8, 16):
        return packed.view(f">u{bits // 8}")
    if template != 41:
        raise ValueError(f"packing template 5.{template} of {bits} bits, not PNG as MRMS has it")
    image = cv2.imdecode(packed, cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("its PNG is damaged")
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
