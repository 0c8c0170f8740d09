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

from pipelines.store.protocol import FACTOR
from pipelines.store.units import MISSING

_WEIGHTS = np.array([1, 2, 3, 2, 1], np.uint16)  # triangle of half width FACTOR, at its pixels
_REACH = len(_WEIGHTS) // 2
_ONE = 2**12  # counts one pixel above the sum of nine values in a uint16: half the work of two arrays
_RUN = 64  # frames summed at a time: a length known to the compiler, which it turns into a few vector operations
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
def _sum_lines(first: np.ndarray, second: np.ndarray, third: np.ndarray, sums: np.ndarray) -> None:
    """Sums of three pixels above each other, packed: each that is not missing adds its value and _ONE."""
    for i in range(len(first)):
        packed = np.uint16(0)
        for value in (first[i], second[i], third[i]):
            packed += np.uint16(0) if value == MISSING else np.uint16(value) + np.uint16(_ONE)
        sums[i] = packed


@_kernel
def _sum_neighbours(sums: np.ndarray, count: int, packed: np.ndarray) -> None:
    """Sums of each three neighbours of `count` frames; both arrays are _RUN longer than their pixels."""
    for place in range(0, len(packed) - _RUN, count):
        for start in range(0, count, _RUN):
            at = FACTOR * place + start
            first, second, third = sums[at:], sums[at + count :], sums[at + 2 * count :]
            out = packed[place + start :]
            for t in range(_RUN):  # what this writes beyond the frames of a pixel, the next one overwrites
                out[t] = first[t] + second[t] + third[t]


@_kernel
def _mean(frames: np.ndarray) -> np.ndarray:
    height, width, count = frames.shape[0] // FACTOR, frames.shape[1] // FACTOR, frames.shape[2]
    reduced = np.empty((count, height, width), np.uint8)
    lines = frames.reshape(frames.shape[0], frames.shape[1] * count)
    sums, packed = np.zeros(lines.shape[1] + _RUN, np.uint16), np.empty(width * count + _RUN, np.uint16)
    total, seen = np.empty(width * count, np.uint16), np.empty(width * count, np.uint16)
    row = np.empty((width, count), np.uint8)
    for r in range(height):
        _sum_lines(lines[FACTOR * r], lines[FACTOR * r + 1], lines[FACTOR * r + 2], sums)
        _sum_neighbours(sums, count, packed)
        for i in range(len(total)):
            total[i], seen[i] = packed[i] % np.uint16(_ONE), packed[i] // np.uint16(_ONE)
        _average(total, seen, FACTOR * FACTOR, row.reshape(width * count))
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
