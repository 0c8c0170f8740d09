"""The per-frame encoder E and decoder D of MT-VAE: a 2-D convolutional VAE.

Either Stable Diffusion's (the paper: factor 8, 4 channels, frozen), or a small one that is trained from scratch
together with the temporal transformer. Frames are grey or have three colours. Two things make the small one trainable
on a processor. It folds pixels into channels before its first convolution, so that none runs at full resolution. And it
adds to a linear autoencoder that starts as the low frequencies of a block cosine transform, which alone reconstructs
radar better than hundreds of steps of the convolutions from nothing (8 channels, simulated storms: mean absolute error
4.0 counts against 7.2); its blocks overlap, so that decoded frames show none of their borders.
"""

import math
from itertools import product
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle

from nowcast.models.predldm.convolutional_vae import ConvolutionalVAE
from pipelines.errors import InputError


class FrameVAESettings(BaseModel):
    """Which frame VAE.

    Attributes:
        pretrained: Folder or hub id of a diffusers AutoencoderKL with three colours, which is then frozen; None trains
            one from scratch. The other settings describe it either way.
        factor: Pixels along a side of a latent location.
        latent_channels: Channels of the latents.
        latent_scale: Factor that brings the latents near unit scale (0.18215 for Stable Diffusion's).
        channels: Channels of the levels, each half as wide as the one before; the rest of `factor` is folded
            into channels.
        layers: Residual blocks a level.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pretrained: str | None = None
    factor: int = Field(default=8, multiple_of=2)
    latent_channels: int = 4
    latent_scale: float = 1.0
    channels: tuple[int, ...] = (64, 128)
    layers: int = 1

    @property
    def fold(self) -> int:
        """Pixels along a side that are folded into channels before the first convolution."""
        return self.factor // 2 ** (len(self.channels) - 1)

    @model_validator(mode="after")
    def _levels_make_up_factor(self) -> "FrameVAESettings":
        if self.factor % 2 ** (len(self.channels) - 1) or (self.pretrained and self.fold > 1):
            raise ValueError(f"{len(self.channels)} levels do not make up a factor of {self.factor}")
        return self


class FrameVAE(nn.Module):
    """Frames to latents and back, frame by frame.

    Args:
        settings: Their description.
        vae: The VAE of single images. If it has three colours and frames are grey, each sees the grey frame, and
            their outputs are averaged.
        channels: Channels of a frame, K below.
    """

    def __init__(self, settings: FrameVAESettings, vae: ConvolutionalVAE, channels: int = 1):
        super().__init__()
        self.vae, self.channels = vae, channels
        self.fold, self.scale = settings.fold, settings.latent_scale
        self.colours = channels if settings.pretrained is None else 3

    def encode(self, frames: Tensor) -> Tensor:
        """E(x): the mean latents (B, T, C, h, w) of frames (B, T, K, H, W)."""
        return self.moments(frames)[0]

    def moments(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, T, C, h, w) of the latents of frames (B, T, K, H, W)."""
        x = pixel_unshuffle(frames.flatten(0, 1).expand(-1, self.colours, -1, -1), self.fold)
        moments = self.vae.encode(x.contiguous(memory_format=torch.channels_last))
        mean, log_variance = (moment.unflatten(0, frames.shape[:2]) for moment in moments)
        return mean * self.scale, log_variance + 2 * math.log(self.scale)

    def decode(self, latents: Tensor) -> Tensor:
        """D(z): frames (B, T, K, H, W) of latents (B, T, C, h, w)."""
        z = latents.flatten(0, 1) / self.scale
        x = self.vae.decode(z.contiguous(memory_format=torch.channels_last))
        frames = pixel_shuffle(x, self.fold)
        if self.channels == 1:
            frames = frames.mean(1, keepdim=True)
        return frames.unflatten(0, latents.shape[:2])


