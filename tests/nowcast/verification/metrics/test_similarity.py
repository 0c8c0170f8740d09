"""Structural similarity, window by window."""

import numpy as np
import pytest
import xarray as xr

from nowcast.verification.contract import Pair
from nowcast.verification.metrics.similarity import similarity, ssim


def totals(members: np.ndarray, obs: np.ndarray, counted: np.ndarray | None = None) -> xr.Dataset:
    counted = np.ones(obs.shape, bool) if counted is None else counted
    return xr.Dataset(similarity(Pair(members.astype("float32"), obs.astype("float32"), counted, (74.0,))))


def test_two_flat_fields_by_hand() -> None:
    # No variance: the second factor is C2 / C2, the first one (2 * 10 * 30 + 2.55^2) / (10^2 + 30^2 + 2.55^2).
    result = totals(np.full((1, 11, 11), 10), np.full((11, 11), 30))
    assert result["similarity_windows"] == 1
    assert ssim(result).item() == pytest.approx((600 + 2.55**2) / (1000 + 2.55**2))


def test_every_window_by_the_definition() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 254, (2, 14, 13))
    place = np.arange(-5, 6)
    weights = np.exp(-(place[:, None] ** 2 + place**2) / (2 * 1.5**2))
    weights /= weights.sum()
    local = []
    for row in range(4):
        for column in range(3):
            a, b = (field[row : row + 11, column : column + 11] for field in (x, y))
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
            top = (2 * mean_a * mean_b + 2.55**2) * (2 * covariance + 7.65**2)
            local.append(top / ((mean_a**2 + mean_b**2 + 2.55**2) * (var_a + var_b + 7.65**2)))
    assert ssim(totals(x[None], y)).item() == pytest.approx(np.mean(local), rel=1e-5)


def test_agrees_with_the_number_of_scikit_image_0_26() -> None:
    rows, columns = np.mgrid[:32, :32]
    x, y = (rows * columns) % 255, (rows * columns + 7 * rows) % 255
    assert ssim(totals(x[None], y)).item() == pytest.approx(-0.0318256784, abs=1e-8)


def test_windows_that_touch_a_missing_pixel_do_not_enter() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 254, (2, 16, 24))
    counted = np.ones((16, 24), bool)
    counted[:, 13] = False
    result = totals(x[None], y, counted)
    assert result["similarity_windows"] == 6 * 3
    assert ssim(result).item() == pytest.approx(ssim(totals(x[None, :, :13], y[:, :13])).item())


def test_a_grid_smaller_than_the_window_has_none() -> None:
    assert np.isnan(ssim(totals(np.zeros((1, 10, 10)), np.zeros((10, 10)))))
