"""The `network` section of a PredLDM configuration."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from nowcast.diffusion.samplers import check_sampler
from nowcast.models.layers.crps import EnsembleSettings
from nowcast.models.network import NetworkSettings, SamplingSettings
from nowcast.models.predldm.denoiser import DenoiserSettings
from nowcast.models.predldm.frame_vae import FrameVAESettings
from nowcast.models.predldm.mtvae import MTVAESettings

_Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class PredLDMSampling(SamplingSettings):
    """How members are drawn.

    Attributes:
        temperature: Factor of the noise that a member starts from: more spread above 1, less below. One
            number, or those of the first and the last lead time, between which it changes evenly.
            Training is at 1.
        turns: 8 lets members see their case turned and flipped in all eight ways, one after another: a network errs a
            little otherwise in each, and its ensemble gains from that. 1 leaves the case as it is.
    """

    temperature: _Temperature | tuple[_Temperature, _Temperature] = 1.0
    turns: Literal[1, 8] = 1

    def temperatures(self, leads: int) -> list[float]:
        """The temperature of each lead time."""
        first, last = self.temperature if isinstance(self.temperature, tuple) else (self.temperature,) * 2
        return np.linspace(first, last, leads).tolist()


class AutoencoderSettings(BaseModel):
    """Which autoencoder stands between frames and latents.

    Attributes:
        kind: mt, the paper's MT-VAE (nowcast.models.predldm.mtvae); 3d or 2d+1d, the others of its Table 2
            (nowcast.models.predldm.conv_vae), which read the weights of the loss in `mtvae` and nothing else of it, so
            that this one setting exchanges the autoencoder of a configuration.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mt", "3d", "2d+1d"] = "mt"


class PredLDMSettings(NetworkSettings):
    """The `network` section of a PredLDM configuration.

    Attributes:
        autoencoder: Which autoencoder.
        frame_vae: Frame encoder and decoder.
        mtvae: Temporal transformer of the autoencoder mt, and the loss of every autoencoder.
        denoiser: Size of the diffusion transformer.
        objective: The quantity that the denoiser predicts, a key of OBJECTIVES.
        loss_weights: Weights of the two terms of equation 14, forecast and condition.
        sampling: How members are drawn.
        ensemble: The loss of the third stage.
    """

    autoencoder: AutoencoderSettings = AutoencoderSettings()
    frame_vae: FrameVAESettings = FrameVAESettings()
    mtvae: MTVAESettings = MTVAESettings()
    denoiser: DenoiserSettings = DenoiserSettings()
    objective: Literal["epsilon", "v", "flow"] = "epsilon"
    loss_weights: tuple[float, float] = (1.0, 1.0)
    sampling: PredLDMSampling = PredLDMSampling()
    ensemble: EnsembleSettings = EnsembleSettings()

    @property
    def members_at_once(self) -> int:
        """See `NetworkSettings`."""
        return self.sampling.member_batch

    @property
    def orientations(self) -> int:
        """See `NetworkSettings`."""
        return self.sampling.turns

    @property
    def multiple(self) -> int:
        """See `NetworkSettings`: whole latent locations."""
        return self.frame_vae.factor

    @property
    def latent_side(self) -> int:
        """Latent locations along a side of a frame."""
        return self.side // self.frame_vae.factor

    @model_validator(mode="after")
    def _scratch_is_scratch(self) -> "PredLDMSettings":
        if self.autoencoder.kind == "3d" and self.frame_vae.pretrained is not None:
            raise ValueError(
                "autoencoder.kind 3d is trained from scratch and reads no frame_vae.pretrained: set it to null"
            )
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> "PredLDMSettings":
        check_sampler(self.objective, self.sampling.sampler, self.sampling.steps)
        if self.side % (self.frame_vae.factor * self.denoiser.patch):
            raise ValueError(f"side {self.side} is no multiple of frame_vae.factor times denoiser.patch")
        for name, part in (("mtvae", self.mtvae), ("denoiser", self.denoiser)):
            if part.hidden % part.heads:
                raise ValueError(f"{name}.hidden {part.hidden} is no multiple of {name}.heads")
        return self
