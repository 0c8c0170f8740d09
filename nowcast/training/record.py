"""The record of a training run: metrics.jsonl, one line per step, and pictures of samples."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nowcast.models.frames import Clip, FrameScale
from nowcast.models.network import Batch
from nowcast.plots.maps import plot_samples
from pipelines.store.whole import whole


class Metrics:
    """The record of a run folder."""

    def __init__(self, run: Path, scale: FrameScale, video_range: int | None = None):
        """The record of the run folder `run`; `video_range` is the largest value where it trains on video."""
        self._scale = scale
        self._video_range = video_range
        self._file = run / "metrics.jsonl"
        self._pictures = run / "samples"

    def cut(self, stage: str, step: int) -> None:
        """Drop what was recorded of a stage past `step`: steps that a killed run did after its last checkpoint."""
        if not self._file.is_file():
            return
        lines = self._file.read_text().splitlines()
        kept = [line for line in lines if not _is_past(json.loads(line), stage, step)]
        with whole(self._file) as growing:
            growing.write_text("".join(line + "\n" for line in kept))

    def write(self, stage: str, step: int, values: dict[str, Any]) -> None:
        """Add one line: stage, step, time (seconds since the epoch) and the values."""
        numbers = {key: float(value) for key, value in values.items()}
        with self._file.open("a") as file:
            file.write(json.dumps({"stage": stage, "step": step, "time": round(time.time(), 3), **numbers}) + "\n")

    def picture(self, stage: str, step: int, batch: Batch, preview: Tensor) -> None:
        """Save samples/STAGE-STEP.png: history, observed future and the stage's preview."""
        self._pictures.mkdir(exist_ok=True)
        history, future = self._with_gaps(batch.history), self._with_gaps(batch.future)
        shown = self._scale.floored(self._scale.to_values(preview[:1].float())).cpu().numpy()
        shown = shown[:, :, 0] if self._video_range is None else shown
        figure = plot_samples(history, future, shown, video_range=self._video_range)
        figure.savefig(self._pictures / f"{stage}-{step:07d}.png", dpi=80)

    def _with_gaps(self, clip: Clip) -> np.ndarray:
        """Values of the first clip (T, [C,] H, W), NaN where missing."""
        values = self._scale.to_values(clip.frames[0]).where(clip.observed[0], torch.nan).cpu().numpy()
        return values[:, 0] if self._video_range is None else values


def _is_past(record: dict[str, Any], stage: str, step: int) -> bool:
    return record["stage"] == stage and record["step"] > step
