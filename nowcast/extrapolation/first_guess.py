"""First guesses of the future frames: the newest field advected, and S-PROG along the same motion.

S-PROG (Seed 2003, doi:10.1175/1520-0450(2003)042<0381:ADASSA>2.0.CO;2; Pulkkinen et al. 2019,
doi:10.5194/gmd-12-4185-2019) splits a field into a cascade of spatial scales and damps each at the rate at which its
recent frames decorrelate, so that unpredictable scales are smoothed out. It works on counts, a logarithmic scale.
Members around S-PROG are drawn by nowcast.extrapolation.ensemble.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from nowcast.data.conventions import ECHO
from nowcast.extrapolation.cascade import FRAMES, Cascade
from nowcast.extrapolation.ensemble import PerturbedGuess, motion_errors, noise_strength
from nowcast.extrapolation.optical_flow import advect, departures, motion


class FirstGuess(NamedTuple):
    """First guesses: counts with shape (case, lead, y, x), float32.

    Attributes:
        advected: The newest field, advected along the motion of the echo.
        advected_1: The field one frame older, advected to the same times: the difference shows how fast echo changes.
        advected_2: The field two frames older.
        sprog: S-PROG along the same motion, with the mean over the echo of the newest field.
        reached: False where the air comes from outside of the domain or from missing pixels. There every guess repeats
            the newest observed counts.
        perturbed: Per case, the distribution from which members are drawn.
    """

    advected: np.ndarray
    advected_1: np.ndarray
    advected_2: np.ndarray
    sprog: np.ndarray
    reached: np.ndarray
    perturbed: tuple[PerturbedGuess, ...]


def first_guess(
    frames: np.ndarray, observed: np.ndarray, leads: int, *, minutes: float, km: float, around: float | None = None
) -> FirstGuess:
    """Compute the first guesses of a batch of cases. A history without echo has no motion, so its guess is persistence.

    Args:
        frames: Counts with shape (case, frame, y, x), zero where missing.
        observed: False where missing, same shape.
        leads: Number of lead times, one frame apart.
        minutes: Minutes between frames.
        km: Kilometres along the side of a pixel.
        around: See `Cascade`.
    """
    cases = [_one_case(*case, motion_errors(leads, minutes, km), around) for case in zip(frames, observed, strict=True)]
    advected, advected_1, advected_2, sprog, reached = (
        np.stack(fields) for fields in zip(*(fields for fields, _ in cases), strict=True)
    )
    perturbed = tuple(drawn for _, drawn in cases)
    return FirstGuess(advected, advected_1, advected_2, sprog, reached, perturbed)


def _one_case(
    frames: np.ndarray, observed: np.ndarray, errors: np.ndarray, around: float | None
) -> tuple[tuple[np.ndarray, ...], PerturbedGuess]:
    leads = len(errors)
    velocity = motion(frames[None], observed[None])[0]
    past = without_gaps(frames, observed).astype("float32")
    recent = np.nan_to_num(past[-FRAMES:])
    last, seen = recent[-1], np.asarray(observed.any(axis=0))
    paths = departures(velocity, leads + FRAMES - 1)
    advected = [
        advect(np.broadcast_to(recent[max(-1 - back, -len(recent))], (leads, *last.shape)), seen, paths[back:][:leads])
        for back in range(FRAMES)
    ]
    expected, gains = _fade(recent, velocity, leads, around)
    faded = advect(np.stack([_match(field, last) for field in expected]), seen, paths[:leads])
    newest, before, earlier, sprog = (np.where(np.isfinite(field), field, last) for field in (*advected, faded))
    mean = velocity.mean((0, 1))
    heading = mean / max(np.hypot(*mean), 1e-6)
    perturbed = PerturbedGuess(
        last, past, seen, expected, gains, noise_strength(last, seen), paths[:leads], heading, errors
    )
    return (newest, before, earlier, sprog, np.isfinite(advected[0])), perturbed


def without_gaps(frames: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Frames (frame, y, x) whose missing pixels take the newest earlier value, NaN where no earlier frame has one."""
    filled = np.where(observed, frames, np.nan)
    for before, after in pairwise(filled):
        np.copyto(after, before, where=np.isnan(after))
    return filled


def _fade(recent: np.ndarray, velocity: np.ndarray, leads: int, around: float | None) -> tuple[np.ndarray, np.ndarray]:
    """The predictable part of the newest field, not yet moved, shape (lead, y, x), and the gains of its noise."""
    last = recent[-1]
    if len(recent) < FRAMES or not (last >= ECHO).any():
        return np.repeat(last[None], leads, axis=0), np.zeros((leads, len(last), last.shape[1] // 2 + 1), "float32")
    moved = np.stack([_carry(frame, velocity, FRAMES - 1 - i) for i, frame in enumerate(recent)])
    cascade = Cascade(moved, around)
    return cascade.expected(leads), cascade.gains(leads)


def _carry(frame: np.ndarray, velocity: np.ndarray, frames: int) -> np.ndarray:
    """A field advected by so many frames; zero where the air comes from outside of the domain."""
    if not frames:
        return frame
    return np.nan_to_num(advect(frame[None], np.ones_like(frame, bool), departures(velocity, frames)[-1:])[0])


def _match(field: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The field with the newest field's area and mean of echo: its largest values, shifted; zero elsewhere."""
    echo = last >= ECHO
    if not echo.any():
        return field
    wet = field >= np.quantile(field, 1 - echo.mean())
    return np.where(wet, np.maximum(field + (last[echo].mean() - field[wet].mean()), 0), 0)
