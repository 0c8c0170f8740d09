"""The `network` section of a PVDM configuration."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveInt, model_validator

from nowcast.diffusion.samplers import check_sampler
from nowcast.models.network import NetworkSettings, SamplingSettings
from nowcast.models.pvdm.autoencoder import AutoencoderSettings
from nowcast.models.pvdm.denoiser import DenoiserSettings


class ReconstructionSettings(BaseModel):
    """The loss of the autoencoder.

    Attributes:
        pixel_weight: Weight of the mean absolute error.
        perceptual_weight: Weight of the perceptual loss; 0 builds no perceptual network. 4 in PVDM.
        perceptual_weights: Safetensors file of the perceptual network (see nowcast.perception.lpips).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pixel_weight: float = 4.0
    perceptual_weight: float = 0.0
    perceptual_weights: str | None = None


class AdversarialSettings(BaseModel):
    """The discriminators of the adversarial stage.

    Attributes:
        width: Channels of their first layer.
        layers: Layers that halve their input.
        weight: Weight of the adversarial loss.
        feature_weight: Weight of the distance of the discriminators' features.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: PositiveInt = 64
    layers: PositiveInt = 3
    weight: float = 1.0
    feature_weight: float = 4.0


class PVDMSampling(SamplingSettings):
    """How members are drawn. PVDM's own sampler is ddpm, which is DDIM with eta 1."""

    steps: int = 400


class PVDMSettings(NetworkSettings):
    """The `network` section of a PVDM configuration.

    Attributes:
        autoencoder: Size of the autoencoder.
        reconstruction: Its loss.
        adversarial: Its discriminators.
        denoiser: Size of the denoiser.
        objective: The quantity that the denoiser predicts: epsilon, PVDM's own, or v.
        sampling: How members are drawn.
    """

    autoencoder: AutoencoderSettings = AutoencoderSettings()
    reconstruction: ReconstructionSettings = ReconstructionSettings()
    adversarial: AdversarialSettings = AdversarialSettings()
    denoiser: DenoiserSettings = DenoiserSettings()
    objective: Literal["epsilon", "v"] = "epsilon"
    sampling: PVDMSampling = PVDMSampling()

    @property
    def members_at_once(self) -> int:
        """See `NetworkSettings`."""
        return self.sampling.member_batch

    @property
    def multiple(self) -> int:
        """See `NetworkSettings`: whole patches."""
        return self.autoencoder.patch

    @model_validator(mode="after")
    def _can_be_sampled(self) -> "PVDMSettings":
        check_sampler(self.objective, self.sampling.sampler, self.sampling.steps)
        return self
