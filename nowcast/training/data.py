"""What a training run reads: batches of windows on its device."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator

from nowcast.data.seeds import integer_seed
from nowcast.models.network import Batch, Network
from nowcast.training.config import RunConfig
from nowcast.training.windows import TrainingWindows, training_sources
from pipelines.store.protocol import load_protocol
from pipelines.store.schema import open_store

logger = logging.getLogger(__name__)

FEW_BATCHES = 8  # to measure scales with, and to validate on


def fingerprint(stores: Sequence[Path]) -> str:
    """Hash of the protocols and events of some stores, wherever they lie."""
    opened = map(open_store, stores)
    events = [[store.attrs["protocol"], *map(str, store["event"].values)] for store in opened]
    return hashlib.sha256(repr(events).encode()).hexdigest()


class TrainingData:
    """Training batches on the device, and a few fixed validation batches.

    Attributes:
        video_range: Largest value of the stores where they are of video.
        fingerprint: Of the stores, see `fingerprint`.
    """

    def __init__(self, config: RunConfig, network: Network, stores: Sequence[Path], accelerator: Accelerator):
        """Find the windows of some stores.

        Where no store has a validation split, as KTH has none, validation is on windows of the training split.

        Raises:
            InputError: when no store has a window.
        """
        self._accelerator = accelerator
        protocol = load_protocol(config.protocol)
        history, lead = network.settings.history, network.settings.lead
        opened = [open_store(path) for path in stores]
        self.video_range = opened[0].attrs["data_range"] if "channel" in opened[0].dims else None
        self.fingerprint = fingerprint(stores)
        splits = {split for store in opened for split in store["split"].values}
        validated = "val" if "val" in splits else "train"
        self._windows = {
            split: TrainingWindows(
                training_sources(
                    stores,
                    history=history,
                    lead=lead,
                    stride=stride,
                    split="train" if split == "train" else validated,
                    cadence=config.cadence,
                    least_echo=config.least_echo,
                ),
                history,
                lead,
                side=network.settings.side,
                seed=integer_seed(config.seed, split),
                augment=config.augment and split == "train",
                reverse=config.reverse and split == "train",
                liquid=config.liquid if split == "train" else 1.0,
            )
            for split, stride in (("train", 1), ("val", protocol.stride))
        }
        if validated == "train":
            logger.warning("no store has a validation split: validation is on windows of the training split")
        logger.info("%s", ", ".join(f"{len(w)} {split} windows" for split, w in self._windows.items()))

    def training(self, step: int, size: int) -> Iterator[Batch]:
        """Endless batches of `size` windows a process, from optimiser step `step` on."""
        ranks = self._accelerator.num_processes
        first = step * size * ranks
        arrays = self._windows["train"].batches(first, size, rank=self._accelerator.process_index, ranks=ranks)
        return (self._batch(batch) for batch in arrays)

    def validation(self, size: int) -> list[Batch]:
        """A few batches, always the same."""
        windows = self._windows["val"]
        count = min(FEW_BATCHES, max(1, len(windows) // size))
        arrays = windows.batches(0, min(size, len(windows)))
        return [self._batch(next(arrays)) for _ in range(count)]

    def _batch(self, arrays: tuple) -> Batch:
        return Batch(*map(torch.from_numpy, arrays)).to(self._accelerator.device)
