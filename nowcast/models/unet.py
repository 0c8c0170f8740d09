"""U-Net as SEVIR's authors built it: frames as channels, one pass from the history to all lead times.

Veillette, Samsi and Mattioli, SEVIR, NeurIPS 2020. Encoder levels of two convolutions, halved by max-pooling; a wide
centre; decoder levels of a transposed convolution, the encoder's features beside it, and two convolutions. Batch
normalisation and ReLU follow every convolution except the last.

B: cases. H, W: sides of a frame, whole multiples of `UNetSettings.multiple`. Batch statistics are of the windows on one
process: a batch of a few windows makes them noisy.
"""

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from nowcast.models.frames import Clip
from nowcast.models.regression import RegressionNetwork, RegressionSettings


class UNetSettings(RegressionSettings):
    """The `network` section of a U-Net.

    Attributes:
        widths: Channels of the encoder's levels, from whole frames down.
        centre: Channels below the deepest level; the authors' net has no level of 512.
    """

    widths: tuple[PositiveInt, ...] = Field(default=(32, 64, 128, 256), min_length=1)
    centre: PositiveInt = 1024

    @property
    def multiple(self) -> int:
        """See `NetworkSettings`: each level halves the sides."""
        return 2 ** len(self.widths)


class UNet(RegressionNetwork):
    """U-Net: all lead times in one pass of convolutions."""

    Settings = UNetSettings
    source = "Veillette, Samsi and Mattioli 2020, https://github.com/MIT-AI-Accelerator/neurips-2020-sevir"

    def __init__(self, settings: UNetSettings, *, pretrained: bool = True):
        super().__init__(settings, pretrained=pretrained)
        inputs = settings.history * settings.channels + settings.lead * settings.guess_channels
        shallow_to_deep = (inputs, *settings.widths)
        self.down = nn.ModuleList(map(_convolutions, shallow_to_deep, settings.widths))
        self.pool = nn.MaxPool2d(2)
        self.centre = _convolutions(settings.widths[-1], settings.centre)
        deep_to_shallow = settings.widths[::-1]
        self.up = nn.ModuleList(map(_Up, (settings.centre, *deep_to_shallow), deep_to_shallow))
        self.last = nn.Conv2d(settings.widths[0], settings.lead * settings.channels, 1)

    def forward(self, history: Clip) -> Tensor:
        """See `RegressionNetwork.forward`."""
        x = history.frames.flatten(1, 2)
        if history.guess is not None:
            x = torch.cat([x, history.guess.as_channels.flatten(1, 2)], 1)
        skips = []
        for level in self.down:
            skips.append(level(x))
            x = self.pool(skips[-1])
        x = self.centre(x)
        for level, skip in zip(self.up, reversed(skips), strict=True):
            x = level(x, skip)
        return self.last(x).unflatten(1, (self.settings.lead, self.settings.channels))


class _Up(nn.Module):
    """A level of the decoder: doubled sides, the encoder's features of the same size, two convolutions."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.doubled = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        self.joined = nn.Sequential(nn.BatchNorm2d(2 * outputs), nn.ReLU())
        self.convolutions = _convolutions(2 * outputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Features (B, outputs, 2h, 2w) of `x` (B, inputs, h, w) and `skip` (B, outputs, 2h, 2w)."""
        return self.convolutions(self.joined(torch.cat([skip, self.doubled(x)], 1)))


def _convolutions(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        *(
            layer
            for channels in (inputs, outputs)
            for layer in (nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())
        )
    )
