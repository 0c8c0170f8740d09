"""ST-LSTM: a ConvLSTM with a second memory, which climbs the stack of layers instead of staying in one.

Wang et al. 2017 and 2022 (PredRNN, https://arxiv.org/abs/2103.09504). x: features (B, D, h, w). H, C: the layer's own
state. M: the memory that came from the layer below, or in layer 1 from the top layer of the last step.
*: convolution. o: product by element. s: sigmoid.

    i  = s(Wxi*x + Whi*H)    f  = s(Wxf*x + Whf*H + 1)    g  = tanh(Wxg*x + Whg*H)    C' = f o C + i o g
    i2 = s(Wxi2*x + Wmi*M)   f2 = s(Wxf2*x + Wmf*M + 1)   g2 = tanh(Wxg2*x + Wmg*M)   M' = f2 o M + i2 o g2
    o  = s(Wxo*x + Who*H + Wo*[C', M'])                   H' = o o tanh(W1*[C', M']), W1 of side 1

Without biases and layer normalisation, as the authors' scripts (https://github.com/thuml/predrnn-pytorch).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

FORGET_BIAS = 1.0


class Stepped(NamedTuple):
    """H', C' and M' of a layer, and what was added to C and to M: i o g and i2 o g2. All (B, hidden, h, w)."""

    hidden: Tensor
    cell: Tensor
    memory: Tensor
    cell_gain: Tensor
    memory_gain: Tensor


class STLSTM(nn.Module):
    """A layer; the convolutions of x, H and M each hold their gates in the order i, f, g, i2, f2, g2, o."""

    def __init__(self, inputs: int, hidden: int, kernel: int):
        super().__init__()
        self.of_x = same_convolution(inputs, 7 * hidden, kernel)
        self.of_hidden = same_convolution(hidden, 4 * hidden, kernel)
        self.of_memory = same_convolution(hidden, 3 * hidden, kernel)
        self.of_both = same_convolution(2 * hidden, hidden, kernel)
        self.joined = same_convolution(2 * hidden, hidden, 1)

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor, memory: Tensor, below: Tensor | None = None) -> Stepped:
        """The layer's step from x (B, inputs, h, w), H, C and M (B, hidden, h, w).

        `below` (B, hidden, h, w) is the input of a highway past the layer: (1 - o) o below is added to H'.
        """
        xi, xf, xg, xi2, xf2, xg2, xo = self.of_x(x).chunk(7, 1)
        hi, hf, hg, ho = self.of_hidden(hidden).chunk(4, 1)
        mi, mf, mg = self.of_memory(memory).chunk(3, 1)
        cell_gain = (xi + hi).sigmoid() * (xg + hg).tanh()
        cell = (xf + hf + FORGET_BIAS).sigmoid() * cell + cell_gain
        memory_gain = (xi2 + mi).sigmoid() * (xg2 + mg).tanh()
        memory = (xf2 + mf + FORGET_BIAS).sigmoid() * memory + memory_gain
        both = torch.cat([cell, memory], 1)
        o = (xo + ho + self.of_both(both)).sigmoid()
        hidden = o * self.joined(both).tanh()
        if below is not None:
            hidden = hidden + (1 - o) * below
        return Stepped(hidden, cell, memory, cell_gain, memory_gain)


def same_convolution(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """A convolution without bias that keeps the sides."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
