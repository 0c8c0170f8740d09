"""The command compare. Heavy libraries are imported inside it, as in `nowcast.cli.app`."""

from pathlib import Path
from typing import Annotated

import typer

from nowcast.cli.console import bar, console, note, tell
from nowcast.cli.forecast import Device


def compare(
    source: Annotated[
        list[Path], typer.Argument(help="Store; or files of radar, a folder of them, or a wildcard in quotes.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for forecasts, sums, scores and the page.")],
    models: Annotated[
        str, typer.Option(help="Names of models, run folders or checkpoints, separated by commas.")
    ] = "predldm",
    reference: Annotated[str, typer.Option(help="Model to compare with.")] = "pysteps",
    members: Annotated[int, typer.Option(min=2, help="Ensemble size.")] = 20,
    cases: Annotated[int, typer.Option(min=1, help="Largest number of cases.")] = 20,
    device: Device = None,
) -> None:
    """Say whether a model is better than a reference on your radar: choose wet cases, forecast, score and judge.

    Cases are spread over the archive and share no scored frame. The answer is a sentence with the 95 % interval of the
    difference in CRPS, tables by lead time and threshold, a page of scores, OUT/index.html, and one to look at the
    wettest case, OUT/nowcast.html. A stopped comparison is resumed by the same command; forecasts are kept in OUT and
    used again.
    """
    from nowcast.experiments.compare import compare as compared_with
    from nowcast.report import write_report
    from nowcast.report.nowcast_page import write_page
    from nowcast.report.sections import Comparison
    from nowcast.verification import save
    from nowcast.verification.tables import plain_table
    from pipelines.store.amounts import quantity_of_counts
    from pipelines.store.units import QUANTITIES

    names = [name.strip() for name in models.split(",") if name.strip()]
    compared = compared_with(
        source, names, reference, out, members=members, number=cases, device=device, tell=note, progress=bar
    )
    forecast, *references = compared.forecasts
    units = QUANTITIES[quantity_of_counts(compared.archive.attrs)].attrs["units"]
    pictured = write_page(compared.wettest, out / "nowcast.html", store=compared.archive, units=units, overwrite=True)
    page = write_report(
        out,
        compared.states,
        compared.scores,
        forecast=forecast,
        store=compared.archive,
        reference=[file for files in references for file in files],
        overwrite=True,
        progress=bar("page, cases"),
        comparison=Comparison(compared.answers, compared.tables, pictured.name),
    )
    for caption, head, rows in compared.tables:
        table = plain_table(caption, head[0], head[1:])
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for line in compared.answers:
        tell(line)
    tell(save(compared.scores, out / "scores.nc", overwrite=True))
    tell(page)
