"""SEVIR's count scale, and the quantities that counts are taken from: their units, possible values and relations.

The rule between counts and vertically integrated liquid (VIL) is piecewise (Veillette et al. 2020, SEVIR, NeurIPS,
supplement). The VIL in kg m-2 of the count X is

    0                         for X <= 5
    (X - 2) / 90.66           for 5 < X <= 18
    exp((X - 83.9) / 38.9)    for X > 18

Radar that measures no VIL gives it by two relations, with R the rain rate in mm h-1, Z the reflectivity factor in
mm6 m-3 and M the VIL in kg m-2 of a layer of 4.5 km (Marshall and Palmer 1948; Greene and Clark 1972):

    Z = 200 R^1.6,    M = 3.44e-6 Z^(4/7) x 4500

The conversions take NumPy arrays in the unit that they name. Of a DataArray they read the attribute `units`: they
convert it where they know it and refuse it otherwise. Their result says its own unit and name.
"""

import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
import xarray as xr

from pipelines.errors import InputError
from pipelines.store.unit_text import millimetres, millimetres_per_hour

Field = TypeVar("Field", np.ndarray, xr.DataArray)

MAX_COUNT = 254
MISSING = 255  # on disk; NaN in memory
_ZERO_COUNT, _LINEAR_COUNT = 5.0, 18.0
_SLOPE, _OFFSET = 90.66, 2.0
_SCALE, _SHIFT = 38.9, 83.9
_VIL_PER_Z = 3.44e-6 * 4500
ECHO = 5.5  # counts up to 5 are no echo
_NO_ECHO_DBZ = -32.0
_ROUNDING = 0.1  # below the least possible value, as packing and interpolation leave


def counts_to_vil(counts: Field) -> Field:
    """Vertically integrated liquid in kg m-2 of counts (0 to 254, NaN missing), any dims.

    Raises:
        InputError: for a DataArray that is not of counts by its units.
    """
    return _converted(_counts_to_vil, counts, COUNTS, VIL)


def vil_to_counts(vil: Field) -> Field:
    """Counts, not rounded, of vertically integrated liquid in kg m-2 (NaN missing), any dims.

    Inverse of `counts_to_vil` above 5 counts. Less than a count of 5 becomes 0, the rule's small jump at 18 counts
    becomes 18, and more than a count of 254 becomes 254.

    Raises:
        InputError: for a DataArray that is not of VIL by its units.
    """
    return _converted(_vil_to_counts, vil, VIL, COUNTS)


def rain_rate_to_counts(rate: Field) -> Field:
    """Counts, not rounded, of a rain rate in mm h-1 (0 or more, NaN missing), any dims.

    Raises:
        InputError: for a DataArray that is not of rain rates by its units.
    """
    return _converted(_rain_rate_to_counts, rate, RAIN_RATE, COUNTS)


def counts_to_rain_rate(counts: Field) -> Field:
    """Rain rate in mm h-1 of counts (0 to 254, NaN missing), any dims: inverse of `rain_rate_to_counts`.

    Raises:
        InputError: for a DataArray that is not of counts by its units.
    """
    return _converted(_counts_to_rain_rate, counts, COUNTS, RAIN_RATE)


def reflectivity_to_counts(decibels: Field) -> Field:
    """Counts, not rounded, of a reflectivity in dBZ (NaN missing), any dims.

    Raises:
        InputError: for a DataArray that is not of reflectivity by its units.
    """
    return _converted(_reflectivity_to_counts, decibels, REFLECTIVITY, COUNTS)


def from_counts(counts: Field, quantity: str) -> Field:
    """Counts (0 to 254, NaN missing), any dims, in the unit of one of `QUANTITIES`: inverse of its `to_counts`.

    Counts up to 5 are no echo: 0, or -32 dBZ. A count of 254 stands for all that is more.

    Raises:
        InputError: for a DataArray that is not of counts by its units.
    """
    return _converted(QUANTITIES[quantity].from_counts, counts, COUNTS, quantity)


def to_counts(field: xr.DataArray) -> xr.DataArray:
    """Counts, not rounded, of any field of radar (NaN missing), whose quantity is told by its name and units.

    Raises:
        InputError: for a field whose name and units are not those of a quantity of radar.
    """
    quantity, _ = quantity_of(field)
    if not quantity:
        raise InputError(
            f"{field.name or 'the field'} is not known as radar",
            got=f"standard name {field.attrs.get('standard_name')!r}, units {field.attrs.get('units')!r}",
            expected=f"{', '.join(_BY_NAME)}, the name vil, or units of mm h-1 or dBZ",
        )
    return _converted(QUANTITIES[quantity].to_counts, field, quantity, COUNTS)


