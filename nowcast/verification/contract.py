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

DATA_RANGE = 255.0  # the SEVIR papers score counts / 255, on [0, 1]

Arrays = dict[str, tuple[tuple[str, ...], np.ndarray]]  # dims and values, by name; coordinates among them
Sums = Mapping[str, float | tuple[tuple[str, ...], np.ndarray]]


@dataclass(frozen=True)
class Pair:
    """One ensemble field and its observation.

    Attributes:
        members: Counts with dims (member, y, x).
        obs: Counts with dims (y, x).
        counted: True where a pixel counts, dims (y, x).
        thresholds: Event thresholds on the count scale; an event is a count `>=` its threshold.
        name: Names the pair (event, init time, lead time), so that what is drawn at random is drawn alike every time.
        data_range: Range of counts that PSNR and SSIM assume.
    """

    members: np.ndarray
    obs: np.ndarray
    counted: np.ndarray
    thresholds: tuple[float, ...]
    name: str = ""
    data_range: float = DATA_RANGE

    @cached_property
    def filled(self) -> np.ndarray:
        """Members with 0 where a pixel does not count, dims (member, y, x)."""
        return self.members if self.counted.all() else np.where(self.counted, self.members, np.float32(0))

    @cached_property
    def columns(self) -> np.ndarray:
        """Members of every counted pixel, dims (member, pixel)."""
        flat = self.members.reshape(len(self.members), -1)
        return flat if self.counted.all() else flat[:, self.counted.ravel()]

    @cached_property
    def ordered(self) -> np.ndarray:
        """Members of every counted pixel in ascending order, dims (pixel, member): one sort serves all statistics."""
        return np.sort(np.ascontiguousarray(self.columns.T), axis=1)

    @cached_property
    def truth(self) -> np.ndarray:
        """Observed counts, dims (pixel,), float64."""
        return self.obs[self.counted].astype("float64")

    @cached_property
    def mean(self) -> np.ndarray:
        """Ensemble mean, dims (pixel,), float64."""
        return self.ordered.mean(axis=1, dtype="float64")

    @cached_property
    def levels(self) -> np.ndarray:
        """The thresholds, dims (threshold,)."""
        return np.array(self.thresholds, "float64")

    @cached_property
    def exceeding(self) -> np.ndarray:
        """Number of members with the event, dims (threshold, pixel)."""
        levels = self.levels.astype(self.columns.dtype)  # or NumPy would compare in double precision, much slower
        return np.stack([(self.columns >= level).sum(axis=0, dtype="uint16") for level in levels])

    @cached_property
    def observed_events(self) -> np.ndarray:
        """Where the event was observed, bool, dims (threshold, pixel)."""
        return self.truth >= self.levels[:, None]

    def on_grid(self, values: np.ndarray) -> np.ndarray:
        """Values with dims (..., pixel) at their places, dims (..., y, x); 0 where no pixel counts."""
        grid = np.zeros((*values.shape[:-1], *self.counted.shape), values.dtype)
        grid[..., self.counted] = values
        return grid


@dataclass(frozen=True)
class Metric:
    """One line of the table of metrics.

    Attributes:
        long_name: Name of the score in words.
        statistics: Whose sums it needs, beside those of `coverage`, which are always there; metrics may share one.
        score: The score as a function of the totals.
        best: Its value for a perfect forecast, against which a skill score is measured; None where there is no skill.
    """

    long_name: str
    statistics: tuple[Callable[[Pair], Sums], ...]
    score: Callable[[xr.Dataset], xr.DataArray]
    best: float | None


def coverage(pair: Pair) -> Sums:
    """The numbers of pixels that count (`pixels`), of pixels (`grid_pixels`) and of `fields`; no dims."""
    pixels = float(pair.counted.sum())
    return {"pixels": pixels, "grid_pixels": float(pair.counted.size), "fields": float(pixels > 0)}


def counted_fraction(totals: xr.Dataset) -> xr.DataArray:
    """Share of the grid's pixels that were observed and forecast; dims of the totals."""
    return ratio(totals["pixels"], totals["grid_pixels"])


def ratio(numerator: xr.DataArray | float, denominator: xr.DataArray) -> xr.DataArray:
    """The quotient, NaN where the denominator is zero."""
    return numerator / denominator.where(denominator != 0)
