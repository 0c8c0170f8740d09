"""PredLDM: a masked-transformer VAE (MT-VAE) and a condition-aware latent diffusion model (CA-LDM) behind one network.

Xu, Sun, Li and Qu, https://openreview.net/forum?id=TWmnOUzcCo; equations by their number. x: frames (B, T, K, H, W) of
K channels in network units. z: latents (B, T, C, h, w). History and future are encoded as separate clips, so that
nothing of the future reaches the condition. The diffusion sees the mean of the latents' distribution, normalised to
zero mean and unit scale per channel.

Beyond the paper, a first guess (nowcast.extrapolation.first_guess) may stand beside the condition: the denoiser is
given its latents and predicts the future's residual from it, and the decoded residual is added to the guess itself,
near its echo. Each member may have a guess of its own, as STEPS would make it (nowcast.extrapolation.ensemble), which
the denoiser is given too.

Domains larger than those of the training are encoded and decoded whole. The denoiser, whose tokens carry positions,
works on tiles of the latents, whose predictions are blended in every sampling step.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pixel_unshuffle

from nowcast.diffusion.objectives import OBJECTIVES
from nowcast.diffusion.samplers import draw_noise, sample
from nowcast.models.frames import Clip
from nowcast.models.guess import GUESSES, OF_MEMBERS, Guess
from nowcast.models.layers.tiles import Tile, blend, cover
from nowcast.models.network import Draws, Network
from nowcast.models.predldm.autoencoder import AUTOENCODERS
from nowcast.models.predldm.denoiser import Context, Denoiser
from nowcast.models.predldm.settings import PredLDMSettings
from nowcast.models.predldm.stages import AutoencoderStage, DiffusionStage, EnsembleStage


class EncodedGuess(NamedTuple):
    """First guesses as the denoiser and the decoder see them.

    Attributes:
        guess: The first guesses themselves.
        base: Normalised latents of the best one, shape (B, T, C, h, w).
        decoded: The frames that the decoder makes of them, shape (B, T, K, H, W).
        told: The denoiser's input: latents of all guesses and the share of pixels that they reach, shape
            (B, T, G * C + 1, h, w).
    """

    guess: Guess
    base: Tensor
    decoded: Tensor
    told: Tensor


class Condition(NamedTuple):
    """The part of a forecast that all members of some cases share.

    Attributes:
        guess: The encoded first guesses, over the whole domain; None without any.
        tiles: The tiles that cover the latent domain.
        contexts: The denoiser's context of each tile.
        latent_shape: Shape (B, T, C, h, w) of the history's latents.
    """

    guess: EncodedGuess | None
    tiles: list[Tile]
    contexts: list[Context]
    latent_shape: torch.Size


class PredLDM(Network[Condition]):
    """PredLDM: a masked-transformer VAE, then condition-aware latent diffusion, ten frames in and ten out.

    Raises:
        InputError: when a pretrained frame VAE is asked for and is not there.
    """

    Settings = PredLDMSettings
    source = "Xu, Sun, Li and Qu, https://openreview.net/forum?id=TWmnOUzcCo"
    whole_domain = True

    latent_mean: Tensor
    latent_std: Tensor
    rest_std: Tensor

    def __init__(self, settings: PredLDMSettings, *, pretrained: bool = True):
        super().__init__(settings, pretrained=pretrained)
        self.mtvae: Any = AUTOENCODERS[settings.autoencoder.kind](settings, pretrained)  # so named in all checkpoints
        channels, guesses = settings.frame_vae.latent_channels, len(GUESSES[settings.first_guess])
        told = guesses * channels + 1 if guesses else 0
        drawn = settings.frame_vae.factor**2 if settings.first_guess in OF_MEMBERS else 0
        self.denoiser = Denoiser(
            settings.denoiser, channels, settings.latent_side, settings.history, settings.lead, told, drawn
        )
        self.objective = OBJECTIVES[settings.objective]()
        self.register_buffer("latent_mean", torch.zeros(channels, 1, 1))
        self.register_buffer("latent_std", torch.ones(channels, 1, 1))
        self.register_buffer("rest_std", torch.ones(settings.lead, channels, 1, 1))
        self.stages = {
            "autoencoder": AutoencoderStage(self),
            "diffusion": DiffusionStage(self),
            "ensemble": EnsembleStage(self),
        }

    def condition(self, history: Clip) -> Condition:
        """See `Network.condition`; sides are whole multiples of the autoencoder's factor."""
        guess = self.encode_guess(history.guess)
        z, valid = self.encode(history)
        tiles = cover(z.shape[-2], z.shape[-1], self.settings.latent_side)
        contexts = [
            self.denoiser.context(tile.of(z), tile.of(valid), None if guess is None else tile.of(guess.told))
            for tile in tiles
        ]
        return Condition(guess, tiles, contexts, z.shape)

    def generate(self, condition: Condition, draws: Draws) -> Tensor:
        """See `Network.generate`."""
        temperatures = torch.tensor(self.settings.sampling.temperatures(self.settings.lead))
        return self.members(condition, draws, temperatures.view(-1, 1, 1, 1))

    def members(self, condition: Condition, draws: Draws, temperatures: Tensor | float = 1.0) -> Tensor:
        """Members (B, M, lead, K, H, W) that start from noise times `temperatures`."""
        cases, _, *latent = condition.latent_shape
        noise = (temperatures * draw_noise((self.settings.lead, *latent), draws.flat)).to(self.latent_mean.device)
        if condition.guess is None:
            return self.decode(self._denoised(condition, noise, None, draws).unflatten(0, (cases, -1)) * self.rest_std)
        guess, base, decoded, _ = condition.guess
        fields = guess.draw(draws.generators)
        z = self._denoised(condition, noise, self.drawn(fields, guess), draws)
        rest = z.unflatten(0, (cases, -1)) * self.rest_std
        return fields + guess.near_echo(fields) * (self.decode(base[:, None] + rest) - decoded[:, None])

    def _denoised(self, condition: Condition, noise: Tensor, drawn: Tensor | None, draws: Draws) -> Tensor:
        """Clean latents with the shape (B*M, lead, C, h, w) of `noise`."""

        def denoise(z: Tensor, t: Tensor) -> Tensor:
            parts = (
                self.denoiser(tile.of(z), t, context, None if drawn is None else tile.of(drawn)).float()
                for tile, context in zip(condition.tiles, condition.contexts, strict=True)
            )
            return blend(parts, condition.tiles, *z.shape[-2:])

        chosen, objective = self.settings.sampling, self.settings.objective
        return sample(
            denoise,
            noise,
            objective=objective,
            sampler=chosen.sampler,
            steps=chosen.steps,
            stop=chosen.stop,
            generators=draws.flat,
        )

    def drawn(self, fields: Tensor, guess: Guess) -> Tensor | None:
        """The denoiser's input from members' own guesses (B, M, T, 1, H, W), folded to (B*M, T, f*f, h, w)."""
        if not guess.perturbed:
            return None
        return pixel_unshuffle((fields - guess.best[:, None]).flatten(0, 1), self.settings.frame_vae.factor)

    def encode(self, clip: Clip) -> tuple[Tensor, Tensor]:
        """Normalised latents (B, T, C, h, w) and the observed fraction of their pixels (B, T, 1, h, w)."""
        z = self.mtvae.encode(clip.frames, clip.observed)
        valid = avg_pool2d(clip.observed.flatten(0, 1).float(), self.settings.frame_vae.factor)
        return (z - self.latent_mean) / self.latent_std, valid.unflatten(0, z.shape[:2])

    def decode(self, z: Tensor) -> Tensor:
        """Frames (..., T, K, H, W) of normalised latents (..., T, C, h, w)."""
        return self.mtvae.decode((z * self.latent_std + self.latent_mean).flatten(0, -5)).unflatten(0, z.shape[:-4])

    @torch.no_grad()
    def encode_guess(self, guess: Guess | None) -> EncodedGuess | None:
        """The first guesses of some cases, encoded and decoded."""
        if guess is None:
            return None
        encoded = [self.encode(Clip(field, guess.reached)) for field in guess.fields.unbind(1)]
        base, valid = encoded[-1]
        return EncodedGuess(guess, base, self.decode(base), torch.cat([*(z for z, _ in encoded), valid], 2))
