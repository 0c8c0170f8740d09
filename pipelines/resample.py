"""From the archive's 384x384 pixels to 128x128, and what becomes of missing pixels on the way.

A reducer takes the frames of one event as SEVIR stores them, uint8 counts with shape (y, x, frame) and 255 missing,
and gives them with shape (frame, y, x), a third as many pixels along a side (all of them by `none`). Scores under
different reducers do not compare: others' "128x128" is `max` (SEVIR-LR), `mean` (Earthformer), `center` (DiffCast,
STLDM: bilinear without antialiasing at factor 3) or `antialias` (PredLDM, which blends 255 in as if it were data; here
missing pixels carry no weight).

Each kernel computes a row of pixels frame by frame, as the archive lies in memory, and only then turns it: the
compiler vectorises the first and the second stays in the cache.
"""

from collections.abc import Callable

import numba
import numpy as np

from pipelines.protocol import FACTOR
from pipelines.units import MISSING

_WEIGHTS = np.array([1, 2, 3, 2, 1], np.uint16)  # triangle of half width FACTOR, at its pixels
_REACH = len(_WEIGHTS) // 2
_kernel = numba.njit(cache=True, error_model="numpy")


@_kernel
def _turn(row: np.ndarray, number: int, turned: np.ndarray) -> None:
    """Write a row of pixels with shape (x, frame) as row `number` of frames with shape (frame, y, x)."""
    for t in range(row.shape[1]):
        for x in range(row.shape[0]):
            turned[t, number, x] = row[x, t]


@_kernel
def _add(pixel: np.ndarray, weight: int, total: np.ndarray, seen: np.ndarray) -> None:
    """Add a pixel's frames, weighted, to the totals and weights of those that are not missing."""
    for t in range(len(pixel)):
        value = np.uint16(pixel[t])
        valid = np.uint16(value != MISSING) * np.uint16(weight)
        total[t] += valid * value
        seen[t] += valid


@_kernel
def _average(total: np.ndarray, seen: np.ndarray, whole: int, averaged: np.ndarray) -> None:
    """Averages rounded half up, missing where less than half of the whole weight was seen."""
    for t in range(len(total)):
        weight = max(np.float32(seen[t]), np.float32(1))
        # Exact: a quotient of these integers that is no integer is further from one than float32 rounds.
        value = np.uint8(np.floor((np.float32(2) * np.float32(total[t]) + weight) / (np.float32(2) * weight)))
        averaged[t] = value if 2 * seen[t] >= whole else np.uint8(MISSING)


@_kernel
def _mean(frames: np.ndarray) -> np.ndarray:
    height, width, count = frames.shape[0] // FACTOR, frames.shape[1] // FACTOR, frames.shape[2]
    reduced = np.empty((count, height, width), np.uint8)
    row = np.empty((width, count), np.uint8)
    lines = frames.reshape(frames.shape[0], frames.shape[1] * count)
    columns, seen_in_columns = np.empty(lines.shape[1], np.uint16), np.empty(lines.shape[1], np.uint16)
    total, seen = np.empty(count, np.uint16), np.empty(count, np.uint16)
    for r in range(height):
        columns[:] = 0
        seen_in_columns[:] = 0
        for y in range(FACTOR * r, FACTOR * r + FACTOR):
            _add(lines[y], 1, columns, seen_in_columns)
        for c in range(width):
            first, second, third = FACTOR * c * count, (FACTOR * c + 1) * count, (FACTOR * c + 2) * count
            for t in range(count):
                total[t] = columns[first + t] + columns[second + t] + columns[third + t]
                seen[t] = seen_in_columns[first + t] + seen_in_columns[second + t] + seen_in_columns[third + t]
            _average(total, seen, FACTOR * FACTOR, row[c])
        _turn(row, r, reduced)
    return reduced


