"""PVDM's autoencoder: a clip as three planes of latents, each the clip seen along one of its axes.

Yu, Sohn, Kim and Shin 2023, https://arxiv.org/abs/2302.07685, in the size of https://github.com/sihyun-yu/PVDM. x:
frames (B, T, K, H, W) of K channels. h: patches along a side of a frame, H = W = h * patch. d: width of a token. C:
channels of the latents. Planes: xy (h, h), xt (T, h) and yt (T, h), named by the axes that they keep, as rows of one
picture of h columns: latents have the shape (B, C, h + 2 T, h), on [-1, 1] by a tanh.

Encoder and decoder are transformers that attend over time, then over space, then mix the features of a token. A
projection is a small transformer along one axis, with a token of its own appended, which it reads out. Three things
differ from that code. It reads out the first token of the axis in place of the appended one. It turns the two
features of a pair by two angles in attention over time, so that they are no rotation. And it holds T at 16 and H at
256; here both are free, and clips of different lengths share the weights.
"""

import math

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, gelu, pixel_unshuffle

from nowcast.models.frames import FrameScale
from nowcast.models.layers.attention import attend

_LARGEST = 255.0  # value of a frame, of radar or video
_FASTEST = 5  # turns of the fastest rotary feature from the middle of a frame to its edge, in half turns


class AutoencoderSettings(BaseModel):
    """Size of the autoencoder.

    Attributes:
        patch: Pixels along a side of a token.
        width: Features of a token.
        blocks: Blocks of the encoder, and of the decoder.
        heads: Attention heads.
        head_width: Features of a head.
        projection_layers: Layers of each projection.
        latent_channels: Channels of the planes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    patch: PositiveInt = 8
    width: int = Field(default=384, gt=0, multiple_of=8)
    blocks: PositiveInt = 8
    heads: PositiveInt = 8
    head_width: int = Field(default=64, gt=0, multiple_of=4)
    projection_layers: PositiveInt = 4
    latent_channels: PositiveInt = 4


def time_angles(times: int, width: int) -> Tensor:
    """Angles (T, width / 2) by which attention over time turns the pairs of features of frame 0, 1, ..."""
    return torch.arange(times)[:, None] * 10_000 ** -(torch.arange(0, width, 2) / width)


def space_angles(side: int, width: int) -> Tensor:
    """Angles (side * side, width / 2), of which rows have the first half and columns the second."""
    waves = torch.logspace(0, math.log2(_FASTEST), width // 4, base=2)
    along = torch.pi * torch.linspace(-1, 1, side)[:, None] * waves
    return torch.cat([along[:, None].expand(-1, side, -1), along.expand(side, -1, -1)], -1).flatten(0, 1)


def rotated(x: Tensor, angles: Tensor) -> Tensor:
    """Features (..., n, width), each pair (2 i, 2 i + 1) turned by `angles` (n, width / 2)."""
    (one, other), sine, cosine = x.unflatten(-1, (-1, 2)).unbind(-1), angles.sin(), angles.cos()
    return torch.stack([one * cosine - other * sine, other * cosine + one * sine], -1).flatten(-2)


class Attention(nn.Module):
    """Multi-head self-attention, rotary where angles are given."""

    def __init__(self, width: int, heads: int, head_width: int):
        super().__init__()
        self.heads = heads
        self.inputs = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.out = nn.Linear(heads * head_width, width)

    def forward(self, x: Tensor, angles: Tensor | None = None) -> Tensor:
        """Sequences (..., n, d) to the same shape, with `angles` (n, head_width / 2)."""
        q, k, v = self.inputs(x).unflatten(-1, (3, self.heads, -1)).transpose(-4, -2).unbind(-3)
        if angles is not None:
            q, k = rotated(q, angles), rotated(k, angles)
        return self.out(attend(q, k, v).transpose(-3, -2).flatten(-2))


class Block(nn.Module):
    """Attention over time, attention over space, and a gated feed-forward layer (GEGLU), each pre-norm and added."""

    def __init__(self, settings: AutoencoderSettings):
        super().__init__()
        width = settings.width
        self.time_norm, self.space_norm, self.forward_norm = (nn.LayerNorm(width) for _ in range(3))
        self.over_time = Attention(width, settings.heads, settings.head_width)
        self.over_space = Attention(width, settings.heads, settings.head_width)
        self.enter = nn.Linear(width, 8 * width)
        self.leave = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, times: Tensor, places: Tensor) -> Tensor:
        """Tokens (B, T, h * h, d) to the same shape; see `time_angles` and `space_angles`."""
        x = x + self.over_time(self.time_norm(x).transpose(1, 2), times).transpose(1, 2)
        x = x + self.over_space(self.space_norm(x), places)
        values, gates = self.enter(self.forward_norm(x)).chunk(2, -1)
        return x + self.leave(values * gelu(gates))


class ProjectionLayer(nn.Module):
    """Attention along the axis and a feed-forward layer, each pre-norm and added."""

    def __init__(self, width: int):
        super().__init__()
        wide = 4 * width // 3
        self.attention = nn.Sequential(nn.LayerNorm(width), Attention(width, 4, width // 8))
        self.mix = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, wide), nn.GELU(), nn.Linear(wide, width))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (..., n, d) to the same shape."""
        x = x + self.attention(x)
        return x + self.mix(x)


