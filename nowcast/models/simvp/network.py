"""SimVP: frames encoded one by one, all of them translated at once into the frames that follow, and decoded.

Gao, Tan, Wu and Li 2022, https://arxiv.org/abs/2206.05099, with the layers of OpenSTL
(https://github.com/chengtan9907/OpenSTL). B: cases. T: frames of the history. D: channels of an encoded frame. h, w:
its sides. Encoder and decoder see frames as a batch (B*T, D, h, w), the translator sees them as channels
(B, T*D, h, w), frame after frame. The first features of each history frame are added before the decoder's last block.

The network makes as many frames as it is given. Where `lead` is longer it runs again on its own forecast, and the end
is cut; where it is shorter the forecast is cut. A first guess of forecast frame k is a channel beside history frame k.
"""

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import pad

from nowcast.models.frames import Clip
from nowcast.models.regression import RegressionNetwork, RegressionSettings

_KERNELS, _GROUPS = (3, 5, 7, 11), 8


class SimVPSettings(RegressionSettings):
    """The `network` section of a SimVP.

    Attributes:
        hidden: Channels D of an encoded frame.
        blocks: Blocks of the encoder, and of the decoder; every second one halves, or doubles, the sides.
        translator_hidden: Channels between the translator's blocks.
        translator_blocks: Blocks of the translator; of SimVP, on the way down and again on the way up.
    """

    hidden: int = Field(default=64, gt=0, multiple_of=_GROUPS)
    blocks: int = Field(default=2, gt=0, multiple_of=2)
    translator_hidden: int = Field(default=256, gt=0, multiple_of=2 * _GROUPS)
    translator_blocks: int = Field(default=6, ge=2)

    @property
    def multiple(self) -> int:
        """See `NetworkSettings`: every second block halves the sides."""
        return 2 ** (self.blocks // 2)


class SimVP(RegressionNetwork):
    """SimVP: convolutions alone, Inception units between a frame encoder and decoder."""

    Settings = SimVPSettings
    source = "Gao, Tan, Wu and Li 2022, https://arxiv.org/abs/2206.05099"

    def __init__(self, settings: SimVPSettings, *, pretrained: bool = True):
        super().__init__(settings, pretrained=pretrained)
        strides = [1, 2] * (settings.blocks // 2)
        inputs = [settings.channels + settings.guess_channels, *[settings.hidden] * (settings.blocks - 1)]
        self.encoder = nn.ModuleList(
            _encoding(width, settings.hidden, s) for width, s in zip(inputs, strides, strict=True)
        )
        self.translator = self._translator(settings)
        self.decoder = nn.ModuleList(_decoding(settings.hidden, stride) for stride in reversed(strides))
        self.last = nn.Conv2d(settings.hidden, settings.channels, 1)
        # The order in which a CPU convolves these layers fastest.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _translator(self, settings: SimVPSettings) -> nn.Module:
        channels = settings.history * settings.hidden
        return Translator(channels, settings.translator_hidden, settings.translator_blocks)

    def forward(self, history: Clip) -> Tensor:
        """See `RegressionNetwork.forward`."""
        return self.forecast(history, self.translator)

    def forecast(self, history: Clip, translate: Callable[[Tensor], Tensor]) -> Tensor:
        """The forecast (B, lead, C, H, W) through a translator of (B, T*D, h, w) to the same shape."""
        given, lead = self.settings.history, self.settings.lead
        runs = -(-lead // given)
        guesses: list[Tensor | None] = [None] * runs
        if history.guess is not None:
            guesses = list(pad(history.guess.as_channels, (0, 0, 0, 0, 0, 0, 0, runs * given - lead)).chunk(runs, 1))
        made = [history.frames]
        for guess in guesses:
            frames = made[-1] if guess is None else torch.cat([made[-1], guess], 2)
            made.append(self._pass(frames, translate))
        return torch.cat(made[1:], 1)[:, :lead]

    def _pass(self, frames: Tensor, translate: Callable[[Tensor], Tensor]) -> Tensor:
        """The frames (B, T, C, H, W) that follow on `frames` with their guesses (B, T, C + guess_channels, H, W)."""
        first = x = self.encoder[0](frames.flatten(0, 1))
        for block in self.encoder[1:]:
            x = block(x)
        x = translate(x.unflatten(0, frames.shape[:2]).flatten(1, 2))
        x = x.unflatten(1, (frames.shape[1], -1)).flatten(0, 1)
        for block in self.decoder[:-1]:
            x = block(x)
        return self.last(self.decoder[-1](x + first)).unflatten(0, frames.shape[:2])


def _encoding(inputs: int, hidden: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, hidden, 3, stride, padding=1), nn.GroupNorm(2, hidden), nn.SiLU())


def _decoding(hidden: int, stride: int) -> nn.Sequential:
    doubled = nn.Sequential(nn.Conv2d(hidden, stride**2 * hidden, 3, padding=1), nn.PixelShuffle(stride))
    return nn.Sequential(doubled, nn.GroupNorm(2, hidden), nn.SiLU())


class Translator(nn.Module):
    """Inception units on the way down and up again, at one size throughout, with the features of the way down beside.

    Args:
        channels: Channels of all frames together.
        hidden: Channels between the units.
        blocks: Units on either way.
    """

    def __init__(self, channels: int, hidden: int, blocks: int):
        super().__init__()
        down = [channels, *[hidden] * (blocks - 1)]
        self.down = nn.ModuleList(Inception(inputs, hidden // 2, hidden) for inputs in down)
        up = [(hidden, hidden), *[(2 * hidden, hidden)] * (blocks - 2), (2 * hidden, channels)]
        self.up = nn.ModuleList(Inception(inputs, hidden // 2, outputs) for inputs, outputs in up)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, channels, h, w) of the frames that follow, same shape."""
        beside = []
        for unit in self.down:
            x = unit(x)
            beside.append(x)
        x = self.up[0](x)
        for unit, features in zip(self.up[1:], reversed(beside[:-1]), strict=True):
            x = unit(torch.cat([x, features], 1))
        return x


class Inception(nn.Module):
    """A 1 x 1 convolution, then the sum of parallel grouped ones of several sizes, each normalised and activated."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.reduce = nn.Conv2d(inputs, hidden, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(hidden, outputs, kernel, padding=kernel // 2, groups=_GROUPS),
                nn.GroupNorm(_GROUPS, outputs),
                nn.LeakyReLU(0.2),
            )
            for kernel in _KERNELS
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, outputs, h, w) of `x` (B, inputs, h, w)."""
        x = self.reduce(x)
        return torch.stack([branch(x) for branch in self.branches]).sum(0)