def quantity_of(field: xr.DataArray) -> tuple[str, float]:
    """Quantity of a field by its standard name, its own name or its units, and the factor to the quantity's unit.

    The quantity is empty where the field is not of radar.

    Raises:
        InputError: for a quantity of radar in units that are not known.
    """
    name = known_name(field)
    units = field.attrs.get("units")
    if name == "vil":
        quantity = COUNTS if units in QUANTITIES[COUNTS].units else VIL
    else:
        quantity = _BY_NAME.get(name) or _by_units(field)
    return quantity, _factor(field, quantity) if quantity else 1.0


def _by_units(field: xr.DataArray) -> str:
    """The quantity of a field by its units; by those of a flux of mass, only where its name says rain."""
    units = str(field.attrs.get("units"))
    if _decibels(units):
        return REFLECTIVITY
    is_rain = millimetres_per_hour(units) and ("mm" in units.lower() or says_rain(field))
    return RAIN_RATE if is_rain else ""


def _decibels(units: str) -> float:
    return float(units.lower() == "dbz")


def says_rain(field: xr.DataArray) -> bool:
    """Whether a name of a field says that it is rain or precipitation."""
    names = (field.attrs.get("standard_name"), field.attrs.get("long_name"), field.name)
    return any(_RAIN.search(str(name)) for name in names)


def known_name(field: xr.DataArray) -> str:
    """The name that tells the quantity of a field: its standard name, or its own; empty when neither does."""
    name = str(field.attrs.get("standard_name", field.name))
    return name if name in _BY_NAME else "vil" if field.name == "vil" else ""


def quantise(values: np.ndarray, quantity: str) -> np.ndarray:
    """Counts on disk, uint8, 255 missing, of values of one of `QUANTITIES`, NaN missing and -inf without echo.

    Raises:
        InputError: for values that the quantity cannot have. They are codes of missing pixels that nothing marks as
            such, or of another quantity.
    """
    known = QUANTITIES[quantity]
    low, high = (values < known.least - _ROUNDING) & (values > -np.inf), values > known.most
    if (odd := low | high).any():
        raise InputError(
            f"{quantity} cannot be {values[low].min() if low.any() else values[high].max():g}",
            got=f"{odd.mean():.1%} of pixels beyond what is possible",
            expected=f"{known.least:g} to {known.most:g}",
            remedy="mark missing pixels by _FillValue, or correct the units",
        )
    counts = np.zeros(values.shape, np.uint8)
    echo = values > 0  # 0 dBZ is below the least count with echo
    counts[echo] = np.rint(known.to_counts(values[echo]))
    counts[np.isnan(values)] = MISSING
    return counts


def _converted(function: Callable[[np.ndarray], np.ndarray], field: Field, source: str, target: str) -> Field:
    """`function` of each value, which takes the unit of `source` and gives that of `target`."""
    if isinstance(field, xr.Dataset):
        raise InputError(
            "a Dataset is no field", got=", ".join(map(str, field)), expected='a DataArray: dataset["vil"]'
        )
    if not isinstance(field, xr.DataArray):
        return function(field)
    factor = _factor(field, source)
    result = xr.apply_ufunc(
        function,
        field if factor == 1 else factor * field,
        dask="parallelized",
        output_dtypes=[np.result_type(field.dtype, "float32")],
    )
    mapping = {name: value for name, value in field.attrs.items() if name == "grid_mapping"}
    result.attrs = {**QUANTITIES[target].attrs, **mapping}
    return result.rename(QUANTITIES[target].name)


def _factor(field: xr.DataArray, quantity: str) -> float:
    """The factor from the units of a field to the unit of a quantity."""
    known, units = QUANTITIES[quantity].units, field.attrs.get("units")
    read = {RAIN_RATE: millimetres_per_hour, VIL: millimetres, REFLECTIVITY: _decibels}.get(quantity)
    factor = known.get(str(units)) or (read(str(units)) if read else 0)
    if not factor:
        raise InputError(
            f"{field.name or 'the field'} is taken as {quantity}",
            got=f"units {units!r}",
            expected=f"one of {', '.join(known)}",
            remedy="set attrs['units'] to the right one",
        )
    return factor


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


