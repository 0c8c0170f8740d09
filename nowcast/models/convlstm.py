"""ConvLSTM: an LSTM whose products are convolutions, unrolled over history and future, a frame per step.

Shi et al. 2015, https://arxiv.org/abs/1506.04214, in the size and without the biases and peepholes of OpenSTL's
(https://github.com/chengtan9907/OpenSTL). x: features of a layer (B, D, h, w). *: convolution. o: product by element.

    i = s(Wxi*x + Whi*H)  f = s(Wxf*x + Whf*H)  g = tanh(Wxg*x + Whg*H)  o = s(Wxo*x + Who*H)
    C' = f o C + i o g    H' = o o tanh(C')

Each step is fed a frame and forecasts the next one; the loss is over all of them, those of the history too. A first
guess of that next frame is fed beside it where there is one, and zeros elsewhere.
"""

from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle

from nowcast.models.frames import Clip
from nowcast.models.layers.scheduled_sampling import fed_frames, unroll
from nowcast.models.network import Batch, Draws
from nowcast.models.regression import Regressed, RegressionNetwork, RegressionSettings

States = list[tuple[Tensor, Tensor]]


class ConvLSTMSettings(RegressionSettings):
    """The `network` section of a ConvLSTM.

    Attributes:
        hidden: Channels of each layer's state.
        layers: Layers.
        kernel: Side of the convolutions.
        patch: Pixels along a side of a patch, whose pixels are the channels of one place.
        weaned: Share of the training steps from which on only forecasts are fed back; before, ever fewer true frames.
    """

    hidden: PositiveInt = 128
    layers: PositiveInt = 4
    kernel: Literal[3, 5, 7] = 5
    patch: PositiveInt = 4
    weaned: float = Field(default=0.4, gt=0)

    @property
    def multiple(self) -> int:
        """See `NetworkSettings`: whole patches."""
        return self.patch


class ConvLSTM(RegressionNetwork):
    """ConvLSTM: a frame per step, fed with its own forecasts past the history."""

    Settings = ConvLSTMSettings

    def __init__(self, settings: ConvLSTMSettings, *, pretrained: bool = True):
        super().__init__(settings, pretrained=pretrained)
        outputs = settings.patch**2 * settings.channels
        inputs = outputs + settings.patch**2 * settings.guess_channels
        widths = [inputs, *[settings.hidden] * settings.layers]
        self.cells = nn.ModuleList(Cell(width, settings.hidden, settings.kernel) for width in widths[:-1])
        self.last = nn.Conv2d(settings.hidden, outputs, 1, bias=False)

    def forward(self, history: Clip) -> Tensor:
        """See `RegressionNetwork.forward`."""
        ahead = self.settings.lead - 1
        frames = pad(history.frames, (0, 0, 0, 0, 0, 0, 0, ahead))
        fed = torch.arange(frames.shape[1]) < self.settings.history
        return self._forecasts(history, frames, fed.expand(len(frames), -1))[:, -self.settings.lead :]

    def regression(self, batch: Batch, draws: Draws) -> Regressed:
        """See `RegressionNetwork.regression`: every frame except the first, some of them fed (`fed_frames`)."""
        frames, observed = (torch.cat([getattr(clip, name) for clip in batch], 1) for name in ("frames", "observed"))
        if not self.training:
            draws = draws._replace(progress=1.0)
        fed = fed_frames(self.settings.history, self.settings.lead, draws, self.settings.weaned)
        return Regressed(self._forecasts(batch.history, frames[:, :-1], fed), frames[:, 1:], observed[:, 1:])

    def _forecasts(self, history: Clip, frames: Tensor, fed: Tensor) -> Tensor:
        """Forecasts of the frames that follow on each of `frames` (B, T - 1, C, H, W)."""
        patches = pixel_unshuffle(frames, self.settings.patch)
        guesses = self._guesses(history)
        state = patches.new_zeros(len(patches), self.settings.hidden, *patches.shape[-2:])

        def step(x: Tensor, states: States, number: int) -> tuple[Tensor, States]:
            if guesses is not None:
                x = torch.cat([x, guesses[:, number]], 1)
            after: States = []
            for cell, before in zip(self.cells, states, strict=True):
                after.append(cell(x, *before))
                x = after[-1][0]
            return self.last(x), after

        return pixel_shuffle(unroll(step, [(state, state)] * len(self.cells), patches, fed), self.settings.patch)

    def _guesses(self, history: Clip) -> Tensor | None:
        """Patches of the first guesses of each step's forecast; zeros of those of the history itself."""
        if history.guess is None:
            return None
        known = self.settings.history - 1
        return pixel_unshuffle(pad(history.guess.as_channels, (0, 0, 0, 0, 0, 0, known, 0)), self.settings.patch)


class Cell(nn.Module):
    """A layer of ConvLSTM: all gates in one convolution of features and state, in the order i, f, g, o."""

    def __init__(self, inputs: int, hidden: int, kernel: int):
        super().__init__()
        self.gates = nn.Conv2d(inputs + hidden, 4 * hidden, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """H' and C' of features `x` (B, inputs, h, w), H and C (B, hidden, h, w)."""
        i, f, g, o = self.gates(torch.cat([x, hidden], 1)).chunk(4, 1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        return o.sigmoid() * cell.tanh(), cell
