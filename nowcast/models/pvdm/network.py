"""PVDM: projected triplane latents of clips, and 2-D diffusion of them given the latents of the history.

Yu, Sohn, Kim and Shin 2023, https://arxiv.org/abs/2302.07685. History and future are encoded as separate clips by the
same autoencoder (nowcast.models.pvdm.autoencoder); the denoiser (nowcast.models.pvdm.denoiser) sees the latents of the
history beside the noised ones of the future. The history's planes over time are stretched where it has another number
of frames than the forecast. Three choices of ours: clips have as many frames as they have, where that code wants a
multiple of 8; the condition is always shown, since at guidance 0 nothing is ever asked of the denoiser without it; and
missing pixels are seen as no echo.

Domains larger than those of the training are cut into tiles by the forecaster, each with latents of its own, since
planes are of a whole frame.

Beyond the paper, a first guess may be told: its latents, as those of a clip, are a second condition. With `steps` each
member has its own.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from nowcast.diffusion.objectives import OBJECTIVES, Betas, Epsilon
from nowcast.diffusion.samplers import draw_noise, sample
from nowcast.models.frames import Clip
from nowcast.models.guess import Guess
from nowcast.models.network import Draws, Network
from nowcast.models.pvdm.autoencoder import TriplaneAutoencoder, as_planes
from nowcast.models.pvdm.denoiser import Denoiser
from nowcast.models.pvdm.settings import PVDMSettings
from nowcast.models.pvdm.stages import AdversarialStage, AutoencoderStage, DiffusionStage

_BETAS = Betas(0.0015, 0.0195, power=2)


class Condition(NamedTuple):
    """The part of a forecast that all members of some cases share.

    Attributes:
        history: Latents of the history, as if of `lead` frames, shape (B, C, h + 2 lead, h).
        guess: First guesses, if the denoiser is told any.
    """

    history: Tensor
    guess: Guess | None


class PVDM(Network[Condition]):
    """PVDM: a triplane autoencoder, adversarial where asked for, and latent diffusion."""

    Settings = PVDMSettings
    source = "Yu, Sohn, Kim and Shin 2023, https://arxiv.org/abs/2302.07685"

    def __init__(self, settings: PVDMSettings, *, pretrained: bool = True):
        super().__init__(settings, pretrained=pretrained)
        longest, channels = max(settings.history, settings.lead), settings.autoencoder.latent_channels
        self.autoencoder: Any = TriplaneAutoencoder(
            settings.autoencoder, settings.side, settings.channels, longest, settings.frame_scale
        )
        self.denoiser: Any = Denoiser(settings.denoiser, channels, 1 if settings.first_guess == "none" else 2)
        made: type[Epsilon] = OBJECTIVES[settings.objective]  # type: ignore[assignment]
        self.objective = made(_BETAS)
        self.stages = {
            "autoencoder": AutoencoderStage(self),
            "adversarial": AdversarialStage(self),
            "diffusion": DiffusionStage(self),
        }

    def condition(self, history: Clip) -> Condition:
        """See `Network.condition`."""
        latents = stretched(self.autoencoder.encode(history.frames), self.settings.lead)
        return Condition(latents, history.guess)

    def conditions(self, condition: Condition, draws: Draws) -> Tensor:
        """All that the denoiser is told of each member, shape (B * M, channels, h + 2 lead, h)."""
        members = len(draws.generators[0])
        told = condition.history.repeat_interleave(members, 0)
        if condition.guess is None:
            return told
        guesses = condition.guess.draw(draws.generators)
        latents = self.autoencoder.encode(guesses.flatten(0, 1))
        return torch.cat([told, latents.repeat_interleave(len(told) // len(latents), 0)], 1)

    def generate(self, condition: Condition, draws: Draws) -> Tensor:
        """See `Network.generate`."""
        conditions, chosen = self.conditions(condition, draws), self.settings.sampling

        def denoise(z: Tensor, t: Tensor) -> Tensor:
            return self.objective.clipped(self.denoiser(z, t, conditions).float(), z, t, -1.0, 1.0)  # as tanh bounds z

        latents = sample(
            denoise,
            draw_noise(condition.history.shape[1:], draws.flat).to(conditions.device),
            objective=self.settings.objective,
            sampler=chosen.sampler,
            steps=chosen.steps,
            stop=chosen.stop,
            generators=draws.flat,
            betas=_BETAS,
        )
        return self.autoencoder.decode(latents).unflatten(0, (len(condition.history), -1))


def stretched(latents: Tensor, times: int) -> Tensor:
    """Latents (B, C, h + 2 T, h) as if of a clip of `times` frames, the planes over time interpolated."""
    xy, *over_time = as_planes(latents)
    size = (times, latents.shape[3])
    return torch.cat([xy, *(interpolate(plane, size, mode="bilinear") for plane in over_time)], 2)
