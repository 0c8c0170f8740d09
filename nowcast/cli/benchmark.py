"""`nowcast benchmark`: seconds and memory of forecasts on this machine, beside those of pysteps in the same run."""

import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.table import Table

from nowcast.cli.benchmark_models import model_costs, published_configs
from nowcast.cli.benchmark_national import national
from nowcast.cli.console import bar
from pipelines.errors import InputError

_ENSEMBLES = ("corrector", "predldm", "steps", "pysteps")
_RUNS = 3  # the fastest counts: other work on the machine can only add time


def ensemble_cpu(members: int) -> Table:
    """Seconds and peak memory of an ensemble of each model of `_ENSEMBLES`: one case of 128 x 128, ten lead times.

    Each runs in a process of its own and is timed from the history in memory to the members in memory. Loading the
    model and a first run are not counted.
    """
    from nowcast.forecasting.costs import alone

    with tempfile.TemporaryDirectory() as folder:
        store = _simulated(Path(folder), events=1)
        costs = {name: alone("cpu", _cost, name, store, members) for name in bar("benchmark, models")(_ENSEMBLES)}
    table = Table(title=f"{members} members of 128 x 128, ten lead times, {os.cpu_count()} cores")
    for heading in ("model", "seconds", "of pysteps", "peak MiB"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for name, (seconds, memory) in costs.items():
        table.add_row(name, f"{seconds:.2f}", f"{seconds / costs['pysteps'][0]:.2f}", f"{memory:.0f}")
    return table


def models(device: str | None) -> Table:
    """Seconds and peak memory of a training step and a forecast of every trainable model, at its published size."""
    from nowcast.models.device import best_device

    with tempfile.TemporaryDirectory() as folder:
        store = _simulated(Path(folder), events=4)  # so that there is a test case
        return model_costs(published_configs(), store, best_device(device))


BENCHMARKS: dict[str, Callable[[int, str | None, Path | None], Table]] = {
    "ensemble-cpu": lambda members, device, source: ensemble_cpu(members),
    "national": lambda members, device, source: national(_ENSEMBLES, members, source),
    "models": lambda members, device, source: models(device),
}


def run_benchmark(name: str, members: int, device: str | None = None, source: Path | None = None) -> Table:
    """Run a benchmark of the table.

    Args:
        name: ensemble-cpu, national or models.
        members: Of ensemble-cpu and national.
        device: Of models: cpu, cuda, or None for the best there is.
        source: Of national: a file of radar instead of simulated storms.

    Raises:
        InputError: for an unknown name, and a file where the benchmark takes none.
    """
    if name not in BENCHMARKS:
        raise InputError(f"no benchmark {name!r}", expected=f"one of {', '.join(BENCHMARKS)}")
    if source and name != "national":
        raise InputError(f"the benchmark {name} reads no file", got=source, remedy="say national")
    return BENCHMARKS[name](members, device, source)


def _simulated(folder: Path, events: int) -> Path:
    from pipelines.sevir.prepare import prepare
    from pipelines.simulation.storms import simulate_archive

    archive = simulate_archive(folder / "archive", events=events, seed=0)
    prepare(archive, folder / "store.zarr", protocol="sevir-128-10-10", tell=lambda text: None)
    return folder / "store.zarr"


def _cost(name: str, store: Path, members: int) -> tuple[float, float]:
    """Seconds of the fastest run, and peak memory of this process in MiB."""
    from nowcast.data.conventions import lead_times as lead_times_of
    from nowcast.data.windows import find_windows, history_of
    from nowcast.forecasting.forecast import load_forecaster
    from pipelines.store.schema import open_store

    dataset = open_store(store)
    window = find_windows(dataset, history=10, lead=10, stride=10)[0]
    history = history_of(dataset, [window], 10).load()
    lead_times = lead_times_of(dataset.attrs["cadence_minutes"], 10)
    seconds = []
    for run in range(_RUNS + 1):
        forecaster, _ = load_forecaster(name, device="cpu")  # anew, so that nothing kept of a case goes uncounted
        size = forecaster.member_batch or members
        start = time.perf_counter()
        ensemble = forecaster.begin(history, lead_times, run)
        for first in range(0, members, size):
            ensemble.members(range(first, min(first + size, members)))
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
