"""Advection: what was last seen moves on as it moved, without growth or decay."""

from collections.abc import Sequence

import numpy as np

from nowcast.models.forecaster import Cases, Forecaster
from nowcast.optical_flow import extrapolate, motion


class Advection(Forecaster):
    """Optical flow on the history, then semi-Lagrangian extrapolation of the newest observed counts.

    Pixels that the motion reaches from outside of the observed domain are filled by persistence; a history without
    echo has no motion, so that its forecast is persistence altogether.
    """

    deterministic = True

    def predict(self, cases: Cases, steps: int, members: Sequence[int], seed: int) -> np.ndarray:
        """See `Forecaster.predict`."""
        last = cases.last_seen()
        ever_seen = cases.observed.any(axis=1)
        carried = extrapolate(np.where(ever_seen, last, np.nan), motion(cases.frames, cases.observed), steps)
        return np.where(np.isnan(carried), last[:, None], carried)[:, None]
