"""PredRNN: layers of ST-LSTM, whose second memory zigzags through all layers and steps.

Wang et al. 2017 (V1) and 2022 (V2), https://arxiv.org/abs/2103.09504, in the size of the authors' scripts
(https://github.com/thuml/predrnn-pytorch) and of OpenSTL's; the layer is in nowcast.models.layers.st_lstm. M goes from
layer 1 to the top layer, then to layer 1 of the next step.

V2 adds to the loss a weight times the mean, over steps, layers, cases and channels, of |cos(A dC, A dM)|: how alike a
layer's two memories are in what they take in. dC = i o g and dM = i2 o g2 are the gains of a step, before any
forgetting. A is one convolution of side 1, shared by all layers. The cosine is over the pixels of a channel. V2 also
samples in reverse (`reverse_sampling`). A weight of 0 and no reverse sampling is V1. In validation the loss is the
squared error alone.
"""

from typing import NamedTuple

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor
from torch.nn.functional import cosine_similarity

from nowcast.models.layers.st_lstm import STLSTM, same_convolution
from nowcast.models.recurrent import RecurrentNetwork, RecurrentSettings


class PredRNNSettings(RecurrentSettings):
    """The `network` section of a PredRNN; by default V2.

    Attributes:
        decoupling: Weight of the decoupling loss; 0 for V1.
    """

    weaned: float = Field(default=0.625, gt=0)
    reverse_sampling: tuple[NonNegativeFloat, PositiveFloat] | None = (0.3125, 0.03125)
    decoupling: NonNegativeFloat = 0.1


class States(NamedTuple):
    """H and C of each layer, M, and how alike the gains of C and M were: a scalar per layer and step in training."""

    layers: list[tuple[Tensor, Tensor]]
    memory: Tensor
    likeness: list[Tensor]


class PredRNN(RecurrentNetwork[States]):
    """PredRNN: ST-LSTM layers, with the decoupling loss of V2."""

    Settings = PredRNNSettings
    source = "Wang et al. 2017 and 2022, https://arxiv.org/abs/2103.09504"
    cell = STLSTM

    def __init__(self, settings: PredRNNSettings, *, pretrained: bool = True):
        super().__init__(settings, pretrained=pretrained)
        self.adapter = same_convolution(settings.hidden, settings.hidden, 1) if settings.decoupling else None

    def start(self, zeros: Tensor) -> States:
        """See `RecurrentNetwork`."""
        return States([(zeros, zeros)] * len(self.cells), zeros, [])

    def step(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        """See `RecurrentNetwork`."""
        layers, memory, likeness = [], state.memory, [*state.likeness]
        for cell, (hidden, kept) in zip(self.cells, state.layers, strict=True):
            made = cell(x, hidden, kept, memory)
            x, memory = made.hidden, made.memory
            layers.append((made.hidden, made.cell))
            if self.training and self.adapter is not None:
                of_cell, of_memory = (self.adapter(gain).flatten(2) for gain in (made.cell_gain, made.memory_gain))
                likeness.append(cosine_similarity(of_cell, of_memory, dim=2).abs().mean())
        return x, States(layers, memory, likeness)

    def penalties(self, state: States) -> dict[str, Tensor]:
        """See `RecurrentNetwork`: the decoupling loss, in training."""
        if not state.likeness:
            return {}
        return {"decoupling": self.settings.decoupling * torch.stack(state.likeness).mean()}