def _rain_rate_to_counts(rate: np.ndarray) -> np.ndarray:
    return _vil_to_counts(_VIL_PER_Z * (200 * rate**1.6) ** (4 / 7))


def _counts_to_rain_rate(counts: np.ndarray) -> np.ndarray:
    return ((_counts_to_vil(counts) / _VIL_PER_Z) ** (7 / 4) / 200) ** (1 / 1.6)


def _reflectivity_to_counts(decibels: np.ndarray) -> np.ndarray:
    return _vil_to_counts(_VIL_PER_Z * (10 ** (decibels / 10)) ** (4 / 7))


def _counts_to_reflectivity(counts: np.ndarray) -> np.ndarray:
    factor = (_counts_to_vil(counts) / _VIL_PER_Z) ** (7 / 4)  # mm6 m-3
    return 10 * np.log10(np.where(factor == 0, 10 ** (_NO_ECHO_DBZ / 10), factor)).astype(factor.dtype)


class Quantity(NamedTuple):
    """A quantity that radar measures.

    Attributes:
        to_counts: Counts, not rounded, of values in its unit.
        from_counts: Values in its unit, of counts.
        relation: The same in words, which a store says in `counts_from`.
        name: Name of a variable of it.
        attrs: CF attributes of a variable in its unit.
        units: The units that are read, each with the factor to its unit.
        least: Least possible value in its unit; a lower one is a code, or of another quantity.
        most: Largest possible value in its unit.
    """

    to_counts: Callable[[np.ndarray], np.ndarray]
    from_counts: Callable[[np.ndarray], np.ndarray]
    relation: str
    name: str
    attrs: dict[str, str]
    units: dict[str, float]
    least: float
    most: float


_INVERSE = "the inverse of SEVIR's count rule, 0 below a count of 5"
_FROM_Z = f"VIL = 3.44e-6 Z^(4/7) x 4500 kg m-2; {_INVERSE}"
_PER_HOUR = ("mm h-1", "mm/h", "mm hr-1", "mm/hr", "mm hour-1", "mm/hour", "mm h**-1")
_LIQUID = "vertically integrated liquid"
QUANTITIES = {
    "rain rate in mm h-1": Quantity(
        _rain_rate_to_counts, _counts_to_rain_rate, f"Z = 200 R^1.6 mm6 m-3; {_FROM_Z}", "rainfall_rate",
        {"long_name": "rain rate", "standard_name": "rainfall_rate", "units": "mm h-1"},
        {**dict.fromkeys(_PER_HOUR, 1.0), "kg m-2 h-1": 1.0,
         "kg m-2 s-1": 3600.0, "mm s-1": 3600.0, "mm/s": 3600.0, "m s-1": 3.6e6},
        0, 5000,  # the record of a minute is 38 mm
    ),
    "reflectivity in dBZ": Quantity(
        _reflectivity_to_counts, _counts_to_reflectivity, f"Z = 10^(dBZ/10) mm6 m-3; {_FROM_Z}", "reflectivity",
        {"long_name": "reflectivity", "standard_name": "equivalent_reflectivity_factor", "units": "dBZ"},
        {"dBZ": 1.0},
        -98, 100,  # no echo is written as -92.5 at the lowest; -99 and less are codes
    ),
    "VIL in kg m-2": Quantity(
        _vil_to_counts, _counts_to_vil, _INVERSE, "vil", {"long_name": _LIQUID, "units": "kg m-2"},
        {"kg m-2": 1.0, "kg/m2": 1.0}, 0, 1000,
    ),
    "SEVIR counts": Quantity(
        lambda counts: counts, lambda counts: counts, "as they are", "vil",
        {"long_name": f"{_LIQUID}, SEVIR count scale", "units": "1"},
        {"1": 1.0, "count": 1.0, "counts": 1.0}, 0, MISSING,
    ),
}  # fmt: skip
RAIN_RATE, REFLECTIVITY, VIL, COUNTS = QUANTITIES
# What a variable measures, by its standard name or, without one, by its own; else by units that nothing else has.
_BY_NAME = {
    "rainfall_rate": RAIN_RATE,
    "lwe_precipitation_rate": RAIN_RATE,
    "rainfall_flux": RAIN_RATE,
    "precipitation_flux": RAIN_RATE,
    "equivalent_reflectivity_factor": REFLECTIVITY,
}
_RAIN = re.compile(r"rain|precip|(?<![a-z])(t?prate|qpe|rr)(?![a-z])", re.IGNORECASE)
