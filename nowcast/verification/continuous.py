"""Errors of the ensemble mean, in counts (a deterministic forecast is its own mean). Wilks (2011), section 8.3."""

import numpy as np
import xarray as xr

from nowcast.verification.contract import Pair, Sums, ratio

DATA_RANGE = 255.0  # the SEVIR papers score counts / 255, on [0, 1]


def mean_errors(pair: Pair) -> Sums:
    """Sums over pixels of the error of the ensemble mean (forecast - obs), absolute and squared too; no dims."""
    error = pair.mean - pair.truth
    return {
        "error": float(error.sum()),
        "absolute_error": float(np.abs(error).sum()),
        "squared_error": float((error**2).sum()),
    }


def bias(totals: xr.Dataset) -> xr.DataArray:
    """Mean error of the ensemble mean, forecast - obs, counts; dims of the totals."""
    return ratio(totals["error"], totals["pixels"])


def mae(totals: xr.Dataset) -> xr.DataArray:
    """Mean absolute error of the ensemble mean, counts; dims of the totals."""
    return ratio(totals["absolute_error"], totals["pixels"])


def mse(totals: xr.Dataset) -> xr.DataArray:
    """Mean squared error of the ensemble mean, counts squared; dims of the totals."""
    return ratio(totals["squared_error"], totals["pixels"])


def rmse(totals: xr.Dataset) -> xr.DataArray:
    """Root of the mean squared error of the ensemble mean, counts; dims of the totals. An ensemble's skill."""
    return mse(totals) ** 0.5


def psnr(totals: xr.Dataset) -> xr.DataArray:
    """Peak signal-to-noise ratio of the ensemble mean, 10 log10(255^2 / MSE), dB; dims of the totals.

    Of the total's MSE, whereas the papers' code often averages the decibels of single frames, which is larger. NaN
    where the MSE is 0. Huynh-Thu & Ghanbari (2008), doi:10.1049/el:20080522.
    """
    return xr.ufuncs.log10(ratio(DATA_RANGE**2, mse(totals))) * 10
