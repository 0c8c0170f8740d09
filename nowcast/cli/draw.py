"""The commands that draw a forecast: maps of one case, and one case in motion."""

from pathlib import Path
from typing import Annotated

import typer

from nowcast.cli.console import bar, tell
from nowcast.cli.prepare import Overwrite
from pipelines.store.paths import refuse_inputs


def plot(
    forecast: Annotated[Path, typer.Argument(help="Forecast: NetCDF file or Zarr store.")],
    out: Annotated[Path, typer.Argument(help="Picture to write: .png, .pdf or .svg.")],
    store: Annotated[
        Path | None, typer.Option(help="Store, or files of radar, with the observed frames; adds a row.")
    ] = None,
    case: Annotated[int | None, typer.Option(min=0, help="Number of the case; default: most echo.")] = None,
    member: Annotated[int | None, typer.Option(min=0, help="Number of the member; default: the first.")] = None,
    lead_time: Annotated[
        list[float] | None, typer.Option(help="Lead time in minutes; repeat for more; default: four, evenly spread.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw one case on maps: observation, ensemble mean, one member, probability and spread."""
    from nowcast.data.conventions import minutes
    from nowcast.plots.maps import save_forecast_map

    refuse_inputs(out, [forecast, store])
    leads = [minutes(lead) for lead in lead_time] if lead_time else None
    drawn = save_forecast_map(
        forecast, out, store=store, case=case, member=member, lead_times=leads, overwrite=overwrite
    )
    tell(drawn)


def animate(
    forecast: Annotated[Path, typer.Argument(help="Forecast: NetCDF file or Zarr store.")],
    out: Annotated[Path, typer.Argument(help="Animation to write: .gif or .mp4.")],
    store: Annotated[
        Path | None,
        typer.Option(help="Store, or files of radar, with the observed frames; adds the past and a panel."),
    ] = None,
    case: Annotated[int | None, typer.Option(min=0, help="Number of the case; default: most echo.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Animate one case: the observed past, then observation, ensemble mean, one member, probability and spread."""
    from nowcast.plots.animation import save_animation

    refuse_inputs(out, [forecast, store])
    made = save_animation(forecast, out, store=store, case=case, overwrite=overwrite, progress=bar("animate, frames"))
    tell(made)
