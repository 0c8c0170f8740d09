"""The command experiment. Heavy libraries are imported inside it, as in `nowcast.cli.app`."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nowcast.cli.console import bar, note, tell
from nowcast.cli.forecast import Device
from pipelines.errors import InputError
from pipelines.store.paths import refuse_inputs

if TYPE_CHECKING:
    from nowcast.experiments.run import Outcome


def experiment(
    name: Annotated[str | None, typer.Argument(help="Name from --list, or a YAML file.")] = None,
    store: Annotated[
        list[Path] | None,
        typer.Option(help="Store to train on, to test on, or both. Repeat for more; one has a test split."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for runs, forecasts, scores, table and figure.")] = None,
    scale: Annotated[
        str, typer.Option(help="tiny: a dozen steps. small: about 3 M parameters. paper: as published.")
    ] = "tiny",
    models: Annotated[
        str | None, typer.Option(help="Only these models, separated by commas; shipped is the model of the package.")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            help="Minutes of training per variant. Six steps of each stage are timed first; all stages then get as "
            "many steps, in the configuration's proportions, as fit. The number is kept in the run folder.",
        ),
    ] = None,
    runs: Annotated[Path | None, typer.Option(help="Folder of training runs to share; by default OUT/runs.")] = None,
    lpips_weights: Annotated[Path | None, typer.Option(help="Weights of AlexNet and LPIPS, for LPIPS.")] = None,
    i3d_weights: Annotated[Path | None, typer.Option(help="Weights of I3D, for FVD and KVD.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for a page of all scores, with pictures of one case for all models.")
    ] = None,
    device: Device = None,
    listed: Annotated[bool, typer.Option("--list", help="List the experiments and how long they take.")] = False,
) -> None:
    """Make a table or figure of the PredLDM paper: train, forecast, score and draw.

    Runs, forecasts and scores that are there already are used as they are, so that a stopped experiment resumes and
    experiments with the same --out share them. The table is OUT/NAME.md and OUT/NAME.nc, the figure OUT/NAME.png.
    """
    if listed:
        _list()
        return
    if not name or not store or out is None:
        raise InputError("nothing to run", expected="NAME --store STORE --out DIR", remedy="see --list for the names")
    refuse_inputs(out / f"{Path(name).stem}.md", store)
    if budget is not None and budget <= 0:
        raise InputError("a budget is a number of minutes", got=budget, expected="more than 0")
    from nowcast.experiments.bench import Options
    from nowcast.experiments.run import run_experiment
    from nowcast.training.loop import TrainingInterrupted

    options = Options(out, runs, budget=budget, device=device, lpips_weights=lpips_weights, i3d_weights=i3d_weights)
    chosen = [model.strip() for model in models.split(",")] if models else []
    command = shlex.join(["nowcast", *sys.argv[1:]])
    try:
        outcome = run_experiment(
            name, store, options, scale=scale, models=chosen, command=command, tell=note, progress=bar
        )
    except TrainingInterrupted as stopped:
        note(stopped)
        raise typer.Exit(1) from None
    note(f"{sum(os.times()[:4]) / 60:.1f} minutes of processor time")
    for path in (outcome.table, outcome.numbers, outcome.figure):
        tell(path)
    if report:
        _report(report, outcome)


def _report(report: Path, outcome: "Outcome") -> None:
    from nowcast.report import write_report
    from nowcast.verification import scores_of

    forecasts, states = outcome.scored()
    page = write_report(
        report,
        states,
        scores_of(states),
        forecast=forecasts[0],
        store=outcome.bench.test,
        reference=forecasts[1:],
        overwrite=True,
        progress=bar("report, cases"),
    )
    tell(page)


def _list() -> None:
    from nowcast.experiments.settings import experiment_names, load_experiment

    tell("minutes of one core at each scale, with the runs and forecasts of table1 in the same folder\n")
    for name in experiment_names():
        experiment = load_experiment(name)
        minutes = ", ".join(f"{scale} {number:g}" for scale, number in experiment.minutes.items()) or "-"
        tell(f"{name:10} {minutes:22} {experiment.title}")
