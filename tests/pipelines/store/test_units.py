import re

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import InputError
from pipelines.store.units import (
    COUNTS,
    QUANTITIES,
    RAIN_RATE,
    REFLECTIVITY,
    VIL,
    counts_to_rain_rate,
    counts_to_vil,
    from_counts,
    quantise,
    quantity_of,
    rain_rate_to_counts,
    reflectivity_to_counts,
    to_counts,
    vil_to_counts,
)


@pytest.mark.parametrize(
    ("count", "vil"),
    [
        (0, 0.0),
        (5, 0.0),
        (6, 0.0441209),  # 4 / 90.66
        (18, 0.1764836),  # 16 / 90.66
        (83.9, 1.0),  # exp(0)
        (122.8, 2.7182818),  # exp(1)
        (254, 79.2613518),  # exp(170.1 / 38.9)
    ],
)
def test_counts_in_kg_by_hand(count, vil):
    assert counts_to_vil(np.array([count], float))[0] == pytest.approx(vil, abs=1e-6)


@pytest.mark.parametrize(
    ("vil", "count"), [(0.0, 0), (0.03, 0), (0.0441209, 6), (0.18, 18), (1.0, 83.9), (1000.0, 254)]
)
def test_kg_in_counts_by_hand(vil, count):
    assert vil_to_counts(np.array([vil]))[0] == pytest.approx(count, abs=1e-4)


def test_missing_stays_missing_and_nothing_else_does():
    field = np.array([np.nan, 0, 30], "float32")
    assert np.isnan(counts_to_vil(field)).tolist() == [True, False, False]
    assert np.isnan(vil_to_counts(field)).tolist() == [True, False, False]


@given(st.integers(0, 254))
def test_round_trip_of_every_count(count):
    back = vil_to_counts(counts_to_vil(np.array([count], "float64")))[0]
    assert back == pytest.approx(count if count > 5 else 0, abs=1e-9)


@given(st.floats(0, 79), st.floats(0, 79))
def test_more_liquid_never_means_fewer_counts(one, other):
    low, high = vil_to_counts(np.array(sorted((one, other))))
    assert low <= high


def test_arrays_keep_dims_and_single_precision():
    field = xr.DataArray(np.full((2, 3), 100, "float32"), dims=("y", "x"), attrs={"units": "1"})
    vil = counts_to_vil(field)
    assert vil.dims == ("y", "x")
    assert vil.dtype == "float32"
    assert vil_to_counts(vil).dtype == "float32"


@pytest.mark.parametrize(
    ("rate", "count"),
    [
        (1, 39.53),  # Z = 200, VIL = 3.44e-6 x 20.647 x 4500 = 0.3196
        (10, 121.43),  # Z = 7962, VIL = 2.624
        (0.1, 5.53),  # Z = 5.024, VIL = 0.03894
        (0.05, 0),  # VIL = 0.02066, a count of 3.9
    ],
)
def test_rain_rate_by_hand(rate, count):
    assert rain_rate_to_counts(np.array([rate], "float64"))[0] == pytest.approx(count, abs=0.01)


def test_reflectivity_by_hand():
    # Z = 10000, VIL = 3.44e-6 x 193.07 x 4500 = 2.989
    np.testing.assert_allclose(reflectivity_to_counts(np.array([40.0, -30, -np.inf])), [126.49, 0, 0], atol=0.01)


@given(st.integers(6, 254))
def test_rain_rate_of_every_count_and_back(count):
    assert rain_rate_to_counts(counts_to_rain_rate(np.array([count], "float64")))[0] == pytest.approx(count, abs=1e-6)


@pytest.mark.parametrize(
    ("quantity", "values", "counts"),
    [
        (RAIN_RATE, [np.nan, -np.inf, -0.05, 0, 1, 10], [255, 0, 0, 0, 40, 121]),
        (REFLECTIVITY, [np.nan, -np.inf, 0, 40, 90], [255, 0, 0, 126, 254]),
        (VIL, [np.nan, 0, 0.03, 1, 1000], [255, 0, 0, 84, 254]),
        (COUNTS, [np.nan, 0, 3, 254], [255, 0, 3, 254]),
    ],
)
def test_counts_on_disk(quantity, values, counts):
    assert quantise(np.array(values, "float32"), quantity).tolist() == counts


@pytest.mark.parametrize(
    ("quantity", "wrong"),
    [
        *((RAIN_RATE, value) for value in (-1, -3, -32, -99, -999, 9999, 9.96921e36, np.inf)),
        *((REFLECTIVITY, value) for value in (-99, -999, 255, 9999)),
        *((VIL, value) for value in (-1, -3, 9999)),
        *((COUNTS, value) for value in (-1, -999, 256, 300, np.inf)),  # 300 would be stored as 44
    ],
)
def test_values_that_a_quantity_cannot_have_are_refused(quantity, wrong):
    """They are codes that nothing marks as missing: never dry, and no heavy rain either."""
    with pytest.raises(InputError, match=re.escape(f"{quantity} cannot be {wrong:g}; got 25.0% of pixels")):
        quantise(np.array([0, wrong, np.nan, 1], "float32"), quantity)


