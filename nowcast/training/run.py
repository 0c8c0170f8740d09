"""One training loop for every stage of every network.

Everything random is a function of the seed and of the number of steps done: the order and turning of windows
(`TrainingWindows`), and masks, times and noise (one CPU generator a step). The learning rate and the averaging are
functions of the step too. So twenty steps are the same twenty steps whether or not the run was stopped after ten.
"""

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import Accelerator
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from nowcast.data.seeds import integer_seed
from nowcast.models import build_network
from nowcast.models.checkpoint import (
    MODEL_FILE,
    STATE_FILE,
    checkpoint_path,
    load_tensors,
    load_weights,
    read_header,
    save_tensors,
)
from nowcast.models.device import best_device, multiplies_bf16
from nowcast.models.network import Batch, Network
from nowcast.training.config import RunConfig, StageConfig
from nowcast.training.data import FEW_BATCHES, TrainingData, fingerprint
from nowcast.training.optimizers import build_optimizers
from nowcast.training.record import Metrics
from nowcast.training.windows import channels_of
from pipelines.errors import InputError

logger = logging.getLogger(__name__)


class TrainingStoppedError(RuntimeError):
    """The loss is no longer a number; the last checkpoint stands."""


def train(
    config: RunConfig,
    stores: Sequence[Path],
    run: Path,
    *,
    stage: str = "all",
    init: str | None = None,
    device: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Train the stages of a network, going on from where the run folder stands.

    Args:
        config: The resolved configuration.
        stores: Archive stores, at least one with a training and one with a validation split.
        run: Run folder: config.yaml, metrics.jsonl, samples/, model.safetensors, state.safetensors.
        stage: One stage of the network, or "all" that the configuration sets.
        init: Run folder, checkpoint or name of shipped weights to begin with; the configuration's network settings
            then stand over its own.
        device: "cpu", "cuda", or None for the best there is.
        overwrite: Start anew where the run folder is of another configuration or other stores.

    Returns:
        The path of model.safetensors.

    Raises:
        InputError: for an unknown stage, one that must come after another, or a run folder of another configuration or
            of other stores.
        TrainingStoppedError: when the loss is not finite.
    """
    device = best_device(device)
    accelerator = Accelerator(mixed_precision="bf16" if multiplies_bf16(device) else "no", cpu=device == "cpu")
    torch.manual_seed(integer_seed(config.seed, "weights"))
    if init:
        config = _over(config, init)
    if (channels := channels_of(stores)) != config.network.get("channels", 1):
        config = config.model_copy(update={"network": {**config.network, "channels": channels}})
    network = build_network(config.model, config.network, pretrained=init is None)
    stages = _chosen_stages(stage, network, config)
    begun = _goes_on(run, config, fingerprint(stores), overwrite)
    done = _load_model(run / MODEL_FILE, network) if begun else []
    if not done and init:
        done = [name for name in _load_model(checkpoint_path(init), network) if name not in config.stages]
    earlier = network.stages[: network.stages.index(stages[0])]
    if missing := [name for name in earlier if name not in done and (name in config.stages or not done)]:
        raise InputError(f"stage {stages[0]} comes after {', '.join(missing)}", remedy="--init RUN, or predldm")
    data = TrainingData(config, network, stores, accelerator)
    _claim_folder(run, config, begun)
    for name in stages:
        if name not in done:
            _StageRun(config, name, network, data, run, accelerator, done).complete()
            done = [*done, name]
    return run / MODEL_FILE


def learning_rate(settings: StageConfig, step: int) -> float:
    """The rate of step 0, 1, ...: linear warm-up, then constant or a half cosine down to zero."""
    warm = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    if settings.schedule == "constant":
        return settings.rate * warm
    fraction = max(0, step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.rate * warm * 0.5 * (1 + math.cos(math.pi * fraction))


def _goes_on(run: Path, config: RunConfig, data: str, overwrite: bool) -> bool:
    """Whether the run folder holds the beginning of this training; one of another is to be begun anew, or refused."""
    begun = [run / name for name in (MODEL_FILE, STATE_FILE) if (run / name).is_file()]
    if not begun:
        return False
    if yaml.safe_load((run / "config.yaml").read_text()) != config.model_dump(mode="json"):
        other = "holds another configuration"
    elif any(read_header(path).get("data", data) != data for path in begun):
        other = "was trained on other stores"
    else:
        return True
    if not overwrite:
        raise InputError(f"run folder {run} {other}", remedy="take another one or --overwrite")
    return False


def _claim_folder(run: Path, config: RunConfig, begun: bool) -> None:
    if not begun:
        for name in (MODEL_FILE, STATE_FILE, "metrics.jsonl"):
            (run / name).unlink(missing_ok=True)
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def _chosen_stages(stage: str, network: Network, config: RunConfig) -> list[str]:
    chosen = list(config.stages) if stage == "all" else [stage]
    unknown = [name for name in chosen if name not in network.stages or name not in config.stages]
    if unknown or not chosen:
        raise InputError(
            f"no stage {unknown[0]!r}" if unknown else "the configuration sets no stage",
            expected=f"one of {', '.join(network.stages)} that the config sets",
        )
    return sorted(chosen, key=network.stages.index)


def _over(config: RunConfig, init: str) -> RunConfig:
    """The configuration with the network of a checkpoint, but for what it sets itself."""
    network = read_header(checkpoint_path(init))["config"]["network"]
    return config.model_copy(update={"network": {**network, **config.network}})


def _load_model(path: Path, network: Network) -> list[str]:
    """Fill the network with a checkpoint, and name its finished stages."""
    if not path.is_file():
        return []
    load_weights(network, load_tensors(path), path)
    return list(read_header(path)["stages"])


class _StageLoss(nn.Module):
    """A stage of a network as one module whose forward pass is its loss, as data parallelism wants it."""

    def __init__(self, network: Network, stage: str):
        super().__init__()
        self.network, self.stage = network, stage

    def forward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return self.network.loss(self.stage, batch, generator)


class _StageRun:
    """One stage from its first or last saved step to its end."""

    def __init__(
        self,
        config: RunConfig,
        stage: str,
        network: Network,
        data: TrainingData,
        run: Path,
        accelerator: Accelerator,
        done: list[str],
    ):
        self.config, self.stage, self.settings = config, stage, config.stages[stage]
        self.network, self.data, self.run, self.accelerator, self.done = network, data, run, accelerator, done
        network.to(accelerator.device)
        self.trained = nn.ModuleList(network.trained_modules(stage))
        network.requires_grad_(False).eval()
        self.trained.requires_grad_(True)
        self.optimizers = build_optimizers(self.settings.optimizer, self.trained, self.settings.rate)
        self.average = AveragedModel(self.trained, avg_fn=_averaging(self.settings.ema))
        self.metrics = Metrics(run, data.video_range)
        self.step = 0

    def complete(self) -> None:
        """Run all steps that are left, then leave the averaged weights in the network and in model.safetensors."""
        if not self._resume():
            batches = self.data.training(0, self.settings.batch)
            self.network.begin(self.stage, (next(batches) for _ in range(FEW_BATCHES)))
        self.metrics.cut(self.stage, self.step)
        loss, *self.optimizers = self.accelerator.prepare(_StageLoss(self.network, self.stage), *self.optimizers)
        batches = self.data.training(self.step, self.settings.batch)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, disable=not self.accelerator.is_main_process) as progress:
            task = progress.add_task(self.stage, total=self.settings.steps, completed=self.step)
            while self.step < self.settings.steps:
                value = self._one_step(loss, next(batches))
                progress.update(task, completed=self.step, description=f"{self.stage} loss {value:.4f}")
                if self.step % self.settings.validate_every == 0 or self.step == self.settings.steps:
                    self._validate()
                    self._save_state()
        self._use_average()
        self._save_model()

    def _one_step(self, loss: nn.Module, batch: Batch) -> float:
        self.trained.train()
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = learning_rate(self.settings, self.step)
        with self.accelerator.autocast():
            parts = loss(batch, self._generator("step", self.step))
        value = parts["loss"].item()
        if not math.isfinite(value):
            raise TrainingStoppedError(
                f"the loss of stage {self.stage} is {value} at step {self.step}; the last good checkpoint is kept in "
                f"{self.run}; lower the rate (stages.{self.stage}.rate) and run again"
            )
        self.accelerator.backward(parts["loss"])
        norm = self.accelerator.clip_grad_norm_(self.trained.parameters(), self.settings.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.average.update_parameters(self.trained)
        self.step += 1
        detached = {key: part.detach() for key, part in parts.items()}
        self._log(detached, gradient_norm=norm, rate=learning_rate(self.settings, self.step - 1))
        return value

    @torch.no_grad()
    def _validate(self) -> None:
        """Loss and a picture of samples of the averaged weights on the validation split."""
        raw = {name: tensor.clone() for name, tensor in self.trained.state_dict().items()}
        self._use_average()
        batches = self.data.validation(self.settings.batch)
        with self.accelerator.autocast():
            totals: dict[str, Tensor] = {}
            for number, batch in enumerate(batches):
                for key, part in self.network.loss(self.stage, batch, self._generator("validation", number)).items():
                    totals[key] = totals.get(key, 0) + part / len(batches)
            preview = self.network.preview(self.stage, batches[0], self._generator("preview"))
        self._log({f"val_{key}": total for key, total in totals.items()})
        if self.accelerator.is_main_process:
            self.metrics.picture(self.stage, self.step, batches[0], preview)
        self.trained.load_state_dict(raw)

    def _generator(self, *keys: str | int) -> torch.Generator:
        rank = self.accelerator.process_index
        return torch.Generator().manual_seed(integer_seed(self.config.seed, self.stage, *keys, rank))

    def _log(self, values: dict[str, Any], **more: Any) -> None:
        if self.accelerator.is_main_process:
            self.metrics.write(self.stage, self.step, {**values, **more})

    def _use_average(self) -> None:
        self.trained.load_state_dict(self.average.module.state_dict())
        self.trained.eval()

    def _header(self, stages: list[str]) -> dict[str, Any]:
        return {"config": self.config.model_dump(mode="json"), "stages": stages, "data": self.data.fingerprint}

    def _save_model(self) -> None:
        if self.accelerator.is_main_process:
            save_tensors(self.run / MODEL_FILE, self.network.state_dict(), self._header([*self.done, self.stage]))
            (self.run / STATE_FILE).unlink(missing_ok=True)

    def _save_state(self) -> None:
        if not self.accelerator.is_main_process:
            return
        parts = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            **{
                f"optimizer.{kind}.{n}": state
                for kind, optimizer in enumerate(self.optimizers)
                for n, state in optimizer.state_dict()["state"].items()
            },
        }
        tensors = {f"{part}/{name}": tensor for part, state in parts.items() for name, tensor in state.items()}
        header = {**self._header(self.done), "stage": self.stage, "step": self.step}
        save_tensors(self.run / STATE_FILE, tensors, header)

    def _resume(self) -> bool:
        path = self.run / STATE_FILE
        header = read_header(path) if path.is_file() else {}
        if header.get("stage") != self.stage:
            return False
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in load_tensors(path).items():
            part, _, key = name.partition("/")
            parts.setdefault(part, {})[key] = tensor
        load_weights(self.network, parts.pop("network"), path)
        self.average.load_state_dict(parts.pop("average"))
        for kind, optimizer in enumerate(self.optimizers):
            prefix = f"optimizer.{kind}."
            state = {int(part.removeprefix(prefix)): parts[part] for part in parts if part.startswith(prefix)}
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        self.step = header["step"]
        return True


def _averaging(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Exponential averaging whose decay grows to `decay` as (1 + n) / (10 + n), so that short runs average too."""

    def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        weight = min(decay, (1 + int(count)) / (10 + int(count)))
        return averaged.lerp(current.to(averaged.dtype), 1 - weight)

    return average
