"""PredRNN++: layers of causal LSTM, whose two memories are updated one after the other, and a gradient highway.

Wang et al. 2018, https://arxiv.org/abs/1804.06300, in the size and without the biases and layer normalisation of
OpenSTL's (https://github.com/chengtan9907/OpenSTL); the authors' net has layers of 128, 64, 64 and 64 with both. x:
features (B, D, h, w). H, C: the layer's own state. M: the memory that came from the layer below, or in layer 1 from the
top layer of the last step. *: convolution. o: product by element. s: sigmoid.

    i  = s(Wxi*x + Whi*H + Wci*C)      f  = s(Wxf*x + Whf*H + Wcf*C + 1)        g  = tanh(Wxg*x + Whg*H + Wcg*C)
    i2 = s(Wxi2*x + Wci2*C' + Wmi*M)   f2 = s(Wxf2*x + Wcf2*C' + Wmf*M + 1)     g2 = tanh(Wxg2*x + Wcg2*C')
    C' = f o C + i o g                 M' = f2 o tanh(Wmm*M) + i2 o g2
    o  = tanh(Wxo*x + Who*H + Wco*C' + Wmo*M')                H' = o o tanh(W1*[C', M']), W1 of side 1

One highway of a state Z stands between layers 1 and 2, with x = H' of layer 1; layer 2 is given Z':

    P = tanh(Wpx*x + Wpz*Z)   S = s(Wsx*x + Wsz*Z)   Z' = S o P + (1 - S) o Z

Its weights begin uniformly within 0.001 of zero, as OpenSTL's.
"""

from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from nowcast.models.layers.st_lstm import FORGET_BIAS, same_convolution
from nowcast.models.recurrent import RecurrentNetwork, RecurrentSettings

SMALL = 0.001


class CausalLSTM(nn.Module):
    """A layer; the convolutions each hold their gates in the order i, f, g, i2, f2, g2, o."""

    def __init__(self, inputs: int, hidden: int, kernel: int):
        super().__init__()
        self.of_x = same_convolution(inputs, 7 * hidden, kernel)
        self.of_hidden = same_convolution(hidden, 4 * hidden, kernel)
        self.of_cell = same_convolution(hidden, 3 * hidden, kernel)
        self.of_memory = same_convolution(hidden, 3 * hidden, kernel)
        self.of_new_cell = same_convolution(hidden, 4 * hidden, kernel)
        self.of_new_memory = same_convolution(hidden, hidden, kernel)
        self.joined = same_convolution(2 * hidden, hidden, 1)

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """H', C' and M' of x (B, inputs, h, w), H, C and M (B, hidden, h, w)."""
        xi, xf, xg, xi2, xf2, xg2, xo = self.of_x(x).chunk(7, 1)
        hi, hf, hg, ho = self.of_hidden(hidden).chunk(4, 1)
        ci, cf, cg = self.of_cell(cell).chunk(3, 1)
        mi, mf, mm = self.of_memory(memory).chunk(3, 1)
        cell = (xf + hf + cf + FORGET_BIAS).sigmoid() * cell + (xi + hi + ci).sigmoid() * (xg + hg + cg).tanh()
        ci2, cf2, cg2, co = self.of_new_cell(cell).chunk(4, 1)
        memory = (xf2 + mf + cf2 + FORGET_BIAS).sigmoid() * mm.tanh() + (xi2 + mi + ci2).sigmoid() * (xg2 + cg2).tanh()
        o = (xo + ho + co + self.of_new_memory(memory)).tanh()
        return o * self.joined(torch.cat([cell, memory], 1)).tanh(), cell, memory


class Highway(nn.Module):
    """The gradient highway unit; the convolutions of x and Z each hold P and S."""

    def __init__(self, hidden: int, kernel: int):
        super().__init__()
        self.of_x = same_convolution(hidden, 2 * hidden, kernel)
        self.of_state = same_convolution(hidden, 2 * hidden, kernel)
        for convolution in (self.of_x, self.of_state):
            nn.init.uniform_(convolution.weight, -SMALL, SMALL)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        """Z' of x and Z (B, hidden, h, w)."""
        p, s = (self.of_x(x) + self.of_state(state)).chunk(2, 1)
        return state + s.sigmoid() * (p.tanh() - state)


class States(NamedTuple):
    """H and C of each layer, M, and Z."""

    layers: list[tuple[Tensor, Tensor]]
    memory: Tensor
    highway: Tensor


class PredRNNPlusSettings(RecurrentSettings):
    """The `network` section of a PredRNN++."""

    layers: int = Field(default=4, ge=2)


class PredRNNPlus(RecurrentNetwork[States]):
    """PredRNN++: causal LSTM layers, with a gradient highway between the first two."""

    Settings = PredRNNPlusSettings
    source = "Wang et al. 2018, https://arxiv.org/abs/1804.06300"
    cell = CausalLSTM

    def __init__(self, settings: PredRNNPlusSettings, *, pretrained: bool = True):
        super().__init__(settings, pretrained=pretrained)
        self.highway = Highway(settings.hidden, settings.kernel)

    def start(self, zeros: Tensor) -> States:
        """See `RecurrentNetwork`."""
        return States([(zeros, zeros)] * len(self.cells), zeros, zeros)

    def step(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        """See `RecurrentNetwork`."""
        layers, memory, highway = [], state.memory, state.highway
        for number, (cell, (hidden, kept)) in enumerate(zip(self.cells, state.layers, strict=True)):
            if number == 1:
                x = highway = self.highway(x, highway)
            hidden, kept, memory = cell(x, hidden, kept, memory)
            x = hidden
            layers.append((hidden, kept))
        return x, States(layers, memory, highway)
