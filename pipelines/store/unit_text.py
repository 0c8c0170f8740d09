"""Units as files write them, such as `mm hr^-1`, `kg m**-2 s**-1`, `mm/5min` or `1000 m`.

A small part of UDUNITS: numbers in front of a unit, whole powers, and a solidus that divides by the unit after it.
"""

import re
from fractions import Fraction
from functools import lru_cache

_UNITS = {  # in metres, kilograms or hours
    **dict.fromkeys(("m", "metre", "meter", "metres", "meters"), (Fraction(1), "m")),
    **dict.fromkeys(("km", "kilometre", "kilometer", "kilometres", "kilometers"), (Fraction(1000), "m")),
    **dict.fromkeys(("cm", "centimetre", "centimeter", "centimetres", "centimeters"), (Fraction(1, 100), "m")),
    **dict.fromkeys(("mm", "millimetre", "millimeter", "millimetres", "millimeters"), (Fraction(1, 1000), "m")),
    **dict.fromkeys(("kg", "kilogram", "kilograms"), (Fraction(1), "kg")),
    **dict.fromkeys(("s", "sec", "second", "seconds"), (Fraction(1, 3600), "h")),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), (Fraction(1, 60), "h")),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), (Fraction(1), "h")),
    **dict.fromkeys(("d", "day", "days"), (Fraction(24), "h")),
}
_SPELT = {"**": "^", "·": ".", " per ": "/", **dict(zip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789", strict=True))}
_NUMBER = r"(\d+(?:\.\d+)?(?:e[-+]?\d)?)(?:\^([-+]?\d))?"
_PART = re.compile(rf"\s*([/.*]?)\s*(?:{_NUMBER})?\s*(?:([a-z]+)(?:\^?([-+]?\d))?)?", re.IGNORECASE)
_DIVIDED = re.compile(r"/\s*\(([^()]*)\)")  # kg/(m2 s) is kg/m2/s
_LONGEST = 40  # longer texts are no units, and could say numbers that take hours


def metres(units: object) -> float:
    """Metres in a unit of length; 0 for other units."""
    size, powers = _measure(str(units))
    return float(size) if powers == {"m": 1} else 0.0


def millimetres(units: object) -> float:
    """Millimetres of water in a unit of depth or of mass per area; 0 for other units."""
    size, powers = _measure(str(units))
    return float(size) if powers == {"kg": 1, "m": -2} else 1000 * metres(units)


def millimetres_per_hour(units: object) -> float:
    """Millimetres of water per hour in a unit of rain rate; 0 for other units."""
    size, powers = _measure(str(units))
    if powers == {"m": 1, "h": -1}:
        return float(1000 * size)
    return float(size) if powers == {"kg": 1, "m": -2, "h": -1} else 0.0


@lru_cache
def _measure(text: str) -> tuple[Fraction, dict[str, int]]:
    """The size of a unit in metres, kilograms and hours, and their powers in it; size 0 where it is not understood."""
    for written, plain in _SPELT.items():
        text = text.replace(written, plain)
    text = _DIVIDED.sub(lambda match: "/" + "/".join(re.split(r"[\s.*]+", match[1].strip())), text[:_LONGEST])
    text, place = text.strip(), 0
    size, powers = Fraction(1), dict[str, int]()
    while place < len(text):
        part = _PART.match(text, place)
        solidus, number, raised, unit, power = part.groups() if part else (None,) * 5
        if not (number or unit) or (unit and unit.lower() not in _UNITS):
            return Fraction(0), {}
        if number and place and solidus != "/":  # mm 5min-1 does not say clearly what divides
            return Fraction(0), {}
        sign = -1 if solidus == "/" else 1
        size *= Fraction(number or 1) ** (sign * int(raised or 1))
        if unit:
            one, kind = _UNITS[unit.lower()]
            size *= one ** (sign * int(power or 1))
            powers[kind] = powers.get(kind, 0) + sign * int(power or 1)
        place = part.end() if part else len(text)
    return size, {kind: power for kind, power in powers.items() if power}
