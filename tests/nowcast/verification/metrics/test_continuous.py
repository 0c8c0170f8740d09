"""Errors of the mean by hand."""

import numpy as np
import pytest
import xarray as xr
from pysteps.verification.detcontscores import det_cont_fct

from nowcast.verification.contract import Pair, coverage
from nowcast.verification.metrics.continuous import bias, mae, mean_errors, mse, psnr, rmse


def test_errors_of_the_mean_where_pixels_count() -> None:
    # means 2, 6, 5 against 1, 9 and a missing one: errors 1 and -3.
    members = np.array([[[1, 5, 5]], [[3, 7, 5]]], "float32")
    obs = np.array([[1, 9, np.nan]], "float32")
    pair = Pair(members, obs, np.isfinite(obs), (74.0,))
    totals = xr.Dataset({**coverage(pair), **mean_errors(pair)})
    assert bias(totals).item() == -1
    assert mae(totals).item() == 2
    assert mse(totals).item() == 5
    assert rmse(totals).item() == pytest.approx(5**0.5)
    assert psnr(totals).item() == pytest.approx(10 * np.log10(255**2 / 5))


def test_psnr_is_of_the_range_of_the_data() -> None:
    pair = Pair(np.full((1, 1, 1), 3.0), np.ones((1, 1)), np.ones((1, 1), bool), (), data_range=20.0)
    assert psnr(xr.Dataset(mean_errors(pair))).item() == pytest.approx(20)  # 10 log10(20^2 / 2^2)


def test_errors_of_no_pixel_are_nan() -> None:
    pair = Pair(np.zeros((2, 1, 1), "float32"), np.full((1, 1), np.nan, "float32"), np.zeros((1, 1), bool), (74.0,))
    totals = xr.Dataset({**coverage(pair), **mean_errors(pair)})
    for score in (bias, mae, mse, rmse, psnr):
        assert np.isnan(score(totals)), score.__name__


def test_errors_agree_with_pysteps() -> None:
    rng = np.random.default_rng(0)
    forecast, obs = rng.uniform(0, 254, (2, 12, 12)).astype("float32")
    obs[3, 4:7] = np.nan
    pair = Pair(forecast[None], obs, np.isfinite(obs), (74.0,))
    totals = xr.Dataset({**coverage(pair), **mean_errors(pair)})
    oracle = det_cont_fct(forecast, obs)
    for score, name in {bias: "ME", mae: "MAE", mse: "MSE", rmse: "RMSE"}.items():
        assert score(totals).item() == pytest.approx(oracle[name], rel=1e-5), name
