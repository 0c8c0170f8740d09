"""The command line: each command calls one function and prints the path of its output.

Heavy libraries are imported inside the commands, so that `nowcast --help` answers at once.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from nowcast.cli.at import at
from nowcast.cli.compare import compare
from nowcast.cli.console import bar, console, note, tell
from nowcast.cli.draw import animate, plot
from nowcast.cli.experiment import experiment
from nowcast.cli.forecast import Device, Seed
from nowcast.cli.forecast import forecast as forecast_command
from nowcast.cli.models import models
from nowcast.cli.page import page
from nowcast.cli.prepare import (
    Overwrite,
    prepare_kitti,
    prepare_kth,
    prepare_radar,
    prepare_sevir,
    prepare_video,
)
from nowcast.cli.watch import watch
from pipelines.errors import InputError, printable
from pipelines.store.paths import refuse_inputs

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_UNUSABLE = PermissionError | FileExistsError | NotADirectoryError | IsADirectoryError  # paths that the user gave

_STOPPED = 130  # exit code after Ctrl-C


def _print_version(asked: bool) -> None:
    if asked:
        from nowcast import __version__

        tell(f"nowcast {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Radar nowcasting: archive, store, training, ensemble, scores and maps."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for all outputs.")] = Path("nowcast-demo"),
    with_training: Annotated[
        bool, typer.Option("--train", help="Train a small model first and forecast with it.")
    ] = False,
) -> None:
    """Run every step on a simulated archive: store, forecasts, a table and a page of scores, maps to look at."""
    from nowcast.cli.demo import run_demo

    run_demo(out, console, with_training=with_training)


@app.command()
def simulate_sevir(
    out: Annotated[Path, typer.Argument(help="Folder to write; gets CATALOG.csv and data/vil/.")],
    events: Annotated[int, typer.Option(help="Number of events.")] = 24,
    seed: Seed = 0,
) -> None:
    """Write a simulated archive in the layout of SEVIR."""
    from pipelines.simulation.storms import simulate_archive

    tell(simulate_archive(out, events=events, seed=seed, progress=bar("simulate, events")))


for prepare in (prepare_sevir, prepare_radar, prepare_kth, prepare_kitti, prepare_video):
    app.command()(prepare)


@app.command()
def info(
    path: Annotated[
        list[Path],
        typer.Argument(
            help="Store, run, checkpoint, forecast, score file or configuration; or files of radar: one or several, a "
            "folder, or a wildcard."
        ),
    ],
    everything: Annotated[bool, typer.Option("--all", help="List everything, not only the first lines.")] = False,
) -> None:
    """Describe a store, run, checkpoint, forecast, score file or configuration, or say what is read of files of radar.

    Of radar: grid, place, times, gaps and values, and what would be refused and why.
    """
    from nowcast.cli.info import describe
    from nowcast.cli.info_radar import describe_radar

    tell(describe(*path, everything=everything) if len(path) == 1 else describe_radar(path, everything=everything))


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="Configuration: a name from configs/, or a YAML file.")],
    store: Annotated[list[Path], typer.Option(help="Store to train on. Repeat for more.")],
    run: Annotated[Path, typer.Option(help="Run folder. An unfinished run is resumed.")],
    stage: Annotated[str, typer.Option(help="Name of one training stage, or all.")] = "all",
    init: Annotated[
        str | None, typer.Option(help="Run, checkpoint or shipped weights whose finished stages to start from.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE, replaces a setting. Repeat for more.")
    ] = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Train a model. A stopped run is resumed exactly where it stopped.

    Training saves its state every two minutes and when it is interrupted. The same command resumes it, with or without
    the --set options that it was started with. Several processes: torchrun --nproc_per_node 2 --no-python -- nowcast
    train ...; they share each batch.
    """
    from nowcast.training.config import load_config
    from nowcast.training.loop import TrainingInterrupted
    from nowcast.training.run import train as train_run

    given = [Path(init), Path(init) / "model.safetensors"] if init else []
    refuse_inputs(run / "model.safetensors", [*store, *given])
    resolved, base = load_config(config, settings), load_config(config)
    try:
        path = train_run(resolved, store, run, base=base, stage=stage, init=init, device=device, overwrite=overwrite)
    except TrainingInterrupted as stopped:
        note(stopped)
        raise typer.Exit(1) from None
    if os.environ.get("RANK", "0") == "0":  # the first of the processes that torchrun starts
        tell(path)


app.command()(forecast_command)


