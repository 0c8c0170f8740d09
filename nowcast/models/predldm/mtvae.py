"""MT-VAE, the first stage of PredLDM: a masked transformer over time between a frame encoder and decoder.

x: frames (B, T, K, H, W) of K channels, zero echo where missing. E, D: frame encoder and decoder. U: positional
embedding, from convolutions of the input. z_s = E(x) + U: spatial latents (B, T, C, h, w). z: tokens, width `hidden`.
mAtt: masked multi-head self-attention over TIME at each latent location. M_j: 0 or -inf for a whole time location j. r:
masking ratio. mu, log sigma^2: moments of the latents. z~: their sample. Equations by their number in Xu et al.,
PredLDM (https://openreview.net/forum?id=TWmnOUzcCo).

Nothing here departs from the paper, but the start is chosen: the input projection is orthonormal, mu is its transpose,
U and every residual branch end in zeros, so that training starts from mu = E(x), the frame VAE as it is.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from nowcast.diffusion.samplers import draw_noise
from nowcast.models.layers.attention import Attention
from nowcast.models.predldm.frame_vae import FrameVAE, FrameVAESettings


class MTVAESettings(BaseModel):
    """The temporal transformer and its loss.

    Attributes:
        hidden: Width of the tokens.
        layers: Number M of transformer layers.
        heads: Heads of the attention over time.
        mlp_ratio: Width of the feed-forward layers in units of `hidden` (not in the paper).
        mask_ratio: Share r of the time locations that training hides as keys (equation 10).
        kl_weight: Weight of the KL divergence to a standard normal. The paper names none; without it nothing holds
            the variance, which then collapses to zero.
        perceptual_weight: Weight of the perceptual loss; 0 builds no perceptual network.
        perceptual_weights: Safetensors file of the perceptual network (see nowcast.perception.lpips).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: int = 128
    layers: int = 8
    heads: int = 8
    mlp_ratio: float = 4.0
    mask_ratio: float = Field(default=0.6, ge=0, lt=1)
    kl_weight: float = 1e-6
    perceptual_weight: float = 0.0
    perceptual_weights: str | None = None


class Reconstruction(NamedTuple):
    """Decoded frames (B, T, K, H, W) and the moments (B, T, C, h, w) they were sampled from."""

    frames: Tensor
    mean: Tensor
    log_variance: Tensor


def draw_time_mask(times: int, ratio: float, generators: Sequence[torch.Generator]) -> Tensor:
    """M of equation 10, with shape (B, times): -inf at floor(ratio * times) time locations drawn at random, else 0.

    At least one location is kept, or the softmax would have nothing to attend to. Each row has its own generator.
    """
    hidden = min(int(ratio * times), times - 1)
    order = torch.stack([torch.rand(times, generator=generator) for generator in generators]).argsort(dim=1)
    return torch.zeros(len(generators), times).masked_fill(order < hidden, float("-inf"))


class TemporalLayer(nn.Module):
    """One pre-norm transformer layer over time (equations 5 and 6)."""

    def __init__(self, settings: MTVAESettings):
        super().__init__()
        width, wide = settings.hidden, int(settings.hidden * settings.mlp_ratio)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, settings.heads)
        self.forward_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(nn.Linear(width, wide), nn.GELU(), nn.Linear(wide, width))
        for parameter in (*self.attention.out.parameters(), *self.feed_forward[-1].parameters()):
            nn.init.zeros_(parameter)

    def forward(self, z: Tensor, mask: Tensor | None) -> Tensor:
        """Tokens (B*h*w, T, hidden) to the same shape; `mask` broadcasts to the scores (B*h*w, heads, T, T)."""
        z = self.attention(self.attention_norm(z), bias=mask) + z  # (5), with mAtt of (9)
        return self.feed_forward(self.forward_norm(z)) + z  # (6)


