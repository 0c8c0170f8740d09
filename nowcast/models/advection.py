"""Advection: the newest field keeps moving as it moved, without growth or decay."""

from collections.abc import Sequence

import numpy as np

from nowcast.extrapolation.optical_flow import extrapolate, motion
from nowcast.models.forecaster import Cases, Forecaster


class Advection(Forecaster):
    """Optical flow on the history, then semi-Lagrangian extrapolation of the newest observed counts.

    All channels of a video share the motion of their mean. Pixels whose air comes from outside of the observed domain
    are filled with persistence. A history without echo has no motion, so its forecast is persistence.
    """

    deterministic = True
    source = "Germann and Zawadzki 2002, https://doi.org/10.1175/1520-0493(2002)130<2859:SDOTPO>2.0.CO;2"
    takes_video = True

    def predict(self, cases: Cases, leads: int, members: Sequence[int], seed: int) -> np.ndarray:
        """See `Forecaster.predict`."""
        last, (height, width) = cases.last_seen(), cases.frames.shape[-2:]
        fields = np.where(cases.observed.any(axis=1), last, np.nan).reshape(len(last), -1, height, width)
        layers = (*cases.frames.shape[:2], -1, height, width)
        seen = np.asarray(cases.observed.reshape(layers).all(axis=2))
        velocity = motion(cases.frames.reshape(layers).mean(axis=2), seen)
        carried = np.stack([extrapolate(field, velocity, leads) for field in np.moveaxis(fields, 1, 0)], axis=2)
        carried = carried.reshape(len(last), leads, *last.shape[1:])
        return np.where(np.isnan(carried), last[:, None], carried)[:, None]
