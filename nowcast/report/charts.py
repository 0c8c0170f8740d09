"""Charts as inline SVG: text stays text, colours are classes of style.css, which knows light and dark.

A plot is 340 units wide and grows with its column. A model has the same colour, marker and dash everywhere.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.etree.ElementTree import Element

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator

from nowcast.report.markup import Child, node, number, table, text_of

_WIDTH = 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 12, 24, 38
_MARKERS = ("M-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0", "M-2.7 -2.7h5.4v5.4h-5.4Z", "M0 -3.6L3.4 2.6H-3.4Z",
            "M0 -3.8L3.8 0L0 3.8L-3.8 0Z", "M0 3.6L3.4 -2.6H-3.4Z", "M-3 -3L3 3M-3 3L3 -3")  # fmt: skip
STYLES = len(_MARKERS)
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        label: What it shows, with the unit.
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
            decades = math.log10(high / low)
            locator = LogLocator(subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0), numticks=6)
            return [float(t) for t in locator.tick_values(low, high) if low <= t <= high]
        slack = 1e-9 * (high - low)
        ticks = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        return [float(t) for t in ticks if low - slack <= t <= high + slack]


@dataclass(frozen=True)
class Series:
    """One curve.

    Attributes:
        name: What it is called in the table of numbers.
        style: A class of style.css: m0, m1, ... for the models, obs for what was observed.
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
        low, high = (low / 2, high * 2) if log else (low if low == start else low - 0.5, high + 0.5)
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
        height: Of the drawing.
    """

    x: Axis
    y: Axis
    series: Sequence[Series] = ()
    bars: Sequence[Series] = ()
    guide: Series | None = None
    height: int = 230

    @property
    def words(self) -> str:
        """What there is to see."""
        return f"{self.y.label} by {self.x.label}: {', '.join(one.name for one in (*self.series, *self.bars))}"

    def draw(self, title: str) -> Element:
        """The drawing."""
        inside = [*_grid(self)]
        inside += [bar for one in self.bars for bar in _bars(self, one)]
        if self.guide is not None:
            inside.append(node("path", d=_line(self, self.guide), class_="guide"))
        inside += [node("path", d=_band(self, one), class_=f"band {one.style}") for one in self.series if one.band]
        for one in reversed(self.series):
            inside.append(node("path", d=_line(self, one), class_=f"line {one.style}{' dashed' * one.dashed}"))
            inside += _points(self, one) if one.marked else []
        words = f"{title}. {self.words}"
        return node("svg", *inside, viewBox=f"0 0 {_WIDTH} {self.height}", role="img", aria_label=words)

    def numbers(self) -> Element:
        """All values of all curves as a table; a value of x that several share has one row."""
        series = (*self.series, *self.bars)
        by_x = [dict(zip(one.x.tolist(), one.y.tolist(), strict=True)) for one in series]
        places = sorted(set().union(*by_x))
        rows: Iterable[list[Child]] = (
            [_tick(at), *(number(values.get(at, math.nan)) for values in by_x)] for at in places
        )
        return table(self.words, [self.x.label, *(one.name for one in series)], rows)

    def across(self, values: np.ndarray) -> np.ndarray:
        """Horizontal places of values of x."""
        return _LEFT + self.x.place(values) * (_WIDTH - _LEFT - _RIGHT)

    def up(self, values: np.ndarray) -> np.ndarray:
        """Vertical places of values of y; NaN where a logarithmic axis has none."""
        values = np.where(values > 0, values, np.nan) if self.y.log else values
        return self.floor - self.y.place(values) * (self.floor - _TOP)

    @property
    def floor(self) -> int:
        """Where the horizontal axis lies."""
        return self.height - _BOTTOM


def chart(title: str, *plots: Plot, note: Sequence[Child] = ()) -> Element:
    """A figure: its title, a note, its plots one below the other, and their numbers as tables that open."""
    caption = node("figcaption", node("strong", title), node("span", *note, class_="note") if note else None)
    numbers = node("details", node("summary", "Numbers"), *(plot.numbers() for plot in plots))
    return node("figure", caption, *(plot.draw(title) for plot in plots), numbers, class_="chart")


def marker(style: str, dashed: bool = False) -> Element:
    """A model's line, and its marker unless dashed, for a legend."""
    key = [node("path", d="M1 7H27", class_=f"line {style}{' dashed' * dashed}")]
    if style.startswith("m") and not dashed:
        key.append(node("path", d=_MARKERS[int(style[1:])], class_=f"mark {style}", transform="translate(14 7)"))
    return node("svg", *key, viewBox="0 0 28 14", aria_hidden="true", class_="key")


