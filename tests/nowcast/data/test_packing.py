"""Packed counts in the unit of every quantity, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nowcast.data.packing import COUNT_STEP, FILL, counts_again, pack, unpacked
from pipelines.store.units import COUNTS, QUANTITIES, RAIN_RATE, REFLECTIVITY, VIL


def test_numbers_by_hand():
    packed = pack(np.array([0, 5, 74, 254, np.nan]), COUNT_STEP)
    assert packed.tolist() == [0, 640, 9472, 32512, FILL]
    np.testing.assert_allclose(unpacked(packed, COUNTS), [0, 5, 74, 254, np.nan])
    np.testing.assert_allclose(unpacked(packed, RAIN_RATE), [0, 0, 2.6358, 415.81, np.nan], rtol=1e-4)
    np.testing.assert_allclose(unpacked(packed, REFLECTIVITY), [-32, -32, 29.745, 64.91, np.nan], atol=1e-2)
    np.testing.assert_allclose(unpacked(packed, VIL), [0, 0, 0.7753, 79.26, np.nan], rtol=1e-4)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_packed_count_comes_again(quantity):
    """All 32513 of them; those of 5 counts and less are no echo."""
    packed = np.arange(254 * 128 + 1, dtype="int16")
    values = unpacked(packed, quantity)
    assert values.dtype == np.float32 and (np.diff(values) >= 0).all()
    faint = (packed <= 5 * 128) & (quantity != COUNTS)
    np.testing.assert_array_equal(counts_again(values, quantity), np.where(faint, 0, packed / 128))


@given(st.sampled_from(list(QUANTITIES)), arrays("float32", 20, elements=st.floats(5.5, 254, width=32)))
def test_what_is_written_is_the_amount_to_half_a_step(quantity, counts):
    back = counts_again(unpacked(pack(counts, COUNT_STEP), quantity), quantity)
    np.testing.assert_allclose(back, counts, rtol=0, atol=1 / 256)
