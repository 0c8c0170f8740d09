"""The result of an experiment: one Dataset, rows by columns, from which table and figure are made.

Dims: row, the variants; column, the headings; bound (lower, upper); and along, the points of a curve (lead times,
sampling steps or places), where the experiment has curves.

    score        (row, column)         NaN where it cannot be computed
    interval     (row, column, bound)  95 %, from resampled events
    published    (row, column)         the paper's number, where it has one
    curve        (row, column, along)
    x            (row)                 value of the setting that is varied
    parameters, training_steps, training_minutes, members   (row)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from nowcast.experiments.bench import Bench, Made
from nowcast.experiments.columns import COLUMNS
from nowcast.experiments.settings import Experiment, Variant
from nowcast.verification import scores_of

STEPS = "pysteps"
_KEPT = ("protocol", "split", "events", "mean", "coverage", "data_range")


def scored(made: Sequence[Made], bench: Bench, headings: Sequence[str]) -> xr.Dataset:
    """Scores of some forecasts, pooled as the protocol says and by lead time, differences from STEPS among them."""
    ordered = sorted(made, key=lambda one: one.variant.model != STEPS)  # a difference is to the first
    states = [bench.sums(one) for one in ordered]
    names = {COLUMNS[heading].score for heading in headings}
    scores = scores_of(states * 2 if len(states) == 1 else states, only=names).isel(forecast=slice(len(states)))
    with_steps = ordered[0].variant.model == STEPS
    parts = []
    for heading in headings:
        column = COLUMNS[heading]
        value, interval = column.values(scores)
        by_lead, _ = column.values(scores, by_lead=True)
        part = xr.Dataset({"score": value.drop_vars(value.coords).drop_attrs()})
        bounds = np.full((len(states), 2), np.nan) if interval is None else interval.values
        part["interval"] = (("forecast", "bound"), bounds)
        if "lead_time" in by_lead.dims:
            part["curve"] = (("forecast", "along"), by_lead.transpose("forecast", "lead_time").values)
        else:
            part["curve"] = (("forecast", "along"), np.full((len(states), scores.sizes["lead_time"]), np.nan))
        if column.difference and not with_steps:
            part = xr.full_like(part, np.nan)
        if column.difference and with_steps:
            part = part.where(xr.DataArray(np.arange(len(states)) > 0, dims="forecast"))  # STEPS itself has none
        parts.append(part)
    result = xr.concat(parts, "column").rename(forecast="row")
    minutes = scores["lead_time"].values / np.timedelta64(1, "m")
    result = result.assign_coords(along=("along", minutes, {"long_name": "lead time", "units": "min"}))
    order = [ordered.index(one) for one in made]
    result = result.isel(row=order).assign(members=("row", scores["members"].values[order]))
    attrs = {key: value for key, value in scores.attrs.items() if key in _KEPT}
    return _with_training(result, made).assign_attrs(attrs | {"cases": int(scores["cases"].max())})


def labelled(
    result: xr.Dataset, experiment: Experiment, variants: Sequence[Variant], headings: Sequence[str], data_set: str
) -> xr.Dataset:
    """The result with the names of its rows and columns, and the published numbers beside them."""
    published = experiment.published.get(data_set, {})
    numbers = [
        [(published.get(v.name) or published.get(v.label) or published.get(v.model) or {}).get(h, np.nan)
         for h in headings]
        for v in variants
    ]  # fmt: skip
    result["published"] = (("row", "column"), np.array(numbers, float).reshape(len(variants), len(headings)))
    coords: dict[str, Any] = {"row": [v.name for v in variants], "column": list(headings)}
    coords |= {
        "description": ("column", [COLUMNS[heading].words for heading in headings]),
        "label": ("row", [v.label for v in variants]),
        "model": ("row", [v.model for v in variants]),
        "x": ("row", [np.nan if v.x is None else v.x for v in variants]),
    }
    return result.assign_coords(coords).transpose("row", "column", ...)


def _with_training(result: xr.Dataset, made: Sequence[Made]) -> xr.Dataset:
    """The result with what each row took to train."""
    return result.assign(
        parameters=("row", [np.nan if one.parameters is None else one.parameters for one in made]),
        training_steps=("row", [one.trained.steps if one.trained else np.nan for one in made]),
        training_minutes=("row", [one.trained.seconds / 60 if one.trained else np.nan for one in made]),
    )
