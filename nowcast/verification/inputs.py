"""Forecasts as they come from anybody's files, brought to one shape, and what was observed of them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, compress
from pathlib import Path
from typing import Any, Self

import numpy as np
import xarray as xr

from nowcast.data import forecast_file
from nowcast.data.conventions import TIME, lead_label, minute_text
from nowcast.data.footprint import footprints
from nowcast.data.observations import Case, Observations, counts_of, texts
from nowcast.data.radar_file import Sources, is_radar, is_store
from nowcast.extrapolation.optical_flow import HISTORY, reached_after
from pipelines.errors import InputError
from pipelines.store.kind import VIDEO, kind_of
from pipelines.store.schema import pixels

Source = str | Path | xr.Dataset


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
        return counts_of(vil, f"the forecast of {self.model}")

    def part(self, cases: np.ndarray, leads: np.ndarray) -> Self:
        """The forecast of some cases and lead times, chosen by bool arrays of dims (case,) and (lead_time,)."""
        wanted = iter(cases)
        rows = [[row for row in range(part.sizes["case"]) if next(wanted)] for part in self.parts]
        parts = [part.isel(case=row, lead_time=leads) for part, row in zip(self.parts, rows, strict=True) if row]
        kept = compress(self.cases, cases)
        return replace(
            self, parts=tuple(parts), cases=tuple(replace(case, valid_times=case.valid_times[leads]) for case in kept)
        )


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
        name = "the forecast"
        dataset = forecast_file.as_counts(xr.decode_cf(source, decode_timedelta=True), name)
    else:
        dataset, name = _open_file(Path(source)), str(source)
    kind = kind_of(dataset)
    if lacking := {"event", "init_time", "lead_time"} - set(dataset.variables):
        raise InputError(f"{name} is not a forecast", got=f"no {' and no '.join(sorted(lacking))}")
    vil, dims = pixels(dataset), kind.forecast_dims
    if "member" not in vil.dims:
        vil = vil.drop_vars("member", errors="ignore").expand_dims("member")
    if set(vil.dims) != set(dims):
        raise InputError(f"{name} is not a forecast", got=f"dims {vil.dims}", expected=f"dims {dims}")
    return Forecast((vil.transpose(*dims),), tuple(_cases(dataset, name)), dict(dataset.attrs))


def _open_file(path: Path) -> xr.Dataset:
    if is_store(path):
        raise InputError(f"{path} is a store", expected="a forecast", remedy="give the forecast first, then the store")
    try:
        return forecast_file.open_forecast(path)
    except InputError as error:
        if is_radar(path):
            raise InputError(f"{path} is radar that was observed, not a forecast") from error
        raise


def _cases(dataset: xr.Dataset, name: str) -> Iterator[Case]:
    if not np.issubdtype(dataset["lead_time"].dtype, np.timedelta64):
        raise InputError(f"{name}: lead_time is no duration", expected='a timedelta, or units such as "minutes"')
    valid = dataset["valid_time"] if "valid_time" in dataset else dataset["init_time"] + dataset["lead_time"]
    times = valid.transpose("case", "lead_time").values.astype(TIME)
    inits = dataset["init_time"].values.astype(TIME)
    columns = texts(dataset["event"]), inits, times, footprints(dataset, "case")
    yield from (Case(*row) for row in zip(*columns, strict=True))


def check_grid(forecast: Forecast, members: np.ndarray, obs: np.ndarray) -> None:
    """Refuse a case of a forecast (see `Forecast.fields`) that is not on the grid of what was observed."""
    if members.shape[2:] != obs.shape[1:]:
        raise InputError(
            f"the forecast of {forecast.model} is on another grid than the store",
            got="x".join(map(str, members.shape[2:])),
            expected="x".join(map(str, obs.shape[1:])),
            remedy="verify it against a store of its own grid",
        )


class Reached(Observations):
    """Observations of only those pixels whose air comes from inside of what the history saw.

    Elsewhere nothing can be known but that it rains or not (see `nowcast.extrapolation.optical_flow.reached`).
    """

    def fields(self, case: Case) -> np.ndarray:
        """See `Observations.fields`; the other pixels are NaN."""
        times = self.times(case)
        step = np.diff(times[times <= case.init_time])[-1]
        steps = np.rint((case.valid_times - case.init_time) / step).astype(int)
        known = reached_after(self.past(case, HISTORY), steps)
        return np.where(known, super().fields(case), np.nan)


def open_observations(source: Sources | xr.Dataset, *, only_reached: bool = False) -> Observations:
    """The observations of a store or of files of radar, given by path or open.

    Args:
        source: See `Observations.open`.
        only_reached: See `Reached`.

    Raises:
        InputError: when it cannot be read; for `only_reached` of a video.
    """
    if not only_reached:
        return Observations.open(source)
    observations = Reached.open(source)
    if kind_of(observations.store) is VIDEO:
        raise InputError("--reached is known of radar only", got="a store of video")
    return observations


def observed_part(forecast: Forecast, observations: Observations) -> tuple[Forecast, str]:
    """The cases and lead times of a forecast that were observed, and in words how many they are.

    Returns:
        The forecast itself and no words where all of it was observed.

    Raises:
        InputError: when no case was observed, or the store has none of a case's times although it goes on after them.
    """
    cases = forecast.cases
    seen = np.array([observations.seen(case) for case in cases])
    if seen.all():
        return forecast, ""
    whole, leads = np.asarray(seen.any(axis=1)), np.asarray(seen.any(axis=0))
    times = [observations.times(case) for case in cases]
    near = np.array([observations.near(case) for case in cases]) & ~seen
    for case, any_seen, any_near, own in zip(cases, whole, near.any(axis=1), times, strict=True):
        if not any_seen and (case.valid_times[0] <= own[-1] or not whole.any()):
            what = f"{observations.name} has no frame of event {case.event} at {minute_text(case.valid_times[0])} UTC"
            raise InputError(
                what,
                got="one that misses it by more than a tenth of a step" if any_near else None,
                expected=f"{minute_text(own[0])} to {minute_text(own[-1])} UTC",
                remedy="give files of radar, or a store (`nowcast prepare-radar`), of what came after",
            )
    not_yet = all((case.valid_times[~row] > own[-1]).all() for case, row, own in zip(cases, seen, times, strict=True))
    ends = {own[-1] for own in times}
    if near.any():
        why = "has frames near the others that miss their times by more than a tenth of a step"
    else:
        why = f"ends at {minute_text(ends.pop())} UTC" if not_yet and len(ends) == 1 else "has no frames of the others"
    some = "" if whole.all() else f"{whole.sum()} of {len(cases)} cases, "
    words = f"{some}{_leads_in_words(forecast.lead_times, leads)}: {observations.name} {why}"
    return forecast.part(whole, leads), words


def _leads_in_words(lead_times: np.ndarray, observed: np.ndarray) -> str:
    labels = [f"+{lead_label(lead)}" for lead in lead_times[observed]]
    named = f"{labels[0]} to {labels[-1]}" if len(labels) > 2 else " and ".join(labels)
    return f"{len(labels)} of {len(lead_times)} lead times ({named})"
