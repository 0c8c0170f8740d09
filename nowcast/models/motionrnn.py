"""MotionRNN: PredRNN whose layers are joined by MotionGRUs, which warp features along a motion that they learn.

Wu, Yao, Wang and Long 2021, https://arxiv.org/abs/2103.02243, on PredRNN's layers (nowcast.models.layers.st_lstm), as
the authors' code has it (https://github.com/thuml/MotionRNN). Between a layer with state H and the next one, at half
size, with E the encoded features of H, F the motion (rows, then columns, that each of nine neighbours is moved by) and
D its trend. *: convolution. o: product by element. s: sigmoid.

    E = We*H   u = s(Wu*[E, F])   r = s(Wr*[E, F])   z = tanh(Wz*[E, r o F])
    D' = D + (F - D) / 2          F' = u o z + (1 - u) o F + D'
    Y = sum over n of Wn (s(Wm*E)_n o E at the pixel + neighbour n + F'_n), zero outside of the field
    q = s(Wq*[Wd*Y, H])           X = q o Wd*Y + (1 - q) o H

X is both the next layer's input and this layer's H in the next step. The gate q is a convolution of the layers' kernel;
the paper writes it with side 1 and reversed. A highway past each layer adds (1 - o) o U to its H', U being H' of the
layer below before its MotionGRU, or in layer 1 a convolution of side 1 of what is fed.

States begin as zeros, where the authors' code draws noise, in tests too. So that motion begins as none, the
convolutions of u, r and z begin as zeros with their biases, which the code draws: with u = 1/2, F and D grow by 1.31 a
step, and small draws become tens of pixels over 19 steps.
"""

from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from nowcast.models.layers.st_lstm import STLSTM, same_convolution
from nowcast.models.recurrent import RecurrentNetwork, RecurrentSettings

NEIGHBOURS = 9
TREND = 0.5


class Warp(nn.Module):
    """Y: a convolution of side 3 whose pixels are moved and weighed, those of one place at a time."""

    def __init__(self, channels: int):
        super().__init__()
        self.weigh = nn.Conv2d(channels, NEIGHBOURS, 3, padding=1)
        nn.init.zeros_(self.weigh.weight)
        self.gather = same_convolution(channels * NEIGHBOURS, channels, 1)

    def forward(self, x: Tensor, motion: Tensor) -> Tensor:
        """Y of E (B, channels, h, w) and F' (B, 18, h, w), in pixels of E."""
        sampled = grid_sample(x, _sampling_grid(motion), align_corners=False).unflatten(2, (NEIGHBOURS, x.shape[-2]))
        weight = self.weigh(x).sigmoid()[:, None]
        return self.gather((sampled * weight).flatten(1, 2))


def _sampling_grid(motion: Tensor) -> Tensor:
    """Where nine neighbours are sampled, shape (B, 9 h, w, 2), columns first, in the units of `grid_sample`."""
    rows, columns = motion.float().chunk(2, 1)
    height, width = motion.shape[-2:]
    neighbour, row, column = (torch.arange(size, device=motion.device) for size in (NEIGHBOURS, height, width))
    neighbour = neighbour.view(-1, 1, 1)
    rows = rows + row.view(-1, 1) + neighbour // 3 - 1
    columns = columns + column + neighbour % 3 - 1
    return torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], -1).flatten(1, 2)


class MotionGRU(nn.Module):
    """What stands between two layers: features warped along a motion and its trend, mixed with those that came."""

    def __init__(self, hidden: int, kernel: int):
        super().__init__()
        inner, offsets = hidden // 4, 2 * NEIGHBOURS
        self.encode = nn.Conv2d(hidden, inner, kernel, stride=2, padding=kernel // 2)
        self.update, self.reset, self.candidate = (nn.Conv2d(inner + offsets, offsets, 3, padding=1) for _ in range(3))
        for convolution in (self.update, self.reset, self.candidate):
            for parameter in convolution.parameters():
                nn.init.zeros_(parameter)
        self.warp = Warp(inner)
        self.decode = nn.ConvTranspose2d(inner, hidden, 4, stride=2, padding=1)
        self.gate = nn.Conv2d(2 * hidden, hidden, kernel, padding=kernel // 2)

    def forward(self, hidden: Tensor, motion: Tensor, trend: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """X, F' and D' of H (B, hidden, h, w), F and D (B, 18, h/2, w/2)."""
        encoded = self.encode(hidden)
        both = torch.cat([encoded, motion], 1)
        update, reset = self.update(both).sigmoid(), self.reset(both).sigmoid()
        candidate = self.candidate(torch.cat([encoded, reset * motion], 1)).tanh()
        trend = trend + TREND * (motion - trend)
        motion = update * candidate + (1 - update) * motion + trend
        decoded = self.decode(self.warp(encoded, motion))
        gate = self.gate(torch.cat([decoded, hidden], 1)).sigmoid()
        return gate * decoded + (1 - gate) * hidden, motion, trend


class MotionRNNSettings(RecurrentSettings):
    """The `network` section of a MotionRNN."""

    hidden: int = Field(default=64, gt=0, multiple_of=4)
    weaned: float = Field(default=0.625, gt=0)

    @property
    def multiple(self) -> int:
        """See `NetworkSettings`: MotionGRUs halve the sides of the field of patches."""
        return 2 * self.patch


class States(NamedTuple):
    """H and C of each layer, M, and F and D of each MotionGRU."""

    layers: list[tuple[Tensor, Tensor]]
    memory: Tensor
    motions: list[tuple[Tensor, Tensor]]


class MotionRNN(RecurrentNetwork[States]):
    """MotionRNN: ST-LSTM layers with highways, joined by MotionGRUs."""

    Settings = MotionRNNSettings
    source = "Wu, Yao, Wang and Long 2021, https://arxiv.org/abs/2103.02243"
    cell = STLSTM

    def __init__(self, settings: MotionRNNSettings, *, pretrained: bool = True):
        super().__init__(settings, pretrained=pretrained)
        self.first = same_convolution(self.inputs, settings.hidden, 1)
        self.motions = nn.ModuleList(MotionGRU(settings.hidden, settings.kernel) for _ in range(settings.layers - 1))

    def start(self, zeros: Tensor) -> States:
        """See `RecurrentNetwork`."""
        cases, _, height, width = zeros.shape
        still = zeros.new_zeros(cases, 2 * NEIGHBOURS, height // 2, width // 2)
        return States([(zeros, zeros)] * len(self.cells), zeros, [(still, still)] * len(self.motions))

    def step(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        """See `RecurrentNetwork`."""
        layers, memory, motions = [], state.memory, []
        below = self.first(x)
        for number, (cell, (hidden, kept)) in enumerate(zip(self.cells, state.layers, strict=True)):
            made = cell(x, hidden, kept, memory, below)
            x, memory, below = made.hidden, made.memory, made.hidden
            if number < len(self.motions):
                x, *moved = self.motions[number](x, *state.motions[number])
                motions.append(tuple(moved))
            layers.append((x, made.cell))
        return x, States(layers, memory, motions)
