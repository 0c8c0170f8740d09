"""First guesses of the frames to come: the newest field moved on, and S-PROG along the same motion.

S-PROG (Seed 2003, doi:10.1175/1520-0450(2003)042<0381:ADASSA>2.0.CO;2; Pulkkinen et al. 2019,
doi:10.5194/gmd-12-4185-2019) splits a field into a cascade of spatial scales and lets each fade at the rate at which it
has been losing its past, so that what cannot be foreseen is smooth. It works on counts, whose scale is logarithmic.

x_0, x_-1, x_-2: the newest frames, moved to where the newest one is. j: a level of the cascade. rho_j1, rho_j2: its
autocorrelations over one and two frames. phi_j1, phi_j2: its autoregressive coefficients.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.fft import irfft2, rfft2

from nowcast.optical_flow import advect, departures, motion

LEVELS = 6
ECHO = 5.5  # counts up to 5 are no echo
_FRAMES = 3  # which the second-order autoregressive model takes


class FirstGuess(NamedTuple):
    """First guesses in counts with shape (case, step, y, x), float32.

    Attributes:
        advected: The newest field, moved on along the motion of the echo.
        advected_1: The field before it, moved on to the same times: how the two differ tells how fast echo changes.
        advected_2: The field before that.
        sprog: S-PROG along the same motion, its mean over the echo kept.
        reached: False where the air comes from outside of the domain or from missing pixels: there all guesses are
            what was last seen.
    """

    advected: np.ndarray
    advected_1: np.ndarray
    advected_2: np.ndarray
    sprog: np.ndarray
    reached: np.ndarray


def first_guess(frames: np.ndarray, observed: np.ndarray, steps: int) -> FirstGuess:
    """First guesses of some cases; persistence where a history has no echo and so no motion.

    Args:
        frames: Counts with shape (case, frame, y, x), zero where missing.
        observed: False where missing, same shape.
        steps: How many frames ahead.
    """
    cases = [_one_case(*case, steps) for case in zip(frames, observed, strict=True)]
    return FirstGuess(*(np.stack(part) for part in zip(*cases, strict=True)))


def _one_case(frames: np.ndarray, observed: np.ndarray, steps: int) -> FirstGuess:
    velocity = motion(frames[None], observed[None])[0]
    recent = _fill_gaps(frames, observed)
    last, seen = recent[-1], np.asarray(observed.any(axis=0))
    paths = departures(velocity, steps + _FRAMES - 1)
    advected = [
        advect(np.broadcast_to(recent[max(-1 - back, -len(recent))], (steps, *last.shape)), seen, paths[back:][:steps])
        for back in range(_FRAMES)
    ]
    faded = advect(_fade(recent, velocity, steps), seen, paths[:steps])
    newest, before, earlier, sprog = (np.where(np.isfinite(field), field, last) for field in (*advected, faded))
    return FirstGuess(newest, before, earlier, sprog, np.isfinite(advected[0]))


def _fill_gaps(frames: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """The newest three frames (or as many as there are), gaps filled by what was last seen there, else zero."""
    filled = np.where(observed, frames, 0).astype("float32")
    for i in range(1, len(filled)):
        filled[i] = np.where(observed[i], filled[i], filled[i - 1])
    return filled[-_FRAMES:]


def _fade(recent: np.ndarray, velocity: np.ndarray, steps: int) -> np.ndarray:
    """S-PROG in the frame of reference of the newest field, shape (steps, y, x)."""
    last = recent[-1]
    wet = last >= ECHO
    if len(recent) < _FRAMES or not wet.any():
        return np.repeat(last[None], steps, axis=0)
    moved = [_carry(frame, velocity, _FRAMES - 1 - i) for i, frame in enumerate(recent)]
    levels, means, scales = _cascade(np.stack(moved))
    rho_1 = (levels[2] * levels[1]).mean((1, 2))
    rho_2 = (levels[2] * levels[0]).mean((1, 2))
    weights = autoregressive_weights(rho_1, rho_2, steps) * scales[2]
    faded = np.tensordot(weights, levels[[2, 1]], axes=([1, 2], [0, 1])) + means[2].sum()
    return np.stack([_match(field, wet.mean(), last[wet].mean()) for field in faded])


def _carry(frame: np.ndarray, velocity: np.ndarray, steps: int) -> np.ndarray:
    if not steps:
        return frame
    return np.nan_to_num(advect(frame[None], np.ones_like(frame, bool), departures(velocity, steps)[-1:])[0])


def _cascade(fields: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levels (field, level, y, x) of zero mean and unit scale, and the means and scales (field, level) taken out."""
    filters = band_pass_filters(*fields.shape[1:])
    levels = irfft2(rfft2(fields)[:, None] * filters, s=fields.shape[1:])
    means, scales = levels.mean((2, 3)), levels.std((2, 3)) + 1e-6
    return (levels - means[:, :, None, None]) / scales[:, :, None, None], means, scales


@lru_cache(maxsize=8)
def band_pass_filters(height: int, width: int) -> np.ndarray:
    """Weights (level, ky, kx) of `scipy.fft.rfft2`, Gaussian in the logarithm of the wavenumber, that add up to one.

    The mean of the field belongs to the first level (Pulkkinen et al. 2019, section 2.2).
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


def autoregressive_weights(rho_1: np.ndarray, rho_2: np.ndarray, steps: int) -> np.ndarray:
    """What an AR(2) process without noise makes of its last two values.

    Args:
        rho_1: Autocorrelation over one frame, shape (level,).
        rho_2: Over two frames; raised to the least for which the process is stationary.
        steps: How many frames ahead.

    Returns:
        Weights (step, 2, level) of x_0 and x_-1, phi by the Yule-Walker equations.
    """
    rho_1 = np.clip(rho_1, 1e-3, 1 - 1e-6)
    least = (3 * rho_1**2 - 2 + 2 * (1 - rho_1**2) ** 1.5) / rho_1**2
    rho_2 = np.maximum(rho_2, least)
    phi_1 = rho_1 * (1 - rho_2) / (1 - rho_1**2)
    phi_2 = (rho_2 - rho_1**2) / (1 - rho_1**2)
    one, zero = np.ones_like(rho_1), np.zeros_like(rho_1)
    before, now = np.stack([zero, one]), np.stack([one, zero])
    weights = []
    for _ in range(steps):
        before, now = now, phi_1 * now + phi_2 * before
        weights.append(now)
    return np.stack(weights)


def _match(field: np.ndarray, wet_share: float, mean: float) -> np.ndarray:
    """The field with echo on its largest values, as much of it as there was, and of the same mean."""
    threshold = np.quantile(field, 1 - wet_share)
    wet = field >= threshold
    return np.where(wet, np.maximum(field + (mean - field[wet].mean()), 0), 0)
