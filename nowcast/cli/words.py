"""Score files and files of sums in words, for `nowcast info`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr
from rich.console import Console

from nowcast.data.conventions import lead_label
from nowcast.verification.files import merge_states
from nowcast.verification.metrics.table import METRICS
from nowcast.verification.scores import roles
from nowcast.verification.tables import each_forecast, print_summary

_OF_A_FORECAST = ("source", "seed", "checkpoint_sha256", "sampler", "steps")  # attributes worth a word
_WIDTH = 100


def is_scores(dataset: xr.Dataset) -> bool:
    """Whether this is what `save` writes."""
    return {"mae_pooled", "counted_fraction", "cases"} <= set(dataset.variables)


def is_sums(dataset: xr.Dataset) -> bool:
    """Whether this is the root of what `save_states` writes."""
    return not dataset.variables and str(dataset.attrs.get("title")).startswith("Sums")


def describe_scores(scores: xr.Dataset) -> str:
    """Where scores are from, what they are called, and the tables over all lead times."""
    ones = list(each_forecast(scores))
    models = [
        _model(role, one["model"].item(), one["members"].item(), _beginning(f"{role.replace(' ', '_')}_", scores.attrs))
        for role, one in zip(roles(len(ones)), ones, strict=True)
    ]
    lines = [
        scores.attrs["title"],
        *models,
        _scope(scores),
        f"case list {scores.attrs.get('case_list_hash', 'unknown')}",
        f"scores: {', '.join(name for name in METRICS if name in scores)}",
        "  each by lead time and as ..._pooled and ..._lead_averaged; with ..._interval (two events or more), "
        "..._difference and ..._skill (references)",
    ]
    console = Console(width=_WIDTH)
    with console.capture() as tables:
        print_summary(scores, console)
    return "\n".join([*lines, tables.get().rstrip()])


def describe_sums(path: Path) -> str:
    """Of which forecasts and cases the sums in a file are.

    Raises:
        InputError: when they cannot be read.
    """
    states = merge_states([path])
    models = [
        _model(role, state.attrs["model"], state.attrs["members"], _beginning("forecast_", state.attrs))
        for role, state in zip(roles(len(states)), states, strict=True)
    ]
    first = states[0]
    return "\n".join(
        [
            f"sums of {first.sizes['case']} cases of {first.sizes['event']} events, to be scored by "
            "`nowcast merge-sums` with those of other cases",
            *models,
            f"protocol {first.attrs['protocol']}, split {first.attrs['split']}",
            _scope(first),
            f"event list {first.attrs['event_list_hash']}",
        ]
    )


def _beginning(prefix: str, attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in attrs.items() if key.startswith(prefix)}


def _model(role: str, model: str, members: int, said: Mapping[str, Any]) -> str:
    """What made a forecast, as far as its own file said it."""
    more = [f"{key} {said[key]}" for key in _OF_A_FORECAST if key in said]
    return f"{role}: {', '.join([model, f'members: {members}', *more])}"


def _scope(dataset: xr.Dataset) -> str:
    leads = dataset["lead_time"].values
    scope = f"{len(leads)} lead times, {lead_label(leads.min())} to {lead_label(leads.max())}"
    if "threshold" not in dataset.dims:
        return scope
    thresholds = ", ".join(f"{threshold:g}" for threshold in dataset["threshold"].values)
    return f"{scope}; thresholds >= {thresholds} (counts)"
