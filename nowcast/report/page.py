"""The page: scores, sums and forecasts in, one HTML file out that needs nothing beside it, not even a network."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined

from nowcast.data.conventions import lead_label
from nowcast.data.footprint import Footprint
from nowcast.plots.panels import threshold_text
from nowcast.report.cases import Progress, choose_cases, default_threshold, viewer_data
from nowcast.report.cells import typeset
from nowcast.report.charts import MARKERS
from nowcast.report.models import models_of, thresholds_of
from nowcast.report.sections import (
    Comparison,
    Report,
    chart_sections,
    comparison_section,
    origin_section,
    scores_section,
)
from nowcast.report.shades import all_shades
from nowcast.report.tables import MEANS, verdict
from nowcast.verification.inputs import (
    Case,
    Source,
    observed_part,
    open_forecast,
    open_observations,
    open_references,
)
from pipelines.errors import InputError
from pipelines.store.whole import whole

# Whatever the attribute of a file holds is escaped on the way out.
TEMPLATES = Environment(
    loader=PackageLoader("nowcast.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def _sha256(text: str) -> str:
    """The hash of an inline script or style, by which a content security policy allows it."""
    return b64encode(sha256(text.encode()).digest()).decode()


TEMPLATES.filters |= {"sha256": _sha256, "number_text": typeset, "threshold_text": threshold_text}
TEMPLATES.globals |= {"marks": {f"m{number}": path for number, path in enumerate(MARKERS)}}


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
    comparison: Comparison | None = None,
) -> Path:
    """Write DIRECTORY/index.html; it appears whole or not at all.

    Args:
        directory: Folder, made where it is absent.
        states: The sums of the forecast and its references, of `nowcast.verification.states`.
        scores: The scores taken from them, of `nowcast.verification.scores_of`.
        forecast: As given to `states`.
        store: As given to `states`.
        reference: As given to `states`.
        overwrite: Replace a page that is there.
        progress: Wraps the cases that are drawn, to show how many are done.
        comparison: Words and tables to begin with.

    Raises:
        InputError: when there is a page already, or the forecasts are not those that were scored.
    """
    check_target(directory, overwrite)
    forecasts = [open_forecast(forecast), *open_references(reference)]
    models = models_of(scores)
    if len(forecasts) != len(models):
        raise InputError("the scores are of other forecasts", got=len(models), expected=len(forecasts))
    observations = open_observations(store)
    observed, _ = observed_part(forecasts[0], observations)
    cases = {str(case): case for case in forecasts[0].cases}  # with the lead times that are not observed yet
    chosen = [(cases[str(case)], reason) for case, reason in choose_cases(states[0], observed)]
    viewed = viewer_data(chosen, models, forecasts, observations, thresholds_of(scores), progress)
    side_km = _side_km(observations.footprint(forecasts[0].cases[0]))
    text = _page(Report(scores, models, [observed, *forecasts[1:]], viewed, side_km), comparison)
    page = directory / "index.html"
    with whole(page, overwrite=overwrite) as growing:
        growing.write_text(text, encoding="utf-8")
    return page


def _page(report: Report, comparison: Comparison | None) -> str:
    return TEMPLATES.get_template("page.html").render(
        models=report.models,
        subject=_subject(report),
        verdict=verdict(report.models, report.mean),
        comparison=comparison and comparison_section(comparison),
        viewed=report.viewed,
        threshold=default_threshold(report.models[0].scores),
        shades=all_shades(),
        scores=scores_section(report),
        chart_sections=list(chart_sections(report)),
        origin=origin_section(report),
        made_by=report.scores.attrs.get("source", "nowcast"),
    )


class Subject(NamedTuple):
    """The cases, lead times and members of the forecast, in words around the name of the protocol."""

    before: str
    protocol: str
    after: str


def _subject(report: Report) -> Subject:
    leads = report.scores["lead_time"].values
    cases = report.forecasts[0].cases
    attrs, size = report.scores.attrs, report.models[0].members
    events = attrs.get("events", "?")
    begun = "" if report.viewed["video"] else _init_times(cases)
    before = (
        f"{len(cases)} case{'s' * (len(cases) != 1)} of {events} event{'s' * (events != 1)} "
        f"(split {attrs.get('split', 'unknown')}), "
        f"{begun}{lead_label(leads[0])} to {lead_label(leads[-1])} ahead; "
        f"{size} member{'s' * (size > 1)}; protocol "
    )
    scored = f"; scored {attrs['scored']}" if "scored" in attrs else ""
    after = f"; {MEANS[report.mean]}{_region(str(attrs.get('region', 'whole')))}{scored}"
    return Subject(before, attrs.get("protocol", "none"), after)


def _region(scored: str) -> str:
    return "" if scored == "whole" else f"; only pixels {scored}"


def _init_times(cases: Sequence[Case]) -> str:
    first, last = (pd.Timestamp(pick(case.init_time for case in cases)) for pick in (min, max))
    return f"init times {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, "


def _side_km(footprint: Footprint | None) -> float | None:
    """The longer side of the grid; None where the forecast does not lie on a map."""
    return max(footprint.rows, footprint.columns) * footprint.pixel_m / 1000 if footprint else None
