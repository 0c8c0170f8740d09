"""Statistics of members: by hand, then what holds of any ensemble."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nowcast.data.statistics import (
    echo_shares,
    ensemble_mean,
    ensemble_onset,
    ensemble_probability,
    ensemble_spread,
    mean_counts,
)
from pipelines.store.units import COUNTS, QUANTITIES, RAIN_RATE, REFLECTIVITY

MEMBERS = np.array([[0.0, 7], [10, 7], [20, 7], [74, np.nan]], "float32")


def test_by_hand():
    np.testing.assert_array_equal(ensemble_mean(MEMBERS), np.array([26, np.nan], "float32"))
    expected = np.sqrt((26**2 + 16**2 + 6**2 + 48**2) / 3)
    np.testing.assert_allclose(ensemble_spread(MEMBERS), [expected, np.nan], rtol=1e-6)
    np.testing.assert_array_equal(ensemble_probability(MEMBERS, 20), np.array([0.5, np.nan], "float32"))
    np.testing.assert_array_equal(ensemble_probability(MEMBERS, 75), np.array([0, np.nan], "float32"))


@given(arrays("float32", (7, 4), elements=st.floats(0, 254, width=32)))
def test_agree_with_numpy_in_double_precision(members):
    wide = members.astype("float64")
    np.testing.assert_allclose(ensemble_mean(members), wide.mean(0), rtol=1e-6, atol=1e-37)  # float32 ends at 1e-38
    np.testing.assert_allclose(ensemble_spread(members), wide.std(0, ddof=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ensemble_probability(members, 74), (wide >= 74).mean(0), rtol=1e-6)


@given(st.floats(0, 254, width=32), st.integers(2, 100))
def test_equal_members_have_no_spread(value, number):
    assert ensemble_spread(np.full((number, 1), value, "float32")) == 0


def test_a_mean_of_reflectivities_is_one_of_z():
    """Two of five members with 45.6 dBZ, the others dry: 10 log10(2/5 x 10^4.56) = 45.6 - 3.98 = 41.62 dBZ."""
    members = np.array([[-32, -32, 45.6], [45.6, -32, np.nan], [45.6, -32, 0], [-32, -32, 0], [-32, -32, 0]], "float32")
    mean = ensemble_mean(members, REFLECTIVITY)
    assert mean.dtype == "float32" and mean[0] == pytest.approx(41.62, abs=0.005)
    assert mean[1] == -32 and np.isnan(mean[2])


@pytest.mark.parametrize(("quantity", "amounts", "mean"), [(COUNTS, (10, 90), 50), (RAIN_RATE, (0, 6), 3),
                                                           (REFLECTIVITY, (-32, 40), 36.99)])  # fmt: skip
def test_mean_counts_are_those_of_the_mean_in_the_unit(quantity, amounts, mean):
    known = QUANTITIES[quantity]
    members = known.to_counts(np.array(amounts, "float64"))[:, None]
    assert known.from_counts(mean_counts(members, quantity))[0] == pytest.approx(mean, abs=0.01)


def test_members_are_left_as_they_were():
    before = MEMBERS.copy()
    ensemble_spread(MEMBERS)
    np.testing.assert_array_equal(MEMBERS, before)


def test_echo_is_of_the_first_member_and_missing_pixels_have_none():
    counts = np.zeros((3, 2, 2, 1, 2), "float32")  # four pixels and lead times a case
    counts[0, 1] = 100  # the second member only
    counts[1, 0, 1] = 5.5
    counts[2, 0] = [[[np.nan, 200]], [[np.nan, 5.4]]]
    shares = echo_shares(xr.DataArray(counts, dims=("case", "member", "lead_time", "y", "x")))
    assert shares == pytest.approx([0, 0.5, 0.25])


def onset(members: list[list[float]], *levels: float) -> tuple[float, list[float]]:
    share, numbers = ensemble_onset(np.array(members), 20.0, levels)
    return float(share), numbers.tolist()


def test_the_first_lead_time_at_or_above_the_threshold_counts():
    """Members reach it at lead times 1, 0, never and 2, the second with a pause."""
    members = [[0, 20, 0], [30, 0, 30], [0, 19.9, 0], [0, 0, 99]]
    assert onset(members, 0.1, 0.5, 0.9) == (0.75, [0, 1, 2])


def test_where_no_member_reaches_it_there_is_no_onset():
    share, numbers = onset([[0, 1], [2, 3]], 0.5)
    assert share == 0 and np.isnan(numbers).all()


def test_a_missing_member_makes_both_missing():
    share, numbers = onset([[30, np.nan], [30, 30]], 0.5)
    assert np.isnan(share) and np.isnan(numbers).all()


@pytest.mark.parametrize(("level", "expected"), [(0.1, 0), (0.2, 0), (0.3, 1), (0.5, 2), (0.9, 4), (1.0, 4)])
def test_a_quantile_is_reached_by_that_share_of_the_members(level, expected):
    """Of ten members two each reach it at lead times 0 to 4."""
    members = np.where(np.arange(5) >= np.repeat(np.arange(5), 2)[:, None], 50.0, 0.0)
    assert onset(members.tolist(), level) == (1.0, [expected])
