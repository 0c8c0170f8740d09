"""One training loop for every stage of every network.

Everything random is a function of the seed and of a sample's number: its window and orientation (`TrainingWindows`),
and its masks, times and noise (one CPU generator per sample and step). The learning rate and the averaging are
functions of the step. So twenty steps are the same twenty steps whether or not the run was stopped after ten, and two
processes that share a batch take the steps of one.
"""

import logging
import math
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from accelerate import Accelerator
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from nowcast.data.seeds import integer_seed
from nowcast.models.checkpoint import MODEL_FILE, STATE_FILE, load_tensors, load_weights, read_header, save_tensors
from nowcast.models.network import Batch, Draws, Network, Stage
from nowcast.training.config import RunConfig, StageConfig
from nowcast.training.data import TrainingData
from nowcast.training.optimizers import build_optimizers
from nowcast.training.record import Metrics
from pipelines.errors import InputError

logger = logging.getLogger(__name__)

SAVE_EVERY_S = 120.0
_STATE_FORMAT = 2  # of state.safetensors
_CONSOLE = Console(stderr=True)


class TrainingStoppedError(RuntimeError):
    """The loss is no longer a number; the last checkpoint stands."""


class TrainingInterrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM came, and the state is saved."""


def learning_rate(settings: StageConfig, step: int) -> float:
    """The rate of step 0, 1, ...: linear warm-up, then constant or a half cosine down to zero."""
    warm = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    if settings.schedule == "constant":
        return settings.rate * warm
    fraction = max(0, step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.rate * warm * 0.5 * (1 + math.cos(math.pi * fraction))


@contextmanager
def noticing_signals() -> Iterator[Callable[[], bool]]:
    """Yields whether SIGINT or SIGTERM has come; a second one stops at once."""
    came: list[int] = []
    before: dict[int, Any] = {}

    def notice(number: int, frame: Any) -> None:
        came.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    try:
        for number in map(int, (signal.SIGINT, signal.SIGTERM)):
            before[number] = signal.signal(number, notice)
    except ValueError:  # not the main thread, which alone is told of signals
        before.clear()
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _StageLoss(nn.Module):
    """A stage as one module whose forward pass is its loss, as data parallelism wants it."""

    def __init__(self, stage: Stage):
        super().__init__()
        self.trained, self._stage = stage.trained, stage

    def forward(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        return self._stage.loss(batch, draws)


class StageRun:
    """One stage from its first or last saved step to its end."""

    def __init__(
        self,
        config: RunConfig,
        name: str,
        network: Network,
        data: TrainingData,
        run: Path,
        accelerator: Accelerator,
        done: Sequence[str],
    ):
        self.config, self.name, self.settings = config, name, config.stages[name]
        self.network, self.data, self.run, self.accelerator, self.done = network, data, run, accelerator, done
        self.stage = network.stages[name]
        network.to(accelerator.device)
        if self.stage.auxiliary is not None:
            self.stage.auxiliary.to(accelerator.device).requires_grad_(False).eval()
        self.trained = self.stage.trained
        network.requires_grad_(False).eval()
        self.trained.requires_grad_(True)
        self.optimizers = build_optimizers(self.settings.optimizer, self.trained, self.settings.rate)
        self.average = AveragedModel(self.trained, avg_fn=_averaging(self.settings.ema))
        self.metrics = Metrics(run, network.settings.frame_scale, data.video_range)
        self.step, self.saved = 0, monotonic()

    def complete(self) -> None:
        """Run all steps that are left, then leave the averaged weights in the network and in model.safetensors.

        Raises:
            TrainingStoppedError: when the loss is not finite, in any process.
            TrainingInterrupted: on SIGINT or SIGTERM.
        """
        if self._resume():
            self._say(f"stage {self.name} is resumed at step {self.step} of {self.settings.steps}")
        else:
            self.stage.begin(self.data.measuring(self.settings.batch))
        if self.accelerator.is_main_process:
            self.metrics.cut(self.name, self.step)
        loss, *self.optimizers = self.accelerator.prepare(_StageLoss(self.stage), *self.optimizers)
        batches = self.data.training(self.step, self.settings.batch)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        disable = not (self.accelerator.is_main_process and _CONSOLE.is_terminal)
        with Progress(*columns, console=_CONSOLE, disable=disable) as progress, noticing_signals() as told:
            task = progress.add_task(self.name, total=self.settings.steps, completed=self.step)
            while self.step < self.settings.steps:
                value = self.one_step(loss, next(batches))
                progress.update(task, completed=self.step, description=f"{self.name} loss {value:.4f}")
                self._keep(told)
        self._use_average()
        self._save_model()

    def one_step(self, loss: nn.Module, batch: Batch) -> float:
        """One step of the optimisers; returns the loss."""
        self.trained.train()
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = learning_rate(self.settings, self.step)
        with self.accelerator.autocast():
            parts = loss(batch, self._draws(self.data.numbers(self.step, self.settings.batch), "step"))
        logged = {key: self.accelerator.reduce(part.detach(), "mean") for key, part in parts.items()}
        value = logged["loss"].item()  # the same in all processes, which so stop together
        if not math.isfinite(value):
            raise TrainingStoppedError(
                f"the loss of stage {self.name} is {value} at step {self.step}; the last good checkpoint is kept in "
                f"{self.run}; lower the rate (stages.{self.name}.rate) and run again"
            )
        self.accelerator.backward(parts["loss"])
        norm = self.accelerator.clip_grad_norm_(self.trained.parameters(), self.settings.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.average.update_parameters(self.trained)
        self.step += 1
        self._log(logged, gradient_norm=norm, rate=learning_rate(self.settings, self.step - 1))
        return value

    def _keep(self, told: Callable[[], bool]) -> None:
        """Validate and save where it is time to, or where a process has been told to stop, then or meanwhile."""
        if self.step % self.settings.validate_every == 0 or self.step == self.settings.steps:
            self._validate()
            self.save_state()
        wishes = [float(told()), float(monotonic() - self.saved > SAVE_EVERY_S)]
        stop, save = self.accelerator.reduce(torch.tensor(wishes, device=self.accelerator.device), "sum").tolist()
        if (stop or save) and self.step < self.settings.steps:
            self.save_state()
            if not _CONSOLE.is_terminal:
                self._say(f"stage {self.name}: step {self.step} of {self.settings.steps}")
        if stop:
            raise TrainingInterrupted(
                f"stopped at step {self.step} of {self.settings.steps} of stage {self.name}; saved; "
                "run the same command to resume"
            )

    @torch.no_grad()
    def _validate(self) -> None:
        """Loss and a picture of samples of the averaged weights on the validation split."""
        raw = {name: tensor.clone() for name, tensor in self.trained.state_dict().items()}
        self._use_average()
        batches = self.data.validation(self.settings.batch)
        with self.accelerator.autocast():
            totals: dict[str, Tensor] = {}
            for numbers, batch in batches:
                for key, part in self.stage.loss(batch, self._draws(numbers, "validation")).items():
                    totals[key] = totals.get(key, 0) + part / len(batches)
            numbers, batch = batches[0]
            preview = self.stage.preview(batch, self._draws(numbers, "preview"))
        self._log({f"val_{key}": total for key, total in totals.items()})
        if self.accelerator.is_main_process:
            self.metrics.picture(self.name, self.step, batch, preview)
        self.trained.load_state_dict(raw)

    def _draws(self, numbers: range, purpose: str) -> Draws:
        """The draws of some samples: of a step by the sample's number, which no other step has."""
        seeds = [integer_seed(self.config.seed, self.name, purpose, number) for number in numbers]
        generators = [[torch.Generator().manual_seed(seed)] for seed in seeds]
        return Draws(generators, self.step / self.settings.steps)

    def _say(self, message: str) -> None:
        if self.accelerator.is_main_process:
            logger.warning(message)

    def _log(self, values: dict[str, Any], **more: Any) -> None:
        if self.accelerator.is_main_process:
            self.metrics.write(self.name, self.step, {**values, **more})

    def _use_average(self) -> None:
        self.trained.load_state_dict(self.average.module.state_dict())
        self.trained.eval()

    def _header(self, stages: Sequence[str]) -> dict[str, Any]:
        config = self.config.model_dump(mode="json")
        return {"config": config, "stages": list(stages), "data": self.data.fingerprint}

    def _save_model(self) -> None:
        if self.accelerator.is_main_process:
            save_tensors(self.run / MODEL_FILE, self.network.state_dict(), self._header([*self.done, self.name]))
            (self.run / STATE_FILE).unlink(missing_ok=True)
        self.accelerator.wait_for_everyone()

    def save_state(self) -> None:
        """Write state.safetensors, from which the stage is resumed exactly."""
        self.saved = monotonic()
        if self.accelerator.is_main_process:
            parts = {
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "auxiliary": {} if self.stage.auxiliary is None else self.stage.auxiliary.state_dict(),
                **{
                    f"optimizer.{kind}.{n}": state
                    for kind, optimizer in enumerate(self.optimizers)
                    for n, state in optimizer.state_dict()["state"].items()
                },
            }
            tensors = {f"{part}/{name}": tensor for part, state in parts.items() for name, tensor in state.items()}
            header = {**self._header(self.done), "stage": self.name, "step": self.step, "format": _STATE_FORMAT}
            save_tensors(self.run / STATE_FILE, tensors, header)
        self.accelerator.wait_for_everyone()

    def _resume(self) -> bool:
        path = self.run / STATE_FILE
        header = read_header(path) if path.is_file() else {}
        if header.get("stage") != self.name:
            return False
        if header.get("format") != _STATE_FORMAT:
            remedy = f"--overwrite starts anew; finished stages in {self.run} serve another run by --init"
            raise InputError(f"{path} is of another version of nowcast and cannot be resumed", remedy=remedy)
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in load_tensors(path).items():
            part, _, key = name.partition("/")
            parts.setdefault(part, {})[key] = tensor
        load_weights(self.network, parts.pop("network"), path)
        self.average.load_state_dict(parts.pop("average"))
        if self.stage.auxiliary is not None:
            load_weights(self.stage.auxiliary, parts.pop("auxiliary"), path)
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
