"""Scores of events, from the contingency table at each threshold (Wilks 2011, Statistical Methods, section 8.2).

An event is a count `>=` threshold, as in the SEVIR papers. Two summaries of an ensemble are scored: its mean
(`mean`), as in the papers, and its members one by one, their tables pooled (`member`). They differ: a mean is smoother
than any member. Where neither observation nor forecast has an event, CSI is NaN (the papers' code often makes it 0),
and so is any mean that it enters, CSI-M among them.
"""

import numpy as np
import xarray as xr

from nowcast.verification.contract import Pair, Sums, ratio

SUMMARIES = ("mean", "member")


def contingency(pair: Pair) -> Sums:
    """Hits, misses and false alarms; dims (summary, threshold). Pooled members count one by one."""
    tables = np.array([_table(pair, values) for values in (pair.mean[:, None], pair.ordered)])
    coords = {"summary": list(SUMMARIES), "threshold": list(pair.thresholds)}
    return {
        name: xr.DataArray(tables[..., column], dims=("summary", "threshold"), coords=coords)
        for column, name in enumerate(("hits", "misses", "false_alarms"))
    }


def _table(pair: Pair, values: np.ndarray) -> list[tuple[float, float, float]]:
    """Hits, misses and false alarms at each threshold, of values with dims (pixel, member)."""
    rows = []
    for threshold in pair.thresholds:
        forecast = np.count_nonzero(values >= threshold, axis=1)
        observed = pair.truth >= threshold
        hits = float(forecast[observed].sum())
        rows.append((hits, float(np.count_nonzero(observed) * values.shape[1]) - hits, float(forecast.sum()) - hits))
    return rows


def pod(totals: xr.Dataset) -> xr.DataArray:
    """Probability of detection, hits / (hits + misses); dims (summary, threshold)."""
    return ratio(totals["hits"], totals["hits"] + totals["misses"])


def far(totals: xr.Dataset) -> xr.DataArray:
    """False alarm ratio, false alarms / (hits + false alarms); dims (summary, threshold)."""
    return ratio(totals["false_alarms"], totals["hits"] + totals["false_alarms"])


def csi(totals: xr.Dataset) -> xr.DataArray:
    """Critical success index, hits / (hits + misses + false alarms); dims (summary, threshold)."""
    return ratio(totals["hits"], totals["hits"] + totals["misses"] + totals["false_alarms"])


def frequency_bias(totals: xr.Dataset) -> xr.DataArray:
    """Forecast events / observed events; dims (summary, threshold)."""
    return ratio(totals["hits"] + totals["false_alarms"], totals["hits"] + totals["misses"])


def csi_m(totals: xr.Dataset) -> xr.DataArray:
    """Mean of CSI over the thresholds, NaN where one of them is; dims (summary,). Gao et al. (2022)."""
    return csi(totals).mean("threshold", skipna=False)
