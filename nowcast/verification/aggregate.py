"""Pairs to additive aggregates: sums with dims (event, lead_time, ...) that any number of workers can add up.

The dimension `event` is kept, so that scores of some events, and bootstrap samples of events, come from the same file.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import xarray as xr

from nowcast.verification.contract import Pair, coverage
from nowcast.verification.inputs import Case, Forecast, Observations
from nowcast.verification.table import METRICS
from pipelines.errors import InputError

Progress = Callable[[Sequence[Case]], Iterable[Case]]


def statistics(pair: Pair) -> xr.Dataset:
    """The sums of a pair that the metrics of the table need, each statistic computed once."""
    sums = dict(coverage(pair))
    for statistic in dict.fromkeys(s for metric in METRICS.values() for s in metric.statistics):
        sums |= statistic(pair)
    return xr.Dataset(sums)


def add(first: xr.Dataset, second: xr.Dataset) -> xr.Dataset:
    """The aggregate of both: a sum over the union of their events and lead times.

    Raises:
        InputError: when they differ in attributes (model, ensemble size) or in any other coordinate (thresholds).
    """
    if first.attrs != second.attrs:
        raise InputError("aggregates of different forecasts do not add", got=second.attrs, expected=first.attrs)
    others = set(first.dims) - {"event", "lead_time"}
    first, second = xr.align(first, second, join="outer", exclude=others, fill_value=0.0)
    try:
        with xr.set_options(arithmetic_join="exact", keep_attrs=True):
            return first + second
    except ValueError as error:
        raise InputError("aggregates of different thresholds do not add", got=error) from error


def aggregate(
    forecasts: Sequence[Forecast],
    observations: Observations,
    thresholds: Sequence[float],
    progress: Progress = iter,
) -> list[xr.Dataset]:
    """One aggregate a forecast, all of the same cases and of the pixels that every one of them has.

    One case is held in memory at a time.

    Args:
        forecasts: The first one's cases and lead times are scored; the others must have them.
        observations: What came.
        thresholds: Event thresholds on the count scale.
        progress: Wraps the cases to show how far it is.

    Raises:
        InputError: when a case, a time or a lead time is missing somewhere, or the grids differ.
    """
    lead_times = forecasts[0].lead_times
    totals: list[xr.Dataset] = []
    for case in progress(forecasts[0].cases):
        obs = observations.fields(case)
        fields = [forecast.fields(case, lead_times) for forecast in forecasts]
        _check_grids(forecasts, fields, obs)
        parts = [
            part.assign_coords(lead_time=lead_times).expand_dims(event=[case.event]).assign_attrs(_origin(forecast))
            for part, forecast in zip(_case_statistics(fields, obs, tuple(thresholds)), forecasts, strict=True)
        ]
        totals = [add(total, part) for total, part in zip(totals, parts, strict=True)] if totals else parts
    if not totals:
        raise InputError("the forecast has no case")
    return totals


def _case_statistics(fields: list[np.ndarray], obs: np.ndarray, thresholds: tuple[float, ...]) -> list[xr.Dataset]:
    """Sums with dim lead_time, one Dataset a forecast."""
    leads: list[list[xr.Dataset]] = [[] for _ in fields]
    for lead, truth in enumerate(obs):
        counted = np.isfinite(truth)
        for members in fields:
            counted &= np.isfinite(members[:, lead]).all(axis=0)
        for sums, members in zip(leads, fields, strict=True):
            sums.append(statistics(Pair(members[:, lead], truth, counted, thresholds)).assign(cases=1.0))
    return [xr.concat(sums, dim="lead_time") for sums in leads]


def _origin(forecast: Forecast) -> dict[str, str | int]:
    return {"model": forecast.model, "members": forecast.members}


def _check_grids(forecasts: Sequence[Forecast], fields: list[np.ndarray], obs: np.ndarray) -> None:
    for forecast, members in zip(forecasts, fields, strict=True):
        if members.shape[2:] != obs.shape[1:]:
            raise InputError(
                f"the forecast of {forecast.model} is on another grid than the store",
                got="x".join(map(str, members.shape[2:])),
                expected="x".join(map(str, obs.shape[1:])),
                remedy="verify it against a store of its own grid",
            )