class SmallFrameVAE(FrameVAE):
    """A frame VAE from scratch: a linear one beside the convolutions, which start silent."""

    def __init__(self, settings: FrameVAESettings, vae: ConvolutionalVAE, channels: int = 1):
        super().__init__(settings, vae, channels)
        factor, latents, rim = settings.factor, settings.latent_channels, settings.factor // 2
        self.analysis = nn.Conv2d(channels, latents, 2 * factor, stride=factor, padding=rim)
        self.synthesis = nn.ConvTranspose2d(latents, channels, 2 * factor, stride=factor, padding=factor + rim)
        with torch.no_grad():
            basis, scale = block_cosines(factor, latents, channels), factor * channels**0.5
            self.analysis.weight.copy_(pad(basis / scale, [rim] * 4))  # the first latent is the mean of its pixels
            self.synthesis.weight.copy_(overlapping(basis) * scale)
        silent = [
            self.analysis.get_parameter("bias"),
            self.synthesis.get_parameter("bias"),
            *vae.quant_conv.parameters(),
            *vae.decoder.conv_out.parameters(),
        ]
        for parameter in silent:
            nn.init.zeros_(parameter)

    def moments(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """See `FrameVAE.moments`."""
        mean, log_variance = super().moments(frames)
        return mean + self.analysis(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]), log_variance

    def decode(self, latents: Tensor) -> Tensor:
        """See `FrameVAE.decode`."""
        surrounded = pad(latents.flatten(0, 1), [1] * 4, mode="replicate")
        return super().decode(latents) + self.synthesis(surrounded).unflatten(0, latents.shape[:2])


def overlapping(basis: Tensor) -> Tensor:
    """Blocks (..., f, f) carried on into their neighbours, shape (..., 2 f, 2 f), so that fields show no borders.

    Mirrored at their edges, and faded over the overlap so that constants stay what they are.
    """
    size, rim = basis.shape[-1], basis.shape[-1] // 2
    places = torch.arange(-rim, size + rim)
    mirrored = torch.minimum(places.abs() - (places < 0).long(), 2 * size - 1 - places)
    window = torch.sin(torch.pi * (torch.arange(2 * size) + 0.5) / (2 * size)).square()
    return basis[..., mirrored, :][..., mirrored] * window * window[:, None]


def block_cosines(size: int, count: int, channels: int = 1) -> Tensor:
    """The `count` lowest frequencies of a block's orthonormal cosine transform, shape (count, channels, size, size).

    DCT-II in space; over three colours too, where their differences, which matter less, come as late as frequencies of
    two cycles.
    """
    waves, colours = (_cosines(length) for length in (size, channels))
    numbers = product(range(channels), range(size), range(size))
    order = sorted((u * u + v * v + 4 * (k > 0), k, u, v) for k, u, v in numbers)
    blocks = [colours[k][:, None, None] * torch.outer(waves[u], waves[v]) for _, k, u, v in order[:count]]
    return torch.stack(blocks).float()


def _cosines(length: int) -> Tensor:
    """Orthonormal cosines, shape (frequency, place)."""
    places = torch.arange(length, dtype=torch.float64)
    waves = torch.cos(torch.pi / length * (places + 0.5) * places[:, None])
    return waves / waves.norm(dim=1, keepdim=True)


def build_frame_vae(settings: FrameVAESettings, pretrained: bool = True, channels: int = 1) -> FrameVAE:
    """The frame VAE that `settings` describe, frozen if it is a pretrained one.

    Args:
        settings: Its description.
        pretrained: Whether to fetch pretrained weights, or leave them to a checkpoint.
        channels: Channels of a frame.

    Raises:
        InputError: when the pretrained VAE cannot be loaded, or is not as described.
    """
    own = settings.pretrained is None
    colours = channels if own else 3
    folded = colours * settings.fold**2
    vae = ConvolutionalVAE(
        folded, settings.latent_channels, settings.channels, settings.layers, groups=8 if own else 32, attention=not own
    )
    if own:
        return SmallFrameVAE(settings, vae, channels)
    if pretrained:
        vae.load_state_dict(_pretrained(settings))
    return FrameVAE(settings, vae.requires_grad_(False), channels)


def _pretrained(settings: FrameVAESettings) -> dict[str, Tensor]:
    """The weights of the pretrained VAE, which is as the settings describe it."""
    from diffusers import AutoencoderKL

    name = str(settings.pretrained)
    try:
        vae: Any = AutoencoderKL.from_pretrained(name, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise InputError(
            f"frame_vae.pretrained: no AutoencoderKL at {name!r}",
            expected="a folder with config.json and diffusion_pytorch_model.safetensors, or a hub id within reach",
            remedy="download both files from https://huggingface.co/stabilityai/sd-vae-ft-ema and give their folder",
        ) from error
    levels = len(settings.channels)
    described = {
        "in_channels": 3,
        "out_channels": 3,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": settings.channels,
        "layers_per_block": settings.layers,
        "latent_channels": settings.latent_channels,
        "norm_num_groups": 32,
        "mid_block_add_attention": True,
    }
    for key, value in described.items():
        found = vae.config[key]
        if (tuple(found) if isinstance(found, list) else found) != value:
            raise InputError(
                f"frame_vae.pretrained {name!r} is not as the settings say: {key}", got=found, expected=value
            )
    return vae.state_dict()
