"""STEPS of our own, the ensemble that PredLDM's members begin from (Bowler et al. 2006, doi:10.1256/qj.04.100)."""

from collections.abc import Sequence

import numpy as np

from nowcast.data.seeds import numpy_generator
from nowcast.extrapolation.cascade import AROUND
from nowcast.extrapolation.first_guess import first_guess
from nowcast.models.forecaster import Cases, Forecaster, Members
from nowcast.models.guess import draw_members


class Steps(Forecaster):
    """S-PROG along the optical flow, with noise on each spatial scale and an error of the motion in each member.

    Needs no other package, and a sixth of the time of pysteps. Where the air comes from outside of the observed domain,
    each member repeats one frame of the history, which its own generator draws, at all lead times. A case without echo
    in its newest frame, or with fewer than three frames, has no noise. See nowcast.extrapolation.ensemble.

    Args:
        motion_error: Factor of the error of the motion.
        noise: Factor of the noise.
        around: Pixels; width of the Gaussian within which each scale's autocorrelation is taken; None takes it over the
            whole field.
    """

    source = (
        "Bowler et al. 2006, https://doi.org/10.1256/qj.04.100; Seed 2003, "
        "https://doi.org/10.1175/1520-0450(2003)042<0381:ADASSA>2.0.CO;2"
    )
    member_batch = 20

    def __init__(self, motion_error: float = 1.0, noise: float = 1.0, around: float | None = AROUND):
        self.motion_error, self.noise, self.around = motion_error, noise, around

    def prepare(self, cases: Cases, leads: int, seed: int) -> Members:
        """See `Forecaster.prepare`."""
        guess = first_guess(
            cases.frames,
            cases.observed,
            leads,
            minutes=cases.cadence_minutes,
            km=cases.pixel_km,
            around=self.around,
        )
        perturbed = [
            case._replace(errors=self.motion_error * case.errors, strength=self.noise * case.strength)
            for case in guess.perturbed
        ]

        def members(numbers: Sequence[int]) -> np.ndarray:
            draws = []
            for case, key in zip(perturbed, cases.keys, strict=True):
                for number in numbers:
                    drawn = numpy_generator(seed, "forecast", key, number)
                    edge = case.edge(int(drawn.integers(len(case.past))))
                    off_course = drawn.laplace(scale=0.5**0.5, size=2)
                    draws.append((case, drawn.standard_normal(case.expected.shape, "float32"), off_course, edge))
            made = draw_members(draws)
            return made.reshape(len(perturbed), len(numbers), *made.shape[1:])

        return members

    def predict(self, cases: Cases, leads: int, members: Sequence[int], seed: int) -> np.ndarray:
        """See `Forecaster.predict`."""
        return self.prepare(cases, leads, seed)(members)
