"""PredLDM: a masked-transformer VAE (MT-VAE) and a condition-aware latent diffusion model (CA-LDM) behind one network.

Xu, Sun, Li and Qu, https://openreview.net/forum?id=TWlmOUzcCo. Counts at the edge, shape (B, T, H, W); inside, frames
x = (counts - offset) / scale with shape (B, T, K, H, W) of K channels, and latents z with shape (B, T, C, h, w).
History and future are encoded as separate clips, so that nothing of the future reaches the condition. The diffusion
sees the mean of the latents' distribution, normalised to zero mean and unit scale per channel.

Beyond the paper, a first guess (nowcast.extrapolation.first_guess) may stand beside the condition: the denoiser is
given its latents and predicts what is left of the future's, and what the decoder makes of that is added to the guess
itself, near its echo. Each member may have a guess of its own, as STEPS would make it (nowcast.extrapolation.ensemble),
which the denoiser is given too. A third stage then trains the sampler, in as few steps as it is used with, on the fair
CRPS of a handful of members.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pixel_unshuffle

from nowcast.diffusion.objectives import OBJECTIVES
from nowcast.diffusion.samplers import draw_noise, sample
from nowcast.models.guess import Guess, guess_future, no_guess
from nowcast.models.layers.crps import block_crps
from nowcast.models.layers.masked import moments, weighted_mean
from nowcast.models.layers.tiles import Tile, blend, cover, pad_to
from nowcast.models.network import Batch, Network
from nowcast.models.predldm.denoiser import Context
from nowcast.models.predldm.frame_vae import build_frame_vae
from nowcast.models.predldm.mtvae import MTVAE, kl_divergence
from nowcast.models.predldm.settings import PredLDMSettings
from nowcast.perception.lpips import PerceptualLoss, load_perceptual
from pipelines.errors import InputError


class Condition(NamedTuple):
    """What all members of some cases share.

    Attributes:
        guess: The first guess, over the whole domain.
        tiles: The tiles that cover the latent domain.
        contexts: What the denoiser is told, a tile.
        latent_shape: Of the history's latents (B, T, C, h, w).
        size: Pixels (H, W) of the frames that were given; the domain is padded to whole latent locations.
    """

    guess: Guess
    tiles: list[Tile]
    contexts: list[Context]
    latent_shape: torch.Size
    size: torch.Size


class PredLDM(Network[Condition]):
    """PredLDM: a masked-transformer VAE, then condition-aware latent diffusion, ten frames in and ten out.

    Raises:
        InputError: when a pretrained frame VAE is asked for and is not there.
    """

    Settings = PredLDMSettings
    stages = ("autoencoder", "diffusion", "ensemble")

    settings: PredLDMSettings
    latent_mean: Tensor
    latent_std: Tensor
    rest_std: Tensor

    def __init__(self, settings: PredLDMSettings, *, pretrained: bool = True):
        super().__init__(settings, pretrained=pretrained)
        frame_vae = build_frame_vae(settings.frame_vae, pretrained, settings.channels)
        self.mtvae = MTVAE(settings.mtvae, settings.frame_vae, frame_vae)
        self.denoiser = settings.build_denoiser()
        self.objective = OBJECTIVES[settings.objective]()
        channels = settings.frame_vae.latent_channels
        self.register_buffer("latent_mean", torch.zeros(channels, 1, 1))
        self.register_buffer("latent_std", torch.ones(channels, 1, 1))
        self.register_buffer("rest_std", torch.ones(settings.lead, channels, 1, 1))

    def trained_modules(self, stage: str) -> Sequence[nn.Module]:
        """See `Network.trained_modules`."""
        if stage != "autoencoder":
            return [self.denoiser]
        return [self.mtvae if self.settings.frame_vae.pretrained is None else self.mtvae.transformer]

    @torch.no_grad()
    def begin(self, stage: str, batches: Iterable[Batch]) -> None:
        """Measures the scale of the latents, and of what a first guess leaves of them, once they are trained."""
        if stage == "autoencoder":
            if self.settings.mtvae.perceptual_weight:
                _ = self._perceptual  # fails now, if it must, and not after the first step
        elif stage == "diffusion" or bool((self.latent_std == 1).all()):
            self.mtvae.eval()
            self._measure_latents(list(batches))

    def _measure_latents(self, batches: Sequence[Batch]) -> None:
        for scale in (self.latent_std, self.rest_std):
            scale.fill_(1)
        self.latent_mean.zero_()
        clips = [self._encode(*clip) for batch in batches for clip in _clips(batch)]
        mean, std = moments(clips, dims=(0, 1, 3, 4))
        self.latent_mean.copy_(mean.view(-1, 1, 1))
        self.latent_std.copy_(std.view(-1, 1, 1))
        if self.settings.first_guess != "none":
            rests = []
            for batch in batches:
                future, valid = self._encode(batch.future, batch.future_observed)
                rests.append((future - self._guess(batch.history, batch.history_observed).base, valid))
            self.rest_std.copy_(moments(rests, dims=(0, 3, 4))[1][:, :, None, None])

    def loss(self, stage: str, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Network.loss`; logs the parts of the loss beside it."""
        losses = {
            "autoencoder": self._autoencoder_loss,
            "diffusion": self._diffusion_loss,
            "ensemble": self._ensemble_loss,
        }
        return losses[stage](batch, generator)

    def preview(self, stage: str, batch: Batch, generator: torch.Generator) -> Tensor:
        """See `Network.preview`: the future through the autoencoder, or one member of the forecast."""
        if stage == "autoencoder":
            return self._echo(self._decode(self._encode(batch.future, batch.future_observed)[0]))
        generators = [[generator]] * len(batch.history)
        condition = self.condition(batch.history, batch.history_observed)
        return self.generate(condition, self.settings.lead, generators)[:, 0]

    def condition(self, history: Tensor, observed: Tensor) -> Condition:
        """See `Network.condition`; frames may be larger than those of the training.

        Raises:
            InputError: when the history has another length, or its frames are smaller.
        """
        expected = (self.settings.history, self.settings.side)
        if history.shape[1] != expected[0] or min(history.shape[-2:]) < expected[1]:
            raise InputError(
                "frames of the history",
                got="{} of {} x {} pixels".format(history.shape[1], *history.shape[-2:]),
                expected="{} of at least {side} x {side}".format(expected[0], side=expected[1]),
            )
        size = history.shape[-2:]
        history, observed = (pad_to(x, self.settings.frame_vae.factor) for x in (history, observed))
        guess = self._guess(history, observed)
        z, valid = self._encode(history, observed)
        tiles = cover(z.shape[-2], z.shape[-1], self.settings.latent_side)
        contexts = [
            self.denoiser.context(tile.of(z), tile.of(valid), None if guess.told is None else tile.of(guess.told))
            for tile in tiles
        ]
        return Condition(guess, tiles, contexts, z.shape, size)

    def generate(self, condition: Condition, steps: int, generators: Sequence[Sequence[torch.Generator]]) -> Tensor:
        """See `Network.generate`; counts that are no echo are set to 0.

        Raises:
            InputError: when more frames are asked for than the network forecasts.
        """
        if steps > self.settings.lead:
            raise InputError("more frames than PredLDM forecasts", got=steps, expected=f"at most {self.settings.lead}")
        height, width = condition.size
        temperatures = torch.tensor(self.settings.sampling.temperatures(self.settings.lead))
        members = self._members(condition, generators, temperatures.view(-1, 1, 1, 1))
        return self._echo(members[:, :, :steps, ..., :height, :width])

    def _members(
        self, condition: Condition, generators: Sequence[Sequence[torch.Generator]], temperatures: Tensor | float = 1.0
    ) -> Tensor:
        """Members (B, M, lead, ..., H, W) as the decoder gives them, in counts; all tiles see the same noise."""
        guess, (cases, _, *latent) = condition.guess, condition.latent_shape
        flat = [generator for members in generators for generator in members]
        noise = (temperatures * draw_noise((self.settings.lead, *latent), flat)).to(self.latent_mean.device)
        fields = guess.draw(generators)
        drawn = self._drawn(fields, guess)
        parts = (
            self._sample(tile.of(noise), context, None if drawn is None else tile.of(drawn), flat)
            for tile, context in zip(condition.tiles, condition.contexts, strict=True)
        )
        rest = blend(parts, condition.tiles, latent[1], latent[2]).unflatten(0, (cases, -1))
        correction = self._decode(guess.base[:, None] + rest * self.rest_std) - guess.decoded[:, None]
        return fields + guess.near_echo(fields) * correction

    def _drawn(self, fields: Tensor, guess: Guess) -> Tensor | None:
        """What members' own guesses (B, M, T, H, W) add to that of their case, folded to (B*M, T, f*f, h, w)."""
        if not guess.perturbed:
            return None
        added = ((fields - guess.counts[:, None]) / self.settings.scale).flatten(0, 1)[:, :, None]
        return pixel_unshuffle(added, self.settings.frame_vae.factor)

    def _decode(self, z: Tensor) -> Tensor:
        """Counts (..., T, H, W), of colours (..., T, 3, H, W), of normalised latents (..., T, C, h, w)."""
        frames = self.mtvae.decode((z * self.latent_std + self.latent_mean).flatten(0, -5))
        counts = frames * self.settings.scale + self.settings.offset
        return (counts[:, :, 0] if self.settings.channels == 1 else counts).unflatten(0, z.shape[:-4])

    def _sample(
        self, noise: Tensor, context: Context, drawn: Tensor | None, generators: Sequence[torch.Generator]
    ) -> Tensor:
        return sample(
            lambda z, t: self.denoiser(z, t, context, drawn),
            noise,
            objective=self.settings.objective,
            sampler=self.settings.sampling.sampler,
            steps=self.settings.sampling.steps,
            generators=generators,
        )

    def _autoencoder_loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """MSE on observed pixels + perceptual + KL, averaged over the clips of history and future."""
        settings = self.settings.mtvae
        parts: dict[str, list[Tensor]] = {"mse": [], "perceptual": [], "kl": []}
        for counts, observed in _clips(batch):
            x = self._to_frames(counts)
            reconstruction, mean, log_variance = self.mtvae(x, observed, generator)
            seen = observed[:, :, None]
            parts["mse"].append(weighted_mean((reconstruction - x).square(), seen.float()))
            parts["kl"].append(kl_divergence(mean, log_variance))
            if settings.perceptual_weight:
                parts["perceptual"].append(self._perceptual_distance(torch.where(seen, reconstruction, x), x))
        means = {name: torch.stack(values).mean() for name, values in parts.items() if values}
        weights = {"mse": 1.0, "perceptual": settings.perceptual_weight, "kl": settings.kl_weight}
        return {"loss": sum((weights[name] * value for name, value in means.items()), torch.zeros(())), **means}

    def _diffusion_loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Equation 14: the forecast's term (12) and the condition's own (13), both with the same denoiser.

        Either clip has its own noise and both the same t; where the paper writes the noise, the objective's target
        stands, and for the future what the first guess leaves of it. Locations weigh by the observed fraction of their
        pixels.
        """
        with torch.no_grad():
            history, history_valid = self._encode(batch.history, batch.history_observed)
            future, future_valid = self._encode(batch.future, batch.future_observed)
            guess = self._guess(batch.history, batch.history_observed)
        t = self.objective.draw_times(len(future), generator).to(future.device)
        context = self.denoiser.context(history, history_valid, guess.told)
        fields = guess.draw([[generator]] * len(t))
        with torch.no_grad():
            base = self._encode(fields[:, 0], batch.future_observed)[0] if guess.perturbed else guess.base
        rest = (future - base) / self.rest_std
        forecast = self._denoising_loss(rest, future_valid, t, context, generator, self._drawn(fields, guess))  # (12)
        weights = self.settings.loss_weights
        if not weights[1]:
            return {"loss": weights[0] * forecast, "forecast": forecast}
        condition = self._denoising_loss(history, history_valid, t, None, generator)  # (13)
        loss = weights[0] * forecast + weights[1] * condition  # (14)
        return {"loss": loss, "forecast": forecast, "condition": condition}

    def _ensemble_loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Fair CRPS of some members through every sampling step, in units of persistence's error and one count.

        So a window of light rain weighs as much as one of heavy rain. No echo is below zero.
        """
        generators = [[generator] * self.settings.ensemble.members] * len(batch.history)
        members = self._members(self.condition(batch.history, batch.history_observed), generators).relu()
        blocks, channels = self.settings.ensemble.blocks, self.settings.channels
        layers = (*batch.future.shape[:1], -1, *batch.future.shape[-2:])  # of video a frame of each colour
        future, observed = batch.future.reshape(layers), batch.future_observed.repeat_interleave(channels, 1)
        crps = block_crps(members.flatten(2, -3), future, observed, blocks)
        last = batch.history[:, -1:].expand_as(batch.future).reshape(layers)
        error = block_crps(last[:, None], future, observed, (1,))
        return {"loss": (crps / (error + 1)).mean()} | {
            f"crps_{size}": part.mean() for size, part in zip(blocks, crps, strict=True)
        }

    def _denoising_loss(
        self,
        x0: Tensor,
        valid: Tensor,
        t: Tensor,
        context: Context | None,
        generator: torch.Generator,
        drawn: Tensor | None = None,
    ) -> Tensor:
        noise = torch.randn(x0.shape, generator=generator).to(x0.device)
        prediction = self.denoiser(self.objective.noisy(x0, noise, t), t, context, drawn).float()
        return weighted_mean((prediction - self.objective.target(x0, noise, t)).square(), valid)

    def _encode(self, counts: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised latents (B, T, C, h, w) and the observed fraction of their pixels (B, T, 1, h, w)."""
        z = self.mtvae.encode(self._to_frames(counts), observed)
        valid = avg_pool2d(observed.float(), self.settings.frame_vae.factor)[:, :, None]
        return (z - self.latent_mean) / self.latent_std, valid

    def _guess(self, history: Tensor, observed: Tensor) -> Guess:
        if self.settings.first_guess == "none":
            return no_guess(history)
        kind = self.settings.first_guess
        fields, reached, perturbed = guess_future(history, observed, self.settings.lead, kind)
        with torch.no_grad():
            encoded = [self._encode(field, reached) for field in fields.unbind(1)]
            base, valid = encoded[-1]
            told = torch.cat([*(z for z, _ in encoded), valid], 2)
            return Guess(fields[:, -1], base, self._decode(base), told, perturbed)

    def _to_frames(self, counts: Tensor) -> Tensor:
        x = (counts - self.settings.offset) / self.settings.scale
        return x[:, :, None] if self.settings.channels == 1 else x

    def _echo(self, counts: Tensor) -> Tensor:
        """Without what lies below the least echo, the network's noise around zero."""
        return torch.where(counts < self.settings.echo, 0, counts)

    @cached_property
    def _perceptual(self) -> PerceptualLoss:
        # Cached on the instance and so no submodule: a checkpoint neither holds it nor needs its file.
        return load_perceptual(self.settings.mtvae.perceptual_weights).to(self.latent_mean.device)

    def _perceptual_distance(self, x: Tensor, y: Tensor) -> Tensor:
        images = [((f * self.settings.scale + self.settings.offset) / 127.5 - 1).flatten(0, 1) for f in (x, y)]
        return self._perceptual(*images).mean()


def _clips(batch: Batch) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    return (batch.history, batch.history_observed), (batch.future, batch.future_observed)
