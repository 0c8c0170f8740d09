"""`nowcast demo`: every step from a simulated archive to scores and a map, shown as the command that does it."""

from collections.abc import Callable
from importlib.util import find_spec
from math import isnan
from pathlib import Path

import xarray as xr
from rich.console import Console
from rich.table import Table

from nowcast.cli.console import bar, note, tell
from nowcast.forecasting.forecast import Request, load_forecaster, write_forecast
from nowcast.plots.curves import plot_scores
from nowcast.plots.maps import save_forecast_map
from nowcast.report import write_report
from nowcast.report.nowcast_page import write_page
from nowcast.training.config import load_config
from nowcast.training.run import train
from nowcast.verification import save, scores_of, states, summary_row
from pipelines.sevir.prepare import prepare
from pipelines.simulation.storms import simulate_archive
from pipelines.store.whole import whole

EVENTS, EVENTS_TO_TRAIN_ON = 8, 24
REFERENCES = ("persistence", "advection", "sprog", "steps", "pysteps")
COLUMNS = ("CRPS fair", "MAE", "spread / skill", "CSI >= 16", "CSI >= 74", "CSI >= 133")


def run_demo(out: Path, console: Console, *, with_training: bool = False) -> None:
    """Simulate an archive, prepare it, forecast, verify and draw. Forecasts of an earlier run are kept.

    Args:
        out: Folder for all outputs.
        console: Console that the commands and their results are printed on.
        with_training: Train a small model, and forecast with it instead of the weights of the package.
    """

    def step(command: str) -> None:
        console.print(f"\n$ nowcast {command}", style="bold", markup=False, highlight=False, soft_wrap=True)

    archive, store, run = out / "archive", out / "sevir.zarr", out / "run"
    events = EVENTS_TO_TRAIN_ON if with_training else EVENTS
    step(f"simulate-sevir {archive} --events {events}")
    if not (archive / "CATALOG.csv").exists():
        simulate_archive(archive, events=events, seed=0, progress=bar("simulate, events"))
    step(f"prepare-sevir {archive} {store} --workers 2")
    tell(prepare(archive, store, protocol="sevir-128-10-10", workers=2, tell=tell))
    if with_training:
        step(f"train demo --store {store} --run {run}")
        tell(train(load_config("demo"), [store], run))
    forecast, *references = _forecasts(str(run) if with_training else "predldm", store, out, step)
    _score(forecast, references, store, out, console, step)
    step(f"plot {forecast} {out / 'map.png'} --store {store}")
    tell(save_forecast_map(forecast, out / "map.png", store=store, overwrite=True))
    step(f"page {forecast} --store {store} --out {out / 'nowcast.html'}")
    tell(write_page(forecast, out / "nowcast.html", store=store, overwrite=True))
    tell(_next_steps(store, forecast))


def _forecasts(model: str, store: Path, out: Path, step: Callable[[str], None]) -> list[Path]:
    """The forecast files of a model and of its references, one case each."""
    files = []
    for name in (model, *REFERENCES):
        if name == "pysteps" and find_spec("pysteps") is None:
            tell("\npysteps is left out, since it is not installed: pip install pysteps")
            continue
        files.append(out / f"{Path(name).name}.nc")
        step(f"forecast {name} {store} {files[-1]} --limit 1")
        if not files[-1].exists():
            forecaster, described = load_forecaster(name)
            write_forecast(
                forecaster,
                store,
                files[-1],
                Request(limit=1),
                described=described,
                tell=note,
                progress=bar("forecast, batches of members"),
            )
    return files


def _score(
    forecast: Path, references: list[Path], store: Path, out: Path, console: Console, step: Callable[[str], None]
) -> None:
    """Score the forecasts: a table, a score file, a picture and a page."""
    named = "".join(f" --reference {file}" for file in references)
    step(f"verify {forecast} {store}{named} --out {out / 'scores.nc'} --report {out / 'page'}")
    sums = states(forecast, store, reference=references)
    scores = scores_of(sums)
    parts = {file.stem: part for file, part in zip((forecast, *references), _parts(scores), strict=True)}
    console.print(_table({name: summary_row(part) for name, part in parts.items()}))
    tell(save(scores, out / "scores.nc", overwrite=True))
    with whole(out / "scores.png") as growing:
        plot_scores(parts).savefig(growing, dpi=120)
    tell(out / "scores.png")
    tell(write_report(out / "page", sums, scores, forecast=forecast, store=store, reference=references, overwrite=True))


def _parts(scores: xr.Dataset) -> list[xr.Dataset]:
    """The scores of the forecast and of each reference."""
    return [scores.sel(forecast=role) for role in scores["forecast"].values]


def _table(rows: dict[str, dict[str, float]]) -> Table:
    table = Table(
        title="One held-out event, all lead times, errors in counts",
        caption="persistence, advection and sprog have one member: their CRPS is their MAE; "
        "CSI of an ensemble is that of its mean",
    )
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
  nowcast page forecast.nc --store sevir.zarr --out nowcast.html
To read about the results: nowcast info {store}, nowcast info {forecast}"""
