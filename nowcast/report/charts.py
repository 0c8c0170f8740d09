"""Geometry of the charts, which templates/charts.html writes as SVG.

A plot is 340 units wide and grows with its column. A model has the same colour, marker and dash everywhere.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator

from nowcast.report.cells import Cell, Table, typeset

_WIDTH = 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 12, 24, 38
MARKERS = ("M-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0", "M-2.7 -2.7h5.4v5.4h-5.4Z", "M0 -3.6L3.4 2.6H-3.4Z",
           "M0 -3.8L3.8 0L0 3.8L-3.8 0Z", "M0 3.6L3.4 -2.6H-3.4Z", "M-3 -3L3 3M-3 3L3 -3")  # fmt: skip
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        label: Its label, with the unit.
        low: Value at its start; it may be the larger one.
        high: Value at its end.
        log: Whether it is logarithmic.
    """

    label: str
    low: float
    high: float
    log: bool = False

    def place(self, values: np.ndarray) -> np.ndarray:
        """Where values lie, 0 at the start and 1 at the end."""
        low, high = self.low, self.high
        if self.log:
            low, high, values = math.log10(low), math.log10(high), np.log10(values)
        return (values - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round values within it, about five."""
        low, high = sorted((self.low, self.high))
        if self.log:
            decades = math.log10(high) - math.log10(low)
            locator = LogLocator(subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0), numticks=6)
            return [float(t) for t in locator.tick_values(low, high) if low <= t <= high]
        slack = 1e-9 * (high - low)
        ticks = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        return [float(t) for t in ticks if low - slack <= t <= high + slack]


@dataclass(frozen=True)
class Series:
    """One curve.

    Attributes:
        name: Its name in the table of numbers.
        style: A class of style.css: m0, m1, ... for the models, obs for the observations.
        x: Values along x.
        y: Values along y; where they are NaN the curve is broken.
        band: Lower and upper bound, where it has an interval.
        dashed: Whether it is the second curve of its model.
        marked: Whether its points are marked.
    """

    name: str
    style: str
    x: np.ndarray
    y: np.ndarray
    band: tuple[np.ndarray, np.ndarray] | None = None
    dashed: bool = False
    marked: bool = True


def spanning(label: str, values: Iterable[np.ndarray], *, start: float | None = None, log: bool = False) -> Axis:
    """The axis over all finite values, beginning at `start` where that is given."""
    finite = np.concatenate([np.ravel(part) for part in values] or [np.zeros(0)])
    finite = finite[np.isfinite(finite) & ((finite > 0) | (not log))]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.1 if log else 0.0, 1.0)
    if start is not None:
        low, high = min(start, low), max(start, high)
    if low == high:
        low, high = (low / 2 or low, high * 2) if log else (low if low == start else low - 0.5, high + 0.5)
    if log:
        return Axis(label, low, high, True)
    margin = 0.05 * (high - low)
    return Axis(label, low if low == start else low - margin, high if high == start else high + margin)


@dataclass(frozen=True)
class Plot:
    """Curves, bars or both in one pair of axes.

    Attributes:
        x: Horizontal axis.
        y: Vertical axis.
        series: The curves, the most important first.
        bars: Series drawn as bars from the floor.
        guide: A thin line to compare with: the diagonal, the perfect value.
        height: Height of the drawing.
    """

    x: Axis
    y: Axis
    series: Sequence[Series] = ()
    bars: Sequence[Series] = ()
    guide: Series | None = None
    height: int = 230
    width: int = _WIDTH
    left: int = _LEFT
    right: int = _WIDTH - _RIGHT

    @property
    def words(self) -> str:
        """Its content in words."""
        return f"{self.y.label} by {self.x.label}: {', '.join(one.name for one in (*self.series, *self.bars))}"

    @property
    def floor(self) -> int:
        """Height at which the horizontal axis lies."""
        return self.height - _BOTTOM

    def across(self, values: np.ndarray) -> np.ndarray:
        """Horizontal places of values of x, to a tenth."""
        return np.round(self.left + self.x.place(values) * (self.right - self.left), 1)

    def up(self, values: np.ndarray) -> np.ndarray:
        """Vertical places of values of y, to a tenth; NaN where a logarithmic axis has none."""
        values = np.where(values > 0, values, np.nan) if self.y.log else values
        return np.round(self.floor - self.y.place(values) * (self.floor - _TOP), 1)

    def x_ticks(self) -> list[tuple[str, float]]:
        """Text and horizontal place of each tick."""
        ticks = self.x.ticks()
        return [(_tick(tick), float(place)) for tick, place in zip(ticks, self.across(np.array(ticks)), strict=True)]

    def y_ticks(self) -> list[tuple[str, float]]:
        """Text and vertical place of each tick."""
        ticks = self.y.ticks()
        return [(_tick(tick), float(place)) for tick, place in zip(ticks, self.up(np.array(ticks)), strict=True)]

    def line(self, one: Series) -> str:
        """The path of a curve, begun anew after every gap."""
        points, begun = [], False
        for across, up in zip(self.across(one.x), self.up(one.y), strict=True):
            if math.isfinite(up):
                points.append(f"{'L' if begun else 'M'}{across} {up}")
            begun = math.isfinite(up)
        return "".join(points)

    def band(self, one: Series) -> str:
        """The area between the bounds, one strip for each pair of neighbours that have both."""
        low, high = one.band or (one.y, one.y)
        columns = zip(self.across(one.x), self.up(low), self.up(high), strict=True)
        strips = [pair for pair in pairwise(columns) if np.isfinite(pair).all()]
        return "".join(
            f"M{a} {bottom}L{b} {next_bottom}V{next_top}L{a} {top}Z"
            for (a, bottom, top), (b, next_bottom, next_top) in strips
        )

    def points(self, one: Series) -> Iterator[tuple[float, float, str]]:
        """Places of the values of a curve, and the words that the pointer shows there."""
        for across, up, at, value in zip(self.across(one.x), self.up(one.y), one.x, one.y, strict=True):
            if math.isfinite(up):
                yield float(across), float(up), f"{one.name}, {self.x.label} {_tick(at)}: {typeset(value)}"

    def columns(self, one: Series) -> Iterator[tuple[str, str]]:
        """Paths of the bars of a series, and the words that the pointer shows there."""
        wide = 0.9 * (self.right - self.left) / max(len(one.x), 1)
        for across, up, words in self.points(one):
            yield f"M{across - wide / 2:.1f} {self.floor}V{up}h{wide:.1f}V{self.floor}Z", words

    def numbers(self) -> Table:
        """All values of all curves as a table; a value of x that several share has one row."""
        series = (*self.series, *self.bars)
        by_x = [dict(zip(one.x.tolist(), one.y.tolist(), strict=True)) for one in series]
        places = sorted(set().union(*by_x))
        rows = [[Cell(_tick(at)), *(Cell(value=values.get(at, math.nan)) for values in by_x)] for at in places]
        return Table(self.words, [Cell(self.x.label), *(Cell(one.name) for one in series)], rows)


@dataclass(frozen=True)
class Chart:
    """A figure: its title, its plots one below the other, and the curves that a key names, if any."""

    title: str
    plots: Sequence[Plot]
    keys: Sequence[Series] = ()


def _tick(value: float) -> str:
    if (0 < value < 1e-3 or value > 1e3) and math.log10(value).is_integer():
        return "10" + f"{math.log10(value):.0f}".translate(_RAISED)
    return f"{0.0 if abs(value) < 1e-12 else value:g}".replace("-", "−")
