"""S-PROG: the newest field is advected, and each spatial scale fades at its own rate (Seed 2003)."""

from collections.abc import Sequence

import numpy as np

from nowcast.extrapolation.first_guess import first_guess
from nowcast.models.forecaster import Cases, Forecaster


class Sprog(Forecaster):
    """Spectral prognosis along the optical flow, with the mean over the echo of the newest field.

    Pixels whose air comes from outside of the observed domain are filled with persistence. A history without echo has
    no motion, so its forecast is persistence. See nowcast.extrapolation.first_guess.
    """

    deterministic = True
    source = "Seed 2003, https://doi.org/10.1175/1520-0450(2003)042<0381:ADASSA>2.0.CO;2"

    def predict(self, cases: Cases, leads: int, members: Sequence[int], seed: int) -> np.ndarray:
        """See `Forecaster.predict`."""
        guess = first_guess(cases.frames, cases.observed, leads, minutes=cases.cadence_minutes, km=cases.pixel_km)
        return guess.sprog[:, None]
