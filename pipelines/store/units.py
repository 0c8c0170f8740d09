"""SEVIR's count scale and vertically integrated liquid in kg m-2.

The rule is piecewise (Veillette et al. 2020, SEVIR, NeurIPS, supplement): with X the count,

    0                         for X <= 5
    (X - 2) / 90.66           for 5 < X <= 18
    exp((X - 83.9) / 38.9)    for X > 18

Radar that measures no VIL gives it by two relations, with R the rain rate in mm h-1, Z the reflectivity factor in
mm6 m-3 and M the VIL in kg m-2 of a layer of 4.5 km (Marshall and Palmer 1948; Greene and Clark 1972):

    Z = 200 R^1.6,    M = 3.44e-6 Z^(4/7) x 4500
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import xarray as xr

from pipelines.errors import InputError

Field = TypeVar("Field", np.ndarray, xr.DataArray)

MAX_COUNT = 254
MISSING = 255  # on disk; NaN in memory
_ZERO_COUNT, _LINEAR_COUNT = 5.0, 18.0
_SLOPE, _OFFSET = 90.66, 2.0
_SCALE, _SHIFT = 38.9, 83.9
_VIL_PER_Z = 3.44e-6 * 4500


def counts_to_vil(counts: Field) -> Field:
    """Vertically integrated liquid in kg m-2 of counts (0 to 254, NaN missing), any dims."""
    return _elementwise(_counts_to_vil, counts)


def vil_to_counts(vil: Field) -> Field:
    """Counts, not rounded, of vertically integrated liquid in kg m-2 (NaN missing), any dims.

    Inverse of `counts_to_vil` above 5 counts. What is less than a count of 5 becomes 0; the rule's small jump at 18
    counts becomes 18; what is more than a count of 254 becomes 254.
    """
    return _elementwise(_vil_to_counts, vil)


def rain_rate_to_counts(rate: Field) -> Field:
    """Counts, not rounded, of a rain rate in mm h-1 (0 or more, NaN missing), any dims."""
    return vil_to_counts(_VIL_PER_Z * (200 * rate**1.6) ** (4 / 7))


def counts_to_rain_rate(counts: Field) -> Field:
    """Rain rate in mm h-1 of counts (0 to 254, NaN missing), any dims: inverse of `rain_rate_to_counts`."""
    return ((counts_to_vil(counts) / _VIL_PER_Z) ** (7 / 4) / 200) ** (1 / 1.6)


def reflectivity_to_counts(decibels: Field) -> Field:
    """Counts, not rounded, of a reflectivity in dBZ (NaN missing), any dims."""
    return vil_to_counts(_VIL_PER_Z * (10 ** (decibels / 10)) ** (4 / 7))


def _checked(counts: np.ndarray) -> np.ndarray:
    if (counts > MISSING).any():
        raise InputError("values called SEVIR counts", got=f"up to {counts.max():g}", expected="0 to 254, 255 missing")
    return counts


_INVERSE = "the inverse of SEVIR's count rule, 0 below a count of 5"
_FROM_Z = f"VIL = 3.44e-6 Z^(4/7) x 4500 kg m-2; {_INVERSE}"
# What radar may measure, with its unit: how counts are taken from it, and what a store says of that.
QUANTITIES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "rain rate in mm h-1": (rain_rate_to_counts, f"Z = 200 R^1.6 mm6 m-3; {_FROM_Z}"),
    "reflectivity in dBZ": (reflectivity_to_counts, f"Z = 10^(dBZ/10) mm6 m-3; {_FROM_Z}"),
    "VIL in kg m-2": (vil_to_counts, _INVERSE),
    "SEVIR counts": (_checked, "as they are"),
}
RAIN_RATE, REFLECTIVITY, VIL, COUNTS = QUANTITIES


def quantise(values: np.ndarray, quantity: str) -> np.ndarray:
    """Counts on disk, uint8, 255 missing, of values of one of `QUANTITIES`, NaN missing; zero and less are 0 counts.

    Raises:
        InputError: for what is called counts and is larger than they are.
    """
    counts = np.zeros(values.shape, np.uint8)
    echo = values > 0  # 0 dBZ is below the least count with echo
    counts[echo] = np.rint(QUANTITIES[quantity][0](values[echo]))
    counts[np.isnan(values)] = MISSING
    return counts


def _elementwise(function, field: Field) -> Field:
    return xr.apply_ufunc(function, field, dask="parallelized", output_dtypes=[np.result_type(field.dtype, "float32")])


def _counts_to_vil(counts: np.ndarray) -> np.ndarray:
    linear = (counts - _OFFSET) / _SLOPE
    exponential = np.exp((counts - _SHIFT) / _SCALE)
    vil = np.select(
        [np.isnan(counts), counts <= _ZERO_COUNT, counts <= _LINEAR_COUNT], [np.nan, 0, linear], exponential
    )
    return vil.astype(np.result_type(counts.dtype, "float32"))


def _vil_to_counts(vil: np.ndarray) -> np.ndarray:
    linear = np.minimum(vil * _SLOPE + _OFFSET, _LINEAR_COUNT)
    least_exponential = np.exp((_LINEAR_COUNT - _SHIFT) / _SCALE)
    exponential = _SHIFT + _SCALE * np.log(np.maximum(vil, least_exponential))
    counts = np.select(
        [np.isnan(vil), linear <= _ZERO_COUNT, vil <= least_exponential], [np.nan, 0, linear], exponential
    )
    return np.minimum(counts, MAX_COUNT).astype(np.result_type(vil.dtype, "float32"))
