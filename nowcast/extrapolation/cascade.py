"""A field as a cascade of spatial scales, each of which decorrelates at its own rate, by an AR(2) process per level.

x_0, x_-1, x_-2: the newest frames, advected to the time of the newest. j: a level of the cascade, of zero mean and unit
scale. rho_j1, rho_j2: its autocorrelations over one and two frames. phi_j1, phi_j2: its autoregressive coefficients.
phi_j0: the scale of the noise that keeps the level at unit scale (Seed 2003,
doi:10.1175/1520-0450(2003)042<0381:ADASSA>2.0.CO;2; Pulkkinen et al. 2019, doi:10.5194/gmd-12-4185-2019).
"""

from functools import lru_cache

import cv2
import numpy as np
from scipy.fft import irfft2, rfft2

LEVELS = 6
FRAMES = 3  # frames that an AR(2) process is fitted to
AROUND = 50.0  # pixels; width of a neighbourhood for the autocorrelations, chosen in tests/benchmarks/lab
_PRIOR = 0.1  # weight of the whole field where it is fitted to a neighbourhood, as a fraction of the mean variance


class Cascade:
    """The cascade of the newest of three fields, with an AR(2) process fitted to each level.

    Args:
        fields: x_-2, x_-1 and x_0, counts with shape (3, y, x).
        around: Pixels; width of the Gaussian within which the processes of `expected` are fitted about each pixel, so
            that showers fade sooner than the rain beside them. None fits one process to the whole field.
    """

    def __init__(self, fields: np.ndarray, around: float | None = None):
        self.filters = band_pass_filters(*fields.shape[1:])
        spectra = rfft2(fields)
        levels = irfft2(spectra[:, None] * self.filters, s=fields.shape[1:])
        means, scales = levels.mean((2, 3)), levels.std((2, 3)) + 1e-6
        levels = (levels - means[:, :, None, None]) / scales[:, :, None, None]
        self.newest, self.before = levels[2], levels[1]
        self.mean, self.scales, self.spectrum = means[2].sum(), scales[2], np.abs(spectra[2])
        self.rho_1 = (levels[2] * levels[1]).mean((1, 2))
        self.rho_2 = (levels[2] * levels[0]).mean((1, 2))
        rho = self.rho_1[:, None, None], self.rho_2[:, None, None]
        self.local = _local_autocorrelations(levels, rho, around) if around else rho

    def expected(self, leads: int) -> np.ndarray:
        """The predictable part of the field after 1..leads frames, counts with shape (lead, y, x)."""
        phi_1, phi_2 = autoregression(*self.local)
        now, before = self.newest, self.before
        fields = np.empty((leads, *now.shape[1:]))
        for field in fields:
            now, before = phi_1 * now + phi_2 * before, now
            field[:] = np.tensordot(self.scales, now, axes=1) + self.mean
        return fields

    def gains(self, leads: int) -> np.ndarray:
        """Gains of noise by its age in frames: factors (age, ky, kx) of the spectrum of white noise.

        The noise has the spectrum of the newest field, and in each level the strength that keeps the level's variance.
        """
        phi_1, phi_2 = autoregression(self.rho_1, self.rho_2)
        rho_2 = phi_1 * self.rho_1 + phi_2
        fresh = np.sqrt(np.maximum(0, 1 - phi_1 * self.rho_1 - phi_2 * rho_2))  # phi_0
        aged = np.concatenate(
            [np.ones((1, LEVELS)), autoregressive_weights(self.rho_1, self.rho_2, leads)[: leads - 1, 0]]
        )
        shapes = self.filters * self.spectrum
        shapes[:, 0, 0] = 0
        height, width = self.newest.shape[1:]
        twice = np.full(
            width // 2 + 1, 2.0
        )  # columns that stand for two of the full spectrum, except the first (and last)
        twice[0] = 1
        if width % 2 == 0:
            twice[-1] = 1
        scale = np.sqrt((twice * shapes**2).sum((1, 2)) / (height * width))
        strength = fresh * self.scales / np.maximum(scale, 1e-9)
        return np.tensordot(aged * strength, shapes, axes=(1, 0)).astype("float32")


def _local_autocorrelations(
    levels: np.ndarray, rho: tuple[np.ndarray, np.ndarray], width: float
) -> tuple[np.ndarray, np.ndarray]:
    """Autocorrelations (level, y, x) over one and two frames about each pixel, near those of all where little varies.

    Args:
        levels: Levels of x_-2, x_-1 and x_0, shape (3, level, y, x).
        rho: Autocorrelations of the whole field, each with shape (level, 1, 1).
        width: Pixels; of the Gaussian about each pixel.
    """

    def mean(values: np.ndarray) -> np.ndarray:
        blurred = [cv2.GaussianBlur(level, (0, 0), width, borderType=cv2.BORDER_REFLECT) for level in values]
        return np.stack(blurred)

    earlier, before, newest = levels
    powers = [mean(level**2) + _PRIOR for level in levels]
    rho_1, rho_2 = (
        (mean(newest * other) + _PRIOR * whole) / np.sqrt(powers[2] * power)
        for other, whole, power in zip((before, earlier), rho, (powers[1], powers[0]), strict=True)
    )
    return rho_1, rho_2


@lru_cache(maxsize=8)
def band_pass_filters(height: int, width: int) -> np.ndarray:
    """Weights (level, ky, kx) for `scipy.fft.rfft2`, Gaussian in the logarithm of the wavenumber, which sum to one.

    The first level has the mean of the field (Pulkkinen et al. 2019, section 2.2).
    """
    size = max(height, width)
    ky = np.fft.fftfreq(height, 1 / height)[:, None]
    wavenumber = np.hypot(ky, np.arange(width // 2 + 1)[None])
    ratio = (size / 2) ** (1 / LEVELS)
    edges = ratio ** np.arange(LEVELS + 1)
    centres = np.log((edges[:-1] + edges[1:]) / 2)[:, None, None]
    position = np.log(np.maximum(wavenumber, 1))
    weights = np.exp(-2 * ((position - centres) / np.log(ratio)) ** 2)
    weights /= weights.sum(0)
    weights[:, 0, 0] = np.arange(LEVELS) == 0
    return weights.astype("float32")


def autoregression(rho_1: np.ndarray, rho_2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solve the Yule-Walker equations for phi_1 and phi_2, given autocorrelations over one and two frames.

    rho_2 is raised to the smallest value for which the process is stationary.
    """
    rho_1 = np.clip(rho_1, 1e-3, 1 - 1e-6)
    least = (3 * rho_1**2 - 2 + 2 * (1 - rho_1**2) ** 1.5) / rho_1**2
    rho_2 = np.maximum(rho_2, least)
    return rho_1 * (1 - rho_2) / (1 - rho_1**2), (rho_2 - rho_1**2) / (1 - rho_1**2)


def autoregressive_weights(rho_1: np.ndarray, rho_2: np.ndarray, leads: int) -> np.ndarray:
    """Weights of the last two values in the expectation of an AR(2) process.

    Args:
        rho_1: Autocorrelation over one frame, shape (level,).
        rho_2: Autocorrelation over two frames, shape (level,).
        leads: Number of lead times, one frame apart.

    Returns:
        Weights (lead, 2, level) of x_0 and x_-1.
    """
    phi_1, phi_2 = autoregression(rho_1, rho_2)
    one, zero = np.ones_like(phi_1), np.zeros_like(phi_1)
    before, now = np.stack([zero, one]), np.stack([one, zero])
    weights = []
    for _ in range(leads):
        before, now = now, phi_1 * now + phi_2 * before
        weights.append(now)
    return np.stack(weights)
