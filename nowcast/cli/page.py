"""The command page. Heavy libraries are imported inside it, as in `nowcast.cli.app`."""

from pathlib import Path
from typing import Annotated

import typer

from nowcast.cli.console import bar, tell
from nowcast.cli.draw import Case, Forecast
from nowcast.cli.prepare import Overwrite
from pipelines.store.paths import refuse_inputs


def page(
    forecast: Forecast,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("nowcast.html"),
    store: Annotated[
        Path | None, typer.Option(help="Store, or files of radar, with the observed frames; adds the past and a layer.")
    ] = None,
    case: Case = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(help="Threshold of the probabilities and the onset, such as 2.5mm/h; repeat for more."),
    ] = None,
    units: Annotated[
        str | None, typer.Option(help="Units of the page: mm/h, dBZ, kg/m2 or counts; default: the forecast's.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write one HTML file to look at a forecast: a map by time, and the plume, probabilities and onset of any place.

    The file needs no server and no network. Click the map, or type a latitude and longitude.
    """
    from nowcast.report.nowcast_page import write_page

    refuse_inputs(out, [forecast, store])
    tell(
        write_page(
            forecast,
            out,
            store=store,
            case=case,
            thresholds=threshold or (),
            units=units,
            overwrite=overwrite,
            progress=bar("page, lead times"),
        )
    )