def field(values, units: str | None, name: str = "rr", **attrs) -> xr.DataArray:
    return xr.DataArray(
        np.array([values], "float32"),
        dims=("y", "x"),
        name=name,
        attrs={**({"units": units} if units else {}), **attrs},
    )


@pytest.mark.parametrize(
    ("convert", "units", "result"),
    [
        (counts_to_vil, "1", ("vil", "kg m-2", None)),
        (vil_to_counts, "kg m-2", ("vil", "1", None)),
        (counts_to_rain_rate, "1", ("rainfall_rate", "mm h-1", "rainfall_rate")),
        (rain_rate_to_counts, "mm/h", ("vil", "1", None)),
        (reflectivity_to_counts, "dBZ", ("vil", "1", None)),
    ],
)
def test_a_result_has_its_own_units_and_names(convert, units, result):
    given = field([10, 20], units, long_name="as it was", standard_name="other", grid_mapping="crs", comment="of input")
    made = convert(given)
    assert (made.name, made.attrs["units"], made.attrs.get("standard_name")) == result
    assert made.attrs["grid_mapping"] == "crs"
    assert not {"as it was", "other", "of input"} & set(made.attrs.values())
    assert given.attrs["units"] == units
    np.testing.assert_array_equal(made.values, convert(given.values))


@pytest.mark.parametrize(
    ("convert", "units"),
    [
        (counts_to_vil, "mm h-1"),
        (counts_to_rain_rate, "kg m-2"),
        (vil_to_counts, "1"),
        (rain_rate_to_counts, "dBZ"),
        (reflectivity_to_counts, "mm h-1"),
        (counts_to_rain_rate, None),
    ],
)
def test_other_units_and_none_are_refused(convert, units):
    with pytest.raises(InputError, match=re.escape("rr is taken as ") + f".*; got units {units!r}; expected one of"):
        convert(field([1, 2], units))


def test_units_of_the_same_quantity_are_converted():
    by_hour = rain_rate_to_counts(field([1, 10], "mm h-1"))
    np.testing.assert_allclose(by_hour[0], [39.53, 121.43], atol=0.01)
    np.testing.assert_allclose(rain_rate_to_counts(field([1 / 3600, 10 / 3600], "kg m-2 s-1")), by_hour, rtol=1e-5)
    by_second = field([1 / 3.6e6, 10 / 3.6e6], "m s-1", standard_name="rainfall_rate")
    np.testing.assert_allclose(to_counts(by_second), by_hour, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "attrs", "quantity"),
    [
        ("vil", {"units": "1"}, COUNTS),
        ("vil", {"units": "kg m-2"}, VIL),
        ("vil", {"units": "mm h-1", "standard_name": "rainfall_rate"}, RAIN_RATE),
        ("rr", {"units": "mm/hr"}, RAIN_RATE),
        ("rainfall_rate", {"units": "kg m-2 h-1"}, RAIN_RATE),
        ("z", {"units": "dBZ", "standard_name": "equivalent_reflectivity_factor"}, REFLECTIVITY),
        ("z", {"units": "dBZ"}, REFLECTIVITY),
        ("t", {"units": "K"}, ""),
        ("t", {}, ""),
    ],
)
def test_the_quantity_of_a_field(name, attrs, quantity):
    assert quantity_of(xr.DataArray([1.0], name=name, attrs=attrs)) == (quantity, 1.0)


def test_fields_of_no_known_quantity_are_refused():
    with pytest.raises(InputError, match="vil is taken as VIL in kg m-2; got units 'K'"):
        to_counts(field([1], "K", "vil"))
    with pytest.raises(
        InputError, match=r"rr is not known as radar; got standard name None, units 'K'; expected rainfall"
    ):
        to_counts(field([1], "K"))


@given(st.sampled_from(list(QUANTITIES)), st.floats(6, 254))
def test_counts_survive_the_way_to_any_unit_and_back(quantity, count):
    value = from_counts(np.array([count], "float32"), quantity)
    assert value.dtype == "float32"
    assert QUANTITIES[quantity].to_counts(value)[0] == pytest.approx(count, abs=0.01)


@pytest.mark.parametrize(("quantity", "dry"), [(RAIN_RATE, 0), (REFLECTIVITY, -32), (VIL, 0)])
def test_no_echo_and_missing_in_each_unit(quantity, dry):
    values = from_counts(np.array([0, 5, np.nan], "float32"), quantity)
    np.testing.assert_allclose(values, [dry, dry, np.nan], atol=1e-5)
    assert quantise(values, quantity).tolist() == [0, 0, 255]


def test_reflectivity_of_counts_by_hand():
    # 254 counts: VIL = 79.261 kg m-2, Z = (79.261 / 0.01548)^(7/4) = 3.0998e6, R = (Z / 200)^(1 / 1.6)
    np.testing.assert_allclose(from_counts(np.array([254.0]), REFLECTIVITY), 64.913, atol=1e-3)
    np.testing.assert_allclose(from_counts(np.array([254.0]), RAIN_RATE), 415.81, atol=0.05)
