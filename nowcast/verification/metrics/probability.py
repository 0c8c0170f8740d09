"""Scores of the probability that an ensemble gives an event: the share k/M of its members with it (>= threshold).

All come from one table: how often each share was forecast (n_k), and how often the event came then (o_k). The M + 1
shares are the bins, so that nothing is lost to binning and the decomposition of the Brier score is exact. Of N pixels,

    Brier = reliability - resolution + uncertainty
          = sum n_k (k/M - o_k/n_k)^2 / N - sum n_k (o_k/n_k - o/N)^2 / N + o/N (1 - o/N)

Murphy (1973), doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2. Coordinate `probability` is k/M.
"""

import numpy as np
import xarray as xr

from nowcast.verification.contract import Pair, Sums, ratio


def probabilities(pair: Pair) -> Sums:
    """How often each probability was forecast, and how often the event came then; dims (threshold, probability)."""
    members = len(pair.members)
    dims = ("threshold", "probability")
    forecasts = [np.bincount(k, minlength=members + 1) for k in pair.exceeding]
    events = [
        np.bincount(k[observed], minlength=members + 1)
        for k, observed in zip(pair.exceeding, pair.observed_events, strict=True)
    ]
    return {
        "threshold": (("threshold",), pair.levels),
        "probability": (("probability",), np.arange(members + 1) / members),
        "forecasts_of_probability": (dims, np.array(forecasts, "float64")),
        "events_at_probability": (dims, np.array(events, "float64")),
    }


def brier(totals: xr.Dataset) -> xr.DataArray:
    """Brier score, mean of (probability - event)^2; dims (threshold,). Brier (1950).

    doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2. Of the M members as they are; it falls with M.
    """
    n, o, p = _table(totals)
    return ratio((n * p**2 - 2 * p * o + o).sum("probability", skipna=False), _all(n))


def brier_reliability(totals: xr.Dataset) -> xr.DataArray:
    """Reliability term of the Brier score, 0 at best; dims (threshold,). Murphy (1973)."""
    n, o, p = _table(totals)
    return ratio((n * (p - ratio(o, n)) ** 2).sum("probability"), _all(n))


def brier_resolution(totals: xr.Dataset) -> xr.DataArray:
    """Resolution term of the Brier score, the larger the better; dims (threshold,). Murphy (1973)."""
    n, o, _ = _table(totals)
    return ratio((n * (ratio(o, n) - ratio(_all(o), _all(n))) ** 2).sum("probability"), _all(n))


def brier_uncertainty(totals: xr.Dataset) -> xr.DataArray:
    """Uncertainty term of the Brier score, a property of the observations; dims (threshold,). Murphy (1973)."""
    n, o, _ = _table(totals)
    rate = ratio(_all(o), _all(n))
    return rate * (1 - rate)


def observed_frequency(totals: xr.Dataset) -> xr.DataArray:
    """Share of the forecasts of a probability after which the event came; dims (threshold, probability).

    The curve of a reliability diagram. Hartmann et al. (2002), doi:10.1175/1520-0434(2002)017<0683:CBFDTS>2.0.CO;2.
    """
    n, o, _ = _table(totals)
    return ratio(o, n)


def forecast_share(totals: xr.Dataset) -> xr.DataArray:
    """Share of the forecasts that had a probability, the sharpness; dims (threshold, probability)."""
    n, _, _ = _table(totals)
    return ratio(n, _all(n))


def roc_pod(totals: xr.Dataset) -> xr.DataArray:
    """Probability of detection when warned from a probability on; dims (threshold, probability). Mason (1982)."""
    _, o, _ = _table(totals)
    return ratio(_from(o), _all(o))


def roc_pofd(totals: xr.Dataset) -> xr.DataArray:
    """Probability of false detection when warned from a probability on; dims (threshold, probability)."""
    n, o, _ = _table(totals)
    return ratio(_from(n - o), _all(n - o))


def csi_warned(totals: xr.Dataset) -> xr.DataArray:
    """Critical success index when warned from a probability on; dims (threshold, probability).

    What a deterministic forecast drawn from the ensemble reaches: to warn from p on is to threshold the members'
    quantile 1 - p. The best p is below one half: half the F1 score it gives (Lipton et al. 2014,
    doi:10.1007/978-3-662-44851-9_15).
    """
    n, o, _ = _table(totals)
    return _csi_from(n, o)


def csi_decided(totals: xr.Dataset) -> xr.DataArray:
    """Critical success index of the warning that the forecasts themselves expect most of; dims (threshold,).

    Were all probabilities true, sum n_k k/M events would come, and so many of them after a warning as that sum has at
    and above p. Warned is from the p > 0 on that then gives the largest CSI: no observation has a part in the choice.
    The forecasts of a total decide together, such as those of a lead time.
    """
    n, o, p = _table(totals)
    some = slice(1, None)  # where no member has the event, none is warned of
    decided = _csi_from(n, n * p).isel(probability=some).fillna(-1).argmax("probability")
    return _csi_from(n, o).isel(probability=some).isel(probability=decided).drop_vars("probability")


def roc_area(totals: xr.Dataset) -> xr.DataArray:
    """Area under the ROC curve by trapezoids, 0.5 without skill; dims (threshold,). Mason (1982).

    A model for assessment of weather forecasts, Australian Meteorological Magazine 30, 291-303.
    """
    pod, pofd = roc_pod(totals), roc_pofd(totals)
    widths = pofd - pofd.shift(probability=-1, fill_value=0)
    heights = (pod + pod.shift(probability=-1, fill_value=0)) / 2
    return (widths * heights).sum("probability", skipna=False)


def _table(totals: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    return totals["forecasts_of_probability"], totals["events_at_probability"], totals["probability"]


def _all(counts: xr.DataArray) -> xr.DataArray:
    return counts.sum("probability", skipna=False)


def _csi_from(n: xr.DataArray, o: xr.DataArray) -> xr.DataArray:
    """CSI when warned from each probability on, after which events come o of n times."""
    return ratio(_from(o), _from(n) + _all(o) - _from(o))


def _from(counts: xr.DataArray) -> xr.DataArray:
    """Counts at each probability and all above it."""
    return _all(counts) - counts.cumsum("probability") + counts
