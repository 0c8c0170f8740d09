"""Units as files write them, numbers by hand."""

import pytest

from pipelines.store.unit_text import metres, millimetres, millimetres_per_hour

RATES = {
    1: ["mm h-1", "mm/h", "mm hr^-1", "mm.h-1", "mm h**-1",
        "mm h⁻¹", "mm·h⁻¹", "mm per hour", "MM/H", "mm*h-1", "kg m-2 h-1"],
    1 / 24: ["mm day-1", "mm/d", "kg m-2 d-1"],
    1000: ["m h-1", "m/hour"],
    3600: ["kg m-2 s-1", "kg m**-2 s**-1", "kg m^-2 s^-1", "kg/m2/s",
           "kg/(m2 s)", "kg / (m^2 * s)", "kg/m^2/s", "mm s-1", "mm/s"],
    3.6e6: ["m s-1"],
    60: ["mm/min", "mm minute-1"],
    12: ["mm/5min", "mm/5 min", "mm/(5 min)", "mm / 5 min", "kg m-2/5min"],
    1.2: ["0.1 mm/5min"],
    10: ["cm/h"],
}  # fmt: skip


@pytest.mark.parametrize(("factor", "text"), [(factor, text) for factor, texts in RATES.items() for text in texts])
def test_rain_rates(factor, text):
    assert millimetres_per_hour(text) == pytest.approx(factor, rel=1e-15)
    assert metres(text) == millimetres(text) == 0


@pytest.mark.parametrize(
    ("text", "length"),
    [("m", 1), ("Metres", 1), ("km", 1000), ("1000 m", 1000), ("1e3 m", 1000), ("10^3 m", 1000), ("0.5 km", 500),
     ("1000meter", 1000), ("1000*m", 1000)],
)  # fmt: skip
def test_lengths(text, length):
    assert metres(text) == length
    assert millimetres(text) == 1000 * length


@pytest.mark.parametrize(("text", "depth"), [("mm", 1), ("kg m-2", 1), ("kg/m2", 1), ("kg m^-2", 1), ("0.01 mm", 0.01)])
def test_depths_of_water(text, depth):
    assert millimetres(text) == depth


@pytest.mark.parametrize(
    "text",
    ["", "1", "K", "inch h-1", "furlong", "None", "mm 5min-1", "mm (5 min)-1", "mm/", "m2", "h-1", "degrees_north",
     "m-1", "dBZ", "mm h-1 h-1", "-3 mm/h", "%", "mm h--1", "/", "10^99 m"],
)  # fmt: skip
def test_others_and_ambiguous_ones_are_not_understood(text):
    assert metres(text) == millimetres(text) == millimetres_per_hour(text) == 0
