"""The two other autoencoders of Table 2, which the paper names and does not describe: "3D VAE" and "2D VAE + 1D conv".

This is a reading of them. Both are the frame VAE of MT-VAE (nowcast.models.predldm.frame_vae) whose 3 x 3 convolutions
also reach over time, in place of the transformer: T frames in, latents of T frames out, same factor, same channels.

`3d`     every 3 x 3 is made 3 x 3 x 3, and all is trained from scratch
`2d+1d`  every 3 x 3 is followed by a convolution over three frames, which alone is trained beside a pretrained frame
         VAE; without one all is trained

Both begin as the frame VAE itself: weights of the frames before and after are 0, those of the frame its own or 1.
Normalisation and, in Stable Diffusion's VAE, attention stay within a frame. At the ends of a clip the first and the
last frame stand for their missing neighbour. A latent sees frames before and after its own, as those of MT-VAE do:
nothing is causal, and history and future are encoded as clips of their own. Missing pixels are seen as no echo. With
`frame_vae` as Stable Diffusion's, `3d` has 245,979,879 weights, and `2d+1d` adds 28,136,166 to 83,653,863.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nowcast.diffusion.samplers import draw_noise
from nowcast.models.predldm.frame_vae import FrameVAE, FrameVAESettings
from nowcast.models.predldm.mtvae import Reconstruction


class ClipConvolution(nn.Conv3d):
    """A convolution over three frames of clips, whose frames stand one after another in the batch.

    Attributes:
        times: Frames T per clip of the batch that comes next.
    """

    times: int = 1

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (B * T, C, h, w) to frames of as many clips; time is not strided."""
        clips = frames.unflatten(0, (-1, self.times))
        clips = torch.cat([clips[:, :1], clips, clips[:, -1:]], 1).transpose(1, 2)
        return super().forward(clips).transpose(1, 2).flatten(0, 1)


@torch.no_grad()
def inflated(convolution: nn.Conv2d) -> ClipConvolution:
    """A 3 x 3 x 3 convolution that does as yet what the given 3 x 3 does."""
    stride, padding = convolution.stride[0], int(convolution.padding[0])
    made = ClipConvolution(
        convolution.in_channels,
        convolution.out_channels,
        kernel_size=3,
        stride=(1, stride, stride),
        padding=(0, padding, padding),
    )
    made.load_state_dict({"weight": _central(convolution.weight), "bias": convolution.bias})
    return made


@torch.no_grad()
def over_time(convolution: nn.Conv2d) -> ClipConvolution:
    """A convolution over three frames of the channels that the given one makes, which does as yet nothing."""
    width = convolution.out_channels
    made = ClipConvolution(width, width, kernel_size=(3, 1, 1))
    identity = torch.eye(width, device=convolution.weight.device)[..., None, None]
    made.load_state_dict({"weight": _central(identity), "bias": identity.new_zeros(width)})
    return made


def _central(kernels: Tensor) -> Tensor:
    """Kernels over three frames with the given ones at the middle frame and zeros beside it."""
    return torch.stack([torch.zeros_like(kernels), kernels, torch.zeros_like(kernels)], 2)


class ConvVAE(nn.Module):
    """An autoencoder of clips whose convolutions reach over time."""

    def __init__(self, kind: Literal["3d", "2d+1d"], settings: FrameVAESettings, frame_vae: FrameVAE):
        super().__init__()
        self.frame_vae = frame_vae
        self.factor, self.latent_channels = settings.factor, settings.latent_channels
        self.is_pretrained = settings.pretrained is not None
        found = [(name, part) for name, part in frame_vae.vae.named_modules() if _is_three_by_three(part)]
        if kind == "3d":
            for name, convolution in found:
                parent, _, attribute = name.rpartition(".")
                setattr(frame_vae.vae.get_submodule(parent), attribute, inflated(convolution))
        else:
            self.temporal = nn.ModuleList(over_time(convolution) for _, convolution in found)
            for (_, convolution), temporal in zip(found, self.temporal, strict=True):
                convolution.register_forward_hook(partial(_then, temporal))
        if not self.is_pretrained:  # a small variance to begin with, as MT-VAE's
            nn.init.constant_(frame_vae.vae.quant_conv.get_parameter("bias")[self.latent_channels :], -10.0)

    @property
    def trained(self) -> nn.Module:
        """The convolutions over time alone beside a pretrained frame VAE, else all."""
        return self.temporal if self.is_pretrained else self

    def encode(self, frames: Tensor, observed: Tensor) -> Tensor:
        """Mean latents (B, T, C, h, w), float32, of frames (B, T, K, H, W) observed at (B, T, 1, H, W)."""
        return self._of(frames).moments(frames)[0].float()

    def decode(self, latents: Tensor) -> Tensor:
        """Frames (B, T, K, H, W), float32."""
        return self._of(latents).decode(latents).float()

    def forward(self, frames: Tensor, observed: Tensor, generators: Sequence[torch.Generator]) -> Reconstruction:
        """Encode, sample and decode, with noise from one CPU generator per clip."""
        mean, log_variance = (moment.float() for moment in self._of(frames).moments(frames))
        noise = draw_noise(mean.shape[1:], generators).to(mean.device)
        return Reconstruction(self.decode(mean + noise * (0.5 * log_variance).exp()), mean, log_variance)

    def _of(self, clips: Tensor) -> FrameVAE:
        """The frame VAE, told how many frames the clips (B, T, ...) that it sees next have."""
        for part in self.modules():
            if isinstance(part, ClipConvolution):
                part.times = clips.shape[1]
        return self.frame_vae


def _is_three_by_three(part: nn.Module) -> bool:
    return isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3)


def _then(temporal: nn.Module, _convolution: nn.Module, _inputs: Any, made: Tensor) -> Tensor:
    return temporal(made)
