"""The whole path on a simulated archive, each step shown as the command that does it."""

from importlib.util import find_spec
from math import isnan
from pathlib import Path

import xarray as xr
from rich.console import Console
from rich.progress import track
from rich.table import Table

from nowcast.forecasting.forecast import Request, load_forecaster, write_forecast
from nowcast.plots.curves import plot_scores
from nowcast.plots.maps import save_forecast_map
from nowcast.report import write_report
from nowcast.training.config import load_config
from nowcast.training.run import train
from nowcast.verification import save, scores_of, states, summary_row
from pipelines.sevir.prepare import prepare
from pipelines.simulation.storms import simulate_archive
from pipelines.store.whole import whole

EVENTS, EVENTS_TO_TRAIN_ON = 8, 24
REFERENCES = ("persistence", "advection", "sprog", "steps")
COLUMNS = ("CRPS fair", "MAE", "spread / skill", "CSI >= 16", "CSI >= 74", "CSI >= 133")


def run_demo(out: Path, console: Console, *, with_training: bool = False) -> None:
    """Simulate, prepare, forecast, verify and draw; what an earlier run left finished is kept.

    Args:
        out: Folder for all of it.
        console: Where to say what is done.
        with_training: Train a small model too, and forecast with that instead of the shipped one.
    """

    def step(command: str) -> None:
        console.print(f"\n$ nowcast {command}", style="bold", markup=False, highlight=False, soft_wrap=True)

    archive, store, run = out / "archive", out / "sevir.zarr", out / "run"
    events = EVENTS_TO_TRAIN_ON if with_training else EVENTS
    step(f"simulate-sevir {archive} --events {events}")
    if not (archive / "CATALOG.csv").exists():
        simulate_archive(archive, events=events, seed=0, progress=lambda numbers: track(numbers, "simulate"))
    step(f"prepare-sevir {archive} {store} --workers 2")
    console.print(str(prepare(archive, store, protocol="sevir-128-10-10", workers=2)), soft_wrap=True)
    if with_training:
        step(f"train demo --store {store} --run {run}")
        console.print(train(load_config("demo"), [store], run))

    files = []
    for model in (str(run) if with_training else "predldm", *REFERENCES):
        if model == "steps" and find_spec("pysteps") is None:
            console.print("\nsteps is left out: pysteps is not installed (pip install pysteps)")
            continue
        files.append(out / f"{Path(model).name}.nc")
        step(f"forecast {model} {store} {files[-1]} --ensemble 100 --limit 1")
        if not files[-1].exists():
            forecaster, described = load_forecaster(model)
            write_forecast(forecaster, store, files[-1], Request(members=100, limit=1), described=described)

    forecast, references = files[0], files[1:]
    named = "".join(f" --reference {file}" for file in references)
    step(f"verify {forecast} {store}{named} --out {out / 'scores.nc'} --report {out / 'page'}")
    sums = states(forecast, store, reference=references)
    scores = scores_of(sums)
    console.print(_table({file.stem: summary_row(part) for file, part in zip(files, _parts(scores), strict=True)}))
    console.print(save(scores, out / "scores.nc", overwrite=True))
    with whole(out / "scores.png") as growing:
        plot_scores({file.stem: part for file, part in zip(files, _parts(scores), strict=True)}).savefig(
            growing, dpi=120
        )
    console.print(out / "scores.png")
    console.print(
        write_report(out / "page", sums, scores, forecast=forecast, store=store, reference=references, overwrite=True)
    )
    step(f"plot {forecast} {out / 'map.png'} --store {store}")
    console.print(save_forecast_map(forecast, out / "map.png", store=store, overwrite=True))
    console.print(_next_steps(store, forecast), markup=False, highlight=False, soft_wrap=True)


def _parts(scores: xr.Dataset) -> list[xr.Dataset]:
    """The scores of the forecast and of each reference."""
    return [scores.sel(forecast=role) for role in scores["forecast"].values]


def _table(rows: dict[str, dict[str, float]]) -> Table:
    table = Table(title="A held-out event, 100 members, all leads (counts)")
    table.add_column("model", no_wrap=True)
    for heading in COLUMNS:
        table.add_column(heading, justify="right")
    for name, row in rows.items():
        table.add_row(name, *("-" if isnan(row[heading]) else f"{row[heading]:.3f}" for heading in COLUMNS))
    return table


def _next_steps(store: Path, forecast: Path) -> str:
    return f"""
Next, on your own SEVIR (CATALOG.csv and data/vil/ in one folder):
  nowcast prepare-sevir SEVIR sevir.zarr
  nowcast train finetune --init predldm --store sevir.zarr --run run
  nowcast forecast run sevir.zarr forecast.nc --ensemble 100
  nowcast verify forecast.nc sevir.zarr --out scores.nc --report page
  nowcast plot forecast.nc map.png --store sevir.zarr
What this made, in words: nowcast info {store}, nowcast info {forecast}"""