class Projection(nn.Module):
    """Tokens along one axis to one latent on [-1, 1]."""

    def __init__(self, settings: AutoencoderSettings, longest: int):
        super().__init__()
        self.token = nn.Parameter(torch.randn(settings.width))
        self.positions = nn.Parameter(torch.randn(longest + 1, settings.width))
        self.layers = nn.Sequential(*(ProjectionLayer(settings.width) for _ in range(settings.projection_layers)))
        self.out = nn.Linear(settings.width, settings.latent_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Latents (..., C) of tokens (..., n, d), n at most `longest`."""
        token = (self.token + self.positions[-1]).expand(*x.shape[:-2], 1, -1)
        x = torch.cat([x + self.positions[: x.shape[-2]], token], -2)
        return self.out(self.layers(x)[..., -1, :]).tanh()


class TriplaneAutoencoder(nn.Module):
    """Clips to three planes of latents and back.

    Args:
        settings: Its size.
        side: Pixels along a side of a frame.
        channels: Channels K of a frame.
        longest: Frames of the longest clip.
        scale: The units of frames, whose range the decoder keeps to.
    """

    def __init__(self, settings: AutoencoderSettings, side: int, channels: int, longest: int, scale: FrameScale):
        super().__init__()
        self.patch, self.side, width = settings.patch, side // settings.patch, settings.width
        self.head_width = settings.head_width
        self.least, self.largest = ((value - scale.offset) / scale.scale for value in (0.0, _LARGEST))
        self.embed = nn.Linear(channels * self.patch**2, width)
        self.encoder = nn.ModuleList(Block(settings) for _ in range(settings.blocks))
        self.projections = nn.ModuleList(Projection(settings, axis) for axis in (longest, self.side, self.side))
        self.spread = nn.ModuleList(nn.Linear(settings.latent_channels, width) for _ in range(3))
        self.decoder = nn.ModuleList(Block(settings) for _ in range(settings.blocks))
        self.pixels = nn.ConvTranspose2d(width, channels, self.patch, stride=self.patch)

    def encode(self, frames: Tensor) -> Tensor:
        """Latents (B, C, h + 2 T, h), float32, of frames (B, T, K, H, W)."""
        x = self.embed(pixel_unshuffle(frames, self.patch).flatten(3).transpose(2, 3))
        x = self._through(self.encoder, x).unflatten(2, (self.side, self.side))
        # From (B, T, y, x, d), the axis that a plane does not keep moves next to the features.
        planes = [project(x.movedim(axis, -2)) for axis, project in enumerate(self.projections, 1)]
        return torch.cat(planes, 1).movedim(-1, 1).float()

    def decode(self, latents: Tensor) -> Tensor:
        """Frames (B, T, K, H, W), float32, of latents (B, C, h + 2 T, h)."""
        planes = (spread(plane.movedim(1, -1)) for spread, plane in zip(self.spread, as_planes(latents), strict=True))
        xy, xt, yt = planes
        x = xy[:, None] + xt[:, :, None] + yt[:, :, :, None]
        x = self._through(self.decoder, x.flatten(2, 3)).unflatten(2, (self.side, self.side)).movedim(-1, 2)
        shares = self.pixels(x.flatten(0, 1)).float().sigmoid().unflatten(0, x.shape[:2])
        return self.least + (self.largest - self.least) * shares

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (B, T, K, H, W) through the planes and back."""
        return self.decode(self.encode(frames))

    def observed(self, observed: Tensor) -> Tensor:
        """The observed share (B, 1, h + 2 T, h) of what a latent sees directly; `observed` as (B, T, 1, H, W)."""
        seen = avg_pool2d(observed[:, :, 0].float(), self.patch)
        return torch.cat([seen.mean(axis) for axis in (1, 2, 3)], 1)[:, None]

    def _through(self, blocks: nn.ModuleList, x: Tensor) -> Tensor:
        times, places = (
            angles.to(x.device)
            for angles in (time_angles(x.shape[1], self.head_width), space_angles(self.side, self.head_width))
        )
        for block in blocks:
            x = block(x, times, places)
        return x


def as_planes(latents: Tensor) -> list[Tensor]:
    """The planes xy (B, C, h, h), xt and yt (B, C, T, h) of latents (B, C, h + 2 T, h)."""
    side = latents.shape[3]
    times = (latents.shape[2] - side) // 2
    return list(latents.split([side, times, times], 2))
