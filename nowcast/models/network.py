"""The contract of a trainable network: stages that train it, and members that it makes.

A network sees clips in its own units (nowcast.models.frames), with channels always there, and first guesses where its
settings ask for them. Everything else around it - counts, orientations, tiles, rollout, the echo floor - belongs to the
forecaster that serves it (nowcast.models.trained) and to the training loop (nowcast.training).

A stage owns its loss, since a generative loss is no function of prediction and target. One optimiser minimises one loss
per stage. Two networks that play against each other need no other rule: the loss of their stage is the sum of both
losses, each with the other network's weights held constant, and they step together rather than in turn
(nowcast.models.pvdm.stages).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import Tensor, nn

from nowcast.data.conventions import ECHO
from nowcast.models.frames import Clip, FrameScale
from nowcast.models.guess import GUESSES, Guess, guess_future

C = TypeVar("C")


class Batch(NamedTuple):
    """Training windows: the history with its first guesses, and the future."""

    history: Clip
    future: Clip

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`."""
        return Batch(self.history.to(device), self.future.to(device))


class Draws(NamedTuple):
    """Where random draws come from.

    Attributes:
        generators: `generators[b][m]` (CPU) draws member m of case b; in training, sample b of the batch.
        progress: Share of the stage's training steps that are done, from 0 to 1; 1 in a forecast.
    """

    generators: Sequence[Sequence[torch.Generator]]
    progress: float = 1.0

    @property
    def cases(self) -> list[torch.Generator]:
        """One generator per case: its first member's."""
        return [members[0] for members in self.generators]

    @property
    def flat(self) -> list[torch.Generator]:
        """The generators of all members of the first case, then of the second, and so on."""
        return [generator for members in self.generators for generator in members]

    def of_members(self, number: int) -> "Draws":
        """Draws of `number` members per case, which share their case's generator and follow each other on it."""
        return self._replace(generators=[[generator] * number for generator in self.cases])


class SamplingSettings(BaseModel):
    """How members of a diffusion model are drawn.

    Attributes:
        sampler: See nowcast.diffusion.samplers.
        steps: Calls of the denoiser.
        stop: Share of the steps after which the sample is taken as it is, to see how it comes about; 1 finishes it.
        member_batch: Members made in one call.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sampler: str = "ddpm"
    steps: int = 1000
    stop: float = Field(default=1.0, gt=0, le=1)
    member_batch: PositiveInt = 10


class NetworkSettings(BaseModel):
    """The `network` section of every trainable model.

    Attributes:
        history: Frames given.
        lead: Frames forecast.
        side: Pixels along a side of a frame in training.
        channels: 1, or 3 of video in colour; training takes it from its stores.
        offset: Count that the network sees as 0.
        scale: Counts that the network sees as 1. With offset 127.5 frames are on [-1, 1].
        echo: Counts below are no echo and become 0 in a forecast; 0 for video.
        first_guess: First guesses that the network is given (see nowcast.models.guess.GUESSES); none by default.
        motion_errors: Minutes per frame and kilometres per pixel, from which members' own guesses draw the errors of
            their motion. By default those of the store or file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    history: int = 10
    lead: int = 10
    side: int = 128
    channels: Literal[1, 3] = 1
    offset: float = 127.5
    scale: float = 127.5
    echo: float = ECHO
    first_guess: Literal["none", "advection", "sprog", "steps", "members"] = "none"
    motion_errors: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _guesses_are_grey(self) -> "NetworkSettings":
        if self.channels > 1 and self.first_guess != "none":
            raise ValueError("a first guess is of a single channel")
        return self

    @model_validator(mode="after")
    def _side_is_whole(self) -> "NetworkSettings":
        if self.side % self.multiple:
            raise ValueError(f"side {self.side} is no multiple of {self.multiple}")
        return self

    @property
    def frame_scale(self) -> FrameScale:
        """The network's units."""
        return FrameScale(self.offset, self.scale, self.echo)

    def guess(
        self, counts: np.ndarray, observed: np.ndarray, minutes: float, km: float, lead: int | None = None
    ) -> Guess | None:
        """The first guesses that the network is given of histories; see `nowcast.models.guess.guess_future`."""
        minutes, km = self.motion_errors or (minutes, km)
        return guess_future(
            counts, observed, lead or self.lead, self.first_guess, self.offset, self.scale, minutes=minutes, km=km
        )

    @property
    def guess_channels(self) -> int:
        """Channels of `Guess.as_channels`; 0 without a first guess."""
        return len(GUESSES[self.first_guess]) + 1 if GUESSES[self.first_guess] else 0

    @property
    def multiple(self) -> int:
        """Sides of a frame must be whole multiples of this many pixels; the forecaster pads to them."""
        return 1

    @property
    def members_at_once(self) -> int:
        """Members that are best asked for in one call."""
        return 10

    @property
    def orientations(self) -> int:
        """Orientations in which members see their case: member m in number m modulo this (see data.orientations)."""
        return 1


