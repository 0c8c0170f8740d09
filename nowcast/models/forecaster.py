"""The contract of every model: the one edge where DataArrays become plain arrays and back.

A forecaster is given the last frames of some cases (a case is an event and an init time) and returns members. Frames
are of radar, with shape (y, x), or of video, with shape (channel, y, x).
It is told which member numbers to make, and member 17 of a case is the same field, but for rounding, whether it is
asked for alone, in a batch of ten, beside other cases or on another machine: every random draw comes from
`nowcast.data.seeds`, keyed by (seed, stage, case, member). Pixels that no history frame has seen are NaN in the
forecast, and nothing else is.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import xarray as xr

from nowcast.data.conventions import DURATION, time_text
from nowcast.data.conventions import lead_times as lead_times_of
from pipelines.errors import InputError
from pipelines.store.schema import data_range


@dataclass(frozen=True)
class Cases:
    """Histories as plain arrays.

    Attributes:
        frames: Counts with shape (case, frame, y, x), of video (case, frame, channel, y, x), float32, zero where
            missing.
        observed: False where missing, same shape.
        keys: One text a case, "EVENT@init time", from which seeds derive.
        cadence_minutes: Minutes between frames, the same in all cases.
        pixel_km: Side of a pixel in km; 3, as SEVIR's, where the history has no coordinates in metres.
    """

    frames: np.ndarray
    observed: np.ndarray
    keys: tuple[str, ...]
    cadence_minutes: float
    pixel_km: float = 3.0

    def last_seen(self) -> np.ndarray:
        """Newest observed count of every pixel, shape (case, ...); zero where a pixel was never observed."""
        field = np.zeros_like(self.frames[:, 0])
        for frame, seen in zip(np.moveaxis(self.frames, 1, 0), np.moveaxis(self.observed, 1, 0), strict=True):
            field = np.where(seen, frame, field)
        return field


class Forecaster(ABC):
    """A nowcasting model, learned or not.

    Attributes:
        deterministic: True when the model makes one member only, numbered 0, whatever is asked for.
        member_batch: Members to ask for at once; None when the ensemble must be made whole.
        window: Frames that a trained model is given and forecasts; None when it takes and makes any number.
        takes_video: Whether it forecasts video too, and not only radar.
    """

    deterministic: ClassVar[bool] = False
    takes_video: ClassVar[bool] = False
    member_batch: int | None = None
    window: tuple[int, int] | None = None

    @abstractmethod
    def predict(self, cases: Cases, steps: int, members: Sequence[int], seed: int) -> np.ndarray:
        """Counts with shape (case, member, step, ...) for lead times 1..steps times the cadence."""

    def forecast(
        self, history: xr.DataArray, lead_times: np.ndarray, members: int | Sequence[int], seed: int
    ) -> xr.DataArray:
        """Forecast members of every case.

        Args:
            history: Counts, dims (case, frame, y, x), NaN missing, coordinates event(case), init_time(case) and
                valid_time(case, frame); of video with dim channel. The attribute data_range is the largest value, 254
                where there is none.
            lead_times: The first lead times in whole frames, as timedelta64.
            members: How many members, or which member numbers.
            seed: The seed of the run.

        Returns:
            Counts from 0 to data_range, dims (case, member, lead_time, y, x), of video with channel before y, NaN where
            no history frame was observed.

        Raises:
            InputError: when the lead times do not continue the history's cadence, or the model takes no video.
        """
        if "channel" in history.dims and not self.takes_video:
            raise InputError(f"the model {type(self).__name__.lower()} forecasts radar, not video")
        history = history.transpose("case", "frame", ..., "y", "x")
        cases = _to_cases(history)
        lead_times = np.asarray(lead_times, DURATION)
        _check_lead_times(lead_times, cases.cadence_minutes)
        numbers = range(members) if isinstance(members, int) else members
        numbers = [0] if self.deterministic else list(numbers)
        counts = self.predict(cases, len(lead_times), numbers, seed)
        seen = np.expand_dims(cases.observed.any(axis=1), (1, 2))
        counts = np.where(seen, np.clip(counts, 0, data_range(history.attrs)), np.nan).astype("float32")
        return xr.DataArray(
            counts,
            dims=("case", "member", "lead_time", *history.dims[2:]),
            coords={
                "member": numbers,
                "lead_time": lead_times,
                **{name: c for name, c in history.coords.items() if not {"frame", "member"} & set(c.dims)},
            },
            name=history.name or "vil",
        )


def _to_cases(history: xr.DataArray) -> Cases:
    values = np.asarray(history.values, "float32")
    observed = np.isfinite(values)
    steps = np.diff(history["valid_time"].transpose("case", "frame").values, axis=1).astype(DURATION)
    if not (steps == steps.flat[0]).all():
        raise InputError(
            "the frames of the history are not evenly spaced in time",
            got=f"steps of {np.unique(steps)}",
            expected="one cadence in all cases",
        )
    keys = tuple(
        f"{event}@{time_text(time)}"
        for event, time in zip(history["event"].values, history["init_time"].values, strict=True)
    )
    minutes = float(steps.flat[0].astype(int)) / 6e7
    return Cases(np.where(observed, values, 0).astype("float32"), observed, keys, minutes, _pixel_km(history))


def _pixel_km(history: xr.DataArray) -> float:
    if "x" not in history.coords or history["x"].attrs.get("units") != "m" or history.sizes["x"] < 2:
        return Cases.pixel_km
    return float(abs(history["x"].values[1] - history["x"].values[0])) / 1000


def _check_lead_times(lead_times: np.ndarray, cadence_minutes: float) -> None:
    if not np.array_equal(lead_times, lead_times_of(cadence_minutes, len(lead_times))):
        raise InputError(
            "the lead times do not follow the history",
            got=lead_times.astype(int) / 6e7,
            expected=f"multiples of {cadence_minutes:g} minutes from the first on",
        )
