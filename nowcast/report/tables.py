"""What a report says in words and numbers: the comparison in a sentence, tables of scores, protocol and origin."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import xarray as xr

from nowcast.report.charts import marker
from nowcast.report.markup import Child, node, number, table, text_of
from nowcast.report.models import SUMMARIZED, Model, thresholds_of
from nowcast.verification.tables import EVENT_COLUMNS, PROBABILITY_COLUMNS, SUMMARY_LINES
from pipelines.store.units import counts_to_vil

_MAIN = ("crps_fair", "mae", "rmse", "bias", "ssim", "spread_skill")
_WHOLE = {"fvd": "FVD", "kvd": "KVD"}  # of members as videos over all lead times
MEANS = {"pooled": "pooled over lead times", "lead_averaged": "averaged over lead times"}


@dataclass(frozen=True)
class Line:
    """A line of a table of scores: its label, the metric, and which of its values."""

    label: str
    metric: str
    where: dict[str, Any] = field(default_factory=dict)


def verdict(models: Sequence[Model], mean: str) -> Element:
    """The comparison of the forecast's CRPS with that of every reference, a sentence each."""
    name = f"crps_fair_{mean}"
    bounds = _interval(models[0], name)
    own = number(models[0].score(name).item())
    lines = [node("p", "Fair CRPS ", own, " counts", ", 95 % interval" if bounds else None, *bounds)]
    return node("div", *lines, *(_against(reference, name) for reference in models[1:]), class_="verdict")


def _against(reference: Model, name: str) -> Element:
    skill = reference.score(f"{name}_skill").item()
    value = number(reference.score(name).item())
    if math.isnan(skill):
        return node("p", f"no comparison with {reference.name} (", value, ")")
    than = f"{100 * abs(skill):.0f} % {'better' if skill > 0 else 'worse'} than {reference.name} ("
    known = reference.interval(f"{name}_difference") is not None
    unsure = known and not _sure(reference, name)
    return node("p", than, value, "); the interval of the difference includes zero" if unsure else ")")


def main_table(models: Sequence[Model], mean: str) -> Element:
    """The scores that papers give, of every model with intervals, and the forecast's difference from each reference."""
    lines = [Line(SUMMARY_LINES[metric], metric) for metric in _MAIN] + _summarized(models) + _events(models, ["csi"])
    lines += [Line(label, metric) for metric, label in _WHOLE.items()]
    return _scores(f"Scores {MEANS[mean]}; errors, CRPS and spread in counts", models, mean, lines)


def all_tables(models: Sequence[Model], mean: str) -> list[Element]:
    """The same of all scores that have one value, or one a threshold; three tables, without thresholds one."""
    lines = [Line(label, metric) for metric, label in SUMMARY_LINES.items()] + _summarized(models)
    one = _scores(f"Errors and ensemble, {MEANS[mean]}; counts", models, mean, lines)
    probabilities = [
        Line(f"{label} ≥ {threshold:g}", metric, {"threshold": threshold})
        for metric, label in PROBABILITY_COLUMNS.items()
        for threshold in thresholds_of(models[0].scores)
    ]
    if not probabilities:
        return [one]
    return [
        one,
        _scores(f"Events of the ensemble mean, {MEANS[mean]}", models, mean, _events(models, EVENT_COLUMNS)),
        _scores(f"Probabilities of events, {MEANS[mean]}", models, mean, probabilities),
    ]


def _summarized(models: Sequence[Model]) -> list[Line]:
    whose = {"mean": " of the ensemble mean", "member": " of the members"}
    kinds = whose if any(model.is_ensemble for model in models) else {"mean": ""}
    return [
        Line(label + words, metric, {"summary": kind})
        for metric, label in SUMMARIZED.items()
        for kind, words in kinds.items()
    ]


def _events(models: Sequence[Model], metrics: Iterable[str]) -> list[Line]:
    return [
        Line(f"{EVENT_COLUMNS[metric]} ≥ {threshold:g}", metric, {"summary": "mean", "threshold": threshold})
        for metric in metrics
        for threshold in thresholds_of(models[0].scores)
    ]


def _scores(caption: str, models: Sequence[Model], mean: str, lines: Sequence[Line]) -> Element:
    forecast, *references = models
    head: list[Child] = ["score", _named(forecast)]
    for reference in references:
        head += [_named(reference), f"{forecast.name} − {reference.name}"]
    rows = (_row(models, line, f"{line.metric}_{mean}" if line.metric not in _WHOLE else line.metric) for line in lines)
    return table(caption, head, [row for row in rows if row is not None], class_="scores")


