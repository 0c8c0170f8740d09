"""Structural similarity of the ensemble mean and the observation (Wang et al. 2004, doi:10.1109/TIP.2003.819861).

Equation 13 with the paper's Gaussian window of 11x11 pixels, sigma 1.5, K1 = 0.01, K2 = 0.03, population moments, and
the data's range. Only windows that lie wholly on the grid and on pixels that count enter; each counts once. This is
scikit-image's `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)`;
its default, a flat 7x7 window, gives other numbers.
"""

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter, minimum_filter

from nowcast.verification.contract import Pair, Sums, ratio

RADIUS, SIGMA, K1, K2 = 5, 1.5, 0.01, 0.03


def similarity(pair: Pair) -> Sums:
    """Sum of the local similarity over the windows that count, and how many there are; no dims."""
    inside = minimum_filter(pair.counted, size=2 * RADIUS + 1, mode="constant", cval=False)
    x, y = pair.on_grid(pair.mean), pair.on_grid(pair.truth)
    mean_x, mean_y, xx, yy, xy = (_blurred(field)[inside] for field in (x, y, x * x, y * y, x * y))
    covariance, variances = xy - mean_x * mean_y, xx - mean_x**2 + yy - mean_y**2
    c1, c2 = (K1 * pair.data_range) ** 2, (K2 * pair.data_range) ** 2
    local = (2 * mean_x * mean_y + c1) * (2 * covariance + c2) / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))
    return {"similarity": float(local.sum()), "similarity_windows": float(inside.sum())}


def _blurred(field: np.ndarray) -> np.ndarray:
    return gaussian_filter(field, SIGMA, radius=RADIUS, mode="constant")


def ssim(totals: xr.Dataset) -> xr.DataArray:
    """Structural similarity index of the ensemble mean, averaged over windows; dims of the totals."""
    return ratio(totals["similarity"], totals["similarity_windows"])
