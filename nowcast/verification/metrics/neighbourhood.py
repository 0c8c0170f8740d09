"""Fractions skill score: is the share of event pixels right in a neighbourhood, if not at the pixel?

Roberts & Lean (2008), doi:10.1175/2007MWR2123.1: FSS = 1 - sum (F - O)^2 / (sum F^2 + sum O^2), with F and O the shares
of forecast and observed events in a window of n x n pixels around each pixel; sums over pixels, cases and leads.

Border rule: as in that paper and in pysteps, every pixel of the grid is the centre of a window, and there is no event
beyond the border; nor at a pixel that does not count, for forecast and observation alike. The package scores by default
takes only windows that lie wholly inside, which leaves nothing of large ones. Windows are odd, so that they have a
centre. An ensemble's F is its neighbourhood probability, the mean of the members' fractions: Schwartz et al. (2010),
doi:10.1175/2009WAF2222267.1; for one member it is the usual FSS.
"""

import numpy as np
import xarray as xr
from scipy.ndimage import uniform_filter

from nowcast.verification.contract import Pair, Sums, ratio

SCALES = (1, 3, 9, 27, 81)


def fractions(pair: Pair) -> Sums:
    """Sums of (F - O)^2 and of F^2 + O^2, F of the members or of their mean; dims (threshold, scale)."""
    observed = pair.observed_events.astype("float64")
    of = {"": pair.exceeding / len(pair.members), "mean_": pair.mean >= pair.levels[:, None]}
    fields = pair.on_grid(np.stack([observed, *of.values()]))
    errors = np.empty((len(of), 2, len(pair.levels), len(SCALES)))
    for place, scale in enumerate(SCALES):
        truth, *forecasts = uniform_filter(fields, size=(1, 1, scale, scale), mode="constant")
        for row, forecast in zip(errors, forecasts, strict=True):
            row[0, :, place] = ((forecast - truth) ** 2).sum(axis=(1, 2))
            row[1, :, place] = (forecast**2 + truth**2).sum(axis=(1, 2))
    dims = ("threshold", "scale")
    sums = {
        f"{name}fraction_{what}": (dims, errors[number, kind])
        for number, name in enumerate(of)
        for kind, what in enumerate(("error", "reference"))
    }
    return {"threshold": (("threshold",), pair.levels), "scale": (("scale",), np.array(SCALES)), **sums}


def fss(totals: xr.Dataset) -> xr.DataArray:
    """Fractions skill score of the members' neighbourhood probability; dims (threshold, scale). Scale in pixels."""
    return 1 - ratio(totals["fraction_error"], totals["fraction_reference"])


def fss_mean(totals: xr.Dataset) -> xr.DataArray:
    """Fractions skill score of the ensemble mean; dims (threshold, scale). Scale in pixels."""
    return 1 - ratio(totals["mean_fraction_error"], totals["mean_fraction_reference"])
