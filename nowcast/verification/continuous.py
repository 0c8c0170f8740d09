"""Errors of the ensemble mean, in counts (a deterministic forecast is its own mean). Wilks (2011), section 8.3."""

import numpy as np
import xarray as xr

from nowcast.verification.contract import Pair, Sums, ratio


def mean_errors(pair: Pair) -> Sums:
    """Sums over pixels of the absolute and the squared error of the ensemble mean; no dims."""
    error = pair.mean - pair.truth
    return {"absolute_error": float(np.abs(error).sum()), "squared_error": float((error**2).sum())}


def mae(totals: xr.Dataset) -> xr.DataArray:
    """Mean absolute error of the ensemble mean, counts; dims of the totals."""
    return ratio(totals["absolute_error"], totals["pixels"])


def mse(totals: xr.Dataset) -> xr.DataArray:
    """Mean squared error of the ensemble mean, counts squared; dims of the totals."""
    return ratio(totals["squared_error"], totals["pixels"])


def rmse(totals: xr.Dataset) -> xr.DataArray:
    """Root of the mean squared error of the ensemble mean, counts; dims of the totals. An ensemble's skill."""
    return mse(totals) ** 0.5
