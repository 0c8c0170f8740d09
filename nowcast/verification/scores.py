"""Aggregates to scores: by lead time, pooled over lead times, and averaged over them, each under its own name."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import xarray as xr

from nowcast import __version__
from nowcast.data.conventions import COORDINATE_ATTRS
from nowcast.verification.bootstrap import LEVEL, SAMPLES, interval, resampled
from nowcast.verification.contract import Metric, ratio
from nowcast.verification.metrics.perceptual import LPIPS, video_scores
from nowcast.verification.metrics.table import metrics
from nowcast.verification.terms import coverage
from pipelines.store.amounts import amount_text
from pipelines.store.units import COUNTS

MEANS = {
    "": "at each lead time",
    "_pooled": "of the sums pooled over lead times",
    "_lead_averaged": "averaged over lead times",
}


def roles(number: int) -> list[str]:
    """Labels of forecasts along the dim `forecast`: forecast, reference, reference 2, ..."""
    return ["forecast", "reference", *(f"reference {place}" for place in range(2, number))][:number]


def scores_of(states: Sequence[xr.Dataset], samples: int = SAMPLES, only: Collection[str] | None = None) -> xr.Dataset:
    """Every metric of the table from the sums of a forecast and of its references, with intervals.

    Args:
        states: See `states`; all of the same cases.
        samples: Bootstrap samples of events; a single event has no interval.
        only: Names of the metrics to take; by default all.

    Returns:
        See `verify`.
    """
    results: list[dict[str, xr.DataArray]] = [{} for _ in states]
    for name, words, values in _all_scores([state.sum("event", skipna=False) for state in states], only):
        for result, value in zip(results, values, strict=True):
            result[name] = value.assign_attrs(long_name=words, units="1")
    if samples and states[0].sizes["event"] > 1:
        for name, words, values in _all_scores([resampled(state, samples) for state in states], only):
            words = f"{words}; {LEVEL:.0%} interval, events resampled"
            for result, value in zip(results, values, strict=True):
                result[f"{name}_interval"] = interval(value).assign_attrs(long_name=words, units="1")
    for result, state in zip(results, states, strict=True):
        result |= video_scores(state)
    cases = states[0]["cases"].sum("event").assign_attrs(long_name="number of cases", units="1")
    origins = [{key: state.attrs[key] for key in ("model", "members")} for state in states]
    each = [xr.Dataset(result, origin) for result, origin in zip(results, origins, strict=True)]
    scores = described(_side_by_side(each).assign(cases=cases)).assign_attrs(_attributes(states))
    quantity = scores.attrs.get("threshold_quantity", COUNTS)
    if quantity != COUNTS and "threshold" in scores.coords:
        texts = (amount_text(count, quantity) for count in scores["threshold"].values)
        scores["threshold"].attrs["comment"] = f"these are {', '.join(texts)}"
    return scores


def _attributes(states: Sequence[xr.Dataset]) -> dict[str, Any]:
    """Attributes of the file, of the agreed protocol and, by role, of each forecast's own file."""
    first = states[0].attrs
    attrs = {
        "Conventions": "CF-1.8",
        "title": f"Scores of the forecast of {first['model']}",
        "source": f"nowcast {__version__}",
        "events": states[0].sizes["event"],
        "independent_events": _independent_events(states[0]),
        **{key: value for key, value in first.items() if not key.startswith("forecast_")},
        **coverage(states[0]),
    }
    for role, state in zip(roles(len(states)), states, strict=True):
        own = {
            key.removeprefix("forecast_"): value for key, value in state.attrs.items() if key.startswith("forecast_")
        }
        attrs |= {f"{role.replace(' ', '_')}_{key}": value for key, value in own.items()}
    return attrs


def _independent_events(state: xr.Dataset) -> int:
    """Number of different times at which the events begin: events of one time, such as tiles, are not independent."""
    first: dict[str, str] = {}
    for case in sorted(state["case"].values.astype(str)):
        event, _, init = case.rpartition("@")
        first.setdefault(event, init)
    return len(set(first.values()))


def _all_scores(
    by_lead: Sequence[xr.Dataset], only: Collection[str] | None
) -> Iterator[tuple[str, str, list[xr.DataArray]]]:
    """Name, description and values (one per forecast) of every score, difference and skill score."""
    pooled = [totals.sum("lead_time", skipna=False) for totals in by_lead]
    table = metrics(with_thresholds="threshold" in by_lead[0].dims)
    table |= {"lpips": LPIPS} if "lpips" in by_lead[0] else {}
    for name, metric in table.items():
        if only is not None and name not in only:
            continue
        at_lead = [metric.score(totals) for totals in by_lead]
        variants = {
            "": at_lead,
            "_pooled": [metric.score(totals) for totals in pooled],
            "_lead_averaged": [score.mean("lead_time", skipna=False) for score in at_lead],
        }
        for suffix, values in variants.items():
            words = f"{metric.long_name}, {MEANS[suffix]}"
            yield name + suffix, words, values
            if len(values) > 1:
                yield from _compared(name + suffix, words, metric, values)


def _compared(
    name: str, words: str, metric: Metric, values: list[xr.DataArray]
) -> Iterator[tuple[str, str, list[xr.DataArray]]]:
    """The forecast against each: its difference s - reference, and the skill (s - reference) / (best - reference)."""
    differences = [values[0] - value for value in values]
    yield f"{name}_difference", f"{words}: forecast minus this", differences
    if metric.best is not None:
        skill = [ratio(d, metric.best - value) for d, value in zip(differences, values, strict=True)]
        yield f"{name}_skill", f"{words}: skill of the forecast against this", skill


def _side_by_side(results: list[xr.Dataset]) -> xr.Dataset:
    if len(results) == 1:
        return results[0]
    both = xr.concat(results, "forecast", data_vars="all", coords=["model", "members"], compat="equals", join="outer")
    return both.assign_coords(forecast=roles(len(results)))


def described(result: xr.Dataset) -> xr.Dataset:
    """Scores or sums whose coordinates say what they are."""
    attrs: Mapping[str, dict[str, str]] = {
        "lead_time": COORDINATE_ATTRS["lead_time"],
        "threshold": {"long_name": "event threshold on the count scale, >=", "units": "1"},
        "summary": {"long_name": "part of the ensemble compared with the threshold: its mean, or each member"},
        "block": {"long_name": "reduction of each block, and its size in pixels"},
        "scale": {"long_name": "side of the neighbourhood in pixels", "units": "1"},
        "probability": {"long_name": "share of the members with the event", "units": "1"},
        "rank": {"long_name": "number of members below the observation", "units": "1"},
        "kind": {"long_name": "field of that energy: ensemble mean, members or observation"},
        "wavenumber": {"long_name": "cycles along the longer side of the grid", "units": "1"},
        "event": {"long_name": "event id"},
        "case": {"long_name": "event and init time"},
        "in_protocol": {"long_name": "whether the case is one of the protocol's windows"},
        "observed_features": {"long_name": "features of the observed video", "units": "1"},
        "forecast_features": {"long_name": "features of the video that a member is", "units": "1"},
        "bound": {"long_name": "bound of the interval"},
        "forecast": {"long_name": "the forecast, or a reference"},
        "model": {"long_name": "model that made the forecast"},
        "members": {"long_name": "ensemble size", "units": "1"},
    }
    for name, described in attrs.items():
        if name in result.coords:
            result[name].attrs.update(described)
    return result
