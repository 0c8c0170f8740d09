"""A forecaster that sees its history through noise: how much a model relies on exact observations."""

from collections.abc import Sequence

import numpy as np

from nowcast.data.seeds import numpy_generator
from nowcast.models.forecaster import Cases, Forecaster, Members


class Noisy(Forecaster):
    """Another forecaster, given histories with normal noise on every observed pixel, cut to the range of the data."""

    def __init__(self, forecaster: Forecaster, deviation: float):
        """Noise of a standard deviation of `deviation` times the data range, the same for all members of a case."""
        self._forecaster, self._deviation = forecaster, deviation
        self.network = getattr(forecaster, "network", None)
        self.deterministic, self.member_batch = forecaster.deterministic, forecaster.member_batch
        self.window, self.takes_video = forecaster.window, forecaster.takes_video

    def predict(self, cases: Cases, leads: int, members: Sequence[int], seed: int) -> np.ndarray:
        """See `Forecaster.predict`."""
        return self.prepare(cases, leads, seed)(members)

    def prepare(self, cases: Cases, leads: int, seed: int) -> Members:
        """See `Forecaster.prepare`."""
        noise = np.stack(
            [numpy_generator(seed, "noise", key).standard_normal(cases.frames.shape[1:]) for key in cases.keys]
        )
        noisy = np.clip(cases.frames + self._deviation * cases.data_range * noise, 0, cases.data_range)
        frames = np.where(cases.observed, noisy, 0).astype("float32")
        return self._forecaster.prepare(
            Cases(frames, cases.observed, cases.keys, cases.cadence_minutes, cases.pixel_km, cases.data_range),
            leads,
            seed,
        )
