"""First guesses of single members: S-PROG perturbed as in STEPS, at a sixth of the cost of pysteps.

The variance that each level of the cascade loses returns as noise with the level's spectrum, stronger where the field
varies more. Echo spreads by less than four pixels per frame, each member keeps the values of the newest field, and its
motion has an error that grows with time (Bowler et al. 2006, doi:10.1256/qj.04.100; Pulkkinen et al. 2019,
doi:10.5194/gmd-12-4185-2019).
"""

from typing import NamedTuple

import cv2
import numpy as np
from scipy.fft import irfft2, rfft2

from nowcast.data.conventions import ECHO
from nowcast.extrapolation.optical_flow import advect

_RIM = 4  # pixels from the previous frame's echo; from there on a frame has no echo
_NEIGHBOURHOOD = 8.0  # pixels; width of the Gaussian for the local variance, which sets the strength of the noise
_LEAST_STRENGTH = 0.05  # of the noise, as a fraction of its mean strength
_ALONG, _ACROSS = (10.88, 0.23, -7.68), (5.76, 0.31, -2.72)  # a t^b + c, km h-1 after t minutes (Bowler et al. 2006)


class PerturbedGuess(NamedTuple):
    """The distribution of the first guesses of one case, from which members are drawn.

    Attributes:
        last: The newest field without gaps, counts with shape (y, x).
        past: All fields of the history without gaps (see `first_guess.without_gaps`), shape (frame, y, x).
        seen: True where any frame of the history was observed, shape (y, x).
        expected: The predictable part of the field, not yet moved, counts with shape (lead, y, x).
        gains: Gains of the noise by age (see `Cascade.gains`).
        strength: Local factor of the noise (see `noise_strength`), shape (y, x).
        paths: Departure points of the air (see `nowcast.extrapolation.optical_flow.departures`).
        heading: Unit vector (x, y) of the mean motion.
        errors: Standard deviations of the motion errors (see `motion_errors`).
    """

    last: np.ndarray
    past: np.ndarray
    seen: np.ndarray
    expected: np.ndarray
    gains: np.ndarray
    strength: np.ndarray
    paths: np.ndarray
    heading: np.ndarray
    errors: np.ndarray

    def edge(self, frame: int) -> np.ndarray:
        """A field of the history, counts with shape (y, x); where it has a gap without an earlier value, the newest."""
        return np.where(np.isnan(self.past[frame]), self.last, self.past[frame])

    def draw(self, white: np.ndarray, off_course: np.ndarray, edge: np.ndarray | None = None) -> np.ndarray:
        """Draw one member.

        Args:
            white: Standard normal noise, shape (lead, y, x).
            off_course: Motion errors along the motion and across it, in units of their standard deviations, shape (2,).
            edge: Counts that all lead times take where the air comes from outside of the domain, shape (y, x); by
                default the newest.

        Returns:
            Counts with shape (lead, y, x), float32.
        """
        spectra = rfft2(white)
        noise = np.stack([(self.gains[age::-1] * spectra[: age + 1]).sum(0) for age in range(len(white))])
        fields = self._as_was_seen(self.expected + self.strength * irfft2(noise, s=self.last.shape))
        sideways = np.array([-self.heading[1], self.heading[0]])
        off = self.errors * off_course @ np.stack([self.heading, sideways])
        paths = self.paths + off[:, None, None].astype("float32")
        made = advect(fields, self.seen, paths, cv2.INTER_CUBIC)  # linear interpolation would smooth the members
        made = np.clip(made, 0, self.last.max())  # cubic interpolation overshoots
        return np.where(np.isnan(made), self.last if edge is None else edge, made).astype("float32")

    def _as_was_seen(self, fields: np.ndarray) -> np.ndarray:
        """Fields (lead, y, x) that take the values of the newest field by rank, without echo far from echo."""
        values = np.sort(self.last[self.seen])
        matched = np.zeros_like(fields, dtype="float32")
        before = self.last
        for field, result in zip(fields, matched, strict=True):
            near = nearness(before >= ECHO, 0, _RIM)
            order = np.argsort((near * (field - field.min()))[self.seen].astype("float32"))
            ranked = np.empty_like(values)
            ranked[order] = values
            result[self.seen] = ranked
            before = result
        return matched


def noise_strength(field: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Local strength of the noise: the square root of the local standard deviation, our own choice.

    Uniform noise would spend most of its variance in the dry air around a shower and leave too little for the shower.

    Args:
        field: Counts with shape (y, x).
        seen: True where the counts are known; elsewhere noise is weak.

    Returns:
        Factors of the noise, of unit mean square, shape (y, x).
    """

    def around(values: np.ndarray) -> np.ndarray:
        known = np.where(seen, values, 0).astype("float32")
        return cv2.GaussianBlur(known, (0, 0), _NEIGHBOURHOOD, borderType=cv2.BORDER_REFLECT)

    share = np.maximum(around(np.ones_like(field)), 1e-6)
    variance = np.maximum(around(field**2) / share - (around(field) / share) ** 2, 0)
    strength = np.where(seen, variance**0.25, 0)
    strength += max(_LEAST_STRENGTH * strength.mean(), 1e-6)
    return strength / np.sqrt((strength**2).mean())


def nearness(echo: np.ndarray, near: float, far: float) -> np.ndarray:
    """Weights (y, x): 1 within `near` pixels of echo, falling linearly to 0 at `far` pixels; 0 without echo."""
    distance = cv2.distanceTransform((~echo).astype("uint8"), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # The square of a distance is whole; OpenCV's roots differ in the last bit by where in memory the field lies.
    distance = np.sqrt(np.rint(distance * distance))
    return np.clip((far - distance) / (far - near), 0, 1)


def motion_errors(leads: int, minutes: float, km: float) -> np.ndarray:
    """Standard deviations of the displacement error after 1..leads frames (Bowler et al. 2006).

    Args:
        leads: Number of lead times, one frame apart.
        minutes: Minutes between frames.
        km: Kilometres along the side of a pixel.

    Returns:
        Deviations in pixels along the motion and across it, shape (lead, 2).
    """
    times = minutes * np.arange(1, leads + 1)[:, None]
    a, b, c = np.array([_ALONG, _ACROSS]).T
    return np.cumsum(np.maximum(a * times**b + c, 0), axis=0) * minutes / 60 / km
