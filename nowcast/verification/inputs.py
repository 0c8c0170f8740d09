"""Forecasts and observations as they come from anybody's files, brought to one shape and matched by event and time."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nowcast.data import forecast_file
from nowcast.data.conventions import TIME, time_text
from nowcast.extrapolation.first_guess import first_guess
from pipelines.errors import InputError
from pipelines.store.kind import RADAR, VIDEO, kind_of
from pipelines.store.schema import open_store, pixels

Source = str | Path | xr.Dataset

_HISTORY = 10  # frames that the motion is taken from

COUNT_UNITS = {None, "", "1", "count", "counts"}


@dataclass(frozen=True)
class Case:
    """An event and an init time, with what is valid when.

    Attributes:
        event: Event id.
        init_time: Time of the last observed frame, datetime64[us].
        valid_times: One time a lead time, datetime64[us].
    """

    event: str
    init_time: np.datetime64
    valid_times: np.ndarray

    def __str__(self) -> str:
        return f"{self.event}@{time_text(self.init_time)}"


@dataclass(frozen=True)
class Forecast:
    """A forecast of any origin, in one file or several, read case by case.

    Attributes:
        parts: Counts of each file, dims (case, member, lead_time, y, x), of video with channel before y, not yet read.
        cases: The cases, file after file.
        attrs: The first file's attributes.
    """

    parts: tuple[xr.DataArray, ...]
    cases: tuple[Case, ...]
    attrs: dict[str, Any]

    @cached_property
    def _position(self) -> dict[tuple[str, np.datetime64], tuple[int, int]]:
        places = [(part, row) for part, vil in enumerate(self.parts) for row in range(vil.sizes["case"])]
        return {(case.event, case.init_time): place for case, place in zip(self.cases, places, strict=True)}

    @property
    def model(self) -> str:
        """Name of the model that made it."""
        return str(self.attrs.get("model", "unnamed"))

    @property
    def members(self) -> int:
        """Ensemble size; 1 for a deterministic forecast."""
        return self.parts[0].sizes["member"]

    @property
    def lead_times(self) -> np.ndarray:
        """Lead times, timedelta64."""
        return self.parts[0]["lead_time"].values

    def fields(self, case: Case, lead_times: np.ndarray) -> np.ndarray:
        """Counts of a case, float32 with dims (member, lead_time, y, x), of video with channel before y.

        Raises:
            InputError: when the forecast has not this case or not these lead times.
        """
        if (case.event, case.init_time) not in self._position:
            raise InputError(f"the forecast of {self.model} has no case {case}", expected="the same cases in both")
        absent = np.setdiff1d(lead_times, self.lead_times)
        if absent.size:
            raise InputError(f"the forecast of {self.model} lacks the lead time {absent[0]}")
        part, row = self._position[case.event, case.init_time]
        vil = self.parts[part].isel(case=row).sel(lead_time=lead_times)
        return _counts(vil, f"the forecast of {self.model}")


def open_forecast(sources: Source | Sequence[Source]) -> Forecast:
    """A forecast in files (NetCDF, or Zarr where the path is a folder) or Datasets, whoever wrote them.

    Args:
        sources: One, or several of the same model with a part of the cases each. Each holds `vil`, dims (case, member,
            lead_time, y, x) in any order, or `video`, with channel too; `member` may be absent. Coordinates
            event(case), init_time(case), lead_time and valid_time(case, lead_time), by default their sum.

    Raises:
        InputError: when there is no such file, something of the above is missing or doubled, or the files are not of
            one forecast.
    """
    return _joined([_open_one(source) for source in _several(sources)])


def open_references(sources: Source | Sequence[Source]) -> list[Forecast]:
    """Forecasts to compare with; files of the same model and ensemble size are parts of one (see `open_forecast`)."""
    forecasts: dict[tuple, list[Forecast]] = {}
    for forecast in map(_open_one, _several(sources)):
        made_by = (forecast.model, forecast.members, forecast.attrs.get("checkpoint_sha256"))
        forecasts.setdefault(made_by, []).append(forecast)
    return [_joined(parts) for parts in forecasts.values()]


def _several(sources: Source | Sequence[Source]) -> Sequence[Source]:
    return [sources] if isinstance(sources, str | Path | xr.Dataset) else sources


def _joined(forecasts: list[Forecast]) -> Forecast:
    first = forecasts[0]
    for other in forecasts[1:]:
        _check_same_forecast(first, other)
    parts, cases = (tuple(chain.from_iterable(getattr(f, name) for f in forecasts)) for name in ("parts", "cases"))
    doubled = [case for case, number in Counter(map(str, cases)).items() if number > 1]
    if doubled:
        raise InputError(f"the forecast of {first.model} has the case {doubled[0]} twice", remedy="keep one of them")
    return Forecast(parts, cases, first.attrs)


def _check_same_forecast(first: Forecast, other: Forecast) -> None:
    for what, one, two in (
        ("models", first.model, other.model),
        ("ensemble sizes", first.members, other.members),
        ("lead times", first.lead_times.tolist(), other.lead_times.tolist()),
    ):
        if one != two:
            raise InputError(f"forecasts of different {what} are not one forecast", got=two, expected=one)


def _open_one(source: Source) -> Forecast:
    if isinstance(source, xr.Dataset):
        dataset, name = xr.decode_cf(source, decode_timedelta=True), "the forecast"
    else:
        dataset, name = forecast_file.open_forecast(Path(source)), str(source)
    kind = kind_of(dataset)
    wanted = {kind.variable, "event", "init_time", "lead_time"}
    if not wanted <= set(dataset.variables):
        raise InputError(
            f"{name} is not a forecast",
            got=f"the variables {', '.join(sorted(map(str, dataset.variables)))}",
            expected=", ".join(sorted(wanted)),
        )
    vil, dims = pixels(dataset), kind.forecast_dims
    if "member" not in vil.dims:
        vil = vil.drop_vars("member", errors="ignore").expand_dims("member")
    if set(vil.dims) != set(dims):
        raise InputError(f"{name} is not a forecast", got=f"dims {vil.dims}", expected=f"dims {dims}")
    if vil.attrs.get("units") not in COUNT_UNITS:
        raise InputError(f"{name} is not in counts", got=f"units {vil.attrs['units']}", expected="units 1 (0 to 254)")
    return Forecast((vil.transpose(*dims),), tuple(_cases(dataset, name)), dict(dataset.attrs))


def _cases(dataset: xr.Dataset, name: str) -> Iterator[Case]:
    if not np.issubdtype(dataset["lead_time"].dtype, np.timedelta64):
        raise InputError(f"{name}: lead_time is no duration", expected='a timedelta, or units such as "minutes"')
    valid = dataset["valid_time"] if "valid_time" in dataset else dataset["init_time"] + dataset["lead_time"]
    rows = valid.transpose("case", "lead_time").values.astype(TIME)
    inits = dataset["init_time"].values.astype(TIME)
    for event, init, times in zip(_text(dataset["event"]), inits, rows, strict=True):
        yield Case(event, init, times)


@dataclass(frozen=True)
class Observations:
    """A store, read by event and valid time.

    Attributes:
        store: The open store.
        only_reached: Leave out pixels whose air comes from outside of what the history saw (see
            nowcast.extrapolation.first_guess): there nothing can be known but that it rains or not.
    """

    store: xr.Dataset
    only_reached: bool = False

    @cached_property
    def _position(self) -> dict[str, int]:
        return {event: index for index, event in enumerate(_text(self.store["event"]))}

    def fields(self, case: Case) -> np.ndarray:
        """Observed counts of a case, float32 with dims (lead_time, y, x), of video with channel before y.

        Raises:
            InputError: when the store has not this event or not these times.
        """
        if case.event not in self._position:
            raise InputError(f"the store has no event {case.event}, which the forecast has")
        event = self.store.isel(event=self._position[case.event])
        times = event["valid_time"].values.astype(TIME)
        absent = np.setdiff1d(case.valid_times, times)
        if absent.size:
            raise InputError(
                f"the store has no frame of event {case.event} at {absent[0]}", expected=f"{times[0]} to {times[-1]}"
            )
        frames = [int(np.flatnonzero(times == time)[0]) for time in case.valid_times]
        array = pixels(event).transpose("frame", ..., "y", "x")
        counts = _counts(array.isel(frame=frames), "the store")
        if not self.only_reached:
            return counts
        past = _counts(array.isel(frame=np.flatnonzero(times <= case.init_time)[-_HISTORY:]), "the store")
        seen = np.isfinite(past)
        reached = first_guess(np.where(seen, past, 0)[None], seen[None], len(counts), minutes=5.0, km=3.0).reached[0]
        return np.where(reached, counts, np.nan)


def open_observations(source: Path | xr.Dataset, *, only_reached: bool = False) -> Observations:
    """The observations of a store, given by path or open (see `Observations`).

    Raises:
        InputError: when it is not a store, or one of another schema; for `only_reached` of a video.
    """
    store = source if isinstance(source, xr.Dataset) else open_store(source)
    kind = kind_of(store)
    name, dims = kind.variable, kind.dims
    if not {name, "event", "valid_time"} <= set(store.variables) or set(store[name].dims) != set(dims):
        raise InputError("the observations are not a store", expected=f"event, valid_time and {name} with dims {dims}")
    if only_reached and kind is VIDEO:
        raise InputError("what advection reaches is known of radar only", got="a store of video")
    return Observations(store, only_reached)


def _text(names: xr.DataArray) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names.values.tolist()]


def _counts(vil: xr.DataArray, name: str) -> np.ndarray:
    values = vil.values
    if vil.name == RADAR.variable and values.dtype.kind in "ui" and values.size and values.max() > RADAR.data_range:
        raise InputError(f"{name} has counts of {values.max()}", remedy="give vil the attribute _FillValue 255")
    return values.astype("float32", copy=False)
