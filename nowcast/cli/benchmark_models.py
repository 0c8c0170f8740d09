"""The benchmark of trainable models: the cost of a training step and of a forecast, at published sizes.

A training step is the loss of one window of random counts, its gradient, the optimiser and the averaged weights. A
forecast is one member of one case (nowcast.forecasting.costs).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.table import Table

from nowcast.cli.console import bar
from nowcast.cli.models import published
from pipelines.errors import InputError

if TYPE_CHECKING:
    from nowcast.training.config import RunConfig

_HEADINGS = ("model", "M parameters", "training step, s", "GiB", "forecast, s", "GiB", "GFLOP")


class StepCost(NamedTuple):
    """Seconds of a training step, and peak memory in GiB of the process, or of the GPU where one is used."""

    seconds: float
    memory: float


def published_configs() -> "list[RunConfig]":
    """The configurations of all trainable models of the table at their published sizes."""
    from nowcast.models import MODELS, is_trainable, model_class

    return [config for name in MODELS if is_trainable(model_class(name)) and (config := published(name))]


def model_costs(configs: "Sequence[RunConfig]", store: Path, device: str) -> Table:
    """The costs of the networks of some configurations, one line each; a cell is - where memory is too short.

    Args:
        configs: The configurations.
        store: A store with a test case.
        device: cpu or cuda.
    """
    from nowcast.forecasting.costs import alone, cost

    table = Table(title=f"one window per training step, one member per forecast, on {device}")
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for config in bar("benchmark, models")(configs):
        cells, failed = [config.model, _millions(config)], ""
        for names, measure in (
            (("seconds", "memory"), lambda of: alone(device, training_step, of, device)),
            (("seconds", "memory", "gflops"), lambda of: cost(of.model, of.network, store, device)),
        ):
            try:
                made = measure(config)
                cells += [f"{getattr(made, name):.2f}" for name in names]
            except InputError as error:
                cells, failed = [*cells, *["-"] * len(names)], str(error)
        table.add_row(*cells)
        if failed:
            table.caption = f"{table.caption or ''} {config.model}: {failed}.".strip()
    return table


def _millions(config: "RunConfig") -> str:
    from nowcast.cli.models import outline

    return f"{sum(p.numel() for p in outline(config).parameters()) / 1e6:.2f}"


def training_step(config: "RunConfig", device: str) -> StepCost:
    """The cost of a step of the last stage of a configuration, on a batch of one window."""
    import torch
    from torch.optim.swa_utils import AveragedModel

    from nowcast.forecasting.costs import fastest, peak_memory
    from nowcast.models import build_network
    from nowcast.models.device import multiplies_bf16
    from nowcast.models.network import Draws
    from nowcast.training.optimizers import build_optimizers

    network = build_network(config.model, config.network, pretrained=False).to(device).requires_grad_(False).eval()
    name, trained_as = list(config.stages.items())[-1]
    stage = network.stages[name]
    trained = stage.trained.requires_grad_(True).train()
    optimizers = build_optimizers(trained_as.optimizer, trained, trained_as.rate)
    average = AveragedModel(trained)
    batch = _window(network.settings).to(torch.device(device))

    def step() -> None:
        with torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=multiplies_bf16(device)):
            loss = stage.loss(batch, Draws([[torch.Generator().manual_seed(0)]], 0.5))["loss"]
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        average.update_parameters(trained)

    return StepCost(fastest(step), peak_memory(device))


def _window(settings: Any) -> Any:
    """One training window of random counts, all observed, with the first guesses that the settings ask for."""
    import numpy as np

    from nowcast.models.frames import clip_of
    from nowcast.models.network import Batch

    colours = (settings.channels,) if settings.channels > 1 else ()
    shape = (1, settings.history + settings.lead, *colours, settings.side, settings.side)
    counts, seen = np.random.default_rng(0).integers(0, 255, shape).astype("float32"), np.ones(shape, bool)
    past, ahead = slice(None, settings.history), slice(settings.history, None)
    history, future = (clip_of(counts[:, part], seen[:, part], settings.frame_scale) for part in (past, ahead))
    return Batch(history._replace(guess=settings.guess(counts[:, past], seen[:, past], 5.0, 3.0)), future)
