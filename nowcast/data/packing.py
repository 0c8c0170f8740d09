"""Counts packed into 16-bit integers, and the same amounts in the unit of any quantity of radar.

Counts are packed in steps of 1/128. In another unit each step has a number of its own, a float32 with as few digits as
tell it from its neighbours, so that files compress and `counts_again` finds the step: above 5 counts nothing is lost.
"""

from functools import lru_cache

import numpy as np

from pipelines.store.units import COUNTS, QUANTITIES

COUNT_STEP = np.float32(1 / 128)
FILL = np.int16(-1)


def pack(values: np.ndarray, step: np.float32) -> np.ndarray:
    """Values, none negative, NaN missing, as 16-bit integers in whole steps; missing becomes negative."""
    packed = np.rint(np.minimum(values / step, np.iinfo("int16").max))
    return np.where(np.isnan(packed), FILL, packed).astype("int16")


def unpacked(packed: np.ndarray, quantity: str) -> np.ndarray:
    """Counts by `pack` in the unit of one of `pipelines.store.units.QUANTITIES`, float32, NaN missing, same shape."""
    return _values(quantity)[packed]


def in_unit(counts: np.ndarray, quantity: str) -> np.ndarray:
    """Counts in the unit of a quantity, float32, NaN missing, same shape, as files have them; counts as they are."""
    return counts if quantity == COUNTS else unpacked(pack(counts, COUNT_STEP), quantity)


def counts_again(values: np.ndarray, quantity: str) -> np.ndarray:
    """Counts in steps of 1/128, float32, of values in the unit of a quantity, NaN missing: inverse of `unpacked`."""
    counts = np.where(np.isnan(values), np.float32(np.nan), np.float32(0))
    echo = values > 0  # 0 dBZ is below the least count with echo
    counts[echo] = np.rint(QUANTITIES[quantity].to_counts(values[echo]) / COUNT_STEP) * COUNT_STEP
    return counts


@lru_cache
def _values(quantity: str) -> np.ndarray:
    """The value of every packed number; the last one, which -1 finds, is missing."""
    values = QUANTITIES[quantity].from_counts(np.arange(2.0**15) * COUNT_STEP)
    gaps = np.minimum(np.diff(values, prepend=-np.inf), np.diff(values, append=np.inf))
    apart = gaps > 0
    digit = 2.0 ** (np.floor(np.log2(gaps, where=apart, out=np.zeros_like(gaps))) - 1)
    return np.append(np.where(apart, np.rint(values / digit) * digit, values), np.nan).astype("float32")
