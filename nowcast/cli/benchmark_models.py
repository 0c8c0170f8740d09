"""The benchmark of trainable models: seconds and peak memory of a training step and a forecast, at published sizes.

A training step is the loss of one window, its gradient, the optimiser and the averaged weights. A forecast is one
member of one case. Both are of random frames in memory. A network that is sampled in many steps is timed in one and in
two of them, whose difference is the time of each further one.
"""

import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.table import Table

from nowcast.cli.console import bar
from nowcast.cli.models import outline, published

if TYPE_CHECKING:
    from nowcast.models.network import Network
    from nowcast.training.config import RunConfig

_RUNS, _ENOUGH_S = 3, 20.0  # the fastest of so many runs counts, or of as many as take so long
_GIB = 2**30


class Cost(NamedTuple):
    """Seconds, and peak memory in GiB of the process, or of the GPU where one is used."""

    seconds: float
    memory: float


def model_costs(device: str | None = None) -> Table:
    """The costs of every trainable model of the table that has a configuration, on cpu, cuda or the best there is."""
    from nowcast.models import MODELS, is_trainable, model_class
    from nowcast.models.device import best_device

    configs = [config for name in MODELS if is_trainable(model_class(name)) and (config := published(name))]
    return costs_of(configs, best_device(device))


def costs_of(configs: "Sequence[RunConfig]", device: str) -> Table:
    """The costs of the networks of some configurations, one line each; a cell is empty where memory is too short."""
    table = Table(
        title=f"one window per training step, one member per forecast, {device}",
        caption=f"memory for either: {_available(device) / _GIB:.1f} GiB; - does not fit; sampled forecasts are "
        "extrapolated from two steps",
    )
    for heading in ("model", "parameters", "training step, s", "GiB", "forecast, s", "GiB"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for config in bar("benchmark, models")(configs):
        costs = [in_a_process(measure, config, device) for measure in (_training_step, _forecast)]
        size = sum(p.numel() for p in outline(config).parameters())
        cells = [cell for cost in costs for cell in (("-", "-") if cost is None else (f"{n:.2f}" for n in cost))]
        table.add_row(config.model, f"{size:,}", *cells)
    return table


def in_a_process(
    measure: "Callable[[RunConfig, str], float]", config: "RunConfig", device: str, memory: float | None = None
) -> Cost | None:
    """The cost of what is measured, in a process of its own; None where it does not fit in memory.

    Args:
        measure: A function of a configuration and a device that gives seconds.
        config: The configuration.
        device: cpu or cuda.
        memory: Bytes that the process may use; by default what is free.
    """
    limit = int(memory or _available("cpu"))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        try:
            return process.submit(_measured, measure, config, device, limit).result()
        except BrokenProcessPool:
            return None


def _measured(
    measure: "Callable[[RunConfig, str], float]", config: "RunConfig", device: str, limit: int
) -> Cost | None:
    import torch

    if device == "cpu":
        resource.setrlimit(
            resource.RLIMIT_DATA, (limit, limit)
        )  # an error in here rather than a machine without memory
    try:
        seconds = measure(config, device)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "memory" in str(error) or "alloc" in str(error):
            return None
        raise
    if device == "cpu":
        return Cost(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _GIB)
    return Cost(seconds, torch.cuda.max_memory_allocated() / _GIB)


def _available(device: str) -> int:
    """Bytes of memory that are free."""
    import psutil
    import torch

    return psutil.virtual_memory().available if device == "cpu" else torch.cuda.mem_get_info()[0]


def _network(config: "RunConfig") -> "Network":
    from nowcast.models import build_network

    return build_network(config.model, config.network, pretrained=False)


def _training_step(config: "RunConfig", device: str) -> float:
    """Seconds of a step of the last stage on a batch of one window."""
    import torch
    from torch.optim.swa_utils import AveragedModel

    from nowcast.models.device import multiplies_bf16
    from nowcast.models.frames import clip_of
    from nowcast.models.network import Batch, Draws
    from nowcast.training.optimizers import build_optimizers

    network = _network(config).to(device).requires_grad_(False).eval()
    settings, (name, trained_as) = network.settings, list(config.stages.items())[-1]
    counts, seen = _frames(settings, settings.history + settings.lead)
    history, future = (
        clip_of(counts[:, part], seen[:, part], settings.frame_scale)
        for part in (slice(settings.history), slice(settings.history, None))
    )
    guess = settings.guess(counts[:, : settings.history], seen[:, : settings.history], 5.0, 3.0)
    batch = Batch(history._replace(guess=guess), future).to(torch.device(device))
    stage = network.stages[name]
    trained = stage.trained.requires_grad_(True).train()
    optimizers = build_optimizers(trained_as.optimizer, trained, trained_as.rate)
    average = AveragedModel(trained)

    def step() -> None:
        with torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=multiplies_bf16(device)):
            loss = stage.loss(batch, Draws([[torch.Generator().manual_seed(0)]], 0.5))["loss"]
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        average.update_parameters(trained)

    return _fastest(step, device)


def _forecast(config: "RunConfig", device: str) -> float:
    """Seconds of one member of one case."""
    from nowcast.models.forecaster import Cases
    from nowcast.models.trained import TrainedForecaster

    network = _network(config)
    settings = network.settings
    forecaster = TrainedForecaster(network, device)
    cases = Cases(*_frames(settings, settings.history), ("benchmark",), 5.0)

    def seconds() -> float:
        return _fastest(lambda: forecaster.prepare(cases, settings.lead, 0)([0]), device)

    sampling = getattr(settings, "sampling", None)
    if sampling is None or sampling.steps <= 2:
        return seconds()
    one, two = (_with_steps(network, steps, seconds) for steps in (1, 2))
    return one + (sampling.steps - 1) * (two - one)


def _with_steps(network: "Network", steps: int, measure: Callable[[], float]) -> float:
    sampling = network.settings.sampling.model_copy(update={"steps": steps})
    network.settings = network.settings.model_copy(update={"sampling": sampling})
    return measure()


def _frames(settings: Any, length: int) -> tuple[Any, Any]:
    """Random counts of one case, (1, length, [channel,] y, x), and where they are observed: everywhere."""
    import numpy as np

    colours = (settings.channels,) if settings.channels > 1 else ()
    shape = (1, length, *colours, settings.side, settings.side)
    counts = np.random.default_rng(0).integers(0, 255, shape).astype("float32")
    return counts, np.ones(shape, bool)


def _fastest(action: Callable[[], object], device: str) -> float:
    import torch

    seconds: list[float] = []
    while len(seconds) < _RUNS and sum(seconds) < _ENOUGH_S:
        start = time.perf_counter()
        action()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