def _named(model: Model) -> Element:
    return node("span", marker(model.style), f" {model.name}", class_="model")


def _row(models: Sequence[Model], line: Line, name: str) -> list[Child] | None:
    """The cells of a line; None where no model has the score."""
    if not any(model.has(name, **line.where) for model in models):
        return None
    cells: list[Child] = [line.label, _cell(models[0], line, name)]
    for reference in models[1:]:
        cells += [_cell(reference, line, name), _difference(reference, line, name)]
    return cells


def _cell(model: Model, line: Line, name: str, before: Element | None = None) -> Element:
    return node("td", before, number(model.score(name, **line.where).item()), *_interval(model, name, **line.where))


def _difference(reference: Model, line: Line, name: str) -> Element:
    """It says in a word in whose favour it is, if that is sure; a score that has none is not compared."""
    if f"{name}_difference" not in reference.scores:
        return node("td", "–")
    word = _sure(reference, name, **line.where)
    return _cell(reference, line, f"{name}_difference", node("span", f"{word} ", class_=word) if word else None)


def _interval(model: Model, name: str, **where: object) -> list[Element]:
    bounds = model.interval(name, **where)
    if bounds is None or np.isnan(bounds).any():
        return []
    low, high = (text_of(float(bound)) for bound in bounds)
    return [node("span", f" {low} to {high}", class_="interval")]


def _sure(reference: Model, name: str, **where: object) -> str:
    """Whether the forecast is "better" or "worse", where the interval of the difference excludes zero."""
    bounds = reference.interval(f"{name}_difference", **where)
    if f"{name}_skill" not in reference.scores or bounds is None or not (bounds[0] > 0 or bounds[1] < 0):
        return ""
    return "better" if reference.score(f"{name}_skill", **where) > 0 else "worse"


def model_table(models: Sequence[Model], origins: Sequence[dict[str, Any]]) -> Element:
    """Each model with its file and what that says of itself.

    Args:
        models: The models.
        origins: Attributes of each one's file, and `file`.
    """
    said = [key for key in ("file", "checkpoint_sha256", "sampler", "steps", "seed", "source")
            if any(key in origin for origin in origins)]  # fmt: skip
    rows: list[list[Child]] = []
    for model, origin in zip(models, origins, strict=True):
        texts = (str(origin.get(key, "–")) for key in said)
        rows.append([_named(model), model.role, str(model.members), *texts])
    return table("Models", ["model", "role", "members", *(key.replace("_", " ") for key in said)], rows, class_="text")


def settings(model: Model, origin: dict[str, Any]) -> Element | None:
    """The configuration that a model's file holds, behind a line that opens."""
    if "config" not in origin:
        return None
    try:
        text = json.dumps(json.loads(origin["config"]), indent=1)
    except ValueError:
        text = str(origin["config"])
    return node("details", node("summary", f"Configuration of {model.name}"), node("pre", text, tabindex=0))


def protocol_list(scores: xr.Dataset) -> Element:
    """The protocol with all its settings, what was covered, and the hashes that two comparable reports share."""
    attrs = scores.attrs
    said = {key.replace("_", " "): value for key, value in json.loads(attrs.get("protocol_settings", "{}")).items()}
    levels = thresholds_of(scores)
    vil = counts_to_vil(np.array(levels))
    said["thresholds"] = ", ".join(f"{n:g} ({amount:.2g} kg m⁻²)" for n, amount in zip(levels, vil, strict=True))
    said = {"name": attrs.get("protocol", "none")} | said | {
        "split": attrs.get("split", "unknown"),
        "coverage": attrs.get("coverage", "unknown, there being no protocol"),
        "region": attrs.get("region", "whole"),
        "event list": attrs.get("event_list_hash", "unknown"),
        "case list": attrs.get("case_list_hash", "unknown"),
        "code": attrs.get("source", "unknown"),
        **{key.replace("_", " "): attrs[key] for key in attrs if str(key).endswith("_weights_sha256")},
    }  # fmt: skip
    items = [part for key, value in said.items() for part in (node("dt", key), node("dd", _setting(value)))]
    return node("dl", *items)


def _setting(value: object) -> str:
    return "none" if value is None else str(value)
