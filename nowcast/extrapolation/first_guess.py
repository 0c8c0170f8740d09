"""First guesses of the frames to come: the newest field moved on, and S-PROG along the same motion.

S-PROG (Seed 2003, doi:10.1175/1520-0450(2003)042<0381:ADASSA>2.0.CO;2; Pulkkinen et al. 2019,
doi:10.5194/gmd-12-4185-2019) splits a field into a cascade of spatial scales and lets each fade at the rate at which it
has been losing its past, so that what cannot be foreseen is smooth. It works on counts, whose scale is logarithmic.

Around it, members may be drawn (nowcast.extrapolation.ensemble).
"""

from typing import NamedTuple

import numpy as np

from nowcast.data.conventions import ECHO
from nowcast.extrapolation.cascade import FRAMES, Cascade
from nowcast.extrapolation.ensemble import PerturbedGuess, motion_errors, noise_strength
from nowcast.extrapolation.optical_flow import advect, departures, motion


class FirstGuess(NamedTuple):
    """First guesses in counts with shape (case, lead, y, x), float32.

    Attributes:
        advected: The newest field, moved on along the motion of the echo.
        advected_1: The field before it, moved on to the same times: how the two differ tells how fast echo changes.
        advected_2: The field before that.
        sprog: S-PROG along the same motion, its mean over the echo kept.
        reached: False where the air comes from outside of the domain or from missing pixels: there all guesses are
            what was last seen.
        perturbed: One a case, of which members around S-PROG are drawn.
    """

    advected: np.ndarray
    advected_1: np.ndarray
    advected_2: np.ndarray
    sprog: np.ndarray
    reached: np.ndarray
    perturbed: tuple[PerturbedGuess, ...]


def first_guess(frames: np.ndarray, observed: np.ndarray, leads: int, *, minutes: float, km: float) -> FirstGuess:
    """First guesses of some cases; persistence where a history has no echo and so no motion.

    Args:
        frames: Counts with shape (case, frame, y, x), zero where missing.
        observed: False where missing, same shape.
        leads: How many frames ahead.
        minutes: From one frame to the next.
        km: Side of a pixel.
    """
    cases = [_one_case(*case, motion_errors(leads, minutes, km)) for case in zip(frames, observed, strict=True)]
    advected, advected_1, advected_2, sprog, reached = (
        np.stack(fields) for fields in zip(*(fields for fields, _ in cases), strict=True)
    )
    perturbed = tuple(drawn for _, drawn in cases)
    return FirstGuess(advected, advected_1, advected_2, sprog, reached, perturbed)


def _one_case(
    frames: np.ndarray, observed: np.ndarray, errors: np.ndarray
) -> tuple[tuple[np.ndarray, ...], PerturbedGuess]:
    leads = len(errors)
    velocity = motion(frames[None], observed[None])[0]
    recent = _fill_gaps(frames, observed)
    last, seen = recent[-1], np.asarray(observed.any(axis=0))
    paths = departures(velocity, leads + FRAMES - 1)
    advected = [
        advect(np.broadcast_to(recent[max(-1 - back, -len(recent))], (leads, *last.shape)), seen, paths[back:][:leads])
        for back in range(FRAMES)
    ]
    expected, gains = _fade(recent, velocity, leads)
    faded = advect(np.stack([_match(field, last) for field in expected]), seen, paths[:leads])
    newest, before, earlier, sprog = (np.where(np.isfinite(field), field, last) for field in (*advected, faded))
    mean = velocity.mean((0, 1))
    heading = mean / max(np.hypot(*mean), 1e-6)
    perturbed = PerturbedGuess(last, seen, expected, gains, noise_strength(last, seen), paths[:leads], heading, errors)
    return (newest, before, earlier, sprog, np.isfinite(advected[0])), perturbed


def _fill_gaps(frames: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """The newest three frames (or as many as there are), gaps filled by what was last seen there, else zero."""
    filled = np.where(observed, frames, 0).astype("float32")
    for i in range(1, len(filled)):
        filled[i] = np.where(observed[i], filled[i], filled[i - 1])
    return filled[-FRAMES:]


def _fade(recent: np.ndarray, velocity: np.ndarray, leads: int) -> tuple[np.ndarray, np.ndarray]:
    """What is left of the newest field, shape (lead, y, x), in its frame of reference, and the gains of its noise."""
    last = recent[-1]
    if len(recent) < FRAMES or not (last >= ECHO).any():
        return np.repeat(last[None], leads, axis=0), np.zeros((leads, len(last), last.shape[1] // 2 + 1), "float32")
    cascade = Cascade(np.stack([_carry(frame, velocity, FRAMES - 1 - i) for i, frame in enumerate(recent)]))
    return cascade.expected(leads), cascade.gains(leads)


def _carry(frame: np.ndarray, velocity: np.ndarray, leads: int) -> np.ndarray:
    if not leads:
        return frame
    return np.nan_to_num(advect(frame[None], np.ones_like(frame, bool), departures(velocity, leads)[-1:])[0])


def _match(field: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The field with echo on its largest values, as much of it as in the newest one, and of the same mean."""
    echo = last >= ECHO
    if not echo.any():
        return field
    wet = field >= np.quantile(field, 1 - echo.mean())
    return np.where(wet, np.maximum(field + (last[echo].mean() - field[wet].mean()), 0), 0)
