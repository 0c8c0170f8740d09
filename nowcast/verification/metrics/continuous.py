"""Errors of the ensemble mean, in counts (a deterministic forecast is its own mean). Wilks (2011), section 8.3."""

import numpy as np
import xarray as xr

from nowcast.verification.contract import Pair, Sums, ratio


def mean_errors(pair: Pair) -> Sums:
    """Sums over pixels of the error of the ensemble mean (forecast - obs), absolute and squared too; no dims.

    Beside them stands the squared range of the data, which is the same at every pixel.
    """
    error = pair.mean - pair.truth
    return {
        "error": float(error.sum()),
        "absolute_error": float(np.abs(error).sum()),
        "squared_error": float((error**2).sum()),
        "squared_range": pair.data_range**2 * len(error),
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
    """Peak signal-to-noise ratio of the ensemble mean, 10 log10(range^2 / MSE), dB; dims of the totals.

    Of the total's MSE, whereas the papers' code often averages the decibels of single frames, which is larger. NaN
    where the MSE is 0. Huynh-Thu & Ghanbari (2008), doi:10.1049/el:20080522.
    """
    return xr.ufuncs.log10(ratio(totals["squared_range"], totals["squared_error"])) * 10
