"""The denoiser of MCVD: a U-Net of NCSN++ (Song et al. 2021, https://arxiv.org/abs/2011.13456) over frames as channels.

As the authors built it (https://github.com/voletiv/mcvd-pytorch): residual blocks of BigGAN, whose norms are scaled and
shifted by the diffusion time; sides halved and doubled inside such blocks, through a smoothing filter; attention at
some sides; sums divided by the square root of 2; and last convolutions that begin near zero.

The condition c, frames as channels too, enters in one of two ways. `concat`: beside the noised frames. `spatin`: at
every norm, scaled and shifted place by place,

    GN(x) o (1 + gamma(u)) + beta(u),   u = SiLU(conv c'),

where c' is c at the sides of x, nearest neighbours, and conv, gamma and beta are 3 x 3 convolutions (space-time
adaptive normalisation). B: samples. h, w: sides of a level. o: product by element.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, interpolate, silu

from nowcast.models.layers.attention import Attention
from nowcast.models.layers.dropout import Dropout
from nowcast.models.layers.positions import sinusoids

_ALMOST_ZERO = 1e-5
Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


class Size(NamedTuple):
    """The size of a U-Net.

    Attributes:
        inputs: Channels of the noised frames, and of the prediction.
        told: Channels of the condition.
        side: Places along a side in training; decides where attention is.
        width: Channels of the first level.
        multipliers: Channels of each level in units of `width`.
        depth: Residual blocks of a level on the way down; one more on the way up.
        attention: Sides of the levels with attention.
        head_width: Channels of a head of attention.
        spatin_width: Channels between the condition and the norms; None puts the condition beside the input.
        dropout: Share of features dropped in training.
    """

    inputs: int
    told: int
    side: int
    width: int
    multipliers: tuple[int, ...]
    depth: int
    attention: tuple[int, ...]
    head_width: int
    spatin_width: int | None
    dropout: float


class Given(NamedTuple):
    """What every block is given beside its features.

    Attributes:
        time: Embedded diffusion time, shape (B, 4 * width).
        told: Condition with shape (B, told, H, W).
        dropout: Draws what is dropped; None drops nothing.
    """

    time: Tensor
    told: Tensor
    dropout: Dropout | None


class UNet(nn.Module):
    """Noised frames and their condition to a prediction of the shape of the noised frames."""

    def __init__(self, size: Size):
        super().__init__()
        self.size = size
        width, beside = size.width, size.told if size.spatin_width is None else 0
        self.time = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))
        self.first = _convolution(size.inputs + beside, width)
        levels = [(width * m, size.side // 2**n in size.attention) for n, m in enumerate(size.multipliers)]
        down: list[Block] = []
        skips = [width]
        for number, (channels, attends) in enumerate(levels):
            if number:
                down.append(Block(size, skips[-1], skips[-1], resample=halved))
                skips.append(skips[-1])
            for _ in range(size.depth):
                down.append(Block(size, skips[-1], channels, attends=attends))
                skips.append(channels)
        self.down = nn.ModuleList(down)
        deepest = skips[-1]
        self.middle = nn.ModuleList([Block(size, deepest, deepest, attends=True), Block(size, deepest, deepest)])
        up: list[Block] = []
        inputs = deepest
        for number, (channels, attends) in reversed(list(enumerate(levels))):
            for left in reversed(range(size.depth + 1)):
                up.append(Block(size, inputs + skips.pop(), channels, attends=attends and not left))
                inputs = channels
            if number:
                up.append(Block(size, inputs, inputs, resample=doubled))
        self.up = nn.ModuleList(up)
        self.last_norm = Norm(size, inputs, timed=False)
        self.last = _convolution(inputs, size.inputs, gain=_ALMOST_ZERO)
        for layer in self.time:
            if isinstance(layer, nn.Linear):
                _begin(layer)

    def forward(self, z: Tensor, t: Tensor, told: Tensor, dropout: Dropout | None = None) -> Tensor:
        """The prediction for `z` (B, inputs, H, W), same shape.

        Args:
            z: Noised frames.
            t: Diffusion times (B,), in [0, 1000].
            told: Condition (B, told, H, W).
            dropout: See `Given`.
        """
        given = Given(self.time(sinusoids(t, self.size.width, 10_000)), told, dropout)
        x = self.first(torch.cat([z, told], 1) if self.size.spatin_width is None else z)
        skips = [x]
        for block in self.down:
            x = block(x, given)
            skips.append(x)
        for block in self.middle:
            x = block(x, given)
        for block in self.up:
            x = block(x if block.resample is doubled else torch.cat([x, skips.pop()], 1), given)
        return self.last(self.last_norm(x, given))


class Block(nn.Module):
    """Two convolutions after norms, beside a shortcut; then attention where the level has it."""

    def __init__(
        self,
        size: Size,
        inputs: int,
        outputs: int,
        *,
        attends: bool = False,
        resample: Callable[[Tensor], Tensor] | None = None,
    ):
        super().__init__()
        self.rate, self.resample = size.dropout, resample
        self.norms = nn.ModuleList([Norm(size, inputs), Norm(size, outputs)])
        self.convolutions = nn.ModuleList(
            [_convolution(inputs, outputs), _convolution(outputs, outputs, gain=_ALMOST_ZERO)]
        )
        plain = inputs == outputs and resample is None
        self.shortcut = nn.Identity() if plain else _begin(nn.Conv2d(inputs, outputs, 1))
        self.attention = PlaceAttention(outputs, size.head_width) if attends else None

    def forward(self, x: Tensor, given: Given) -> Tensor:
        """Features (B, outputs, h, w) of `x` (B, inputs, h, w), at half or double the sides where it resamples."""
        changed = self.norms[0](x, given)
        if self.resample is not None:
            changed, x = self.resample(changed), self.resample(x)
        changed = self.norms[1](self.convolutions[0](changed), given)
        if given.dropout is not None:
            changed = given.dropout.elements(changed, self.rate)
        x = (self.shortcut(x) + self.convolutions[1](changed)) / 2**0.5
        return x if self.attention is None else self.attention(x)


class Norm(nn.Module):
    """Group normalisation, scaled and shifted by place (`spatin`) and by the diffusion time; then SiLU."""

    def __init__(self, size: Size, channels: int, *, timed: bool = True):
        super().__init__()
        spatin, width = size.spatin_width is not None, size.spatin_width or 0
        self.normal = nn.GroupNorm(_groups(channels), channels, eps=1e-6, affine=not (timed or spatin))
        self.time = _begin(nn.Linear(4 * size.width, 2 * channels)) if timed else None
        self.told = _convolution(size.told, width) if spatin else None
        self.place = _convolution(width, 2 * channels) if spatin else None  # gamma, then beta

    def forward(self, x: Tensor, given: Given) -> Tensor:
        """Features with the shape (B, channels, h, w) of `x`."""
        x = self.normal(x)
        if self.told is not None and self.place is not None:
            seen = silu(self.told(interpolate(given.told, x.shape[-2:])))
            x = _modulated(x, self.place(seen))
        if self.time is not None:
            x = _modulated(x, self.time(silu(given.time))[:, :, None, None])
        return silu(x)


class PlaceAttention(nn.Module):
    """Self-attention over the places of a level, with heads of `head_width` channels."""

    def __init__(self, channels: int, head_width: int):
        super().__init__()
        self.normal = nn.GroupNorm(_groups(channels), channels, eps=1e-6)
        self.attention = Attention(channels, channels // head_width)
        for layer in (self.attention.query, self.attention.key, self.attention.value):
            _begin(layer, gain=0.1**0.5)
        _begin(self.attention.out, gain=_ALMOST_ZERO)

    def forward(self, x: Tensor) -> Tensor:
        """Features with the shape (B, channels, h, w) of `x`."""
        places = self.normal(x).flatten(2).transpose(1, 2)
        return (x + self.attention(places).transpose(1, 2).unflatten(2, x.shape[2:])) / 2**0.5


def _modulated(x: Tensor, scale_and_shift: Tensor) -> Tensor:
    scale, shift = scale_and_shift.chunk(2, 1)
    return x * (1 + scale) + shift


def halved(x: Tensor) -> Tensor:
    """Features (B, C, h, w) at half the sides, smoothed by [1, 3, 3, 1] along either; zeros around."""
    return conv2d(x, _smoothing(x), stride=2, padding=1, groups=x.shape[1])


def doubled(x: Tensor) -> Tensor:
    """Features (B, C, h, w) at double the sides, smoothed by [1, 3, 3, 1] along either; zeros around."""
    return conv_transpose2d(x, 4 * _smoothing(x), stride=2, padding=1, groups=x.shape[1])


def _smoothing(x: Tensor) -> Tensor:
    weights = torch.tensor([1.0, 3.0, 3.0, 1.0], device=x.device, dtype=x.dtype) / 8
    return torch.outer(weights, weights).expand(x.shape[1], 1, 4, 4)


def _groups(channels: int) -> int:
    """The largest number of groups, of four channels or more, at most 32, that divides the channels."""
    return next(number for number in range(max(1, min(channels // 4, 32)), 0, -1) if channels % number == 0)


def _convolution(inputs: int, outputs: int, gain: float = 1.0) -> nn.Conv2d:
    return _begin(nn.Conv2d(inputs, outputs, 3, padding=1), gain)


def _begin(layer: Layer, gain: float = 1.0) -> Layer:
    """The layer with weights that keep the variance times `gain` squared, and without bias."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
