"""Recurrent networks: a frame per step, in and out, and only the cells and their wiring to write.

Each step is fed the patches of a frame and forecasts the next frame; the loss is over all of them, those of the history
too. A first guess of that next frame is fed beside it where there is one, and zeros elsewhere. A patch's channels are
ordered by colour, row and column; the published nets order them by row, column and colour, which is a permutation.

B: cases. T: frames of history and future together. h, w: patches along the sides of a frame.
"""

from abc import abstractmethod
from typing import ClassVar, Generic, Literal, TypeVar

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle

from nowcast.models.frames import Clip
from nowcast.models.layers.scheduled_sampling import fed_frames, unroll
from nowcast.models.network import Batch, Draws
from nowcast.models.regression import Regressed, RegressionNetwork, RegressionSettings

S = TypeVar("S")


class RecurrentSettings(RegressionSettings):
    """The `network` section of a recurrent network.

    Attributes:
        hidden: Channels of each layer's state.
        layers: Layers.
        kernel: Side of the convolutions.
        patch: Pixels along a side of a patch, whose pixels are the channels of one place.
        weaned: Share of the training steps from which on only forecasts are fed back; before, ever fewer true frames.
        reverse_sampling: Reverse scheduled sampling, which also feeds forecasts of the history at first: the share of
            the training steps where this begins to cease, and the share in which it falls by a factor e. None feeds
            the true history.
    """

    hidden: PositiveInt = 128
    layers: PositiveInt = 4
    kernel: Literal[3, 5, 7] = 5
    patch: PositiveInt = 4
    weaned: float = Field(default=0.4, gt=0)
    reverse_sampling: tuple[NonNegativeFloat, PositiveFloat] | None = None

    @property
    def multiple(self) -> int:
        """See `NetworkSettings`: whole patches."""
        return self.patch


class RecurrentNetwork(RegressionNetwork, Generic[S]):
    """A network fed with its own forecasts past the history: write `cell`, `start` and `step`.

    Attributes:
        cell: A layer, made from its input channels, its state channels and its kernel.
        inputs: Channels that a step is fed.
    """

    Settings: ClassVar[type[RecurrentSettings]] = RecurrentSettings
    cell: ClassVar[type[nn.Module]]

    def __init__(self, settings: RecurrentSettings, *, pretrained: bool = True):
        super().__init__(settings, pretrained=pretrained)
        outputs = settings.patch**2 * settings.channels
        self.inputs = outputs + settings.patch**2 * settings.guess_channels
        widths = [self.inputs, *[settings.hidden] * (settings.layers - 1)]
        self.cells = nn.ModuleList(self.cell(width, settings.hidden, settings.kernel) for width in widths)
        self.last = nn.Conv2d(settings.hidden, outputs, 1, bias=False)

    @abstractmethod
    def start(self, zeros: Tensor) -> S:
        """The state before frame 0, of `zeros` with the shape of a layer's state (B, hidden, h, w)."""

    @abstractmethod
    def step(self, x: Tensor, state: S) -> tuple[Tensor, S]:
        """Features (B, hidden, h, w) of the next frame, and the next state, from what is fed (B, inputs, h, w)."""

    def penalties(self, state: S) -> dict[str, Tensor]:
        """Scalars added to the loss, by name, from the state after the last step."""
        return {}

    def forward(self, history: Clip) -> Tensor:
        """See `RegressionNetwork.forward`."""
        ahead = self.settings.lead - 1
        frames = pad(history.frames, (0, 0, 0, 0, 0, 0, 0, ahead))
        fed = torch.arange(frames.shape[1]) < self.settings.history
        return self._forecasts(history, frames, fed.expand(len(frames), -1))[0][:, -self.settings.lead :]

    def regression(self, batch: Batch, draws: Draws) -> Regressed:
        """See `RegressionNetwork.regression`: every frame except the first, some of them fed (`fed_frames`)."""
        settings = self.settings
        frames, observed = (torch.cat([getattr(clip, name) for clip in batch], 1) for name in ("frames", "observed"))
        if not self.training:
            draws = draws._replace(progress=1.0)
        fed = fed_frames(settings.history, settings.lead, draws, settings.weaned, settings.reverse_sampling)
        forecasts, state = self._forecasts(batch.history, frames[:, :-1], fed)
        return Regressed(forecasts, frames[:, 1:], observed[:, 1:], self.penalties(state))

    def _forecasts(self, history: Clip, frames: Tensor, fed: Tensor) -> tuple[Tensor, S]:
        """Forecasts of the frames that follow on each of `frames` (B, T - 1, C, H, W), and the state after them."""
        patches = pixel_unshuffle(frames, self.settings.patch)
        guesses = self._guesses(history)
        zeros = patches.new_zeros(len(patches), self.settings.hidden, *patches.shape[-2:])

        def step(x: Tensor, state: S, number: int) -> tuple[Tensor, S]:
            if guesses is not None:
                x = torch.cat([x, guesses[:, number]], 1)
            features, state = self.step(x, state)
            return self.last(features), state

        forecasts, state = unroll(step, self.start(zeros), patches, fed)
        return pixel_shuffle(forecasts, self.settings.patch), state

    def _guesses(self, history: Clip) -> Tensor | None:
        """Patches of the first guesses of each step's forecast; zeros of those of the history itself."""
        if history.guess is None:
            return None
        known = self.settings.history - 1
        return pixel_unshuffle(pad(history.guess.as_channels, (0, 0, 0, 0, 0, 0, known, 0)), self.settings.patch)
