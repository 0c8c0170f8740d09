"""The commands that draw a forecast: maps of one case, and one case in motion."""

from pathlib import Path
from typing import Annotated

import typer

from nowcast.cli.console import bar, tell
from nowcast.cli.prepare import Overwrite
from pipelines.store.paths import refuse_inputs

Forecast = Annotated[Path, typer.Argument(help="Forecast: NetCDF file or Zarr store.")]
Case = Annotated[int | None, typer.Option(min=0, help="Number of the case; default: most echo.")]
Members = Annotated[
    list[int] | None,
    typer.Option("--member", "--members", min=0, help="Number of a member; repeat for more; default: the first."),
]
Threshold = Annotated[
    str | None, typer.Option(help='Threshold of the probability, such as "2.5mm/h" or 35dBZ; default: 74counts.')
]
Units = Annotated[
    str | None, typer.Option(help="Units of colours and spread: mm/h, dBZ, kg/m2 or counts; default: the forecast's.")
]


def plot(
    forecast: Forecast,
    out: Annotated[Path, typer.Argument(help="Picture to write: .png, .pdf or .svg.")],
    store: Annotated[
        Path | None, typer.Option(help="Store, or files of radar, with the observed frames; adds a row.")
    ] = None,
    case: Case = None,
    members: Members = None,
    lead_time: Annotated[
        list[float] | None,
        typer.Option(
            "--lead-time", "--lead-times", help="Lead time in minutes; repeat for more; default: four, evenly spread."
        ),
    ] = None,
    threshold: Threshold = None,
    units: Units = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw one case on maps: observation, ensemble mean, members, probability and spread."""
    from nowcast.data.conventions import minutes
    from nowcast.plots.maps import save_forecast_map

    refuse_inputs(out, [forecast, store])
    drawn = save_forecast_map(
        forecast,
        out,
        store=store,
        case=case,
        members=members or None,
        lead_times=[minutes(lead) for lead in lead_time] if lead_time else None,
        threshold=threshold,
        units=units,
        overwrite=overwrite,
    )
    tell(drawn)


def animate(
    forecast: Forecast,
    out: Annotated[Path, typer.Argument(help="Animation to write: .gif or .mp4.")],
    store: Annotated[
        Path | None,
        typer.Option(help="Store, or files of radar, with the observed frames; adds the past and a panel."),
    ] = None,
    case: Case = None,
    members: Members = None,
    lead_time: Annotated[
        list[float] | None,
        typer.Option("--lead-time", "--lead-times", help="Lead time in minutes; repeat for more; default: all."),
    ] = None,
    threshold: Threshold = None,
    units: Units = None,
    overwrite: Overwrite = False,
) -> None:
    """Animate one case: the observed past, then observation, ensemble mean, members, probability and spread."""
    from nowcast.data.conventions import minutes
    from nowcast.plots.animation import save_animation

    refuse_inputs(out, [forecast, store])
    made = save_animation(
        forecast,
        out,
        store=store,
        case=case,
        members=members or None,
        lead_times=[minutes(lead) for lead in lead_time] if lead_time else None,
        threshold=threshold,
        units=units,
        overwrite=overwrite,
        progress=bar("animate, frames"),
    )
    tell(made)
