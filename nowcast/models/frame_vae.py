"""The per-frame encoder E and decoder D of MT-VAE: a 2-D convolutional VAE of diffusers.

Either Stable Diffusion's (the paper: factor 8, 4 channels, frozen), or a small one of one channel that is trained from
scratch together with the temporal transformer. Two things make the small one trainable on a processor. It folds pixels
into channels before its first convolution, so that none runs at full resolution. And it adds to a linear autoencoder
that starts as the low frequencies of a block cosine transform, which alone reconstructs radar better than hundreds of
steps of the convolutions from nothing (8 channels, simulated storms: mean absolute error 4.0 counts against 7.2).
"""

from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from pipelines.errors import InputError


class FrameVAESettings(BaseModel):
    """Which frame VAE.

    Attributes:
        pretrained: Folder or hub id of a diffusers AutoencoderKL with three colours, which is then frozen; None trains
            one of a single channel from scratch. The other settings describe it either way.
        factor: Pixels along a side of a latent location.
        latent_channels: Channels of the latents.
        latent_scale: What the latents are multiplied by to come near unit scale (0.18215 for Stable Diffusion's).
        channels: Channels of the levels, each half as wide as the one before; what their halvings lack to `factor` is
            folded into channels.
        layers: Residual blocks a level.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pretrained: str | None = None
    factor: int = 8
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
    """Grey frames to latents and back, frame by frame.

    Args:
        settings: Their description.
        vae: The diffusers AutoencoderKL. Three colours each see the grey frame, and their outputs are averaged.
    """

    def __init__(self, settings: FrameVAESettings, vae: Any):
        super().__init__()
        self.vae = vae
        self.fold, self.scale = settings.fold, settings.latent_scale
        self.colours = 1 if settings.pretrained is None else 3

    def encode(self, frames: Tensor) -> Tensor:
        """E(x): the mean latents (B, T, C, h, w) of frames (B, T, 1, H, W)."""
        x = pixel_unshuffle(frames.flatten(0, 1).expand(-1, self.colours, -1, -1), self.fold)
        latents = self.vae.encode(x.contiguous(memory_format=torch.channels_last)).latent_dist.mode()
        return latents.unflatten(0, frames.shape[:2]) * self.scale

    def decode(self, latents: Tensor) -> Tensor:
        """D(z): frames (B, T, 1, H, W) of latents (B, T, C, h, w)."""
        z = latents.flatten(0, 1) / self.scale
        x = self.vae.decode(z.contiguous(memory_format=torch.channels_last)).sample
        return pixel_shuffle(x, self.fold).mean(1, keepdim=True).unflatten(0, latents.shape[:2])


class SmallFrameVAE(FrameVAE):
    """A frame VAE from scratch: a linear one beside the convolutions, which start silent."""

    def __init__(self, settings: FrameVAESettings, vae: Any):
        super().__init__(settings, vae)
        factor, channels = settings.factor, settings.latent_channels
        self.analysis = nn.Conv2d(1, channels, factor, stride=factor)
        self.synthesis = nn.ConvTranspose2d(channels, 1, factor, stride=factor)
        with torch.no_grad():
            basis = block_cosines(factor, channels)[:, None]
            self.analysis.weight.copy_(basis / factor)  # the first latent is the mean of its pixels
            self.synthesis.weight.copy_(basis * factor)
        silent = [
            self.analysis.bias,
            self.synthesis.bias,
            *vae.quant_conv.parameters(),
            *vae.decoder.conv_out.parameters(),
        ]
        for parameter in silent:
            nn.init.zeros_(parameter)

    def encode(self, frames: Tensor) -> Tensor:
        """See `FrameVAE.encode`."""
        return super().encode(frames) + self.analysis(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])

    def decode(self, latents: Tensor) -> Tensor:
        """See `FrameVAE.decode`."""
        return super().decode(latents) + self.synthesis(latents.flatten(0, 1)).unflatten(0, latents.shape[:2])


def block_cosines(size: int, count: int) -> Tensor:
    """The `count` lowest frequencies of a block's orthonormal cosine transform (DCT-II), shape (count, size, size)."""
    places = torch.arange(size, dtype=torch.float64)
    waves = torch.cos(torch.pi / size * (places + 0.5) * places[:, None])
    waves = waves / waves.norm(dim=1, keepdim=True)
    order = sorted((u * u + v * v, u, v) for u in range(size) for v in range(size))
    return torch.stack([torch.outer(waves[u], waves[v]) for _, u, v in order[:count]]).float()


def build_frame_vae(settings: FrameVAESettings, pretrained: bool = True) -> FrameVAE:
    """The frame VAE that `settings` describe, frozen if it is a pretrained one.

    Args:
        settings: Its description.
        pretrained: Whether to fetch pretrained weights, or leave them to a checkpoint.

    Raises:
        InputError: when the pretrained VAE cannot be loaded, or is not as described.
    """
    from diffusers import AutoencoderKL

    if settings.pretrained is None:
        return SmallFrameVAE(settings, AutoencoderKL(**_architecture(settings)))
    vae: Any = _load(settings) if pretrained else AutoencoderKL(**_architecture(settings))
    return FrameVAE(settings, vae.requires_grad_(False))


def _architecture(settings: FrameVAESettings) -> dict[str, Any]:
    levels, own = len(settings.channels), settings.pretrained is None
    channels = settings.fold**2 if own else 3
    return {
        "in_channels": channels,
        "out_channels": channels,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": settings.channels,
        "layers_per_block": settings.layers,
        "latent_channels": settings.latent_channels,
        "norm_num_groups": 8 if own else 32,
        "mid_block_add_attention": not own,
    }


def _load(settings: FrameVAESettings) -> Any:
    from diffusers import AutoencoderKL

    name = str(settings.pretrained)
    try:
        vae = AutoencoderKL.from_pretrained(name, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise InputError(
            f"frame_vae.pretrained: no AutoencoderKL at {name!r}",
            expected="a folder with config.json and diffusion_pytorch_model.safetensors, or a hub id within reach",
            remedy="download both files from https://huggingface.co/stabilityai/sd-vae-ft-mse and give their folder",
        ) from error
    for key, value in _architecture(settings).items():
        found = vae.config[key]
        if (tuple(found) if isinstance(found, list) else found) != value:
            raise InputError(
                f"frame_vae.pretrained {name!r} is not as the settings say: {key}", got=found, expected=value
            )
    return vae