@app.command()
def verify(
    forecast: Annotated[list[Path], typer.Argument(help="Forecast, NetCDF or Zarr; may be in several files.")],
    store: Annotated[
        Path, typer.Argument(help="Observations: a store; or files of radar, a folder, or a wildcard in quotes.")
    ],
    out: Annotated[Path | None, typer.Option(help="Score file to write, NetCDF.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Protocol; the store's own by default.")] = None,
    reference: Annotated[list[Path] | None, typer.Option(help="Forecast to compare with. Repeat for more.")] = None,
    sums: Annotated[Path | None, typer.Option(help="Also write the sums, for `merge-sums`.")] = None,
    lpips_weights: Annotated[Path | None, typer.Option(help="Weights of AlexNet and LPIPS: also score LPIPS.")] = None,
    i3d_weights: Annotated[Path | None, typer.Option(help="Weights of I3D: also score FVD and KVD.")] = None,
    reached: Annotated[bool, typer.Option("--reached", help="Score only pixels that advection reaches.")] = False,
    threshold: Annotated[
        list[str] | None,
        typer.Option(help="Event threshold instead of the protocol's, such as 2.5mm/h or 35dBZ. Repeat for more."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Folder for a page of the scores: one HTML file.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Compare scores of up to 4 cases with xskillscore's.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Score a forecast against observations, by lead time and over all lead times."""
    from nowcast import verification
    from nowcast.data.radar_file import forecasts_first, open_radar
    from pipelines.store.protocol import load_protocol

    forecast, observed = forecasts_first([*forecast, store])
    for target in filter(None, (out, sums)):
        verification.check_target(target, overwrite)
    for written in (out, sums, report / "index.html" if report else None):
        refuse_inputs(written, [*forecast, *observed, *(reference or ()), lpips_weights, i3d_weights])
    if report:
        from nowcast.report import check_target, write_report

        check_target(report, overwrite)
    perception = None
    if lpips_weights or i3d_weights:
        from nowcast.verification.metrics.perceptual import load_perception

        perception = load_perception(lpips_weights, i3d_weights)
    source = open_radar(observed) if len(observed) > 1 else store
    states = verification.states(
        forecast,
        source,
        reference=reference or (),
        protocol=load_protocol(protocol) if protocol else None,
        progress=bar("verify, cases"),
        perception=perception,
        only_reached=reached,
        thresholds=threshold or (),
    )
    if sums:
        console.print(verification.save_states(states, sums, overwrite=overwrite))
    scores = verification.scores_of(states)
    verification.print_table(scores, console)
    if out:
        console.print(verification.save(scores, out, overwrite=overwrite))
    if report:
        page = write_report(
            report,
            states,
            scores,
            forecast=forecast,
            store=source,
            reference=reference or (),
            overwrite=overwrite,
            progress=bar("report, cases"),
        )
        console.print(page)
    if check:
        from nowcast.verification.check import cross_check

        levels = scores["threshold"].values.tolist() if "threshold" in scores.dims else []
        agreement = cross_check(forecast, source, levels, progress=bar("check, cases"), only_reached=reached)
        tell(agreement)
        if agreement.wrong:
            raise typer.Exit(1)


@app.command()
def merge_sums(
    sums: Annotated[list[Path], typer.Argument(help="Files written by `verify --sums`, of different cases.")],
    out: Annotated[Path | None, typer.Option(help="Score file to write, NetCDF.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Add up the sums of several runs of `verify` and score them."""
    from nowcast import verification

    refuse_inputs(out, sums)
    if out:
        verification.check_target(out, overwrite)
    scores = verification.scores_of(verification.merge_states(sums))
    verification.print_table(scores, console)
    if out:
        console.print(verification.save(scores, out, overwrite=overwrite))


app.command()(plot)
app.command()(animate)


@app.command()
def benchmark(
    name: Annotated[
        str,
        typer.Argument(
            help="ensemble-cpu: seconds and peak memory of an ensemble of the shipped models, steps and pysteps. "
            "national: the same over a whole composite, with CPU-seconds. "
            "models: those of a training step and of a forecast, of each trainable model at its published size."
        ),
    ],
    ensemble: Annotated[int, typer.Option(min=2, help="Number of members, for ensemble-cpu and national.")] = 100,
    source: Annotated[
        Path | None, typer.Option("--input", help="File of radar, for national. By default simulated, 640 x 710 km.")
    ] = None,
    device: Device = None,
) -> None:
    """Measure speed and memory of models on this machine."""
    from nowcast.cli.benchmark import run_benchmark

    console.print(run_benchmark(name, ensemble, device, source))


app.command()(at)
app.command()(compare)
app.command()(experiment)
app.command()(models)
app.command()(watch)
app.command()(page)


def main() -> None:
    """Run a command. Errors are one line on standard error; exit code 2 for wrong input, 1 for all others."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait leave their cores to other processes
    try:
        code = app(sys.argv[1:] or ["--help"], prog_name="nowcast", standalone_mode=False)
    except typer.Abort:
        code = _STOPPED
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        text, code = _one_line(error)
        print(f"nowcast: {printable(text)}", file=sys.stderr)
    if code == _STOPPED:
        print("nowcast: stopped", file=sys.stderr)
    sys.exit(code or 0)


def _one_line(error: Exception) -> tuple[str, int]:
    """The line that states an error, and the exit code."""
    if isinstance(error, InputError):
        return str(error), 2
    if hasattr(error, "format_message"):  # of typer: wrong options and arguments
        context = getattr(error, "ctx", None)
        help_of = f"; see `{context.command_path} --help`" if context else ""
        return " ".join(error.format_message().split()).removesuffix(".") + help_of, 2
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}", 2
    if isinstance(error, _UNUSABLE):
        return f"{type(error).__name__}: {error}", 2
    return f"{type(error).__name__}: {error} (run with --debug for the traceback)", 1
