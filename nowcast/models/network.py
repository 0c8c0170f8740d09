"""The contract of a trainable network, and the forecaster that serves a trained one.

A network owns its loss, since a generative loss is no function of prediction and target. Tensors have shape
(B, T, H, W) in counts, float32, zero where missing, with a boolean `observed` of the same shape beside them. Grey video
looks no different; in colour its frames, and what is made of them, have shape (B, T, 3, H, W).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from nowcast.data.orientations import turned, turned_back
from nowcast.data.seeds import integer_seed
from nowcast.data.windows import frames_for_network
from nowcast.models.device import multiplies_bf16
from nowcast.models.forecaster import Cases, Forecaster
from pipelines.errors import InputError

C = TypeVar("C")


class Batch(NamedTuple):
    """Training windows: counts with shape (B, T, H, W), zero where missing, and where they were observed."""

    history: Tensor
    history_observed: Tensor
    future: Tensor
    future_observed: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))


class NetworkSettings(BaseModel):
    """What the `network` section of every trainable model has.

    Attributes:
        history: Frames given.
        lead: Frames forecast.
        side: Pixels along a side of a frame in training.
        channels: 1, or 3 of video in colour; training takes it from its stores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    history: int = 10
    lead: int = 10
    side: int = 128
    channels: Literal[1, 3] = 1

    @property
    def members_at_once(self) -> int:
        """Members that are best asked for in one call."""
        return 10

    @property
    def turns(self) -> int:
        """In how many ways members see their case turned: member m in way m modulo this (see data.orientations)."""
        return 1


class Network(nn.Module, ABC, Generic[C]):
    """A network that `nowcast train` trains, one stage after another, and that then makes members.

    Attributes:
        Settings: The `network` section of its configuration.
        stages: Names of its training stages, in order.
    """

    Settings: ClassVar[type[NetworkSettings]]
    stages: ClassVar[tuple[str, ...]]

    def __init__(self, settings: NetworkSettings, *, pretrained: bool = True):
        """A network with fresh weights; parts that the settings call pretrained are fetched only if `pretrained`."""
        super().__init__()
        self.settings = settings

    @abstractmethod
    def trained_modules(self, stage: str) -> Sequence[nn.Module]:
        """The modules whose parameters `stage` trains; all others are frozen and in eval mode meanwhile."""

    def begin(self, stage: str, batches: Iterable[Batch]) -> None:
        """Called once before the first step of a stage, with some training batches (to measure scales, say)."""

    @abstractmethod
    def loss(self, stage: str, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Scalars to log; the one called "loss" is minimised. All random draws come from `generator` (a CPU one)."""

    @abstractmethod
    def preview(self, stage: str, batch: Batch, generator: torch.Generator) -> Tensor:
        """What the stage makes of a batch, to be seen beside its future: counts with shape (B, lead, H, W)."""

    @abstractmethod
    def condition(self, history: Tensor, observed: Tensor) -> C:
        """What members of some cases share, computed once (once for each way to turn); shapes (B, T, H, W)."""

    @abstractmethod
    def generate(self, condition: C, steps: int, generators: Sequence[Sequence[torch.Generator]]) -> Tensor:
        """Members with shape (B, M, steps, H, W) in counts; `generators[b][m]` (CPU) draws member m of case b."""


class TrainedForecaster(Forecaster):
    """A trained network behind the contract of `Forecaster`."""

    takes_video = True

    def __init__(self, network: Network, device: str = "cpu"):
        self.network = network.to(device).eval().requires_grad_(False)
        self.member_batch = network.settings.members_at_once
        self.window = (network.settings.history, network.settings.lead)
        self.device = torch.device(device)
        self.bf16 = multiplies_bf16(device)
        self._conditioned: tuple[Cases, dict[int, Any]] | None = None

    def predict(self, cases: Cases, steps: int, members: Sequence[int], seed: int) -> np.ndarray:
        """See `Forecaster.predict`."""
        ways = np.array(members) % self.network.settings.turns
        counts = np.empty((len(cases.keys), len(members), steps, *cases.frames.shape[2:]), "float32")
        for way in np.unique(ways).tolist():
            alike = np.flatnonzero(ways == way)
            made = self._generate(cases, steps, [members[number] for number in alike.tolist()], seed, way)
            counts[:, alike] = turned_back(made, way)
        return counts

    def _generate(self, cases: Cases, steps: int, members: Sequence[int], seed: int, way: int) -> np.ndarray:
        """Members that see their case turned in one way, as they see it."""
        generators = [
            [torch.Generator().manual_seed(integer_seed(seed, "forecast", key, member)) for member in members]
            for key in cases.keys
        ]
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            counts = self.network.generate(self._condition(cases, way), steps, generators)
        size = turned(cases.frames[:1, :1], way).shape[2:]
        return counts.float().cpu().numpy().reshape(len(cases.keys), len(members), steps, *size)

    def _condition(self, cases: Cases, way: int) -> Any:
        """The network's condition, kept for the next members of the same cases."""
        if self._conditioned is None or not _same(self._conditioned[0], cases):
            self._conditioned = cases, {}
        conditions = self._conditioned[1]
        if way not in conditions:
            arrays = frames_for_network(turned(cases.frames, way), turned(cases.observed, way))
            if arrays[0].shape[2:-2] != (3,) * (self.network.settings.channels > 1):
                raise InputError(
                    "the network was trained on frames of other channels",
                    got="x".join(map(str, cases.frames.shape[2:])),
                    expected=f"{self.network.settings.channels} of them",
                )
            tensors = (torch.from_numpy(np.ascontiguousarray(array)).to(self.device) for array in arrays)
            conditions[way] = self.network.condition(*tensors)
        return conditions[way]


def _same(one: Cases, other: Cases) -> bool:
    return np.array_equal(one.frames, other.frames) and np.array_equal(one.observed, other.observed)
