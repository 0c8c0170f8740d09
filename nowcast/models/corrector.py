"""A convolutional corrector of members' first guesses: a large network once per case, a small one per member.

Both are U-Nets of residual blocks on pixels folded two by two (Ronneberger et al. 2015,
https://arxiv.org/abs/1505.04597), without attention or latents, so that a domain of any size is corrected in one piece.
The members are trained together by their fair CRPS (nowcast.models.layers.crps; Lang et al. 2024,
https://arxiv.org/abs/2412.15832), each from its own guess, which the model `steps` makes, and from noise of its own.
The design is our own.

B: cases. M: members. T: lead times. H, W: sides of the domain. No layer normalises over a batch or a field: a member
is the same beside others, and a pixel does not feel what lies far away.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle, pixel_unshuffle, silu

from nowcast.models.frames import Clip
from nowcast.models.guess import GUESSES, Guess
from nowcast.models.layers.crps import EnsembleSettings, ensemble_loss
from nowcast.models.network import Batch, Draws, Network, NetworkSettings, Stage

_FOLD = 2  # pixels along a side that become channels
_NOISE = 4  # channels of noise, of each of two kinds
_SMOOTH = 8  # folded pixels along a side of a grid cell of the smooth noise
_SMOOTH_GAIN = 1.3  # interpolation takes variance from it


class CorrectorSettings(NetworkSettings):
    """The `network` section of a corrector.

    Attributes:
        case_widths: Channels of the levels of the network that each case passes once.
        case_blocks: Its residual blocks per level, on the way down and on the way up.
        member_widths: Channels of the network that each member passes, whose levels are told the case's features.
        member_batch: Members made in one call.
        ensemble: The loss.
    """

    channels: Literal[1] = 1
    offset: float = 0.0
    scale: float = 50.0
    first_guess: Literal["members"] = "members"
    case_widths: tuple[PositiveInt, ...] = Field(default=(80, 128, 192, 192), min_length=1)
    case_blocks: PositiveInt = 2
    member_widths: tuple[PositiveInt, ...] = Field(default=(48, 80, 128), min_length=1)
    member_batch: PositiveInt = 8
    ensemble: EnsembleSettings = EnsembleSettings(members=4, thresholds=(74, 133))

    @property
    def multiple(self) -> int:
        """See `NetworkSettings`: whole pixels on the coarsest level, and whole cells of smooth noise."""
        return _FOLD * max(2 ** (len(self.case_widths) - 1), _SMOOTH)

    @property
    def members_at_once(self) -> int:
        """See `NetworkSettings`."""
        return self.member_batch

    @model_validator(mode="after")
    def _members_are_told_of_levels_that_exist(self) -> "CorrectorSettings":
        if len(self.member_widths) > len(self.case_widths):
            raise ValueError("member_widths has more levels than case_widths")
        return self


class Corrector(Network[tuple[Guess, list[Tensor]]]):
    """Corrects the members of `steps`, wherever echo is near, in one pass; beyond its lead they go on uncorrected."""

    Settings = CorrectorSettings
    source = "our own design, https://arxiv.org/abs/1505.04597 and https://arxiv.org/abs/2412.15832"
    whole_domain = True
    any_lead = True

    def __init__(self, settings: CorrectorSettings, *, pretrained: bool = True):
        super().__init__(settings, pretrained=pretrained)
        leads, guesses, folded = settings.lead, len(GUESSES[settings.first_guess]), _FOLD**2
        told = folded * (settings.history + 1 + (guesses + 1) * leads) + 2
        self.of_case = UNet(told, settings.case_widths, settings.case_blocks)
        shared = zip(settings.case_widths, settings.member_widths, strict=False)
        self.shared: Sequence[nn.Module] = nn.ModuleList(nn.Conv2d(*widths, 1) for widths in shared)  # type: ignore[assignment]
        self.of_member = UNet(folded * leads + 2 * _NOISE, settings.member_widths, 1, told=settings.member_widths)
        self.last_scale = ChannelScale(settings.member_widths[0])
        self.last = _convolution(settings.member_widths[0], folded * leads)
        _zero(self.last)
        self.stages = {"ensemble": CorrectorStage(self)}

    def condition(self, history: Clip) -> tuple[Guess, list[Tensor]]:
        """The guesses of the cases, and the features of each level that members are told.

        See `Network.condition`.
        """
        guess = history.guess
        assert guess is not None
        leads = self.settings.lead
        fields = [history.frames, history.observed[:, -1:].to(history.frames), *guess.fields[:, :, :leads].unbind(1),
                  guess.reached[:, :leads].to(history.frames)]  # fmt: skip
        folded = pixel_unshuffle(torch.cat([field.flatten(1, 2) for field in fields], 1), _FOLD)
        minutes, km = guess.grid.to(folded).unbind(1)
        grid = torch.stack([torch.log(minutes / 5), torch.log(km)], 1)[:, :, None, None]
        told = torch.cat([folded, grid.expand(-1, -1, *folded.shape[-2:])], 1)
        features = self.of_case(told.contiguous(memory_format=torch.channels_last))
        return guess, [share(level) for share, level in zip(self.shared, features, strict=False)]

    def generate(self, condition: tuple[Guess, list[Tensor]], draws: Draws) -> Tensor:
        """See `Network.generate`."""
        guess, features = condition
        noise = [_noise(features[0].shape[-2:], generator) for generator in draws.flat]  # before any longer lead's
        drawn = guess.draw(draws.generators)  # (B, M, T or more, 1, H, W)
        fields, later = drawn.tensor_split([self.settings.lead], 2)
        off_mean = (fields - guess.best[:, None, : self.settings.lead]).flatten(0, 1).flatten(1, 2)
        told = [pixel_unshuffle(off_mean, _FOLD), torch.stack(noise).to(off_mean)]
        x = torch.cat(told, 1).contiguous(memory_format=torch.channels_last)
        x = self.of_member(x, [level.repeat_interleave(fields.shape[1], 0) for level in features])[0]
        correction = pixel_shuffle(self.last(silu(self.last_scale(x))).float(), _FOLD)
        return torch.cat([fields + guess.near_echo(fields) * correction.view(fields.shape), later], 2)


class CorrectorStage(Stage):
    """The only stage: the fair CRPS of a handful of members (see `ensemble_loss`)."""

    def __init__(self, network: Corrector):
        self.network = network

    @property
    def trained(self) -> nn.Module:
        """The whole network."""
        return self.network

    def loss(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """See `ensemble_loss`."""
        settings = self.network.settings
        condition = self.network.condition(batch.history)
        members = self.network.generate(condition, draws.of_members(settings.ensemble.members))
        return ensemble_loss(members, batch, settings.frame_scale, settings.ensemble)

    def preview(self, batch: Batch, draws: Draws) -> Tensor:
        """One member of the forecast."""
        return self.network.generate(self.network.condition(batch.history), draws)[:, 0]


class UNet(nn.Module):
    """Features of each level, the finest first.

    Args:
        inputs: Channels of the input.
        widths: Channels of the levels, each of half the sides of the one before.
        blocks: Residual blocks per level, on the way down and on the way up.
        told: Channels that each level is told on the way down; empty for none.
    """

    def __init__(self, inputs: int, widths: Sequence[int], blocks: int, told: Sequence[int] = ()):
        super().__init__()
        self.stem = nn.Conv2d(inputs, widths[0], 1)
        self.join = nn.ModuleList(nn.Conv2d(w + more, w, 1) for w, more in zip(widths, told, strict=False))
        self.down = nn.ModuleList(_blocks(width, width, blocks) for width in widths)
        pairs = list(pairwise(widths))
        self.shrink = nn.ModuleList(nn.Conv2d(4 * fine, coarse, 1) for fine, coarse in pairs)
        self.up = nn.ModuleList(_blocks(fine + coarse, fine, blocks) for fine, coarse in pairs)

    def forward(self, x: Tensor, told: Sequence[Tensor] = ()) -> list[Tensor]:
        """Features (B, width, h, w) of each level, from `x` (B, inputs, h, w)."""
        x, ways_down = self.stem(x), []
        for level, down in enumerate(self.down):
            x = self.shrink[level - 1](pixel_unshuffle(x, 2)) if level else x
            x = down(self.join[level](torch.cat([x, told[level]], 1)) if told else x)
            ways_down.append(x)
        features = [x]
        for fine, up in zip(ways_down[-2::-1], reversed(self.up), strict=True):
            coarse = interpolate(features[0], scale_factor=2, mode="bilinear")
            features.insert(0, up(torch.cat([fine, coarse], 1)))
        return features


class Block(nn.Module):
    """A residual block of two convolutions, the identity at first."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.scale = ChannelScale(inputs)
        self.first, self.second = _convolution(inputs, outputs), _convolution(outputs, outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        _zero(self.second)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, outputs, h, w) of `x` (B, inputs, h, w)."""
        return self.skip(x) + self.second(silu(self.first(silu(self.scale(x)))))


class ChannelScale(nn.Module):
    """A factor and a shift of each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same shape."""
        return x * self.factor + self.shift


def _blocks(inputs: int, outputs: int, number: int) -> nn.Sequential:
    return nn.Sequential(Block(inputs, outputs), *(Block(outputs, outputs) for _ in range(number - 1)))


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate")


def _zero(convolution: nn.Conv2d) -> None:
    nn.init.zeros_(convolution.weight)
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)


def _noise(size: Sequence[int], generator: torch.Generator) -> Tensor:
    """White noise and smooth noise, channels of folded pixels."""
    white = torch.randn(_NOISE, *size, generator=generator)
    coarse = torch.randn(1, _NOISE, *(side // _SMOOTH for side in size), generator=generator)
    return torch.cat([white, _SMOOTH_GAIN * interpolate(coarse, size=tuple(size), mode="bicubic")[0]])
