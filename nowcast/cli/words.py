"""Score files and files of sums in words, for `nowcast info`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr
from rich.table import Table

from nowcast.data.conventions import lead_label
from nowcast.verification.files import merge_states
from nowcast.verification.headline import each_forecast, headline, number
from nowcast.verification.metrics.table import METRICS
from nowcast.verification.scores import roles
from nowcast.verification.tables import plain_table, print_summary, summary_row
from pipelines.store.progress import PlainConsole

_OF_A_FORECAST = ("source", "seed", "checkpoint_sha256", "sampler", "steps")  # attributes to print
_WIDTH = 100


def is_scores(dataset: xr.Dataset) -> bool:
    """Whether a dataset is a score file of `save`."""
    return {"mae_pooled", "counted_fraction", "cases"} <= set(dataset.variables)


def is_sums(dataset: xr.Dataset) -> bool:
    """Whether a dataset is the root of a file of sums."""
    return not dataset.variables and str(dataset.attrs.get("title")).startswith("Sums")


def describe_scores(scores: xr.Dataset, everything: bool = False) -> str:
    """The result in a sentence, and the main scores in a short table.

    Args:
        scores: See `nowcast.verification.verify`.
        everything: Also where the scores are from, what they are called, and all tables over all lead times.
    """
    ones = list(each_forecast(scores))
    console = PlainConsole(width=_WIDTH)
    with console.capture() as tables:
        console.print(_short_table(scores, ones))
        if everything:
            print_summary(scores, console)
    lines = headline(scores)
    if everything:
        models = (
            _model(
                role, one["model"].item(), one["members"].item(), _beginning(f"{role.replace(' ', '_')}_", scores.attrs)
            )
            for role, one in zip(roles(len(ones)), ones, strict=True)
        )
        lines += [
            *models,
            _scope(scores),
            f"case list {scores.attrs.get('case_list_hash', 'unknown')}",
            f"scores: {', '.join(name for name in METRICS if name in scores)}",
            "  each by lead time and as ..._pooled and ..._lead_averaged; with ..._interval (two events or more), "
            "..._difference and ..._skill (references)",
        ]
    return "\n".join([*lines, tables.get().rstrip()])


def _short_table(scores: xr.Dataset, ones: list[xr.Dataset]) -> Table:
    """The scores that stand in a table of models, one model per line."""
    events, protocol = scores.attrs.get("events", "?"), scores.attrs.get("protocol", "none")
    title = (
        f"{events} event{'' if events == 1 else 's'}, protocol {protocol}, all lead times; errors and CRPS in counts"
    )
    rows = [summary_row(one) for one in ones]
    table = plain_table(title, "model", [*rows[0]])
    for one, row in zip(ones, rows, strict=True):
        table.add_row(one["model"].item(), *(number(value, 2) for value in row.values()))
    return table


def describe_sums(path: Path) -> str:
    """Describe the forecasts and cases whose sums a file holds.

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
    """The model of a forecast, its members and the attributes of its file."""
    more = [f"{key} {said[key]}" for key in _OF_A_FORECAST if key in said]
    return f"{role}: {', '.join([model, f'members: {members}', *more])}"


def _scope(dataset: xr.Dataset) -> str:
    leads = dataset["lead_time"].values
    scope = f"{len(leads)} lead times, {lead_label(leads.min())} to {lead_label(leads.max())}"
    if "threshold" not in dataset.dims:
        return scope
    thresholds = ", ".join(f"{threshold:g}" for threshold in dataset["threshold"].values)
    return f"{scope}; thresholds >= {thresholds} (counts)"
