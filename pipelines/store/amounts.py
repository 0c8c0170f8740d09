"""Amounts as people write and read them: units by name, thresholds with or without a unit, and their text."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.errors import InputError
from pipelines.store.units import COUNTS, ECHO, MAX_COUNT, QUANTITIES, RAIN_RATE, REFLECTIVITY, VIL, from_counts

_WRITTEN = {RAIN_RATE: "mm h⁻¹", REFLECTIVITY: "dBZ", VIL: "kg m⁻²", COUNTS: "counts"}
_DECIMALS = 7  # of counts: as many as have the steps of 1/128 in which forecasts are written
_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*(.*?)\s*", re.IGNORECASE)


def quantity_of_units(units: str) -> str:
    """The quantity of `pipelines.store.units.QUANTITIES` that has some units, such as mm/h, dBZ, kg/m2 or counts.

    Raises:
        InputError: for units that no quantity has as its own.
    """
    for name, quantity in QUANTITIES.items():
        known = {unit.lower() for unit, factor in quantity.units.items() if factor == 1}
        if units.strip().lower() in known | {_WRITTEN[name].lower(), quantity.attrs["units"].lower()}:
            return name
    raise InputError("no such units of radar", got=repr(units), expected="mm/h, dBZ, kg/m2 or counts")


def quantity_of_counts(attrs: Mapping[str, Any]) -> str:
    """The quantity of `QUANTITIES` that the counts of a store with these attributes were made of.

    It is the one that `counts_from` names; counts where it names none or several.
    """
    said = attrs.get("counts_from", ())
    said = [said] if isinstance(said, str) else said
    named = {name for name in QUANTITIES for text in said if str(text).startswith(name)}
    return named.pop() if len(named) == 1 else COUNTS


def threshold_in_counts(text: str | float, quantity: str = COUNTS) -> float:
    """The counts of a threshold such as 74, "2.5mm/h" or "35 dBZ".

    Args:
        text: A number, with a unit or without.
        quantity: Quantity of a number without a unit.

    Raises:
        InputError: when it is no such text, or lies outside of the counts with echo, 5.5 to 254.
    """
    number, quantity = _amount(text)[0], quantity_of_threshold(text, quantity)
    known = QUANTITIES[quantity]
    counts = float(known.to_counts(np.array([number]))[0])
    least, most = (known.from_counts(np.array([float(end)]))[0] for end in (ECHO, MAX_COUNT))
    if not least - 1e-6 * abs(least) <= number <= most + 1e-6 * abs(most):
        raise InputError(
            f"no threshold of {text}", expected=f"{least:.2g} to {most:.3g} {_WRITTEN[quantity]}, as counts reach"
        )
    return round(counts, _DECIMALS)


def quantity_of_threshold(text: str | float, quantity: str = COUNTS) -> str:
    """The quantity whose unit a threshold says, by default `quantity`.

    Raises:
        InputError: see `threshold_in_counts`.
    """
    unit = _amount(text)[1]
    return quantity_of_units(unit) if unit else quantity


def _amount(text: str | float) -> tuple[float, str]:
    """The number and the unit, which may be empty, of a threshold."""
    match = _NUMBER.fullmatch(str(text))
    if match is None:
        raise InputError("no threshold", got=repr(text), expected='a number, or one with its unit: "2.5mm/h"')
    return float(match[1]), match[2]


def units_text(quantity: str) -> str:
    """The unit of a quantity for people, such as mm h⁻¹."""
    return _WRITTEN[quantity]


def amount_text(counts: float, quantity: str = COUNTS) -> str:
    """An amount of some counts with its unit, such as 2.5 mm h⁻¹, in three digits at most."""
    return f"{float(from_counts(np.array([float(counts)]), quantity)[0]):.3g} {_WRITTEN[quantity]}"


def said_text(threshold: str | float, quantity: str = COUNTS) -> str:
    """A threshold as it was given, and in the unit of `quantity` where that is another: 2.5 mm h⁻¹ (72.1 counts).

    Raises:
        InputError: see `threshold_in_counts`.
    """
    counts, given = threshold_in_counts(threshold, quantity), quantity_of_threshold(threshold, quantity)
    text = amount_text(counts, quantity)
    return text if given == quantity else f"{amount_text(counts, given)} ({text})"
