"""SEVIR's count scale and vertically integrated liquid in kg m-2.

The rule is piecewise (Veillette et al. 2020, SEVIR, NeurIPS, supplement): with X the count,

    0                         for X <= 5
    (X - 2) / 90.66           for 5 < X <= 18
    exp((X - 83.9) / 38.9)    for X > 18
"""

from typing import TypeVar

import numpy as np
import xarray as xr

Field = TypeVar("Field", np.ndarray, xr.DataArray)

MAX_COUNT = 254
MISSING = 255  # on disk; NaN in memory
_ZERO_COUNT, _LINEAR_COUNT = 5.0, 18.0
_SLOPE, _OFFSET = 90.66, 2.0
_SCALE, _SHIFT = 38.9, 83.9


def counts_to_vil(counts: Field) -> Field:
    """Vertically integrated liquid in kg m-2 of counts (0 to 254, NaN missing), any dims."""
    return _elementwise(_counts_to_vil, counts)


def vil_to_counts(vil: Field) -> Field:
    """Counts, not rounded, of vertically integrated liquid in kg m-2 (NaN missing), any dims.

    Inverse of `counts_to_vil` above 5 counts. What is less than a count of 5 becomes 0; the rule's small jump at 18
    counts becomes 18; what is more than a count of 254 becomes 254.
    """
    return _elementwise(_vil_to_counts, vil)


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
