"""Networks that regress the future on the history: one stage, one member, and only `forward` to write.

B: windows or cases. T: frames of the history. C: channels. H, W: sides of a frame. All values are in network units,
(counts - offset) / scale. The loss is the mean squared error over observed pixels; a network whose loss compares other
frames overrides `regression`.
"""

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from torch import Tensor, nn

from nowcast.models.frames import Clip
from nowcast.models.layers.masked import weighted_mean
from nowcast.models.network import Batch, Draws, Network, NetworkSettings, Stage


class RegressionSettings(NetworkSettings):
    """The `network` section of a network with one member: no first guess that each member draws for itself.

    A network that reads no first guess says so: `first_guess: Literal["none"] = "none"` in its own settings, so that
    others are refused.
    """

    first_guess: Literal["none", "advection", "sprog"] = "none"


class Regressed(NamedTuple):
    """The terms of the loss.

    Attributes:
        prediction: Predicted frames (B, T, C, H, W).
        target: Their targets, same shape.
        observed: Where these were observed (B, T, 1, H, W).
        penalties: Scalars added to the mean squared error, by name.
    """

    prediction: Tensor
    target: Tensor
    observed: Tensor
    penalties: Mapping[str, Tensor] = MappingProxyType({})


class RegressionStage(Stage):
    """The only stage: mean squared error on observed pixels, and the network's penalties."""

    def __init__(self, network: "RegressionNetwork"):
        self.network = network

    @property
    def trained(self) -> nn.Module:
        """The whole network."""
        return self.network

    def loss(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """See `Stage.loss`."""
        made = self.network.regression(batch, draws)
        error = weighted_mean((made.prediction - made.target).square(), made.observed.float())
        return {"loss": sum(made.penalties.values(), error), **made.penalties}

    def preview(self, batch: Batch, draws: Draws) -> Tensor:
        """The forecast."""
        return self.network(batch.history)


class RegressionNetwork(Network[Tensor]):
    """A deterministic network: write `forward`, and `Settings` where it has settings of its own."""

    Settings = RegressionSettings
    deterministic = True

    def __init__(self, settings: NetworkSettings, *, pretrained: bool = True):
        super().__init__(settings, pretrained=pretrained)
        self.stages = {"regression": RegressionStage(self)}

    @abstractmethod
    def forward(self, history: Clip) -> Tensor:
        """The forecast with shape (B, lead, C, H, W), finite, in network units.

        Args:
            history: `frames` (B, T, C, H, W) in network units, no echo where missing, which `observed` (B, T, 1, H, W)
                tells. `guess.as_channels` (B, lead, guess_channels, H, W) where the setting `first_guess` asks for
                guesses, else `guess` is None. H and W are multiples of `settings.multiple`. Not to be written into.
        """

    def regression(self, batch: Batch, draws: Draws) -> Regressed:
        """The frames that the loss compares."""
        return Regressed(self(batch.history), batch.future.frames, batch.future.observed)

    def condition(self, history: Clip) -> Tensor:
        """The forecast itself."""
        return self(history)

    def generate(self, condition: Tensor, draws: Draws) -> Tensor:
        """One member."""
        return condition[:, None]
