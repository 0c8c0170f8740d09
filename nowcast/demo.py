"""The whole path on a simulated archive, each step shown as the command that does it."""

from importlib.util import find_spec
from math import isnan
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from nowcast.config import load_config
from nowcast.forecasting import Request, load_forecaster, write_forecast
from nowcast.plots import plot_scores, save_forecast_map
from nowcast.training import train
from nowcast.verification import save, summary_row, verify
from pipelines.sevir import prepare
from pipelines.storms import simulate_archive

EVENTS = 24
REFERENCES = ("persistence", "advection", "steps")
COLUMNS = ("CRPS fair", "MAE", "spread / skill", "CSI >= 16", "CSI >= 74", "CSI >= 133")


def run_demo(out: Path, console: Console) -> None:
    """Simulate, prepare, train, forecast, verify and draw; what an earlier run left finished is kept."""

    def step(command: str) -> None:
        console.print(f"\n$ nowcast {command}", style="bold", markup=False, highlight=False, soft_wrap=True)

    archive, store, run = out / "archive", out / "sevir.zarr", out / "run"
    step(f"simulate-sevir {archive} --events {EVENTS}")
    if not (archive / "CATALOG.csv").exists():
        simulate_archive(archive, events=EVENTS, seed=0, progress=lambda numbers: track(numbers, "simulate"))
    step(f"prepare-sevir {archive} {store} --workers 2")
    console.print(str(prepare(archive, store, protocol="sevir-128-10-10", workers=2)), soft_wrap=True)
    step(f"train demo --store {store} --run {run}")
    console.print(train(load_config("demo"), [store], run))

    scores = {}
    for name, model in {"predldm": str(run), **{name: name for name in REFERENCES}}.items():
        if name == "steps" and find_spec("pysteps") is None:
            console.print("\nsteps is left out: pysteps is not installed (pip install 'nowcast[steps]')")
            continue
        forecast = out / f"{name}.nc"
        step(f"forecast {model} {store} {forecast} --ensemble 100 --limit 1")
        if not forecast.exists():
            forecaster, described = load_forecaster(model)
            write_forecast(forecaster, store, forecast, Request(members=100, limit=1), described=described)
        step(f"verify {forecast} {store} --out {out / f'{name}-scores.nc'}")
        scores[name] = verify(forecast, store)
        save(scores[name], out / f"{name}-scores.nc", overwrite=True)
    console.print(_table({name: summary_row(result) for name, result in scores.items()}))

    picture = out / "map.png"
    step(f"plot {out / 'predldm.nc'} {picture} --store {store}")
    console.print(save_forecast_map(out / "predldm.nc", picture, store=store, overwrite=True))
    plot_scores(scores).savefig(out / "scores.png", dpi=120)
    console.print(out / "scores.png")
    console.print(_next_steps(store, run), markup=False, highlight=False, soft_wrap=True)


def _table(rows: dict[str, dict[str, float]]) -> Table:
    table = Table(title="A held-out event, 100 members, all leads (counts)")
    table.add_column("model", no_wrap=True)
    for heading in COLUMNS:
        table.add_column(heading, justify="right")
    for name, row in rows.items():
        table.add_row(name, *("-" if isnan(row[heading]) else f"{row[heading]:.3f}" for heading in COLUMNS))
    return table


def _next_steps(store: Path, run: Path) -> str:
    return f"""
Next, on your own SEVIR (CATALOG.csv and data/vil/ in one folder):
  nowcast prepare-sevir SEVIR sevir.zarr
  nowcast train predldm-small --store sevir.zarr --run run
  nowcast forecast run sevir.zarr forecast.nc --ensemble 100
  nowcast verify forecast.nc sevir.zarr --out scores.nc
  nowcast plot forecast.nc map.png --store sevir.zarr
What this made, in words: nowcast info {store}, nowcast info {run}"""
