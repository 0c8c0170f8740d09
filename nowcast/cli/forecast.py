"""The command forecast. Heavy libraries are imported inside it, as in `nowcast.cli.app`."""

from pathlib import Path
from typing import Annotated

import typer

from nowcast.cli.console import bar, note, tell
from nowcast.cli.prepare import Overwrite
from pipelines.errors import InputError

Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of all random draws.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda. By default a GPU if there is one.")]

Around = Annotated[
    str | None,
    typer.Option(
        help="LATITUDE,LONGITUDE[,KM]: only the square with sides of so many km, 256 by default, about a place."
    ),
]
Lead = Annotated[
    str | None,
    typer.Option(help="Last lead time, such as 3h or 90min. By default that of the model; networks are rolled out."),
]


def forecast(
    model: Annotated[str, typer.Argument(help="Name from `nowcast models`, run folder or checkpoint file.")],
    source: Annotated[
        list[Path], typer.Argument(help="Store; or files of radar, a folder of them, or a wildcard in quotes.")
    ],
    out: Annotated[Path, typer.Argument(help="Forecast file to write: .nc or .zarr.")],
    ensemble: Annotated[int | None, typer.Option(min=1, help="Number of members; 100 by default.")] = None,
    event: Annotated[list[str] | None, typer.Option(help="Forecast this event only. Repeat for more.")] = None,
    init: Annotated[
        str | None, typer.Option(help="Init time, UTC, such as 2019-06-01T12:30: the last frame that the model sees.")
    ] = None,
    lead: Lead = None,
    around: Around = None,
    split: Annotated[str, typer.Option(help="Split of the store to forecast.")] = "test",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first N cases, in the store's order (not a random sample).")
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="Sampler, for diffusion models.")] = None,
    sampling_steps: Annotated[
        int | None, typer.Option(min=1, help="Calls of the denoiser per member, for diffusion models.")
    ] = None,
    summary_only: Annotated[
        bool,
        typer.Option("--summary-only", help="Write mean, spread, quantiles and probabilities instead of the members."),
    ] = False,
    units: Annotated[
        str | None,
        typer.Option(help="Units of the forecast: mm/h, dBZ, kg/m2 or counts. By default those of the source."),
    ] = None,
    seed: Seed = 0,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Forecast an ensemble from a store or from files of radar: MODEL SOURCE... OUT.

    From a store, each window of the split is a case that `nowcast verify` can score; with --init, the frames up to
    that time are used. From files, and from a store too short to be scored, the newest frames are used, or with
    --init those up to that time. Files may hold one frame or several, in any order. A quarter of the frames that a
    model sees may be missing, and all before the first file, but three must be there. A name of `nowcast models`
    wins over a folder of that name: write ./NAME for the folder.
    """
    from nowcast.data.radar_file import is_radar
    from nowcast.forecasting.forecast import (
        Request,
        load_forecaster,
        parse_around,
        parse_lead,
        parse_time,
        write_forecast,
    )

    if out.exists() and is_radar(out):
        raise InputError(f"{out} is a file of radar", remedy="end with the forecast file to write")
    chosen = {key: value for key, value in {"sampler": sampler, "steps": sampling_steps}.items() if value is not None}
    forecaster, described = load_forecaster(model, device=device, sampling=chosen)
    request = Request(
        members=ensemble,
        split=split,
        events=tuple(event or ()),
        init=parse_time(init) if init else None,
        lead=parse_lead(lead) if lead else None,
        around=parse_around(around) if around else None,
        limit=limit,
        seed=seed,
        summary_only=summary_only,
        units=units,
    )
    tell(
        write_forecast(
            forecaster,
            source,
            out,
            request,
            described=described,
            overwrite=overwrite,
            tell=note,
            progress=bar("forecast, batches of members"),
        )
    )
