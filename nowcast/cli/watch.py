"""The command watch. Heavy libraries are imported inside it, as in `nowcast.cli.app`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nowcast.cli.console import note, tell
from nowcast.cli.forecast import Around, Device, Lead, Seed
from pipelines.store.paths import refuse_inputs, refuse_inside

if TYPE_CHECKING:
    import xarray as xr


def watch(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder into which files of radar come, or a wildcard in quotes, such as 'radar/RATE*.h5': those of "
            "one product."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for forecasts, pages, and the links latest.nc and latest.html.")],
    model: Annotated[str, typer.Option(help="Name from `nowcast models`, run folder or checkpoint file.")] = "predldm",
    ensemble: Annotated[int | None, typer.Option(min=1, help="Number of members; 100 by default.")] = None,
    lead: Lead = None,
    around: Around = None,
    every: Annotated[float, typer.Option(min=0.01, help="Seconds between two looks at the folder.")] = 10,
    once: Annotated[
        bool, typer.Option("--once", help="Look once, take all files as complete, and end: for cron.")
    ] = False,
    keep: Annotated[int, typer.Option(min=1, help="Number of forecasts to keep, the newest ones.")] = 24,
    seed: Seed = 0,
    device: Device = None,
) -> None:
    """Forecast from the newest frames of a folder, each time that a new one is complete.

    A file is complete when two looks find it unchanged and it can be read. Late, lacking, doubled and broken files and
    a full disk cost a line each; each line begins with the clock time, UTC. A stopped watch is resumed by the same
    command; what is forecast is not made again.
    """
    from nowcast.data.radar_file import is_wildcard
    from nowcast.forecasting.forecast import Request, load_forecaster, parse_around, parse_lead
    from nowcast.forecasting.watch import Watch

    refuse_inputs(out, [folder])
    refuse_inside(out, [folder.parent if is_wildcard(folder) else folder])
    forecaster, described = load_forecaster(model, device=device)
    request = Request(
        members=ensemble,
        seed=seed,
        lead=parse_lead(lead) if lead else None,
        around=parse_around(around) if around else None,
    )
    watched = Watch(forecaster, described, folder, out, request, keep=keep, page=_page, tell=_note)
    if not once:
        watched.run(every, tell)
    elif path := watched.once():
        tell(path)


def _note(text: str) -> None:
    note(f"{datetime.now(UTC):%H:%M:%S} {text}")


def _page(forecast: Path, out: Path, history: "xr.Dataset") -> None:
    from nowcast.report.nowcast_page import write_page

    write_page(forecast, out, store=history)