def _grid(plot: Plot) -> Iterator[Element]:
    left, right, x, y = _LEFT, _WIDTH - _RIGHT, plot.x, plot.y
    for value, at in zip(y.ticks(), plot.up(np.array(y.ticks())), strict=True):
        yield node("path", d=f"M{left} {at:.1f}H{right}", class_="grid")
        yield node("text", _tick(value), x=left - 6, y=f"{at + 4:.1f}", text_anchor="end")
    for value, at in zip(x.ticks(), plot.across(np.array(x.ticks())), strict=True):
        yield node("path", d=f"M{at:.1f} {plot.floor}v4", class_="axis")
        yield node("text", _tick(value), x=f"{at:.1f}", y=plot.floor + 16, text_anchor="middle")
    yield node("path", d=f"M{left} {plot.floor}H{right}", class_="axis")
    yield node("text", x.label, x=(left + right) / 2, y=plot.height - 5, text_anchor="middle", class_="label")
    yield node("text", y.label, x=4, y=12, class_="label")


def _tick(value: float) -> str:
    if (0 < value < 1e-3 or value > 1e3) and math.log10(value).is_integer():
        return "10" + f"{math.log10(value):.0f}".translate(_RAISED)
    return f"{0.0 if abs(value) < 1e-12 else value:g}".replace("-", "−")


def _line(plot: Plot, one: Series) -> str:
    """The path of a curve, begun anew after every gap."""
    points, begun = [], False
    for across, up in zip(plot.across(one.x), plot.up(one.y), strict=True):
        if math.isfinite(up):
            points.append(f"{'L' if begun else 'M'}{across:.1f} {up:.1f}")
        begun = math.isfinite(up)
    return "".join(points)


def _points(plot: Plot, one: Series) -> Iterator[Element]:
    shape = _MARKERS[int(one.style[1:])]
    for across, up, words in _places(plot, one):
        yield node("path", words, d=shape, class_=f"mark {one.style}", transform=f"translate({across:.1f} {up:.1f})")


def _bars(plot: Plot, one: Series) -> Iterator[Element]:
    width = 0.9 * (_WIDTH - _LEFT - _RIGHT) / max(len(one.x), 1)
    for across, up, words in _places(plot, one):
        shape = f"M{across - width / 2:.1f} {plot.floor}V{up:.1f}h{width:.1f}V{plot.floor}Z"
        yield node("path", words, d=shape, class_=f"bar {one.style}")


def _places(plot: Plot, one: Series) -> Iterator[tuple[float, float, Element]]:
    """Where each value lies, and what the pointer shows there."""
    for across, up, at, value in zip(plot.across(one.x), plot.up(one.y), one.x, one.y, strict=True):
        if math.isfinite(up):
            yield across, up, node("title", f"{one.name}, {plot.x.label} {_tick(at)}: {text_of(value)}")


def _band(plot: Plot, one: Series) -> str:
    """The area between the bounds, a strip for each pair of neighbours that have both."""
    low, high = one.band or (one.y, one.y)
    columns = zip(plot.across(one.x), plot.up(low), plot.up(high), strict=True)
    strips = [pair for pair in pairwise(columns) if np.isfinite(pair).all()]
    return "".join(
        f"M{a:.1f} {bottom:.1f}L{b:.1f} {next_bottom:.1f}V{next_top:.1f}L{a:.1f} {top:.1f}Z"
        for (a, bottom, top), (b, next_bottom, next_top) in strips
    )
