"""The three stages that train PredLDM: autoencoder, diffusion (equations 12 to 14), and, beyond the paper, ensemble.

Letters as in nowcast.models.predldm.network. c: latents of the history, the condition.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from nowcast.diffusion.samplers import draw_noise
from nowcast.models.frames import Clip
from nowcast.models.layers.crps import ensemble_loss
from nowcast.models.layers.masked import moments, weighted_mean
from nowcast.models.layers.perceptual import PerceptualTerm
from nowcast.models.network import Batch, Draws, Stage
from nowcast.models.predldm.denoiser import Context
from nowcast.models.predldm.mtvae import kl_divergence

if TYPE_CHECKING:
    from nowcast.models.predldm.network import PredLDM


class _PredLDMStage(Stage):
    """A stage of a network that is not its submodule."""

    def __init__(self, network: "PredLDM"):
        self.network = network


class AutoencoderStage(_PredLDMStage):
    """MT-VAE: mean squared error on observed pixels + perceptual + KL."""

    def __init__(self, network: "PredLDM"):
        super().__init__(network)
        settings = network.settings.mtvae
        scale = network.settings.frame_scale
        self._perceptual = PerceptualTerm(settings.perceptual_weight, settings.perceptual_weights, scale)

    @property
    def trained(self) -> nn.Module:
        """The autoencoder, except for a pretrained frame VAE."""
        return self.network.mtvae.trained

    def begin(self, batches: Iterable[Batch]) -> None:
        """Load the perceptual network."""
        self._perceptual.load()

    def loss(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """The mean of the losses of history and future, and their parts."""
        settings = self.network.settings.mtvae
        parts: dict[str, list[Tensor]] = {"mse": [], "perceptual": [], "kl": []}
        for x, seen, _ in batch:
            reconstruction, mean, log_variance = self.network.mtvae(x, seen, draws.cases)
            parts["mse"].append(weighted_mean((reconstruction - x).square(), seen.float()))
            parts["kl"].append(kl_divergence(mean, log_variance))
            if settings.perceptual_weight:
                parts["perceptual"].append(self._perceptual(torch.where(seen, reconstruction, x), x))
        means = {name: torch.stack(values).mean() for name, values in parts.items() if values}
        weights = {"mse": 1.0, "perceptual": settings.perceptual_weight, "kl": settings.kl_weight}
        return {"loss": sum((weights[name] * value for name, value in means.items()), torch.zeros(())), **means}

    def preview(self, batch: Batch, draws: Draws) -> Tensor:
        """The future through the autoencoder."""
        return self.network.decode(self.network.encode(batch.future)[0])


class _DenoiserStage(_PredLDMStage):
    """A stage that trains the denoiser on the latents of a finished autoencoder."""

    @property
    def trained(self) -> nn.Module:
        """The denoiser."""
        return self.network.denoiser

    def preview(self, batch: Batch, draws: Draws) -> Tensor:
        """One member of the forecast."""
        return self.network.generate(self.network.condition(batch.history), draws)[:, 0]

    @torch.no_grad()
    def _measure_latents(self, batches: Sequence[Batch]) -> None:
        """Set the scale of the latents, and by lead time that of the residual from the first guess."""
        network = self.network
        network.mtvae.eval()
        network.latent_std.fill_(1)
        network.rest_std.fill_(1)
        network.latent_mean.zero_()
        mean, std = moments((network.encode(clip) for batch in batches for clip in batch), dims=(0, 1, 3, 4))
        network.latent_mean.copy_(mean.view(-1, 1, 1))
        network.latent_std.copy_(std.view(-1, 1, 1))
        if network.settings.first_guess == "none":
            return
        rests = []
        for batch in batches:
            future, valid = network.encode(batch.future)
            guess = network.encode_guess(batch.history.guess)
            assert guess is not None
            rests.append((future - guess.base, valid))
        network.rest_std.copy_(moments(rests, dims=(0, 3, 4))[1][:, :, None, None])


class DiffusionStage(_DenoiserStage):
    """CA-LDM: equation 14."""

    reads: ClassVar[frozenset[str]] = frozenset({"loss_weights"})

    def begin(self, batches: Iterable[Batch]) -> None:
        """Measure the latents."""
        self._measure_latents(list(batches))

    def loss(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """Equation 14: the forecast's term (12) and the condition's own (13), both with the same denoiser.

        Either clip has its own noise and both the same t; where the paper writes the noise, the objective's target
        stands, and for the future its residual from the first guess. Locations weigh by the observed fraction of their
        pixels.
        """
        network = self.network
        with torch.no_grad():
            history, history_valid = network.encode(batch.history)
            future, future_valid = network.encode(batch.future)
            guess = network.encode_guess(batch.history.guess)
        t = network.objective.draw_times(draws.cases).to(future.device)
        context = network.denoiser.context(history, history_valid, None if guess is None else guess.told)
        drawn = None
        if guess is not None:
            base = guess.base
            fields = guess.guess.draw(draws.of_members(1).generators)
            drawn = network.drawn(fields, guess.guess)
            if drawn is not None:
                with torch.no_grad():
                    base = network.encode(Clip(fields[:, 0], batch.future.observed))[0]
            future = future - base
        forecast = self._denoising(future / network.rest_std, future_valid, t, context, draws, drawn)  # (12)
        weights = network.settings.loss_weights
        if not weights[1]:
            return {"loss": weights[0] * forecast, "forecast": forecast}
        condition = self._denoising(history, history_valid, t, None, draws)  # (13)
        loss = weights[0] * forecast + weights[1] * condition  # (14)
        return {"loss": loss, "forecast": forecast, "condition": condition}

    def _denoising(
        self, x0: Tensor, valid: Tensor, t: Tensor, context: Context | None, draws: Draws, drawn: Tensor | None = None
    ) -> Tensor:
        objective = self.network.objective
        noise = draw_noise(x0.shape[1:], draws.cases).to(x0.device)
        prediction = self.network.denoiser(objective.noisy(x0, noise, t), t, context, drawn).float()
        return weighted_mean((prediction - objective.target(x0, noise, t)).square(), valid)


class EnsembleStage(_DenoiserStage):
    """The sampler, in as few steps as it is used with, trained on the fair CRPS of a handful of members."""

    reads: ClassVar[frozenset[str]] = frozenset({"ensemble"})

    def begin(self, batches: Iterable[Batch]) -> None:
        """Measure the latents, unless an earlier stage has."""
        if bool((self.network.latent_std == 1).all()):
            self._measure_latents(list(batches))

    def loss(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """See `ensemble_loss`; through every sampling step."""
        settings = self.network.settings
        condition = self.network.condition(batch.history)
        members = self.network.members(condition, draws.of_members(settings.ensemble.members))
        return ensemble_loss(members, batch, settings.frame_scale, settings.ensemble)
