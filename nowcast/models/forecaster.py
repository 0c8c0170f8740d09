"""The contract of every model: the one edge where DataArrays become plain arrays and back.

A forecaster is given the last frames of some cases (a case is an event and an init time) and makes members. Frames
are of radar, with shape (y, x), or of video, with shape (channel, y, x).
It is told which member numbers to make, and member 17 of a case is the same field, except for rounding, whether it is
asked for alone, in a batch of ten, beside other cases or on another machine: every random draw comes from
`nowcast.data.seeds`, keyed by (seed, stage, case, member). Pixels that no history frame has seen are NaN in the
forecast, and nothing else is.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import xarray as xr

from nowcast.data.conventions import DURATION, time_text
from nowcast.data.conventions import lead_times as lead_times_of
from pipelines.errors import InputError
from pipelines.store.schema import data_range
from pipelines.store.units import MAX_COUNT

Members = Callable[[Sequence[int]], np.ndarray]
"""Makes members by number: values with shape (case, member, lead, ...)."""


@dataclass(frozen=True)
class Cases:
    """Histories as plain arrays.

    Attributes:
        frames: Counts with shape (case, frame, y, x), of video (case, frame, channel, y, x), float32, zero where
            missing.
        observed: False where missing, same shape.
        keys: One text per case, "EVENT@init time", from which seeds derive.
        cadence_minutes: Minutes between frames, the same in all cases.
        pixel_km: Side of a pixel in km; 3, as SEVIR's, where the history has no coordinates in metres.
        data_range: The largest value of a frame.
    """

    frames: np.ndarray
    observed: np.ndarray
    keys: tuple[str, ...]
    cadence_minutes: float
    pixel_km: float = 3.0
    data_range: float = MAX_COUNT

    def last_seen(self) -> np.ndarray:
        """Newest observed count of every pixel, shape (case, ...); zero where a pixel was never observed."""
        field = np.zeros_like(self.frames[:, 0])
        for frame, seen in zip(np.moveaxis(self.frames, 1, 0), np.moveaxis(self.observed, 1, 0), strict=True):
            field = np.where(seen, frame, field)
        return field


class Ensemble:
    """The forecast of some cases, begun: members are made by number, in any order and in as many calls as one likes."""

    def __init__(self, forecaster: "Forecaster", history: xr.DataArray, lead_times: np.ndarray, seed: int):
        history = history.transpose("case", "frame", ..., "y", "x")
        cases = _to_cases(history)
        self._deterministic = forecaster.deterministic
        self._lead_times = np.asarray(lead_times, DURATION)
        _check_lead_times(self._lead_times, cases.cadence_minutes)
        self._make = forecaster.prepare(cases, len(self._lead_times), seed)
        self._seen = np.expand_dims(cases.observed.any(axis=1), (1, 2))
        self._history, self._range = history, cases.data_range

    def members(self, numbers: Sequence[int]) -> xr.DataArray:
        """Members by number; number 0 alone of a deterministic model. See `Forecaster.forecast`."""
        numbers = [0] if self._deterministic else list(numbers)
        counts = np.where(self._seen, np.clip(self._make(numbers), 0, self._range), np.nan).astype("float32")
        coords = {name: c for name, c in self._history.coords.items() if not {"frame", "member"} & set(c.dims)}
        return xr.DataArray(
            counts,
            dims=("case", "member", "lead_time", *self._history.dims[2:]),
            coords={"member": numbers, "lead_time": self._lead_times, **coords},
            name=self._history.name or "vil",
        )


class Forecaster(ABC):
    """A nowcasting model, learned or not.

    One that is not learned writes `predict`. One that computes something once per case, for all members, writes
    `prepare` instead of relying on the default.

    Attributes:
        deterministic: True when the model makes one member only, numbered 0, whatever is asked for.
        takes_video: Whether it forecasts video too, and not only radar.
        member_batch: Members to ask for at once; None when the ensemble must be made whole.
        window: Frames that a trained model is given and forecasts in one go; None when it takes and makes any number.
        source: Authors and address of the method; empty where there are none.
    """

    source: ClassVar[str] = ""
    deterministic: bool = False
    takes_video: bool = False
    member_batch: int | None = None
    window: tuple[int, int] | None = None

    @abstractmethod
    def predict(self, cases: Cases, leads: int, members: Sequence[int], seed: int) -> np.ndarray:
        """Make members of some cases.

        Args:
            cases: Their histories; not to be written into.
            leads: Number of lead times, 1, 2, ... times the cadence.
            members: Member numbers to make, in any order; [0] of a deterministic model.
            seed: The seed of the run. Draw by `nowcast.data.seeds` from (seed, "forecast", key of the case, member).

        Returns:
            Counts with shape (case, member, lead, ...), any float type; it may be a read-only view of `cases`. The
            caller cuts them to 0 to `cases.data_range`, and makes pixels NaN that no history frame has seen, which may
            hold any number here. No other pixel may be NaN.
        """

    def prepare(self, cases: Cases, leads: int, seed: int) -> Members:
        """A function that makes members of the cases by number: what `predict` returns, for the numbers it is given.

        Write it instead of relying on `predict` where some work is done once per case, for all members.
        """
        return lambda members: self.predict(cases, leads, members, seed)

    def begin(self, history: xr.DataArray, lead_times: np.ndarray, seed: int) -> Ensemble:
        """Begin the forecast of every case, whose members are then made batch by batch.

        Args:
            history: Counts, dims (case, frame, y, x), NaN missing, coordinates event(case), init_time(case) and
                valid_time(case, frame); of video with dim channel. The attribute data_range is the largest value, 254
                where there is none; the attribute units, where there is one, is "1".
            lead_times: The first lead times in whole frames, as timedelta64.
            seed: The seed of the run.

        Raises:
            InputError: when the history is not in counts, the lead times do not continue its cadence, or the model
                takes no video.
        """
        if "channel" in history.dims and not self.takes_video:
            raise InputError(f"the model {type(self).__name__.lower()} forecasts radar, not video")
        if (units := history.attrs.get("units", "1")) != "1":
            raise InputError(
                "the history is not in counts",
                got=f"units {units!r}",
                expected="counts, units '1'",
                remedy="convert it with pipelines.store.units, or use nowcast.load(MODEL).forecast, which does so",
            )
        return Ensemble(self, history, lead_times, seed)

    def forecast(
        self, history: xr.DataArray, lead_times: np.ndarray, members: int | Sequence[int], seed: int
    ) -> xr.DataArray:
        """Forecast members of every case.

        Args:
            history: See `begin`.
            lead_times: See `begin`.
            members: How many members, or which member numbers.
            seed: The seed of the run.

        Returns:
            Counts from 0 to data_range, dims (case, member, lead_time, y, x), of video with channel before y, NaN where
            no history frame was observed.

        Raises:
            InputError: see `begin`.
        """
        numbers = range(members) if isinstance(members, int) else members
        return self.begin(history, lead_times, seed).members(numbers)


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
    frames = np.where(observed, values, 0).astype("float32")
    return Cases(frames, observed, keys, minutes, _pixel_km(history), data_range(history.attrs))


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
