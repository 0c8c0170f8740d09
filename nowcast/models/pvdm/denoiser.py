"""PVDM's denoiser: one 2-D U-Net for the three planes of latents, which attend to each other after each of its blocks.

The U-Net of Dhariwal and Nichol 2021, https://arxiv.org/abs/2105.05233, in the size of
https://github.com/sihyun-yu/PVDM. z_t: noised latents (B, C, h + 2 T, h), see nowcast.models.pvdm.autoencoder. t:
diffusion time (B,), in [0, 1000]. c: conditions, latents of the same shape, stacked on z_t as channels. d: channels of
a level.

That code wants whole halvings of T and h; here halvings round up, and doublings are cut to the size of the level above.
Where T and h are multiples of the coarsest level's factor the two are equal.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, silu

from nowcast.models.layers.attention import attend
from nowcast.models.layers.positions import sinusoids
from nowcast.models.pvdm.autoencoder import as_planes

M = TypeVar("M", bound=nn.Module)

_ATTENTIVE = 3  # levels, the finest, whose blocks also attend within a plane


class DenoiserSettings(BaseModel):
    """Size of the denoiser.

    Attributes:
        width: Channels of the finest level.
        widths: Channels of each level in units of `width`; each level has half the sides of the one before.
        blocks: Residual blocks a level; one more on the way up.
        heads: Attention heads.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: PositiveInt = 256
    widths: tuple[PositiveInt, ...] = Field(default=(1, 2, 4, 4), min_length=1)
    blocks: PositiveInt = 2
    heads: PositiveInt = 8

    @model_validator(mode="after")
    def _heads_fit(self) -> "DenoiserSettings":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of heads")
        return self


def _normalised(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(32, max(1, channels // 4)), channels)  # 32 groups at published widths


class ResidualBlock(nn.Module):
    """Two convolutions with shift and scale from t, at the plane's size, half of it or twice it."""

    def __init__(self, inputs: int, outputs: int, times: int, resize: str = ""):
        super().__init__()
        self.resize = resize
        self.enter_norm, self.leave_norm = _normalised(inputs), _normalised(outputs)
        self.enter = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(times, 2 * outputs)
        self.leave = _silent(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """A plane (B, inputs, rows, columns) to one of `outputs` channels; `time` (B, times)."""
        hidden = self.enter(self._resized(silu(self.enter_norm(x))))
        scale, shift = self.time(time)[..., None, None].chunk(2, 1)
        hidden = self.leave(silu(self.leave_norm(hidden) * (1 + scale) + shift))
        return self.skip(self._resized(x)) + hidden

    def _resized(self, x: Tensor) -> Tensor:
        if self.resize == "half":
            return avg_pool2d(x, 2, ceil_mode=True)
        return interpolate(x, scale_factor=2.0, mode="nearest") if self.resize == "twice" else x


class TokenAttention(nn.Module):
    """Self-attention over all tokens of a plane, or of all planes, added to them."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = _normalised(channels)
        self.inputs = nn.Linear(channels, 3 * channels)
        self.out = _silent(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Channels first: (B, d, ...) to the same shape."""
        tokens = self.norm(x.flatten(2)).transpose(1, 2)
        q, k, v = self.inputs(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        made = self.out(attend(q, k, v).transpose(1, 2).flatten(2))
        return x + made.transpose(1, 2).unflatten(2, x.shape[2:])


class Step(nn.Module):
    """Layers that work on each plane alone, then attention over the tokens of all three."""

    def __init__(self, channels: int, heads: int, *layers: nn.Module):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.across = TokenAttention(channels, heads)

    def forward(self, planes: Sequence[Tensor], time: Tensor, sizes: Sequence[torch.Size] = ()) -> list[Tensor]:
        """Planes (B, inputs, rows, columns) to planes of d channels, cut to `sizes` where these are given."""
        made = [self._alone(plane, time) for plane in planes]
        if sizes:
            made = [plane[..., : size[-2], : size[-1]] for plane, size in zip(made, sizes, strict=True)]
        tokens = self.across(torch.cat([plane.flatten(2) for plane in made], 2))
        parts = tokens.split([plane[0, 0].numel() for plane in made], 2)
        return [part.unflatten(2, plane.shape[2:]) for part, plane in zip(parts, made, strict=True)]

    def _alone(self, x: Tensor, time: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, time) if isinstance(layer, ResidualBlock) else layer(x)
        return x


class Denoiser(nn.Module):
    """The prediction that the objective asks for, with the shape of z_t.

    Args:
        settings: Its size.
        channels: Channels C of the latents.
        conditions: Latents c that are stacked on the noised ones.
    """

    def __init__(self, settings: DenoiserSettings, channels: int, conditions: int):
        super().__init__()
        width, heads, blocks = settings.width, settings.heads, settings.blocks
        times, levels = 4 * width, [width * factor for factor in settings.widths]
        self.width = width
        self.time = nn.Sequential(nn.Linear(width, times), nn.SiLU(), nn.Linear(times, times), nn.SiLU())
        self.enter = nn.Conv2d(channels * (1 + conditions), width, 3, padding=1)
        down, up, skips, d = list[Step](), list[Step](), [width], width
        for level, channels_here in enumerate(levels):
            for _ in range(blocks):
                down.append(Step(channels_here, heads, *_layers(d, channels_here, times, heads, level)))
                d = channels_here
                skips.append(d)
            if level + 1 < len(levels):
                down.append(Step(d, heads, ResidualBlock(d, d, times, "half")))
                skips.append(d)
        middle = ResidualBlock(d, d, times), TokenAttention(d, heads), ResidualBlock(d, d, times)
        self.middle = Step(d, heads, *middle)
        for level, channels_here in reversed(list(enumerate(levels))):
            for number in range(blocks + 1):
                layers = _layers(d + skips.pop(), channels_here, times, heads, level)
                d = channels_here
                last = [ResidualBlock(d, d, times, "twice")] if level and number == blocks else []
                up.append(Step(d, heads, *layers, *last))
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.leave_norm = _normalised(d)
        self.leave = _silent(nn.Conv2d(d, channels, 3, padding=1))

    def forward(self, z: Tensor, t: Tensor, conditions: Tensor) -> Tensor:
        """The prediction for z_t (B, C, h + 2 T, h) at t (B,) under conditions (B, conditions * C, h + 2 T, h)."""
        time = self.time(sinusoids(t, self.width, 10_000))
        planes = [self.enter(plane) for plane in as_planes(torch.cat([z, conditions], 1))]
        skips = [planes]
        for step in self.down:
            planes = step(planes, time)
            skips.append(planes)
        planes = self.middle(planes, time)
        for step in self.up:
            joined = [torch.cat(pair, 1) for pair in zip(planes, skips.pop(), strict=True)]
            planes = step(joined, time, [plane.shape for plane in skips[-1]] if skips else [])
        return torch.cat([self.leave(silu(self.leave_norm(plane))) for plane in planes], 2)


def _layers(inputs: int, outputs: int, times: int, heads: int, level: int) -> list[nn.Module]:
    attention = [TokenAttention(outputs, heads)] if level < _ATTENTIVE else []
    return [ResidualBlock(inputs, outputs, times), *attention]


def _silent(module: M) -> M:
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module
