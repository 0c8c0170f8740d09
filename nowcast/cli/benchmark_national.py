"""`nowcast benchmark national`: what an ensemble over a whole composite costs, beside pysteps in the same run."""

import os
import resource
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from nowcast.cli.console import bar


class NationalCost(NamedTuple):
    """The cost of an ensemble, from the history in memory until its members were made, the model's loading included.

    Attributes:
        cpu: CPU-seconds of all threads, per member.
        wall: Wall seconds.
        memory: Peak memory of the process in GiB.
    """

    cpu: float
    wall: float
    memory: float


def national(names: tuple[str, ...], members: int, source: Path | None) -> Table:
    """CPU-seconds per member, wall seconds and peak memory of some models on the newest ten frames of a composite.

    Args:
        names: The models, pysteps among them; each in a process of its own, one after another.
        members: Members of each.
        source: A file of radar; by default simulated storms of 640 x 710 pixels.

    Raises:
        InputError: when the file cannot be read.
    """
    from nowcast.forecasting.costs import alone
    from pipelines.simulation.composite import simulate_composite

    with tempfile.TemporaryDirectory() as folder:
        path = source or simulate_composite(Path(folder) / "composite.nc")
        costs, pixels = {}, ""
        for name in bar("benchmark, models")(names):
            costs[name], pixels = alone("cpu", measured, name, path, members)
    cores = f"{os.cpu_count()} cores"
    table = Table(title=f"{members} members of {pixels}, ten lead times, {cores}; ratios to pysteps in brackets")
    for heading in ("model", "CPU-s per member", "wall s", "peak GiB"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for name, cost in costs.items():
        ratios = [own / theirs for own, theirs in zip(cost, costs["pysteps"], strict=True)]
        table.add_row(name, *(f"{own:.2f} ({ratio:.2f})" for own, ratio in zip(cost, ratios, strict=True)))
    return table


def measured(name: str, path: Path, members: int) -> tuple[NationalCost, str]:
    """The cost of a model in this process, and the pixels of the domain in words."""
    from nowcast.data.conventions import ECHO
    from nowcast.data.conventions import lead_times as lead_times_of
    from nowcast.data.windows import history_of
    from nowcast.forecasting.cases import Request, find_cases
    from nowcast.forecasting.forecast import load_forecaster, member_batches
    from pipelines.store.schema import pixels

    cases = find_cases([path], (10, 10), Request(), lambda text: None)
    history = history_of(cases.store, cases.windows, cases.history).load()
    lead_times = lead_times_of(cases.store.attrs["cadence_minutes"], cases.lead)
    start = time.process_time(), time.perf_counter()
    forecaster, _ = load_forecaster(name, device="cpu")
    numbers, size = member_batches(forecaster, members, pixels(cases.store))
    ensemble = forecaster.begin(history, lead_times, 0)
    for first in range(0, members, size):
        ensemble.members(numbers[first : first + size])
    cpu, wall = time.process_time() - start[0], time.perf_counter() - start[1]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    wet = float((history[0, -1] >= ECHO).mean())
    said = f"{history.sizes['y']} x {history.sizes['x']} ({wet:.0%} with echo)"
    return NationalCost(cpu / members, wall, memory), said
