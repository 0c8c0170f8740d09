"""Errors of the mean by hand."""

import numpy as np
import pytest
import xarray as xr

from nowcast.verification.continuous import mae, mean_errors, mse, rmse
from nowcast.verification.contract import Pair, coverage


def test_errors_of_the_mean_where_pixels_count() -> None:
    # means 2, 6, 5 against 1, 3 and a missing one: errors 1 and 3.
    members = np.array([[[1, 5, 5]], [[3, 7, 5]]], "float32")
    obs = np.array([[1, 3, np.nan]], "float32")
    pair = Pair(members, obs, np.isfinite(obs), (74.0,))
    totals = xr.Dataset({**coverage(pair), **mean_errors(pair)})
    assert mae(totals).item() == 2
    assert mse(totals).item() == 5
    assert rmse(totals).item() == pytest.approx(5**0.5)


def test_errors_of_no_pixel_are_nan() -> None:
    pair = Pair(np.zeros((2, 1, 1), "float32"), np.full((1, 1), np.nan, "float32"), np.zeros((1, 1), bool), (74.0,))
    totals = xr.Dataset({**coverage(pair), **mean_errors(pair)})
    assert np.isnan(mae(totals)) and np.isnan(mse(totals)) and np.isnan(rmse(totals))
