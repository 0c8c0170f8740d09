"""The page: scores, sums and forecasts in, one HTML file out that needs nothing beside it, not even a network."""

import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from xml.etree.ElementTree import Element

import pandas as pd
import xarray as xr

from nowcast.data.conventions import lead_label
from nowcast.report.cases import Progress, choose_cases, viewer_data
from nowcast.report.markup import Child, html, node, raw
from nowcast.report.models import models_of, thresholds_of
from nowcast.report.sections import Report, sections
from nowcast.report.tables import MEANS, verdict
from nowcast.verification.inputs import Case, Source, open_forecast, open_observations, open_references
from pipelines.errors import InputError
from pipelines.store.whole import whole

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def check_target(directory: Path, overwrite: bool = False) -> None:
    """Refuse a folder that has a page already, or is none.

    Raises:
        InputError: for such a `directory`.
    """
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is no folder", expected="a folder for the report")
    if (directory / "index.html").exists() and not overwrite:
        raise InputError(f"{directory / 'index.html'} exists", remedy="say --overwrite to replace it")


def write_report(
    directory: Path,
    states: Sequence[xr.Dataset],
    scores: xr.Dataset,
    *,
    forecast: Source | Sequence[Source],
    store: Path | xr.Dataset,
    reference: Source | Sequence[Source] = (),
    overwrite: bool = False,
    progress: Progress = iter,
) -> Path:
    """Write DIRECTORY/index.html; it appears whole or not at all.

    Args:
        directory: Folder, made if need be.
        states: The sums of the forecast and its references, of `nowcast.verification.states`.
        scores: The scores taken from them, of `nowcast.verification.scores_of`.
        forecast: As given to `states`.
        store: As given to `states`.
        reference: As given to `states`.
        overwrite: Replace a page that is there.
        progress: Wraps the cases that are drawn, to show how far it is.

    Raises:
        InputError: when there is a page already, or the forecasts are not those that were scored.
    """
    check_target(directory, overwrite)
    forecasts = [open_forecast(forecast), *open_references(reference)]
    models = models_of(scores)
    if len(forecasts) != len(models):
        raise InputError("the scores are of other forecasts", got=len(models), expected=len(forecasts))
    observations = open_observations(store)
    chosen = choose_cases(states[0], forecasts[0].cases)
    viewed = viewer_data(chosen, models, forecasts, observations, thresholds_of(scores), progress)
    text = html(_page(Report(scores, models, forecasts, viewed, _side_km(observations.store))))
    page = directory / "index.html"
    with whole(page, overwrite=overwrite) as growing:
        growing.write_text(text, encoding="utf-8")
    return page


def _page(report: Report) -> Element:
    title = f"Forecasts by {report.models[0].name}, verified"
    contents = list(sections(report))
    made_by = report.scores.attrs.get("source", "nowcast")
    links = [node("li", node("a", heading, href=f"#{name}")) for name, heading, _ in contents]
    package = files("nowcast.report")
    head = node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node("title", title),
        node("link", rel="icon", href="data:,"),
        raw("style", (package / "style.css").read_text(encoding="utf-8")),
    )
    body = node(
        "body",
        node("a", "Skip to the report", href="#report", class_="skip"),
        node("header", node("h1", title), _subject(report), verdict(report.models, report.mean)),
        node("nav", node("ul", *links), aria_label="Sections"),
        node("main", *(_section(*content) for content in contents), id="report"),
        node("footer", node("p", f"Made by {made_by}. Events are ≥ a threshold; sums are taken first, ratios last.")),
        raw("script", json.dumps(report.viewed).replace("<", "\\u003c"), type="application/json", id="data"),
        raw("script", (package / "viewer.js").read_text(encoding="utf-8")),
    )  # fmt: skip
    return node("html", head, body, lang="en")


def _subject(report: Report) -> Element:
    """What was forecast, by which model, under which protocol."""
    leads = report.scores["lead_time"].values
    cases = report.forecasts[0].cases
    attrs, size = report.scores.attrs, report.models[0].members
    events = attrs.get("events", "?")
    begun = "" if report.viewed["video"] else _init_times(cases)
    return node(
        "p",
        f"{len(cases)} case{'s' * (len(cases) != 1)} of {events} event{'s' * (events != 1)} "
        f"(split {attrs.get('split', 'unknown')}), "
        f"{begun}{lead_label(leads[0])} to {lead_label(leads[-1])} ahead; "
        f"{size} member{'s' * (size > 1)}; protocol ",
        node("a", attrs.get("protocol", "none"), href="#protocol"),
        f"; {MEANS[report.mean]}{_region(str(attrs.get('region', 'whole')))}.",
    )


def _region(scored: str) -> str:
    return "" if scored == "whole" else f"; only pixels {scored}"


def _init_times(cases: Sequence[Case]) -> str:
    first, last = (pd.Timestamp(pick(case.init_time for case in cases)) for pick in (min, max))
    return f"init times {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, "


def _section(name: str, heading: str, content: Iterable[Child]) -> Element:
    title = node("h2", heading, id=f"{name}-heading")
    return node("section", title, *content, id=name, aria_labelledby=f"{name}-heading")


def _side_km(store: xr.Dataset) -> float | None:
    """The longer side of the grid; None where it has no coordinates in metres."""
    sides = [store[dim].values for dim in ("y", "x") if dim in store.variables and store[dim].attrs.get("units") == "m"]
    return max(float(side[0] + side[-1]) for side in sides) / 1000 if sides else None
