"""The batches of a training run, on its device: windows of stores as clips, with first guesses where a network asks."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from nowcast.data.seeds import integer_seed
from nowcast.data.windows import Window
from nowcast.models.frames import clip_of
from nowcast.models.guess import OF_MEMBERS, Guess
from nowcast.models.layers.crps import EnsembleSettings
from nowcast.models.network import Batch, NetworkSettings
from nowcast.training.config import RunConfig
from nowcast.training.scenes import SceneWindows
from nowcast.training.windows import TrainingStore, TrainingWindows, training_sources
from pipelines.errors import InputError
from pipelines.store.protocol import load_protocol

logger = logging.getLogger(__name__)

FEW_BATCHES = 8  # to measure scales with, and to validate on


def fingerprint(stores: Sequence[TrainingStore]) -> str:
    """Hash of the protocols and events of some stores, wherever they lie."""
    events = [[of.store.attrs["protocol"], *map(str, of.store["event"].values)] for of in stores]
    return hashlib.sha256(repr(events).encode()).hexdigest()


class TrainingData:
    """Training batches on the device, and a few fixed validation batches.

    Attributes:
        video_range: Largest value of the stores where they are of video.
        fingerprint: Of the stores, see `fingerprint`.
    """

    def __init__(
        self,
        config: RunConfig,
        settings: NetworkSettings,
        stores: Sequence[TrainingStore],
        accelerator: Accelerator,
        run: Path,
    ):
        """Find the windows of some stores.

        Where no store has a validation split, as KTH has none, validation is on windows of the training split.

        Raises:
            InputError: when no store has a window; for a first guess of video; for scenes without one.
        """
        self._accelerator, self._settings = accelerator, settings
        self.video_range = stores[0].video_range
        if self.video_range is not None and settings.first_guess != "none":
            raise InputError("a first guess is of radar", got=f"{stores[0].path}, a store of video",
                             remedy="--set network.first_guess=none")  # fmt: skip
        if config.scenes and settings.first_guess not in OF_MEMBERS:
            raise InputError("scenes are for networks that correct members' own first guesses",
                             got=f"network.first_guess={settings.first_guess}",
                             remedy="remove `scenes`, or set network.first_guess=members")  # fmt: skip
        self.fingerprint = fingerprint(stores)
        splits = {split for of in stores for split in of.store["split"].values}
        validated = "val" if "val" in splits else "train"
        strides = {"train": 1, "val": load_protocol(config.protocol).stride}
        found = {split: self._find(config, stores, split, strides[split], validated) for split in strides}
        self._windows: dict[str, TrainingWindows | SceneWindows] = {
            split: self._opened(config, sources, split, run) for split, sources in found.items()
        }
        if validated == "train":
            logger.warning("no store has a validation split: validation is on windows of the training split")
        logger.info("%s", ", ".join(f"{len(w)} {split} windows" for split, w in self._windows.items()))

    def _find(
        self, config: RunConfig, stores: Sequence[TrainingStore], split: str, stride: int, validated: str
    ) -> list[tuple[TrainingStore, list[Window]]]:
        return training_sources(
            stores,
            history=self._settings.history,
            lead=self._settings.lead,
            stride=stride,
            split="train" if split == "train" else validated,
            cadence=config.cadence,
            least_echo=config.least_echo,
        )

    def _opened(
        self, config: RunConfig, sources: list[tuple[TrainingStore, list[Window]]], split: str, run: Path
    ) -> TrainingWindows | SceneWindows:
        settings, training = self._settings, split == "train"
        if config.scenes:
            members = getattr(settings, "ensemble", EnsembleSettings()).members
            return SceneWindows(
                sources, settings, config.scenes, config, members=members, training=training, folder=run / "scenes"
            )
        return TrainingWindows(
            sources,
            settings.history,
            settings.lead,
            side=settings.side,
            seed=integer_seed(config.seed, split),
            augment=config.augment and training,
            reverse=config.reverse and training,
            liquid=config.liquid if training else 1.0,
        )

    def prepare(self) -> None:
        """Make the first guesses of scenes, where the configuration asks for them, and keep them in the run folder."""
        for windows in self._windows.values():
            if isinstance(windows, SceneWindows):
                windows.make(self._accelerator.process_index, self._accelerator.num_processes)

    def numbers(self, step: int, batch: int) -> range:
        """The sample numbers of this process in a step: its share of the `batch` samples of all processes.

        Raises:
            InputError: when the processes cannot share the batch evenly.
        """
        processes = self._accelerator.num_processes
        if batch % processes:
            raise InputError(
                "the batch is shared by all processes", got=f"{batch} windows for {processes} processes",
                expected=f"a multiple of {processes}", remedy="set stages.STAGE.batch",
            )  # fmt: skip
        share = batch // processes
        first = step * batch + self._accelerator.process_index * share
        return range(first, first + share)

    def training(self, step: int, batch: int) -> Iterator[Batch]:
        """Endless batches, from optimiser step `step` on; see `numbers`."""
        while True:
            yield self._batch("train", self.numbers(step, batch))
            step += 1

    def measuring(self, batch: int) -> Iterator[Batch]:
        """A few whole batches of the first steps, the same in every process, to measure scales on."""
        return (self._batch("train", range(step * batch, (step + 1) * batch)) for step in range(FEW_BATCHES))

    def validation(self, batch: int) -> list[tuple[range, Batch]]:
        """A few batches and their sample numbers, always the same, in every process."""
        windows = self._windows["val"]
        count, size = min(FEW_BATCHES, max(1, len(windows) // batch)), min(batch, len(windows))
        parts = [range(first, first + size) for first in range(0, count * size, size)]
        return [(numbers, self._batch("val", numbers)) for numbers in parts]

    def _batch(self, split: str, numbers: range) -> Batch:
        settings, windows = self._settings, self._windows[split]
        device = torch.device(self._accelerator.device)
        if isinstance(windows, SceneWindows):
            return windows.batch(numbers).to(device)
        values, observed = (np.stack(arrays) for arrays in zip(*map(windows.sample, numbers), strict=True))
        past, ahead = slice(None, settings.history), slice(settings.history, None)
        scale = settings.frame_scale
        history = clip_of(values[:, past], observed[:, past], scale)
        if settings.first_guess != "none":
            grids = [windows.grid(number) for number in numbers]
            one_by_one = zip(values[:, None, past], observed[:, None, past], grids, strict=True)
            guesses = (settings.guess(counts, seen, *grid) for counts, seen, grid in one_by_one)
            history = history._replace(guess=Guess.joined([guess for guess in guesses if guess is not None]))
        future = clip_of(values[:, ahead], observed[:, ahead], scale)
        return Batch(history, future).to(device)
