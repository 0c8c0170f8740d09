"""The contract of a metric: per-pair sums, which add up, and a score taken from their totals.

A pair is one ensemble field and its observation, at one case and lead time. A statistic turns a pair into sums over
the pixels that count; sums of many pairs, files or workers add; a score is a function of the total. So no score is a
mean of ratios unless its name says so.

NaN policy: a pixel counts when it is observed and present in every member, of every forecast compared; the others
enter no sum. A ratio whose denominator is zero (no event, no pixel) is NaN, never 0 or 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

Sums = Mapping[str, xr.DataArray | float]


@dataclass(frozen=True)
class Pair:
    """One ensemble field and its observation.

    Attributes:
        members: Counts with dims (member, y, x).
        obs: Counts with dims (y, x).
        counted: True where a pixel counts, dims (y, x).
        thresholds: Event thresholds on the count scale; an event is a count `>=` its threshold.
    """

    members: np.ndarray
    obs: np.ndarray
    counted: np.ndarray
    thresholds: tuple[float, ...]

    @cached_property
    def ordered(self) -> np.ndarray:
        """Members of every counted pixel in ascending order, dims (pixel, member): one sort serves all statistics."""
        columns = self.members.reshape(len(self.members), -1)[:, self.counted.ravel()]
        return np.sort(np.ascontiguousarray(columns.T), axis=1)

    @cached_property
    def truth(self) -> np.ndarray:
        """Observed counts, dims (pixel,), float64."""
        return self.obs[self.counted].astype("float64")

    @cached_property
    def mean(self) -> np.ndarray:
        """Ensemble mean, dims (pixel,), float64."""
        return self.ordered.mean(axis=1, dtype="float64")


@dataclass(frozen=True)
class Metric:
    """One line of the table of metrics.

    Attributes:
        long_name: What the score is, in words.
        statistics: Whose sums it needs, beside those of `coverage`, which are always there; metrics may share one.
        score: The score as a function of the totals.
        best: Its value for a perfect forecast, against which a skill score is measured; None where there is no skill.
    """

    long_name: str
    statistics: tuple[Callable[[Pair], Sums], ...]
    score: Callable[[xr.Dataset], xr.DataArray]
    best: float | None


def coverage(pair: Pair) -> Sums:
    """How many pixels count (`pixels`), and of how many (`grid_pixels`); no dims."""
    return {"pixels": float(pair.counted.sum()), "grid_pixels": float(pair.counted.size)}


def counted_fraction(totals: xr.Dataset) -> xr.DataArray:
    """Share of the grid's pixels that were observed and forecast; dims of the totals."""
    return ratio(totals["pixels"], totals["grid_pixels"])


def ratio(numerator: xr.DataArray, denominator: xr.DataArray) -> xr.DataArray:
    """The quotient, NaN where the denominator is zero."""
    return numerator / denominator.where(denominator != 0)
