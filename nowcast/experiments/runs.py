"""Training runs of experiments: each under a name that tells its configuration and its stores, trained at most once.

A network of several stages trains its first stage in a run of its own, from which every variant with the same first
stage begins (`--init` by finished stages), each with the weights of the other stages as the seed draws them.

With a budget the number of steps is decided once, before the first step, and written to budget.json in the run folder
of the first stage: every stage is run for a few steps in a scratch folder, and all stages of the configuration are
scaled by one factor, so that by the median time of these steps they take the budget together. A stopped run keeps the
number, so that it ends as it would have ended without the stop.
"""

import hashlib
import json
import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from nowcast.experiments.settings import Variant
from nowcast.training.config import RunConfig
from nowcast.training.data import fingerprint
from nowcast.training.run import train
from nowcast.training.windows import TrainingStore
from pipelines.store.whole import whole

_MEASURED = 6  # steps that a budget is measured on, of which the first is not counted
_PAUSE = 60.0  # seconds between two records beyond which a run was stopped meanwhile
_DONE, _BUDGET = "done.json", "budget.json"


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        run: Its folder.
        steps: Training steps of all its stages.
        seconds: That they took, those of a shared first stage too; without validations and stops.
    """

    run: Path
    steps: int
    seconds: float


class Runs:
    """The runs of a folder, trained on the same stores on the same device."""

    def __init__(
        self,
        folder: Path,
        stores: Sequence[Path],
        *,
        device: str | None = None,
        budget: float | None = None,
        tell: Callable[[str], object] = lambda text: None,
    ):
        """The runs in `folder`, each with a budget of so many minutes where there is one."""
        self._folder, self._device, self._budget, self._tell = folder, device, budget, tell
        self._stores = list(stores)
        self._data = fingerprint([TrainingStore(path) for path in stores])

    def trained(self, variant: Variant) -> Trained:
        """The run of a variant, trained where it is not yet.

        Raises:
            InputError: see `nowcast.training.run.train`.
            TrainingStoppedError: when a loss is not finite.
        """
        config, base = variant.config, variant.base
        assert config is not None and base is not None
        first, *later = list(config.stages)
        begin, run = self._place(base, f"-{first}" if later else ""), self._place(config)
        if (run / _DONE).is_file():
            return Trained(run, **json.loads((run / _DONE).read_text()))
        if self._budget is not None:
            steps = self._decided(base, begin)
            config, base = _with_steps(config, steps), _with_steps(base, steps)
        stages = ", ".join(f"{stage} {settings.steps} steps" for stage, settings in config.stages.items())
        self._tell(f"train {variant.name}: {stages}")
        if not later:
            train(config, self._stores, run, device=self._device)
        else:
            if not (begin / _DONE).is_file():
                train(base, self._stores, begin, stage=first, device=self._device)
                self._finish(begin, [begin], base.stages[first].steps)
            for stage in later:
                train(config, self._stores, run, stage=stage, init=str(begin), device=self._device)
        return self._finish(run, [run, begin] if later else [run], sum(s.steps for s in config.stages.values()))

    def _place(self, config: RunConfig, stage: str = "") -> Path:
        settings = config.model_dump(mode="json", exclude_defaults=True)  # so that new settings leave a run its name
        told = json.dumps([settings, self._data, self._budget], sort_keys=True)
        return self._folder / f"{config.model}{stage}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    def _finish(self, run: Path, parts: Sequence[Path], steps: int) -> Trained:
        seconds = round(sum(_seconds(part / "metrics.jsonl") for part in parts), 1)
        with whole(run / _DONE) as growing:
            growing.write_text(json.dumps({"steps": steps, "seconds": seconds}))
        return Trained(run, steps, seconds)

    def _decided(self, config: RunConfig, run: Path) -> dict[str, int]:
        """The number of steps of each stage that the budget allows."""
        file = run / _BUDGET
        if not file.is_file():
            scratch = run.with_name(f".{run.name}.measured")
            few = _with_steps(config, dict.fromkeys(config.stages, _MEASURED))
            train(few, self._stores, scratch, device=self._device)
            steps = allowed_steps(config, _step_seconds(scratch / "metrics.jsonl"), self._budget or 0)
            with whole(file) as growing:
                growing.write_text(json.dumps(steps))
            shutil.rmtree(scratch)
        return json.loads(file.read_text())


def allowed_steps(config: RunConfig, seconds: dict[str, float], minutes: float) -> dict[str, int]:
    """Steps of each stage that fit into some minutes together, in the proportions of the configuration.

    Args:
        config: The configuration.
        seconds: Of one step of each stage.
        minutes: The budget.
    """
    factor = 60 * minutes / sum(seconds[name] * stage.steps for name, stage in config.stages.items())
    return {name: max(1, int(stage.steps * factor)) for name, stage in config.stages.items()}


def _with_steps(config: RunConfig, steps: dict[str, int]) -> RunConfig:
    """The configuration with other numbers of steps: warm-ups change in proportion, validation is at the end."""
    stages = {
        name: stage.model_copy(
            update={
                "steps": steps[name],
                "validate_every": steps[name],
                "warmup": round(stage.warmup * steps[name] / stage.steps),
            }
        )
        for name, stage in config.stages.items()
    }
    return config.model_copy(update={"stages": stages})


def _records(file: Path) -> dict[str, list[float]]:
    """Times of the training steps of each stage, seconds."""
    times: dict[str, list[float]] = {}
    for line in file.read_text().splitlines():
        record = json.loads(line)
        if "loss" in record:
            times.setdefault(record["stage"], []).append(record["time"])
    return times


def _step_seconds(file: Path) -> dict[str, float]:
    return {
        stage: statistics.median(after - before for before, after in pairwise(times))
        for stage, times in _records(file).items()
    }


def _seconds(file: Path) -> float:
    gaps = [after - before for times in _records(file).values() for before, after in pairwise(times)]
    return sum(gap for gap in gaps if gap < _PAUSE)
