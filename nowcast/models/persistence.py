"""Persistence: the newest observed field does not change."""

from collections.abc import Sequence

import numpy as np

from nowcast.models.forecaster import Cases, Forecaster


class Persistence(Forecaster):
    """Every lead time repeats the newest observed count of each pixel."""

    deterministic = True
    takes_video = True

    def predict(self, cases: Cases, leads: int, members: Sequence[int], seed: int) -> np.ndarray:
        """See `Forecaster.predict`."""
        return np.repeat(cases.last_seen()[:, None, None], leads, axis=2)