class Stage(ABC):
    """One stage of the training of a network.

    Attributes:
        trained: The submodule of the network (or the network itself, or a module of both with the auxiliary) whose
            parameters the stage trains, one and the same at each call; all others are frozen and in eval mode
            meanwhile.
        auxiliary: A helper that is kept in the training state, not in the model: a teacher, which is frozen, or a
            discriminator, which is part of `trained`.
        reads: Names of settings that this stage alone reads, and that are refused where it is not trained.
    """

    auxiliary: nn.Module | None = None
    reads: ClassVar[frozenset[str]] = frozenset()

    @property
    @abstractmethod
    def trained(self) -> nn.Module:
        """See the class."""

    def begin(self, batches: Iterable[Batch]) -> None:  # noqa: B027 (most stages measure nothing)
        """Called once before the first step, with some training batches (to measure scales, say)."""

    @abstractmethod
    def loss(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """Scalars to log; the one called "loss" is minimised. All random draws come from `draws`."""

    @abstractmethod
    def preview(self, batch: Batch, draws: Draws) -> Tensor:
        """A picture of progress, to be seen beside the future: shape (B, lead, C, H, W), network units."""


class Network(nn.Module, ABC, Generic[C]):
    """A network that `nowcast train` trains, one stage after another, and that then makes members.

    Attributes:
        Settings: The `network` section of its configuration; one with a field `sampling` can be sampled in other ways
            than it was trained with.
        source: Authors and address of the method; empty where there are none.
        deterministic: True when it makes one member, whatever its draws.
        whole_domain: True when it takes domains of any size itself; else the forecaster cuts them into tiles of
            `settings.side` pixels.
        any_lead: True when it makes as many lead times as its first guess has, at least `settings.lead`; else more lead
            times are rolled out: made from those before.
        stages: Its training stages by name, in order.
    """

    Settings: ClassVar[type[NetworkSettings]]
    source: ClassVar[str] = ""
    deterministic: ClassVar[bool] = False
    whole_domain: ClassVar[bool] = False
    any_lead: ClassVar[bool] = False
    stages: Mapping[str, Stage]

    def __init__(self, settings: NetworkSettings, *, pretrained: bool = True):
        """A network with fresh weights; parts that the settings call pretrained are fetched only if `pretrained`."""
        super().__init__()
        self.settings: Any = settings

    @abstractmethod
    def condition(self, history: Clip) -> C:
        """Encode the history. Called once per batch of cases, orientation and tile, then shared by all members.

        Args:
            history: Frames (B, history, C, H, W) in network units, zero echo where missing: `history.observed` tells.
                H and W are `settings.side`, or any whole multiples of `settings.multiple` for a network of
                `whole_domain`. Not to be written into.
        """

    @abstractmethod
    def generate(self, condition: C, draws: Draws) -> Tensor:
        """Members with shape (B, M, lead, C, H, W), all finite, in network units.

        `draws.generators[b][m]` draws member m of case b, whatever members are beside it. The forecaster cuts the
        result to the range of counts, drops what is below the least echo, and makes pixels NaN that were never seen.
        The result may be a view.
        """
