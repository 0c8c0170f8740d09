"""Scores of an ensemble as a distribution: CRPS, spread, and spread against skill.

CRPS is in counts and comes in two estimators of the same quantity, with M members x and observation y:

    standard  E|x - y| - sum_ij |x_i - x_j| / (2 M^2)        of the M members as they are
    fair      E|x - y| - sum_ij |x_i - x_j| / (2 M (M - 1))  of the distribution that they are drawn from

Only the fair one compares ensembles of different size. One member has no pairs: both are then its absolute error.
"""

import numpy as np
import xarray as xr

from nowcast.verification.contract import Pair, Sums, ratio


def crps(pair: Pair) -> Sums:
    """Sums over pixels of the standard and of the fair CRPS; no dims.

    Of members in ascending order, sum_ij |x_i - x_j| / 2 is the sum of (2 i - M - 1) x_i: one product per pixel.
    """
    members = len(pair.members)
    error = np.abs(pair.ordered - pair.truth[:, None].astype("float32")).sum(dtype="float64") / members
    ranks = 2 * np.arange(1, members + 1) - members - 1
    differences = pair.ordered.sum(axis=0, dtype="float64") @ ranks
    return {
        "crps_standard": float(error - differences / members**2),
        "crps_fair": float(error - differences / (members * max(members - 1, 1))),
    }


def crps_standard(totals: xr.Dataset) -> xr.DataArray:
    """CRPS of the members as they are, counts; dims of the totals. Gneiting & Raftery (2007)."""
    return ratio(totals["crps_standard"], totals["pixels"])


def crps_fair(totals: xr.Dataset) -> xr.DataArray:
    """CRPS corrected for the finite ensemble, counts; dims of the totals. Ferro (2014), doi:10.1002/qj.2270."""
    return ratio(totals["crps_fair"], totals["pixels"])


def variance(pair: Pair) -> Sums:
    """Sum over pixels of the members' variance (M - 1 in the denominator); no dims. NaN for one member.

    Beside it stands the variance times (M + 1) / M: the squared error of the mean that a reliable ensemble of M
    members would have.
    """
    members = len(pair.members)
    if members == 1:
        total = float(np.full(len(pair.truth), np.nan).sum())
    else:
        deviation = pair.ordered - pair.mean[:, None].astype("float32")
        total = float(np.square(deviation, out=deviation).sum(dtype="float64")) / (members - 1)
    return {"variance": total, "expected_squared_error": total * (members + 1) / members}


def spread(totals: xr.Dataset) -> xr.DataArray:
    """Root of the mean ensemble variance, counts; dims of the totals. Fortin et al. (2014)."""
    return ratio(totals["variance"], totals["pixels"]) ** 0.5


def spread_skill(totals: xr.Dataset) -> xr.DataArray:
    """Spread over the RMSE of the mean, times sqrt((M + 1) / M): 1 for a reliable ensemble of any size.

    Dims of the totals. Fortin et al. (2014), doi:10.1175/JHM-D-14-0008.1.
    """
    return ratio(totals["expected_squared_error"], totals["squared_error"]) ** 0.5
