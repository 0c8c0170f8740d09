"""Scores of events, from the contingency table at each threshold (Wilks 2011, Statistical Methods, section 8.2).

An event is a count `>=` threshold, as in the SEVIR papers (pysteps takes `>`). Two summaries of an ensemble are scored:
its mean (`mean`), as in the papers, and its members one by one, their tables pooled (`member`). They differ: a mean is
smoother than any member. Where neither observation nor forecast has an event, CSI is NaN (the papers' code often makes
it 0), and so is any mean that it enters, CSI-M among them.
"""

import numpy as np
import xarray as xr

from nowcast.verification.contract import Pair, Sums, ratio

SUMMARIES = np.array(["mean", "member"])
CELLS = ("hits", "misses", "false_alarms", "correct_negatives")


def contingency(pair: Pair) -> Sums:
    """Hits, misses, false alarms and correct negatives; dims (summary, threshold). Pooled members count one by one."""
    of_mean = pair.mean >= pair.levels[:, None]
    tables = np.stack(
        [cells(of_mean, pair.observed_events, 1), cells(pair.exceeding, pair.observed_events, len(pair.members))]
    )
    sums = {name: (("summary", "threshold"), tables[:, column]) for column, name in enumerate(CELLS)}
    return {"summary": (("summary",), SUMMARIES), "threshold": (("threshold",), pair.levels), **sums}


def cells(forecast: np.ndarray, observed: np.ndarray, members: int) -> np.ndarray:
    """The cells of the contingency table at each threshold, dims (cell, threshold).

    Args:
        forecast: Number of the members with the event, dims (threshold, pixel).
        observed: Where the event was observed, dims (threshold, pixel).
        members: Number of members.
    """
    hits = np.where(observed, forecast, 0).sum(axis=1, dtype="float64")
    misses = observed.sum(axis=1) * members - hits
    false_alarms = forecast.sum(axis=1) - hits
    return np.stack([hits, misses, false_alarms, observed.shape[1] * members - hits - misses - false_alarms])


def pod(totals: xr.Dataset) -> xr.DataArray:
    """Probability of detection, hits / (hits + misses); dims (summary, threshold)."""
    return ratio(totals["hits"], totals["hits"] + totals["misses"])


def far(totals: xr.Dataset) -> xr.DataArray:
    """False alarm ratio, false alarms / (hits + false alarms); dims (summary, threshold)."""
    return ratio(totals["false_alarms"], totals["hits"] + totals["false_alarms"])


def sucr(totals: xr.Dataset) -> xr.DataArray:
    """Success ratio, hits / (hits + false alarms) = 1 - FAR; dims (summary, threshold). Roebber (2009).

    doi:10.1175/2008WAF2222159.1
    """
    return ratio(totals["hits"], totals["hits"] + totals["false_alarms"])


def csi(totals: xr.Dataset) -> xr.DataArray:
    """Critical success index, hits / (hits + misses + false alarms); dims (summary, threshold). Schaefer (1990).

    doi:10.1175/1520-0434(1990)005<0570:TCSIAA>2.0.CO;2
    """
    return ratio(totals["hits"], totals["hits"] + totals["misses"] + totals["false_alarms"])


def frequency_bias(totals: xr.Dataset) -> xr.DataArray:
    """Forecast events / observed events; dims (summary, threshold)."""
    return ratio(totals["hits"] + totals["false_alarms"], totals["hits"] + totals["misses"])


def hss(totals: xr.Dataset) -> xr.DataArray:
    """Heidke skill score, the share of right forecasts beyond chance; dims (summary, threshold). Heidke (1926).

    doi:10.1080/20014422.1926.11881138. With a hits, b false alarms, c misses, d correct negatives:
    2 (ad - bc) / ((a + c)(c + d) + (a + b)(b + d)).
    """
    a, c, b, d = (totals[name] for name in CELLS)
    return ratio(2 * (a * d - b * c), (a + c) * (c + d) + (a + b) * (b + d))


def ets(totals: xr.Dataset) -> xr.DataArray:
    """Equitable threat score (Gilbert skill score), CSI beyond chance hits; dims (summary, threshold).

    Hogan et al. (2010), doi:10.1175/2009WAF2222350.1. Chance hits: forecast events x observed events / pixels.
    """
    a, c, b, d = (totals[name] for name in CELLS)
    chance = ratio((a + b) * (a + c), a + b + c + d)
    return ratio(a - chance, a + b + c - chance)


def csi_m(totals: xr.Dataset) -> xr.DataArray:
    """Mean of CSI over the thresholds, NaN where one of them is; dims (summary,). Gao et al. (2022).

    Earthformer, doi:10.48550/arXiv.2207.05833.
    """
    return csi(totals).mean("threshold", skipna=False)
