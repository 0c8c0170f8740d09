"""Colours of a nowcast's page: a scale of amounts in the forecast's own unit, and one of probabilities.

Both begin at the dark ground of the map and become lighter with the value, so that their order can be seen without
colour vision, and their colours can be told apart with any of the three kinds of dichromacy (the tests simulate them
by Machado et al. 2009, IEEE TVCG 15, 1291-1298). Their levels are those of the maps of `nowcast.plots`.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from nowcast.plots.panels import vil_look
from nowcast.report.shades import Shades, shades_of
from pipelines.store.units import MAX_COUNT, QUANTITIES, from_counts

GROUND, MISSING = "#10161c", "#626a70"
AMOUNT_COLOURS = (
    "#1d3f7a", "#2660ac", "#2f86c8", "#2fa8b4", "#55c48c", "#a5d65c", "#f0dc46", "#ffeeb0", "#ffffff",
)  # fmt: skip
PROBABILITY_COLOURS = ("#3b2a73", "#7a3191", "#b83d87", "#e8636a", "#f79a62", "#fbd08a", "#fcfdd5")
_PERCENT = (5, 15, 30, 50, 70, 85, 95)


def amount_scale(quantity: str) -> Shades:
    """The colours of amounts of one of `QUANTITIES`; levels are counts, their texts in the quantity's unit."""
    return replace(shades_of(vil_look(quantity)), colours=(GROUND, *AMOUNT_COLOURS), missing=MISSING)


def probability_scale() -> Shades:
    """The colours of probabilities, in percent."""
    ticks = ("", *map(str, _PERCENT), "")
    return Shades("probability (%)", (0, *_PERCENT, 101), ticks, (GROUND, *PROBABILITY_COLOURS), MISSING)


def script_scales(quantity: str) -> dict[str, Any]:
    """The scales as the page's script takes them."""
    amounts, chances = amount_scale(quantity), probability_scale()
    name = QUANTITIES[quantity].attrs["long_name"] if QUANTITIES[quantity].name != "vil" else "VIL"
    return {
        "amount": {"name": name, "levels": amounts.levels[:-1], "colours": amounts.colours},
        "chance": {"levels": chances.levels[:-1], "colours": chances.colours},
        "missing": MISSING,
    }


def amounts_of_counts(quantity: str) -> list[float]:
    """The amount of every count from 0 to 254 in the unit of a quantity, to four digits."""
    amounts = from_counts(np.arange(MAX_COUNT + 1, dtype="float64"), quantity)
    return [float(f"{amount:.4g}") for amount in amounts]
