"""ConvLSTM: an LSTM whose products are convolutions, unrolled over history and future, a frame per step.

Shi et al. 2015, https://arxiv.org/abs/1506.04214, in the size and without the biases and peepholes of OpenSTL's
(https://github.com/chengtan9907/OpenSTL). x: features of a layer (B, D, h, w). *: convolution. o: product by element.

    i = s(Wxi*x + Whi*H)  f = s(Wxf*x + Whf*H)  g = tanh(Wxg*x + Whg*H)  o = s(Wxo*x + Who*H)
    C' = f o C + i o g    H' = o o tanh(C')
"""

import torch
from torch import Tensor, nn

from nowcast.models.recurrent import RecurrentNetwork

States = list[tuple[Tensor, Tensor]]


class Cell(nn.Module):
    """A layer of ConvLSTM: all gates in one convolution of features and state, in the order i, f, g, o."""

    def __init__(self, inputs: int, hidden: int, kernel: int):
        super().__init__()
        self.gates = nn.Conv2d(inputs + hidden, 4 * hidden, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """H' and C' of features `x` (B, inputs, h, w), H and C (B, hidden, h, w)."""
        i, f, g, o = self.gates(torch.cat([x, hidden], 1)).chunk(4, 1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        return o.sigmoid() * cell.tanh(), cell


class ConvLSTM(RecurrentNetwork[States]):
    """ConvLSTM: a frame per step, fed with its own forecasts past the history."""

    cell = Cell
    source = "Shi et al. 2015, https://arxiv.org/abs/1506.04214"

    def start(self, zeros: Tensor) -> States:
        """See `RecurrentNetwork`: H and C of each layer."""
        return [(zeros, zeros)] * len(self.cells)

    def step(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        """See `RecurrentNetwork`."""
        after: States = []
        for cell, before in zip(self.cells, state, strict=True):
            after.append(cell(x, *before))
            x = after[-1][0]
        return x, after
