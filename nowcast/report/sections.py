"""The sections of a report, in their order; one without content is left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr

from nowcast.report import figures, tables
from nowcast.report.cells import Cell, Table
from nowcast.report.charts import Chart
from nowcast.report.models import Model
from nowcast.verification.headline import caution
from nowcast.verification.inputs import Forecast


@dataclass(frozen=True)
class Report:
    """The parts of a report.

    Attributes:
        scores: Scores of the forecast and its references.
        models: The same, one by one.
        forecasts: Their files.
        viewed: See `cases.viewer_data`.
        side_km: Longer side of the grid; None where pixels have no size.
    """

    scores: xr.Dataset
    models: Sequence[Model]
    forecasts: Sequence[Forecast]
    viewed: dict[str, Any]
    side_km: float | None

    @property
    def mean(self) -> str:
        """How the protocol takes a score over lead times: pooled or lead_averaged."""
        return str(self.scores.attrs.get("mean", "pooled"))


class ChartSection(NamedTuple):
    """A section of charts: its identifier, its heading, and its charts by their headings."""

    name: str
    heading: str
    groups: Sequence[tuple[str, Sequence[Chart]]]


class Comparison(NamedTuple):
    """A comparison made outside of the page.

    Attributes:
        words: Sentences.
        tables: Tables of text as caption, headings and rows.
        pictured: Name of a page beside this one that shows a forecast on a map.
    """

    words: Sequence[str]
    tables: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]]
    pictured: str


class Scores(NamedTuple):
    """The section of scores: words, the main table, and all tables behind a line that opens."""

    words: str
    main: Table
    all: Sequence[tuple[str, Sequence[Table]]]


class Origin(NamedTuple):
    """The last section: the protocol by its settings, the models, and the configurations by model."""

    protocol: Sequence[tuple[str, str]]
    models: Table
    settings: Sequence[tuple[str, str]]


def chart_sections(report: Report) -> Iterator[ChartSection]:
    """All sections of charts that have any."""
    models = report.models
    thresholds = {heading: figures.threshold_charts(models, name) for name, heading in figures.THRESHOLD_CURVES.items()}
    probabilities = {
        "Reliability": figures.reliability_charts(models),
        "Spread and ranks": [*figures.spread_charts(models), *figures.rank_charts(models)],
        "Relative operating characteristic": figures.roc_charts(models),
    }
    scales = {
        "Fractions skill score": figures.neighbourhood_charts(models),
        "Energy": figures.energy_charts(models, report.side_km),
    }
    for name, heading, groups in (
        ("lead-times", "By lead time", {"": figures.lead_charts(models)}),
        ("thresholds", "By threshold", thresholds),
        ("probabilities", "Probabilities and spread", probabilities),
        ("scales", "Neighbourhoods and scales", scales),
    ):
        drawn = [(title, list(charts)) for title, charts in groups.items()]
        filled = [(title, charts) for title, charts in drawn if charts]
        if filled:
            yield ChartSection(name, heading, filled)


def comparison_section(comparison: Comparison) -> tuple[Sequence[str], Sequence[Table], str]:
    """The sentences and tables of a comparison, and the name of the page that shows a forecast."""
    tables = [
        Table(caption, [Cell(text) for text in head], [[Cell(text) for text in row] for row in rows], "text")
        for caption, head, rows in comparison.tables
    ]
    return comparison.words, tables, comparison.pictured


def scores_section(report: Report) -> Scores:
    """The tables of scores and the words above them."""
    words = "One event, so there are no intervals."
    if report.scores.attrs.get("events", 0) > 1:
        words = (
            "Below each score is its 95 % interval, from resampled events. A difference whose interval excludes zero "
            "is called better or worse for the forecast."
        )
    words += caution(report.scores)
    words += (
        " Scores that no model has, such as those of thresholds that no pixel reached, are left out. Thresholds that "
        f"fewer than one pixel in {1 / figures.RARE:,.0f} reached have no charts."
    )
    other = next(name for name in tables.MEANS if name != report.mean)
    opened = [
        (f"All scores {tables.MEANS[mean]}", tables.all_tables(report.models, mean)) for mean in (report.mean, other)
    ]
    return Scores(words, tables.main_table(report.models, report.mean), opened)


def origin_section(report: Report) -> Origin:
    """The protocol, the models with their files, and their configurations."""
    origins = [_origin(forecast) for forecast in report.forecasts]
    return Origin(
        tables.protocol_list(report.scores),
        tables.model_table(report.models, origins),
        tables.settings(report.models, origins),
    )


def _origin(forecast: Forecast) -> dict[str, Any]:
    """The attributes of a forecast's file, with its name."""
    sources = [part.encoding.get("source") for part in forecast.parts]
    names = ", ".join(Path(source).name for source in sources if source)
    return forecast.attrs | ({"file": names} if names else {})
