"""The contract of PredLDM's autoencoders, and their table: one line adds one.

All of them map clips of T frames to latents of T frames: time is never strided, so that factor, channels and the
diffusion on top stay the same (Table 2 of the paper compares them so). The loss is one for all and belongs to the stage
that trains them (nowcast.models.predldm.stages).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from nowcast.models.predldm.conv_vae import ConvVAE
from nowcast.models.predldm.frame_vae import build_frame_vae
from nowcast.models.predldm.mtvae import MTVAE, Reconstruction
from nowcast.models.predldm.settings import PredLDMSettings


class Autoencoder(Protocol):
    """Clips to latents and back.

    Attributes:
        trained: The part that its stage trains; the rest is pretrained and frozen.
        factor: Pixels along a side of a latent location.
        latent_channels: Channels C of the latents.
    """

    factor: int
    latent_channels: int

    @property
    def trained(self) -> nn.Module:
        """See the class."""

    def encode(self, frames: Tensor, observed: Tensor) -> Tensor:
        """Mean latents (B, T, C, h, w), float32, of frames (B, T, K, H, W) observed at (B, T, 1, H, W)."""

    def decode(self, latents: Tensor) -> Tensor:
        """Frames (B, T, K, H, W), float32."""

    def __call__(self, frames: Tensor, observed: Tensor, generators: Sequence[torch.Generator]) -> Reconstruction:
        """Encode, sample and decode, with one CPU generator per clip."""


def _mt(settings: PredLDMSettings, pretrained: bool) -> MTVAE:
    frame_vae = build_frame_vae(settings.frame_vae, pretrained, settings.channels)
    return MTVAE(settings.mtvae, settings.frame_vae, frame_vae)


def _conv(kind: Literal["3d", "2d+1d"], settings: PredLDMSettings, pretrained: bool) -> ConvVAE:
    return ConvVAE(kind, settings.frame_vae, build_frame_vae(settings.frame_vae, pretrained, settings.channels))


AUTOENCODERS: dict[str, Callable[[PredLDMSettings, bool], nn.Module]] = {
    "mt": _mt,
    "3d": partial(_conv, "3d"),
    "2d+1d": partial(_conv, "2d+1d"),
}