@_kernel
def _antialias(frames: np.ndarray) -> np.ndarray:
    height, width, count = frames.shape[0] // FACTOR, frames.shape[1] // FACTOR, frames.shape[2]
    reduced = np.empty((count, height, width), np.uint8)
    row = np.empty((width, count), np.uint8)
    total, seen = np.empty(count, np.uint16), np.empty(count, np.uint16)
    for r in range(height):
        top = FACTOR * r + FACTOR // 2 - _REACH
        for c in range(width):
            left = FACTOR * c + FACTOR // 2 - _REACH
            total[:] = 0
            seen[:] = 0
            whole = 0
            for y in range(max(top, 0), min(top + len(_WEIGHTS), frames.shape[0])):
                for x in range(max(left, 0), min(left + len(_WEIGHTS), frames.shape[1])):
                    weight = int(_WEIGHTS[y - top]) * int(_WEIGHTS[x - left])
                    whole += weight
                    _add(frames[y, x], weight, total, seen)
            _average(total, seen, whole, row[c])
        _turn(row, r, reduced)
    return reduced


@_kernel
def _max(frames: np.ndarray) -> np.ndarray:
    height, width, count = frames.shape[0] // FACTOR, frames.shape[1] // FACTOR, frames.shape[2]
    reduced = np.empty((count, height, width), np.uint8)
    row = np.empty((width, count), np.uint8)
    seen = np.empty(count, np.uint8)
    for r in range(height):
        row[:] = 0
        for c in range(width):
            seen[:] = 0
            for y in range(FACTOR * r, FACTOR * r + FACTOR):
                for x in range(FACTOR * c, FACTOR * c + FACTOR):
                    for t in range(count):
                        value = frames[y, x, t]
                        seen[t] += np.uint8(value != MISSING)
                        row[c, t] = max(row[c, t], value if value != MISSING else np.uint8(0))
            for t in range(count):
                row[c, t] = row[c, t] if 2 * seen[t] >= FACTOR * FACTOR else np.uint8(MISSING)
        _turn(row, r, reduced)
    return reduced


@_kernel
def _turned(frames: np.ndarray) -> np.ndarray:
    turned = np.empty((frames.shape[2], frames.shape[0], frames.shape[1]), np.uint8)
    for r in range(frames.shape[0]):
        _turn(frames[r], r, turned)
    return turned


def mean(frames: np.ndarray) -> np.ndarray:
    """Mean of the valid pixels of each 3x3 block, rounded half up; missing when 5 or more of the 9 are missing.

    Args:
        frames: Counts with shape (y, x, frame), uint8, 255 missing.

    Returns:
        Counts with shape (frame, y / 3, x / 3), uint8, 255 missing.
    """
    return _mean(np.ascontiguousarray(frames))


def maximum(frames: np.ndarray) -> np.ndarray:
    """Largest valid pixel of each 3x3 block; missing when 5 or more of the 9 are missing. Shapes as in `mean`."""
    return _max(np.ascontiguousarray(frames))


def center(frames: np.ndarray) -> np.ndarray:
    """The centre pixel of each 3x3 block; missing when that one is. Shapes as in `mean`."""
    middle = slice(FACTOR // 2, None, FACTOR)
    return _turned(np.ascontiguousarray(frames[middle, middle]))


def antialias(frames: np.ndarray) -> np.ndarray:
    """Bilinear with antialiasing: 5x5 pixels about each block's centre, weighted 1 2 3 2 1 along each axis.

    As PIL and torchvision do it; pixels beyond the edge of the event carry no weight, nor do missing ones. Rounded half
    up; missing when missing pixels have more than half of the weight. Shapes as in `mean`.
    """
    return _antialias(np.ascontiguousarray(frames))


def none(frames: np.ndarray) -> np.ndarray:
    """All pixels as they are, turned to shape (frame, y, x)."""
    return _turned(np.ascontiguousarray(frames))


REDUCERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": mean,
    "max": maximum,
    "center": center,
    "antialias": antialias,
    "none": none,
}
