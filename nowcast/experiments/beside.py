"""Rows of one model without and with something, such as a first guess, side by side: does it help, and how surely.

alone, together   (pair, measure)         CRPS and CSI of the row without and of the row with it
gain              (pair, measure)         together - alone
gain_interval     (pair, measure, bound)  95 %, from resampled events, the same for both
"""

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from nowcast.experiments.bench import Bench, Made
from nowcast.experiments.columns import COLUMNS
from nowcast.verification import scores_of

_HEADINGS = ("CRPS", "CSI 16 decided", "CSI 74 decided", "CSI 133 decided")


def beside(made: Sequence[Made], bench: Bench, suffix: str) -> xr.Dataset:
    """Every pair of rows whose names differ by `suffix`; empty where there is none."""
    rows = {one.variant.name: one for one in made}
    pairs = {name: (rows[name + suffix], rows[name]) for name in rows if name + suffix in rows}
    if not pairs:
        return xr.Dataset()
    names = {COLUMNS[heading].score for heading in _HEADINGS}
    results = [_pair(scores_of([bench.sums(one) for one in pair], only=names)) for pair in pairs.values()]
    return xr.concat(results, "pair").assign_coords(pair=list(pairs), measure=list(_HEADINGS))


def _pair(scores: xr.Dataset) -> xr.Dataset:
    """Of the scores of the row with it and of the row without, in this order."""
    mean = scores.attrs.get("mean", "pooled")
    values, gains, intervals = [], [], []
    for column in (COLUMNS[heading] for heading in _HEADINGS):
        name = f"{column.score}_{mean}"
        at = scores.sel({dim: place for dim, place in column.where.items() if dim in scores.dims}, method="nearest")
        values.append(at[name].values)
        gains.append(at[f"{name}_difference"].values[1])
        bounds = at.get(f"{name}_difference_interval")
        intervals.append(np.full(2, np.nan) if bounds is None else bounds.isel(forecast=1).values)
    together, alone = np.array(values).T
    return xr.Dataset(
        {
            "alone": ("measure", alone),
            "together": ("measure", together),
            "gain": ("measure", np.array(gains)),
            "gain_interval": (("measure", "bound"), np.stack(intervals)),
        }
    )


def side_by_side(result: xr.Dataset) -> Iterator[str]:
    """The pairs as a table in Markdown."""
    for heading in map(str, result["measure"].values):
        yield f"| {heading} | without | with {result.attrs['beside']} | difference |"
        yield "| --- | ---: | ---: | ---: |"
        for name in result["pair"].values:
            one = result.sel(pair=name, measure=heading)
            low, high = one["gain_interval"].values
            interval = "" if np.isnan(low) else f" ({low:+.3f} to {high:+.3f})"
            yield f"| {name} | {one['alone']:.3f} | {one['together']:.3f} | {one['gain']:+.3f}{interval} |"
        yield ""
