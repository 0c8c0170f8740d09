"""Colours of a nowcast's page: a scale of amounts in the forecast's own unit, and one of probabilities.

Both begin at the dark ground of the map and become lighter with the value, so that their order can be seen without
colour vision; neighbouring colours can be told apart with any of the three kinds of dichromacy (the tests simulate
them by Machado et al. 2009, IEEE TVCG 15, 1291-1298).
"""

from typing import Any

import numpy as np

from nowcast.report.shades import Shades
from pipelines.store.amounts import units_text
from pipelines.store.units import (
    COUNTS,
    MAX_COUNT,
    QUANTITIES,
    RAIN_RATE,
    REFLECTIVITY,
    VIL,
    counts_to_vil,
    from_counts,
)

GROUND, MISSING = "#10161c", "#626a70"
AMOUNT_COLOURS = (
    "#1d3f7a", "#2660ac", "#2f86c8", "#2fa8b4", "#55c48c", "#a5d65c", "#f0dc46", "#ffeeb0", "#ffffff",
)  # fmt: skip
PROBABILITY_COLOURS = ("#3b2a73", "#7a3191", "#b83d87", "#e8636a", "#f79a62", "#fbd08a", "#fcfdd5")
_AMOUNTS = {  # the amounts at which the colours begin, in the unit of each quantity
    RAIN_RATE: (0.1, 0.5, 1, 2, 5, 10, 20, 50, 100),
    REFLECTIVITY: (7, 15, 20, 25, 30, 35, 40, 45, 50),
    VIL: (0.05, 0.2, 0.5, 1, 2, 4, 8, 16, 32),
    COUNTS: (16, 31, 59, 74, 100, 133, 160, 181, 219),
}
_PERCENT = (5, 15, 30, 50, 70, 85, 95)
_NAMES = {RAIN_RATE: "rain rate", REFLECTIVITY: "reflectivity", VIL: "VIL", COUNTS: "VIL"}


def amount_scale(quantity: str) -> Shades:
    """The colours of amounts of one of `QUANTITIES`; levels are counts, their texts in the quantity's unit."""
    amounts = _AMOUNTS[quantity]
    counts = tuple(QUANTITIES[quantity].to_counts(np.array(amounts, "float64")).tolist())
    label = f"{_NAMES[quantity]} ({units_text(quantity)})"
    second: tuple[str, ...] = ()
    if quantity == COUNTS:
        label = "VIL (counts, kg m⁻² above)"
        second = ("", *(f"{vil:.2g}" for vil in counts_to_vil(np.array(counts))), "")
    ticks = ("", *(f"{amount:g}" for amount in amounts), "")
    return Shades(label, (0.0, *counts, MAX_COUNT + 1.0), ticks, (GROUND, *AMOUNT_COLOURS), MISSING, second)


def probability_scale() -> Shades:
    """The colours of probabilities, in percent."""
    ticks = ("", *(f"{percent}" for percent in _PERCENT), "")
    return Shades("probability (%)", (0, *_PERCENT, 101), ticks, (GROUND, *PROBABILITY_COLOURS), MISSING)


def script_scales(quantity: str) -> dict[str, Any]:
    """The scales as the page's script takes them."""
    amounts, chances = amount_scale(quantity), probability_scale()
    return {
        "amount": {"name": _NAMES[quantity], "levels": amounts.levels[:-1], "colours": amounts.colours},
        "chance": {"levels": chances.levels[:-1], "colours": chances.colours},
        "missing": MISSING,
    }


def amounts_of_counts(quantity: str) -> list[float]:
    """The amount of every count from 0 to 254 in the unit of a quantity, to four digits."""
    amounts = from_counts(np.arange(MAX_COUNT + 1, dtype="float64"), quantity)
    return [float(f"{amount:.4g}") for amount in amounts]
