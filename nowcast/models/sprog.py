"""S-PROG: what was last seen moves on, and its small scales fade as they lose their past (Seed 2003)."""

from collections.abc import Sequence

import numpy as np

from nowcast.extrapolation.first_guess import first_guess
from nowcast.models.forecaster import Cases, Forecaster


class Sprog(Forecaster):
    """Spectral prognosis along the optical flow, its mean over the echo kept (see nowcast.extrapolation.first_guess).

    Pixels that the motion reaches from outside of the observed domain are filled by persistence; a history without
    echo has no motion, so that its forecast is persistence altogether.
    """

    deterministic = True

    def predict(self, cases: Cases, steps: int, members: Sequence[int], seed: int) -> np.ndarray:
        """See `Forecaster.predict`."""
        guess = first_guess(cases.frames, cases.observed, steps, minutes=cases.cadence_minutes, km=cases.pixel_km)
        return guess.sprog[:, None]
