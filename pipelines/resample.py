"""From the archive's 384x384 pixels to 128x128, and what becomes of missing pixels on the way.

A reducer takes the frames of one event as SEVIR stores them, uint8 counts with shape (y, x, frame) and 255 missing,
and gives them with shape (frame, y / 3, x / 3). Scores under different reducers do not compare.
"""

from collections.abc import Callable

import numba
import numpy as np

from pipelines.units import MISSING

FACTOR = 3


@numba.njit(cache=True)
def _mean(frames: np.ndarray) -> np.ndarray:
    height, width, count = frames.shape[0] // FACTOR, frames.shape[1] // FACTOR, frames.shape[2]
    reduced = np.empty((count, height, width), np.uint8)
    total = np.empty(count, np.int32)
    valid = np.empty(count, np.int32)
    for row in range(height):
        for column in range(width):
            total[:] = 0
            valid[:] = 0
            for y in range(FACTOR * row, FACTOR * row + FACTOR):
                for x in range(FACTOR * column, FACTOR * column + FACTOR):
                    for t in range(count):
                        value = np.int32(frames[y, x, t])
                        seen = np.int32(value != MISSING)
                        total[t] += seen * value
                        valid[t] += seen
            for t in range(count):
                if 2 * valid[t] < FACTOR * FACTOR:
                    reduced[t, row, column] = MISSING
                else:
                    reduced[t, row, column] = (2 * total[t] + valid[t]) // (2 * valid[t])
    return reduced


def mean(frames: np.ndarray) -> np.ndarray:
    """Mean of the valid pixels of each 3x3 block, rounded half up; missing when 5 or more of the 9 are missing.

    Args:
        frames: Counts with shape (y, x, frame), uint8, 255 missing.

    Returns:
        Counts with shape (frame, y / 3, x / 3), uint8, 255 missing.
    """
    return _mean(np.ascontiguousarray(frames))


REDUCERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"mean": mean}