class TemporalTransformer(nn.Module):
    """From E(x) and the input itself to the moments of the latents."""

    def __init__(self, settings: MTVAESettings, frame_vae: FrameVAESettings, frame_channels: int = 1):
        super().__init__()
        channels, factor, width = frame_vae.latent_channels, frame_vae.factor, settings.hidden
        self.patches = nn.Conv3d(frame_channels + 1, width, (1, factor, factor), stride=(1, factor, factor))
        # Zero padding in time is what tells this convolution, and so U, where in the clip it stands.
        self.position = nn.Conv3d(width, channels, 3, padding=1)
        self.project = nn.Linear(channels, width)
        self.layers = nn.ModuleList(TemporalLayer(settings) for _ in range(settings.layers))
        self.mean = nn.Linear(width, channels)
        self.log_variance = nn.Linear(width, channels)
        self._start_from_identity()

    @torch.no_grad()
    def _start_from_identity(self) -> None:
        for parameter in self.position.parameters():
            nn.init.zeros_(parameter)
        nn.init.orthogonal_(self.project.weight)
        self.mean.weight.copy_(self.project.weight.T)
        self.mean.bias.copy_((self.project.bias[None] @ self.project.weight)[0]).mul_(-1)
        nn.init.zeros_(self.log_variance.weight)
        nn.init.constant_(self.log_variance.bias, -10.0)

    def forward(
        self, encoded: Tensor, frames: Tensor, observed: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latents, each with the shape (B, T, C, h, w) of `encoded`.

        Args:
            encoded: E(x) with shape (B, T, C, h, w).
            frames: The input x itself with shape (B, T, K, H, W).
            observed: Where it was observed, shape (B, T, 1, H, W).
            mask: M of equation 9 with shape (B, T), the same at every location, head and layer; None hides nothing.
        """
        batch, times, _, height, width = encoded.shape
        inputs = torch.cat([frames, observed.to(frames.dtype)], 2).transpose(1, 2)
        embedding = self.position(nn.functional.silu(self.patches(inputs)))
        z_s = encoded + embedding.transpose(1, 2)  # z_s = E(x) + U
        z = self.project(z_s.permute(0, 3, 4, 1, 2).reshape(batch * height * width, times, -1))
        if mask is not None:
            mask = mask.repeat_interleave(height * width, 0)[:, None, None]
        for layer in self.layers:
            z = layer(z, mask)
        shape = (batch, height, width, times, -1)
        mean, log_variance = (dense(z).float().view(shape) for dense in (self.mean, self.log_variance))
        return mean.permute(0, 3, 4, 1, 2), log_variance.permute(0, 3, 4, 1, 2).clamp(-30, 20)


class MTVAE(nn.Module):
    """The autoencoder of clips: frame encoder, temporal transformer, frame decoder."""

    def __init__(self, settings: MTVAESettings, frame_settings: FrameVAESettings, frame_vae: FrameVAE):
        super().__init__()
        self.frame_vae = frame_vae
        self.transformer = TemporalTransformer(settings, frame_settings, frame_vae.channels)
        self.mask_ratio = settings.mask_ratio
        self.factor, self.latent_channels = frame_settings.factor, frame_settings.latent_channels
        self.is_pretrained = frame_settings.pretrained is not None

    @property
    def trained(self) -> nn.Module:
        """The transformer alone beside a pretrained frame VAE, else all."""
        return self.transformer if self.is_pretrained else self

    def encode(self, frames: Tensor, observed: Tensor) -> Tensor:
        """Mean latents (B, T, C, h, w), float32, of frames (B, T, K, H, W) observed at (B, T, 1, H, W)."""
        return self.transformer(self.frame_vae.encode(frames), frames, observed)[0]

    def decode(self, latents: Tensor) -> Tensor:
        """Frames (B, T, K, H, W), float32."""
        return self.frame_vae.decode(latents).float()

    def forward(self, frames: Tensor, observed: Tensor, generators: Sequence[torch.Generator]) -> Reconstruction:
        """Encode, sample z~ and decode; noise, and in training the mask, come from one CPU generator per clip."""
        mask = None
        if self.transformer.training:
            mask = draw_time_mask(frames.shape[1], self.mask_ratio, generators).to(frames.device)  # (10)
        mean, log_variance = self.transformer(self.frame_vae.encode(frames), frames, observed, mask)
        noise = draw_noise(mean.shape[1:], generators).to(mean.device)
        return Reconstruction(self.decode(mean + noise * (0.5 * log_variance).exp()), mean, log_variance)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of N(mean, exp(log_variance)) to N(0, 1), averaged over all latents."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
