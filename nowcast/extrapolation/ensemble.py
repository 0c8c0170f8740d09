"""Members around S-PROG, made as STEPS makes them, fast enough to be the first guess of each member.

What the cascade forgets comes back as noise of the same spectrum, more of it where the field varies more; echo keeps
within some pixels of where it was a frame before; every member keeps the values of the newest field; and the motion is
wrong by an amount that grows (Bowler et al. 2006, doi:10.1256/qj.04.100; Pulkkinen et al. 2019,
doi:10.5194/gmd-12-4185-2019).
"""

from typing import NamedTuple

import cv2
import numpy as np
from scipy.fft import irfft2, rfft2

from nowcast.data.conventions import ECHO
from nowcast.extrapolation.optical_flow import advect

_RIM = 4  # pixels from the echo of a frame before at which there can be none
_NEIGHBOURHOOD = 8.0  # pixels, of the Gaussian under which the field's variance is taken, to place the noise
_LEAST_STRENGTH = 0.05  # of the noise, of its mean
_ALONG, _ACROSS = (10.88, 0.23, -7.68), (5.76, 0.31, -2.72)  # a t^b + c, km h-1 after t minutes (Bowler et al. 2006)


class PerturbedGuess(NamedTuple):
    """What the members of one case share.

    Attributes:
        last: The newest field, gaps filled, counts with shape (y, x).
        seen: Where it is known.
        expected: What is left of it, in its frame of reference, shape (lead, y, x).
        gains: From `Cascade.gains`.
        strength: Of the noise at each pixel, of unit mean square, shape (y, x).
        paths: Where the air comes from, from `nowcast.extrapolation.optical_flow.departures`, shape (lead, y, x, 2).
        heading: Unit vector (x, y) of the mean motion.
        errors: From `motion_errors`.
    """

    last: np.ndarray
    seen: np.ndarray
    expected: np.ndarray
    gains: np.ndarray
    strength: np.ndarray
    paths: np.ndarray
    heading: np.ndarray
    errors: np.ndarray

    def draw(self, white: np.ndarray, off_course: np.ndarray) -> np.ndarray:
        """One member, counts with shape (lead, y, x), float32; the newest field where the air comes from outside.

        Args:
            white: Standard normal noise of that shape.
            off_course: Errors of the motion, along it and across it, in units of their standard deviations.
        """
        spectra = rfft2(white)
        noise = np.stack([(self.gains[age::-1] * spectra[: age + 1]).sum(0) for age in range(len(white))])
        fields = self._as_was_seen(self.expected + self.strength * irfft2(noise, s=self.last.shape))
        sideways = np.array([-self.heading[1], self.heading[0]])
        off = self.errors * off_course @ np.stack([self.heading, sideways])
        paths = self.paths + off[:, None, None].astype("float32")
        made = advect(fields, self.seen, paths, cv2.INTER_CUBIC)  # linear interpolation would smooth the members
        made = np.clip(made, 0, self.last.max())  # and a cubic one reaches beyond the values there are
        return np.where(np.isfinite(made), made, self.last)

    def _as_was_seen(self, fields: np.ndarray) -> np.ndarray:
        """Fields (lead, y, x) with the values of the newest one, in their own order, and no echo far from echo."""
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
    """How strong noise is at each pixel: as the square root of the standard deviation around it, our own choice.

    Noise of one strength would add the error of a shower to the dry air around it too, where most of it is lost, and
    leave too little to the shower.

    Args:
        field: Counts with shape (y, x).
        seen: Where they are known; elsewhere noise is weak.

    Returns:
        Factors of noise with shape (y, x), of unit mean square.
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
    """1 at echo and within `near` pixels of it, falling to 0 at `far` pixels; 0 without echo. Shape (y, x)."""
    distance = cv2.distanceTransform((~echo).astype("uint8"), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.clip((far - distance) / (far - near), 0, 1)


def motion_errors(leads: int, minutes: float, km: float) -> np.ndarray:
    """Standard deviations of a place after 1..leads frames, in pixels (Bowler et al. 2006).

    Args:
        leads: How many frames ahead.
        minutes: From one frame to the next.
        km: Side of a pixel.

    Returns:
        Deviations along the motion and across it, shape (lead, 2).
    """
    times = minutes * np.arange(1, leads + 1)[:, None]
    a, b, c = np.array([_ALONG, _ACROSS]).T
    return np.cumsum(np.maximum(a * times**b + c, 0), axis=0) * minutes / 60 / km
