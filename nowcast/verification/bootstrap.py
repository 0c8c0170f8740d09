"""How sure a score is: percentile intervals from resampled events (Efron & Tibshirani 1993, chapters 13 and 16).

A sample draws as many events as there are, with replacement. An event is drawn whole, with all its cases, lead times
and pixels, for these depend on each other; and for all forecasts alike, so that a difference of two forecasts has an
interval of its own, much narrower than those of the two. Scores are taken from a sample's totals, never averaged.
"""

import numpy as np
import xarray as xr

from nowcast.data.seeds import numpy_generator

SAMPLES, LEVEL, SEED = 1000, 0.95, 0


def resampled(totals: xr.Dataset, samples: int = SAMPLES) -> xr.Dataset:
    """Totals of resampled events: dim sample instead of event. The same events whatever the forecast."""
    events = totals.sizes["event"]
    drawn = numpy_generator(SEED, "bootstrap").multinomial(events, np.full(events, 1 / events), samples)
    times = xr.DataArray(drawn.astype("float64"), dims=("sample", "event"), coords={"event": totals["event"]})
    return xr.Dataset({name: xr.dot(times, sums, dim="event") for name, sums in totals.data_vars.items()})


def interval(score: xr.DataArray, level: float = LEVEL) -> xr.DataArray:
    """The middle `level` of the samples: dim bound ("lower", "upper") in place of sample.

    Samples without the score (no event drawn with so high a threshold) are left out; NaN when all are.
    """
    ordered = np.sort(score.transpose("sample", ...).values, axis=0)  # NaN last
    last = np.maximum(np.count_nonzero(~np.isnan(ordered), axis=0) - 1, 0)
    bounds = [_at(ordered, last * quantile) for quantile in ((1 - level) / 2, (1 + level) / 2)]
    like = score.isel(sample=0, drop=True)
    coords = {**like.coords, "bound": ["lower", "upper"]}
    return xr.DataArray(np.stack(bounds), dims=("bound", *like.dims), coords=coords)


def _at(ordered: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Values at a fractional place along the first axis, between two neighbours by straight line."""
    below = np.floor(place).astype(int)
    low, high = (np.take_along_axis(ordered, index[None], axis=0)[0] for index in (below, np.ceil(place).astype(int)))
    return low + (high - low) * (place - below)
