import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import InputError
from pipelines.store.units import (
    COUNTS,
    RAIN_RATE,
    REFLECTIVITY,
    VIL,
    counts_to_rain_rate,
    counts_to_vil,
    quantise,
    rain_rate_to_counts,
    reflectivity_to_counts,
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
    field = xr.DataArray(np.full((2, 3), 100, "float32"), dims=("y", "x"))
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
        (RAIN_RATE, [np.nan, -3, 0, 1, 10], [255, 0, 0, 40, 121]),
        (REFLECTIVITY, [np.nan, -np.inf, 0, 40, 90], [255, 0, 0, 126, 254]),
        (VIL, [np.nan, 0, 0.03, 1, 1000], [255, 0, 0, 84, 254]),
        (COUNTS, [np.nan, 0, 3, 254], [255, 0, 3, 254]),
    ],
)
def test_counts_on_disk(quantity, values, counts):
    assert quantise(np.array(values, "float32"), quantity).tolist() == counts


@pytest.mark.parametrize("wrong", [256, 300, np.inf])
def test_what_is_called_counts_and_is_larger_is_refused(wrong):
    """300 would be stored as 44."""
    with pytest.raises(InputError, match="0 to 254"):
        quantise(np.array([0, wrong], "float32"), COUNTS)
