"""Fading: the newest field loses a tenth at every lead time."""

from collections.abc import Sequence

import numpy as np

from nowcast.models.forecaster import Cases, Forecaster


class Fading(Forecaster):
    """The newest observed counts times 0.9 per lead time."""

    deterministic = True

    def predict(self, cases: Cases, leads: int, members: Sequence[int], seed: int) -> np.ndarray:
        """See `Forecaster.predict`."""
        newest = cases.last_seen()[:, None, None]  # (case, 1, 1, y, x)
        return newest * 0.9 ** np.arange(1, leads + 1).reshape(-1, 1, 1)
