"""The words and numbers of a report: the comparison in a sentence, tables of scores, protocol and origin."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from nowcast.plots.panels import threshold_text
from nowcast.report.cells import Cell, Table, typeset
from nowcast.report.models import SUMMARIZED, Model, thresholds_of
from nowcast.verification.tables import EVENT_COLUMNS, PROBABILITY_COLUMNS, SUMMARY_LINES

_MAIN = ("crps_fair", "mae", "rmse", "bias", "ssim", "spread_skill")
_WHOLE = {"fvd": "FVD", "kvd": "KVD"}  # of members as videos over all lead times
MEANS = {"pooled": "pooled over lead times", "lead_averaged": "averaged over lead times"}


@dataclass(frozen=True)
class Line:
    """A line of a table of scores: its label, the metric, and the coordinates at which it is taken."""

    label: str
    metric: str
    where: dict[str, Any] = field(default_factory=dict)


class Against(NamedTuple):
    """The comparison with one reference in a sentence: words, its score, words."""

    before: str
    value: float
    after: str


class Verdict(NamedTuple):
    """The forecast's CRPS with its interval in words, and its comparison with every reference."""

    value: float
    interval: str
    against: Sequence[Against]


def verdict(models: Sequence[Model], mean: str) -> Verdict:
    """The comparison of the forecast's CRPS with that of every reference."""
    name = f"crps_fair_{mean}"
    against = [_against(reference, name) for reference in models[1:]]
    return Verdict(models[0].score(name).item(), _interval(models[0], name), against)


def _against(reference: Model, name: str) -> Against:
    skill = reference.score(f"{name}_skill").item()
    value = reference.score(name).item()
    if math.isnan(skill):
        return Against(f"no comparison with {reference.name} (", value, ")")
    than = f"{100 * abs(skill):.0f} % {'better' if skill > 0 else 'worse'} than {reference.name} ("
    known = reference.interval(f"{name}_difference") is not None
    unsure = known and not _sure(reference, name)
    return Against(than, value, "); the interval of the difference includes zero" if unsure else ")")


def main_table(models: Sequence[Model], mean: str) -> Table:
    """The usual scores of every model with intervals, and the forecast's difference from each reference."""
    lines = [Line(SUMMARY_LINES[metric], metric) for metric in _MAIN] + _summarized(models) + _events(models, ["csi"])
    lines += [Line(label, metric) for metric, label in _WHOLE.items()]
    return _scores(f"Scores {MEANS[mean]}; errors, CRPS and spread in counts", models, mean, lines)


def all_tables(models: Sequence[Model], mean: str) -> list[Table]:
    """The same of all scores with one value, or one value per threshold; three tables, without thresholds one."""
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
        _scores(
            f"Ensemble mean at or above each threshold, {MEANS[mean]}", models, mean, _events(models, EVENT_COLUMNS)
        ),
        _scores(f"Probability of each threshold, {MEANS[mean]}", models, mean, probabilities),
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


def _scores(caption: str, models: Sequence[Model], mean: str, lines: Sequence[Line]) -> Table:
    forecast, *references = models
    head = [Cell("score"), named(forecast)]
    for reference in references:
        head += [named(reference), Cell(f"{forecast.name} − {reference.name}")]
    rows = (_row(models, line, f"{line.metric}_{mean}" if line.metric not in _WHOLE else line.metric) for line in lines)
    return Table(caption, head, [row for row in rows if row is not None], "scores")


def named(model: Model) -> Cell:
    """The name of a model, after its line and marker."""
    return Cell(model.name, style=model.style)


def _row(models: Sequence[Model], line: Line, name: str) -> list[Cell] | None:
    """The cells of a line; None where no model has the score."""
    if not any(model.has(name, **line.where) for model in models):
        return None
    cells = [Cell(line.label), _cell(models[0], line, name)]
    for reference in models[1:]:
        cells += [_cell(reference, line, name), _difference(reference, line, name)]
    return cells


def _cell(model: Model, line: Line, name: str, word: str = "") -> Cell:
    value = float(model.score(name, **line.where))
    return Cell(value=value, interval=_interval(model, name, **line.where), word=word)


def _difference(reference: Model, line: Line, name: str) -> Cell:
    """It says in a word in whose favour it is, if that is sure; a score that has none is not compared."""
    if f"{name}_difference" not in reference.scores:
        return Cell("–")
    return _cell(reference, line, f"{name}_difference", _sure(reference, name, **line.where))


def _interval(model: Model, name: str, **where: object) -> str:
    bounds = model.interval(name, **where)
    if bounds is None or np.isnan(bounds).any():
        return ""
    return " to ".join(typeset(float(bound)) for bound in bounds)


def _sure(reference: Model, name: str, **where: object) -> str:
    """Whether the forecast is "better" or "worse", where the interval of the difference excludes zero."""
    bounds = reference.interval(f"{name}_difference", **where)
    if f"{name}_skill" not in reference.scores or bounds is None or not (bounds[0] > 0 or bounds[1] < 0):
        return ""
    return "better" if reference.score(f"{name}_skill", **where) > 0 else "worse"


def model_table(models: Sequence[Model], origins: Sequence[dict[str, Any]]) -> Table:
    """Each model with its file and the attributes in which that says its origin.

    Args:
        models: The models.
        origins: Attributes of each one's file, and `file`.
    """
    keys = ("file", "checkpoint_sha256", "sampler", "steps", "seed", "source")
    said = [key for key in keys if any(key in origin for origin in origins)]
    rows = [
        [named(model), *map(Cell, (model.role, str(model.members))), *(Cell(str(origin.get(key, "–"))) for key in said)]
        for model, origin in zip(models, origins, strict=True)
    ]
    head = ["model", "role", "members", *(key.replace("_", " ") for key in said)]
    return Table("Models", [Cell(text) for text in head], rows, "text")


def settings(models: Sequence[Model], origins: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Name and configuration of each model whose file holds one."""
    return [
        (model.name, _indented(str(origin["config"])))
        for model, origin in zip(models, origins, strict=True)
        if "config" in origin
    ]


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=1)
    except (ValueError, RecursionError):
        return text


def protocol_list(scores: xr.Dataset) -> list[tuple[str, str]]:
    """The protocol with all its settings, its coverage, and the hashes that two comparable reports share."""
    attrs = scores.attrs
    said = {key.replace("_", " "): value for key, value in json.loads(attrs.get("protocol_settings", "{}")).items()}
    said["thresholds"] = "; ".join(map(threshold_text, thresholds_of(scores)))
    said = {"name": attrs.get("protocol", "none")} | said | {
        "split": attrs.get("split", "unknown"),
        "coverage": attrs.get("coverage", "unknown, there being no protocol"),
        "region": attrs.get("region", "whole"),
        "event list": attrs.get("event_list_hash", "unknown"),
        "case list": attrs.get("case_list_hash", "unknown"),
        "code": attrs.get("source", "unknown"),
        **{key.replace("_", " "): attrs[key] for key in attrs if str(key).endswith("_weights_sha256")},
    }  # fmt: skip
    return [(key, "none" if value is None else str(value)) for key, value in said.items()]
