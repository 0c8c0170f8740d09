"""The three stages that train PVDM: autoencoder, the same against discriminators, and diffusion.

PVDM's authors train the second stage after the first has converged, generator and discriminators in turn, each by an
optimiser of its own. Here one optimiser minimises the sum of both losses, in each of which the other player is held
constant: both step together, and the largest norm of the gradient holds for both as one.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from nowcast.diffusion.samplers import draw_noise
from nowcast.models.frames import Clip
from nowcast.models.layers.masked import weighted_mean
from nowcast.models.layers.perceptual import PerceptualTerm
from nowcast.models.network import Batch, Draws, Stage
from nowcast.models.pvdm.discriminators import PatchDiscriminator, play

if TYPE_CHECKING:
    from nowcast.models.pvdm.network import PVDM


class AutoencoderStage(Stage):
    """Mean absolute error on observed pixels, and the perceptual distance of a frame per clip, drawn at random."""

    def __init__(self, network: "PVDM"):
        self.network = network
        settings, scale = network.settings.reconstruction, network.settings.frame_scale
        self._perceptual = PerceptualTerm(settings.perceptual_weight, settings.perceptual_weights, scale)

    @property
    def trained(self) -> nn.Module:
        """The autoencoder."""
        return self.network.autoencoder

    def begin(self, batches: Iterable[Batch]) -> None:
        """Load the perceptual network."""
        self._perceptual.load()

    def loss(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """The mean of the losses of history and future, and their parts."""
        both = [self._loss(clip, draws) for clip in batch]
        return {name: torch.stack([parts[name] for parts in both]).mean() for name in both[0]}

    def preview(self, batch: Batch, draws: Draws) -> Tensor:
        """The future through the autoencoder."""
        return self.network.autoencoder(batch.future.frames)

    def _loss(self, clip: Clip, draws: Draws) -> dict[str, Tensor]:
        x, seen, _ = clip
        made = self.network.autoencoder(x)
        pixels = weighted_mean((made - x).abs(), seen.float())
        parts = {"loss": self.network.settings.reconstruction.pixel_weight * pixels, "pixels": pixels}
        if self._perceptual.weight:
            parts["perceptual"] = self._perceptual(*_one_frame([torch.where(seen, made, x), x], draws))
            parts["loss"] = parts["loss"] + self._perceptual.weight * parts["perceptual"]
        return self._judged(parts, x, torch.where(seen, made, x), draws)

    def _judged(self, parts: dict[str, Tensor], x: Tensor, made: Tensor, draws: Draws) -> dict[str, Tensor]:
        return parts


class AdversarialStage(AutoencoderStage):
    """The first stage's loss, and the game of the autoencoder against a discriminator of frames and one of clips."""

    reads: ClassVar[frozenset[str]] = frozenset({"adversarial"})

    def __init__(self, network: "PVDM"):
        super().__init__(network)
        settings, channels = network.settings.adversarial, network.settings.channels
        self.auxiliary = nn.ModuleList(PatchDiscriminator(settings, dims, channels) for dims in (2, 3))
        self._players = nn.ModuleList([network.autoencoder, self.auxiliary])

    @property
    def trained(self) -> nn.Module:
        """The autoencoder and the discriminators, of which the model keeps the former."""
        return self._players

    def _judged(self, parts: dict[str, Tensor], x: Tensor, made: Tensor, draws: Draws) -> dict[str, Tensor]:
        assert self.auxiliary is not None
        settings = self.network.settings.adversarial
        clips = [clip.transpose(1, 2) for clip in (x, made)]
        games = zip(self.auxiliary.children(), (_one_frame([x, made], draws), clips), strict=True)
        players = [play(discriminator, *pair) for discriminator, pair in games]  # type: ignore[arg-type]
        score, distance, hinge = (torch.stack(terms).sum() for terms in zip(*players, strict=True))
        loss = parts["loss"] + settings.weight * (score + hinge) + settings.feature_weight * distance
        return {**parts, "loss": loss, "score": score, "features": distance, "discriminators": hinge}


class DiffusionStage(Stage):
    """The denoiser on the latents of the future, given those of the history, and of a first guess."""

    def __init__(self, network: "PVDM"):
        self.network = network

    @property
    def trained(self) -> nn.Module:
        """The denoiser."""
        return self.network.denoiser

    def loss(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """Mean squared error of the prediction; latents weigh by the observed share of what they see."""
        network = self.network
        with torch.no_grad():
            z = network.autoencoder.encode(batch.future.frames)
            conditions = network.conditions(network.condition(batch.history), draws.of_members(1))
        t = network.objective.draw_times(draws.cases).to(z.device)
        noise = draw_noise(z.shape[1:], draws.cases).to(z.device)
        prediction = network.denoiser(network.objective.noisy(z, noise, t), t, conditions).float()
        weight = network.autoencoder.observed(batch.future.observed)
        error = (prediction - network.objective.target(z, noise, t)).square()
        return {"loss": weighted_mean(error[:, None], weight[:, None])}

    def preview(self, batch: Batch, draws: Draws) -> Tensor:
        """One member of the forecast."""
        return self.network.generate(self.network.condition(batch.history), draws)[:, 0]


def _one_frame(clips: list[Tensor], draws: Draws) -> list[Tensor]:
    """The same frame of each clip (B, T, K, H, W), drawn at random per case: shape (B, K, H, W)."""
    times = clips[0].shape[1]
    chosen = torch.cat([torch.randint(times, (1,), generator=generator) for generator in draws.cases])
    return [clip[torch.arange(len(chosen)), chosen.to(clip.device)] for clip in clips]
