"""What a report says in words and numbers: the comparison in a sentence, tables of scores, protocol and origin."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import xarray as xr

from nowcast.report.charts import marker
from nowcast.report.markup import Child, node, number, table, text_of
from nowcast.report.models import Model
from nowcast.verification.report import EVENT_COLUMNS, PROBABILITY_COLUMNS, SUMMARY_LINES
from nowcast.verification.table import METRICS
from pipelines.units import counts_to_vil

_MAIN = ("crps_fair", "mae", "rmse", "bias", "ssim", "spread_skill")
MEANS = {"pooled": "pooled over lead times", "lead_averaged": "averaged over lead times"}


@dataclass(frozen=True)
class Line:
    """A line of a table of scores: its label, the metric, and which of its values."""

    label: str
    metric: str
    where: dict[str, Any] = field(default_factory=dict)


def verdict(models: Sequence[Model], mean: str) -> Element:
    """The comparison of the forecast's CRPS with that of every reference, a sentence each."""
    forecast, *references = models
    own = forecast.scores[f"crps_fair_{mean}"].item()
    bounds = _interval(forecast.scores, f"crps_fair_{mean}")
    lines = [node("p", "Fair CRPS ", number(own), " counts", ", 95 % interval" if bounds else None, *bounds)]
    lines += [_against(reference, f"crps_fair_{mean}") for reference in references]
    return node("div", *lines, class_="verdict")


def _against(reference: Model, name: str) -> Element:
    skill = reference.scores[f"{name}_skill"].item()
    value = number(reference.scores[name].item())
    if math.isnan(skill):
        return node("p", f"no comparison with {reference.name} (", value, ")")
    than = f"{100 * abs(skill):.0f} % {'lower' if skill > 0 else 'higher'} than {reference.name} ("
    unsure = f"{name}_difference_interval" in reference.scores and not _better(
        reference.scores, "crps_fair", f"{name}_difference"
    )
    return node("p", than, value, "); the interval of the difference includes zero" if unsure else ")")


def main_table(models: Sequence[Model], mean: str) -> Element:
    """The scores that papers give, of every model with intervals, and the forecast's difference from each reference."""
    lines = [Line(SUMMARY_LINES[metric], metric) for metric in _MAIN] + _csi_m(models)
    return _scores(
        f"Scores {MEANS[mean]}; errors, CRPS and spread in counts", models, mean, lines + _events(models, ["csi"])
    )


def all_tables(models: Sequence[Model], mean: str) -> Iterator[Element]:
    """The same of all scores that have one value, or one a threshold; three tables."""
    lines = [Line(label, metric) for metric, label in SUMMARY_LINES.items() if metric in METRICS]
    yield _scores(f"Errors and ensemble, {MEANS[mean]}; counts", models, mean, lines)
    events = _csi_m(models) + _events(models, EVENT_COLUMNS)
    yield _scores(f"Events of the ensemble mean, {MEANS[mean]}", models, mean, events)
    thresholds = models[0].scores["threshold"].values
    yield _scores(f"Probabilities of events, {MEANS[mean]}", models, mean, [
        Line(f"{label} ≥ {threshold:g}", metric, {"threshold": threshold})
        for metric, label in PROBABILITY_COLUMNS.items()
        for threshold in thresholds
    ])  # fmt: skip


def _csi_m(models: Sequence[Model]) -> list[Line]:
    whose = {"mean": "of the ensemble mean", "member": "of the members"}
    kinds = whose if any(model.is_ensemble for model in models) else {"mean": "over thresholds"}
    return [Line(f"CSI-M {words}", "csi_m", {"summary": kind}) for kind, words in kinds.items()]


def _events(models: Sequence[Model], metrics: Iterable[str]) -> list[Line]:
    return [
        Line(f"{EVENT_COLUMNS[metric]} ≥ {threshold:g}", metric, {"summary": "mean", "threshold": threshold})
        for metric in metrics
        for threshold in models[0].scores["threshold"].values
    ]


def _scores(caption: str, models: Sequence[Model], mean: str, lines: Sequence[Line]) -> Element:
    forecast, *references = models
    head: list[Child] = ["score", _named(forecast)]
    for reference in references:
        head += [_named(reference), f"{forecast.name} − {reference.name}"]
    rows = (_row(models, line, f"{line.metric}_{mean}") for line in lines)
    return table(caption, head, [row for row in rows if row is not None], class_="scores")


def _named(model: Model) -> Element:
    return node("span", marker(model.style), f" {model.name}", class_="model")


def _row(models: Sequence[Model], line: Line, name: str) -> list[Child] | None:
    """The cells of a line; None where no model has the score."""
    parts = [model.scores.sel(line.where) for model in models]
    if all(np.isnan(part[name]) for part in parts):
        return None
    cells: list[Child] = [line.label, _cell(parts[0], name)]
    for part in parts[1:]:
        cells += [_cell(part, name), _cell(part, f"{name}_difference", line.metric)]
    return cells


def _cell(scores: xr.Dataset, name: str, compared: str | None = None) -> Element:
    """A score with its interval; a difference also says in a word whose favour it is in, if it is sure."""
    word = compared and _better(scores, compared, name)
    sure = node("span", f"{word} ", class_=word) if word else None
    return node("td", sure, number(scores[name].item()), *_interval(scores, name))


def _interval(scores: xr.Dataset, name: str) -> list[Element]:
    bounds = scores[f"{name}_interval"].values if f"{name}_interval" in scores else np.array([np.nan])
    if np.isnan(bounds).any():
        return []
    low, high = (text_of(bound) for bound in bounds)
    return [node("span", f" {low} to {high}", class_="interval")]


def _better(scores: xr.Dataset, metric: str, difference: str) -> str:
    """Whether the forecast is "better" or "worse", where the interval of the difference excludes zero."""
    best, interval = METRICS[metric].best, scores.get(f"{difference}_interval")
    if best is None or interval is None:
        return ""
    low, high = interval.values
    if not (low > 0 or high < 0):
        return ""
    return "better" if (low > 0) == (best > 0) else "worse"


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
    vil = counts_to_vil(scores["threshold"].values)
    said["thresholds"] = ", ".join(
        f"{count:g} ({amount:.2g} kg m⁻²)" for count, amount in zip(scores["threshold"].values, vil, strict=True)
    )
    said = {"name": attrs.get("protocol", "none")} | said | {
        "split": attrs.get("split", "unknown"),
        "coverage": attrs.get("coverage", "unknown, there being no protocol"),
        "event list": attrs.get("event_list_hash", "unknown"),
        "case list": attrs.get("case_list_hash", "unknown"),
        "code": attrs.get("source", "unknown"),
    }  # fmt: skip
    items = [part for key, value in said.items() for part in (node("dt", key), node("dd", _setting(value)))]
    return node("dl", *items)


def _setting(value: object) -> str:
    return "none" if value is None else str(value)
