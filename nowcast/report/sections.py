"""The sections of a report, in their order; one without content is left out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import xarray as xr

from nowcast.report import figures, tables
from nowcast.report.cases import default_threshold
from nowcast.report.charts import marker
from nowcast.report.markup import Child, node
from nowcast.report.models import Model
from nowcast.report.viewer import viewer
from nowcast.verification.inputs import Forecast

Section = tuple[str, str, list[Child]]  # its identifier, its heading, what it holds


@dataclass(frozen=True)
class Report:
    """What a report is made of.

    Attributes:
        scores: Of the forecast and its references.
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


def sections(report: Report) -> Iterator[Section]:
    """All sections."""
    models = report.models
    yield "cases", "Cases", [viewer(report.viewed, default_threshold(models[0].scores))]
    yield "scores", "Scores", _scores(report)
    yield from _of_charts("lead-times", "By lead time", {"": figures.lead_charts(models)}, models)
    events = {heading: figures.event_charts(models, metric) for metric, heading in figures.EVENT_CURVES.items()}
    yield from _of_charts("events", "Events", events, models)
    probabilities = {
        "Reliability": figures.reliability_charts(models),
        "Spread and ranks": [*figures.spread_charts(models), *figures.rank_charts(models)],
        "Relative operating characteristic": figures.roc_charts(models),
    }
    yield from _of_charts("probabilities", "Probabilities and spread", probabilities, models)
    scales = {
        "Fractions skill score": figures.neighbourhood_charts(models),
        "Energy": figures.energy_charts(models, report.side_km),
    }
    yield from _of_charts("scales", "Neighbourhoods and scales", scales, models)
    origins = [_origin(forecast) for forecast in report.forecasts]
    settings = [tables.settings(model, origin) for model, origin in zip(models, origins, strict=True)]
    protocol = tables.protocol_list(report.scores)
    yield "protocol", "Protocol and origin", [protocol, tables.model_table(models, origins), *settings]


def _scores(report: Report) -> list[Child]:
    words = "One event, so there are no intervals."
    if report.scores.attrs.get("events", 0) > 1:
        words = (
            "Below each score its 95 % interval, from resampled events. A difference whose interval excludes zero is "
            "called better or worse for the forecast."
        )
    words += (
        " Scores that no model has, of events that never came, are left out, and charts of events that fewer than one "
        f"pixel in {1 / figures.RARE:,.0f} had."
    )
    other = next(name for name in tables.MEANS if name != report.mean)
    opened = [
        node("details", node("summary", f"All scores {tables.MEANS[mean]}"), *tables.all_tables(report.models, mean))
        for mean in (report.mean, other)
    ]
    return [node("p", words), tables.main_table(report.models, report.mean), *opened]


def _of_charts(
    name: str, heading: str, charts: Mapping[str, Iterable[Element]], models: Sequence[Model]
) -> Iterator[Section]:
    """A section of charts by their headings."""
    content: list[Child] = []
    for title, each in charts.items():
        drawn = list(each)
        if drawn:
            content += [node("h3", title) if title else None, node("div", *drawn, class_="charts")]
    if content:
        keys = (node("li", marker(model.style), f" {model.name}") for model in models)
        yield name, heading, [node("ul", *keys, class_="legend"), *content]


def _origin(forecast: Forecast) -> dict[str, Any]:
    """What a forecast's file says of itself, with its name."""
    sources = [part.encoding.get("source") for part in forecast.parts]
    names = ", ".join(Path(source).name for source in sources if source)
    return forecast.attrs | ({"file": names} if names else {})
