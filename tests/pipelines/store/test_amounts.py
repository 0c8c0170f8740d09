import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import InputError
from pipelines.store.amounts import (
    amount_text,
    quantity_of_counts,
    quantity_of_units,
    said_text,
    threshold_in_counts,
    units_text,
)
from pipelines.store.units import COUNTS, QUANTITIES, RAIN_RATE, REFLECTIVITY, VIL, from_counts


@pytest.mark.parametrize(
    ("text", "quantity", "counts"),
    [
        (74, COUNTS, 74),
        ("74", COUNTS, 74),
        ("74 counts", RAIN_RATE, 74),
        ("1mm/h", COUNTS, 39.53),  # Z = 200, VIL = 0.3196
        ("10", RAIN_RATE, 121.43),
        ("0.1mm/h", COUNTS, 5.53),  # the usual threshold of rain
        (" 40 dBZ ", COUNTS, 126.49),
        ("1.0e1 mm h-1", COUNTS, 121.43),
        ("1 kg/m2", COUNTS, 83.9),
        ("1 kg m⁻²", COUNTS, 83.9),
    ],
)
def test_thresholds_by_hand(text, quantity, counts):
    assert threshold_in_counts(text, quantity) == pytest.approx(counts, abs=0.01)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("heavy", "no threshold; got 'heavy'; expected a number, or one with its unit: \"2.5mm/h\""),
        ("5 furlongs", "no such units of radar; got 'furlongs'; expected mm/h, dBZ, kg/m2 or counts"),
        ("0.01mm/h", "no threshold of 0.01mm/h; expected 0.099 to 416 mm h⁻¹, as counts reach"),
        ("-3", "no threshold of -3; expected 5.5 to 254 counts, as counts reach"),
        ("300", "no threshold of 300; expected 5.5 to 254 counts, as counts reach"),
    ],
)
def test_wrong_thresholds_are_refused(text, message):
    with pytest.raises(InputError) as error:
        threshold_in_counts(text)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("said", "quantity", "text"),
    [
        ("2.5mm/h", COUNTS, "2.5 mm h⁻¹ (72.1 counts)"),
        ("2.5", RAIN_RATE, "2.5 mm h⁻¹"),
        ("2.5 mm h-1", RAIN_RATE, "2.5 mm h⁻¹"),
        (74, COUNTS, "74 counts"),
        ("74counts", VIL, "74 counts (0.775 kg m⁻²)"),
    ],
)
def test_a_threshold_is_echoed_in_the_unit_given_and_in_that_of_the_quantity(said, quantity, text):
    assert said_text(said, quantity) == text


@given(st.sampled_from(list(QUANTITIES)), st.integers(6, 254))
def test_every_count_can_be_a_threshold_in_every_unit(quantity, count):
    value = float(from_counts(np.array([float(count)]), quantity)[0])
    assert threshold_in_counts(value, quantity) == count


def test_units_by_any_usual_name():
    names = {"mm/h": RAIN_RATE, "mm h-1": RAIN_RATE, "mm h⁻¹": RAIN_RATE, "dbz": REFLECTIVITY, "kg m-2": VIL,
             "counts": COUNTS, "1": COUNTS}  # fmt: skip
    assert {name: quantity_of_units(name) for name in names} == names
    assert [units_text(name) for name in QUANTITIES] == ["mm h⁻¹", "dBZ", "kg m⁻²", "counts"]
    with pytest.raises(InputError, match="no such units of radar; got 'm s-1'"):
        quantity_of_units("m s-1")


def test_amounts_for_people():
    assert [amount_text(74, quantity) for quantity in QUANTITIES] == [
        "2.64 mm h⁻¹", "29.7 dBZ", "0.775 kg m⁻²", "74 counts"]  # fmt: skip
    assert amount_text(0, REFLECTIVITY) == "-32 dBZ"


@pytest.mark.parametrize(
    ("said", "quantity"),
    [
        (None, COUNTS),
        ("rain rate in mm h-1 of now.nc: Z = 200 R^1.6", RAIN_RATE),
        (["reflectivity in dBZ: Z = 10^(dBZ/10)"], REFLECTIVITY),
        (["VIL in kg m-2: x", "VIL in kg m-2: y"], VIL),
        (["rain rate in mm h-1: x", "reflectivity in dBZ: y"], COUNTS),
        ("SEVIR counts of now.nc: as they are", COUNTS),
        ("somebody's counts", COUNTS),
    ],
)
def test_the_quantity_that_counts_were_made_of(said, quantity):
    assert quantity_of_counts({} if said is None else {"counts_from": said}) == quantity
