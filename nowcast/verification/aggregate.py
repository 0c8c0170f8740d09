"""Pairs to additive aggregates: sums with dims (event, lead_time, ...) that any number of workers can add up.

The dimension `event` is kept, so that scores of some events, and bootstrap samples of events, come from the same file.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np
import xarray as xr

from nowcast.data.conventions import duration_text
from nowcast.verification.contract import DATA_RANGE, Arrays, Pair, coverage
from nowcast.verification.inputs import Case, Forecast, Observations, check_grid
from nowcast.verification.metrics.perceptual import Perception, feature_coords
from nowcast.verification.metrics.table import metrics
from pipelines.errors import InputError

Progress = Callable[[Sequence[Case]], Iterable[Case]]


def statistics(pair: Pair) -> xr.Dataset:
    """The sums of a pair that the metrics of the table need, each statistic computed once."""
    return xr.Dataset(_statistics(pair))


def add(first: xr.Dataset, second: xr.Dataset) -> xr.Dataset:
    """The aggregate of both: a sum over the union of their events and lead times.

    Raises:
        InputError: when they differ in attributes (model, ensemble size, protocol, ...) or in any other coordinate
            (thresholds), or have a case in common.
    """
    attrs = _common_attributes(first.attrs, second.attrs)
    cases = _united_cases(first, second)
    first, second = (one.drop_dims("case", errors="ignore") for one in (first, second))
    others = set(first.dims) - {"event", "lead_time"}
    first, second = xr.align(first, second, join="outer", exclude=others, fill_value=0.0)
    try:
        with xr.set_options(arithmetic_join="exact"):
            return (first + second).assign_coords(cases).assign_attrs(attrs)
    except ValueError as error:
        raise InputError("sums of different thresholds do not add", got=error) from error


def _common_attributes(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """The attributes of both; those that only their forecast files give (forecast_...) are left out if they differ."""
    scored = {part for one in (first, second) if "scored" in one for part in one["scored"].split("; ")}
    first, second = ({key: value for key, value in one.items() if key != "scored"} for one in (first, second))
    differ = sorted(key for key in first | second if first.get(key) != second.get(key))
    refused = [key for key in differ if not key.startswith("forecast_")]
    if refused:
        got, expected = ([one.get(key) for key in refused] for one in (second, first))
        raise InputError(f"sums of different {', '.join(refused)} do not add", got=got, expected=expected)
    common = {key: value for key, value in first.items() if key not in differ}
    return common | ({"scored": "; ".join(sorted(scored))} if scored else {})


def _united_cases(first: xr.Dataset, second: xr.Dataset) -> dict[Hashable, xr.DataArray]:
    """The coordinates of dim `case`, where states have it: those of the one, then those of the other."""
    if "case" not in first.dims:
        return {}
    common = np.intersect1d(first["case"], second["case"])
    if common.size:
        raise InputError(f"the case {common[0]} is in both sums", remedy="merge states of different cases")
    names = [name for name, coord in first.coords.items() if "case" in coord.dims]
    return {name: xr.concat([first[name], second[name]], "case") for name in names}


def aggregate(
    forecasts: Sequence[Forecast],
    observations: Observations,
    thresholds: Sequence[float],
    progress: Progress = iter,
    perception: Perception | None = None,
    data_range: float = DATA_RANGE,
) -> list[xr.Dataset]:
    """One aggregate per forecast, all over the same cases and over the pixels that every forecast has.

    One case is held in memory at a time. The channels of a video are fields of their own, whose sums are added up.

    Args:
        forecasts: The first one's cases and lead times are scored; the others must have them.
        observations: The observed counts.
        thresholds: Event thresholds in counts.
        progress: Wraps the cases to show progress.
        perception: Networks for the perceptual scores.
        data_range: See `Pair`.

    Raises:
        InputError: when a case, a time or a lead time is missing somewhere, or the grids differ.
    """
    lead_times = forecasts[0].lead_times
    totals: list[dict[str, Arrays]] = [{} for _ in forecasts]
    perception = perception or Perception()
    videos: list[list[np.ndarray]] = []
    for case in progress(forecasts[0].cases):
        obs = observations.fields(case)
        fields = [forecast.fields(case, lead_times) for forecast in forecasts]
        for forecast, members in zip(forecasts, fields, strict=True):
            check_grid(forecast, members, obs)
        names = [f"{case} + {duration_text(time)}" for time in lead_times]
        seen = observations.seen(case)
        of_case = _case_statistics(names, fields, obs, seen, partial(_field_statistics, tuple(thresholds), data_range))
        for total, of_pixels, of_pictures in zip(totals, of_case, perception.distances(fields, obs), strict=True):
            sums = {**of_pixels, **of_pictures}
            total[case.event] = _sum(total[case.event], sums) if case.event in total else sums
        videos.append(perception.video_features(fields, obs))
    if not totals[0]:
        raise InputError("the forecast has no case")
    return [
        _dataset(total, lead_times, forecast).assign_coords(feature_coords(videos, number))
        for number, (total, forecast) in enumerate(zip(totals, forecasts, strict=True))
    ]


def _statistics(pair: Pair) -> Arrays:
    sums = dict(coverage(pair))
    table = metrics(with_thresholds=bool(pair.thresholds)).values()
    for statistic in dict.fromkeys(s for metric in table for s in metric.statistics):
        sums |= statistic(pair)
    return {name: value if isinstance(value, tuple) else ((), np.asarray(value)) for name, value in sums.items()}


def _case_statistics(
    names: list[str],
    fields: list[np.ndarray],
    obs: np.ndarray,
    seen: np.ndarray,
    take: Callable[..., list[Arrays]],
) -> list[Arrays]:
    """Sums with dim lead_time in front, of every forecast."""
    leads = []
    for lead, (name, truth) in enumerate(zip(names, obs, strict=True)):
        members = [one[:, lead] for one in fields]
        if truth.ndim == 2:
            sums = take(name, members, truth)
        else:
            channels = [take(f"{name} {n}", [one[:, n] for one in members], truth[n]) for n in range(len(truth))]
            sums = [reduce(_sum, parts) for parts in zip(*channels, strict=True)]
        leads.append([{**of_forecast, "cases": ((), seen[lead] * np.ones(()))} for of_forecast in sums])
    return [_stack("lead_time", of_forecast) for of_forecast in zip(*leads, strict=True)]


def _field_statistics(
    thresholds: tuple[float, ...], data_range: float, name: str, fields: list[np.ndarray], truth: np.ndarray
) -> list[Arrays]:
    """The sums of one field, of every forecast."""
    counted = np.isfinite(truth)
    for members in fields:
        counted &= np.isfinite(members).all(axis=0)
    pairs = [Pair(members, truth, counted, thresholds, name, data_range) for members in fields]
    return [_statistics(pair) for pair in pairs]


def _stack(dim: str, parts: Sequence[Arrays]) -> Arrays:
    """Arrays joined along a new first dimension; coordinates, which are the same in all, stay as they are."""
    return {
        name: (dims, first) if dims == (name,) else ((dim, *dims), np.stack([part[name][1] for part in parts]))
        for name, (dims, first) in parts[0].items()
    }


def _sum(one: Arrays, two: Arrays) -> Arrays:
    return {name: (dims, first if dims == (name,) else first + two[name][1]) for name, (dims, first) in one.items()}


def _dataset(total: dict[str, Arrays], lead_times: np.ndarray, forecast: Forecast) -> xr.Dataset:
    events = sorted(total)
    attrs = {"model": forecast.model, "members": forecast.members}
    coords = {"event": events, "lead_time": lead_times}
    return xr.Dataset(_stack("event", [total[event] for event in events]), coords, attrs)
