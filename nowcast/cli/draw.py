"""The commands that draw a forecast: maps of one case, and one case in motion."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nowcast.cli.console import bar, tell
from nowcast.cli.prepare import Overwrite
from pipelines.errors import InputError
from pipelines.store.paths import refuse_inputs

if TYPE_CHECKING:
    import numpy as np

Forecast = Annotated[Path, typer.Argument(help="Forecast: NetCDF file or Zarr store.")]
Case = Annotated[int | None, typer.Option(min=0, help="Number of the case; default: most echo.")]
Members = Annotated[
    list[str] | None,
    typer.Option("--member", "--members", help="Number of a member, or several: 0,1,2; default: the first."),
]
Threshold = Annotated[
    str | None,
    typer.Option(help="Threshold of the probability; default, by the units: 5mm/h, 35dBZ, 0.8kg/m2 or 74counts."),
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
        list[str] | None,
        typer.Option(
            "--lead-time",
            "--lead-times",
            help="Lead time in minutes, or several: 10,30,60; default: four, evenly spread from the first to the last.",
        ),
    ] = None,
    threshold: Threshold = None,
    units: Units = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw one case on maps: observation, ensemble mean, members, probability and spread."""
    from nowcast.plots.maps import save_forecast_map

    refuse_inputs(out, [forecast, store])
    drawn = save_forecast_map(
        forecast,
        out,
        store=store,
        case=case,
        members=_members(members),
        lead_times=_lead_times(lead_time),
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
        list[str] | None,
        typer.Option("--lead-time", "--lead-times", help="Lead time in minutes, or several: 10,30,60; default: all."),
    ] = None,
    threshold: Threshold = None,
    units: Units = None,
    overwrite: Overwrite = False,
) -> None:
    """Animate one case: the observed past, then observation, ensemble mean, members, probability and spread."""
    from nowcast.plots.animation import save_animation

    refuse_inputs(out, [forecast, store])
    made = save_animation(
        forecast,
        out,
        store=store,
        case=case,
        members=_members(members),
        lead_times=_lead_times(lead_time),
        threshold=threshold,
        units=units,
        overwrite=overwrite,
        progress=bar("animate, frames"),
    )
    tell(made)


def _members(texts: Sequence[str] | None) -> list[int] | None:
    numbers = _numbers(texts, "no numbers of members", "0 or 0,1,2", whole=True)
    return [int(number) for number in numbers] or None


def _lead_times(texts: Sequence[str] | None) -> "list[np.timedelta64] | None":
    from nowcast.data.conventions import minutes

    return [minutes(number) for number in _numbers(texts, "no lead times in minutes", "10 or 10,30,60")] or None


def _numbers(texts: Sequence[str] | None, wrong: str, such: str, *, whole: bool = False) -> list[float]:
    """The numbers, not negative, of an option that is repeated or has commas; none where it is not given.

    Raises:
        InputError: for a text that is none.
    """
    parts = [(part.strip(), text) for text in texts or () for part in text.split(",")]
    for part, text in parts:
        if not re.fullmatch(r"\d+" if whole else r"\d+\.?\d*|\.\d+", part, re.ASCII):
            raise InputError(wrong, got=repr(text), expected=f"such as {such}")
    return [float(part) for part, _ in parts]
