"""SimVPv2: SimVP with gated spatiotemporal attention (gSTA) for a translator, one plain block after another.

Tan, Gao, Li and Li 2022, https://arxiv.org/abs/2211.12509, with the layers of OpenSTL
(https://github.com/chengtan9907/OpenSTL). The ends are SimVP's. x: features (B, D, h, w). o: product by element. s:
sigmoid. dw: depthwise convolution. Each block is

    x = x + l1 o A(BN x)    A(x) = W2 (s(b) o a) + x, with (a, b) = W1 dw7(dw5(GELU(W0 x))), dw7 dilated by 3
    x = x + l2 o F(BN x)    F(x) = W4 GELU(dw3(W3 x))

with 1 x 1 convolutions W and factors l1, l2 per channel, which begin at 0.01. In training either sum is left out for a
sample at random (stochastic depth), ever more often from the first block to the last.

Batch statistics are of the windows on one process: a batch of a few windows makes them noisy.
"""

from functools import partial
from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor, nn

from nowcast.models.layers.dropout import Dropout
from nowcast.models.network import Batch, Draws
from nowcast.models.regression import Regressed
from nowcast.models.simvp.network import SimVP, SimVPSettings

_FIRST_DROP = 0.01  # of the first block
_MLP_RATIO = 8
_SCALE = 0.01


class SimVPGSTASettings(SimVPSettings):
    """The `network` section of a SimVPv2.

    Attributes:
        drop_path: Probability at which the last block is left out in training; that of the first is 0.01.
    """

    drop_path: float = Field(default=0.2, ge=0, lt=1)


class SimVPGSTA(SimVP):
    """SimVPv2: gated attention of large kernels between a frame encoder and decoder."""

    Settings = SimVPGSTASettings
    source = "Tan, Gao, Li and Li 2022, https://arxiv.org/abs/2211.12509"

    def _translator(self, settings: SimVPSettings) -> nn.Module:
        channels = settings.history * settings.hidden
        return GatedTranslator(channels, settings.translator_hidden, settings.translator_blocks)

    def regression(self, batch: Batch, draws: Draws) -> Regressed:
        """See `RegressionNetwork.regression`; in training some blocks are left out."""
        if not self.training:
            return super().regression(batch, draws)
        translate = partial(
            self.translator,
            dropout=Dropout(draws, batch.future.frames.device),
            rates=torch.linspace(_FIRST_DROP, self.settings.drop_path, self.settings.translator_blocks).tolist(),
        )
        return Regressed(self.forecast(batch.history, translate), batch.future.frames, batch.future.observed)


class GatedTranslator(nn.Module):
    """gSTA blocks: the first at the width of all frames together, the others at `hidden`, the last back again."""

    def __init__(self, channels: int, hidden: int, blocks: int):
        super().__init__()
        widths = [channels, *[hidden] * (blocks - 1), channels]
        self.blocks = nn.ModuleList(map(GatedBlock, widths[:-1]))
        self.widen = nn.ModuleList(
            nn.Identity() if before == after else nn.Conv2d(before, after, 1) for before, after in pairwise(widths)
        )

    def forward(self, x: Tensor, dropout: Dropout | None = None, rates: list[float] | None = None) -> Tensor:
        """Features (B, channels, h, w) of the frames that follow, same shape.

        Args:
            x: Features of the frames given.
            dropout: Draws which blocks are left out; None leaves out none.
            rates: Probability of each block.
        """
        for block, widen, rate in zip(self.blocks, self.widen, rates or [0.0] * len(self.blocks), strict=True):
            x = widen(block(x, dropout, rate))
        return x


class GatedBlock(nn.Module):
    """Gated attention, then a feed-forward net of convolutions."""

    def __init__(self, channels: int):
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2))
        self.attention = GatedAttention(channels)
        wide = _MLP_RATIO * channels
        self.feed_forward = nn.Sequential(
            nn.Conv2d(channels, wide, 1),
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide),
            nn.GELU(),
            nn.Conv2d(wide, channels, 1),
        )
        self.scales = nn.Parameter(torch.full((2, channels, 1, 1), _SCALE))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                fan_out = layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels // layer.groups
                nn.init.normal_(layer.weight, 0.0, (2 / fan_out) ** 0.5)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, dropout: Dropout | None, rate: float) -> Tensor:
        """Features with the shape (B, channels, h, w) of `x`."""
        for part, norm, scale in zip((self.attention, self.feed_forward), self.norms, self.scales, strict=True):
            change = scale * part(norm(x))
            x = x + (change if dropout is None else dropout.samples(change, rate))
        return x


class GatedAttention(nn.Module):
    """A gate that sees 23 x 23 places (21 x 21 in the paper) through two depthwise convolutions."""

    def __init__(self, channels: int):
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.GELU())
        self.near = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.far = nn.Conv2d(channels, channels, 7, padding=9, dilation=3, groups=channels)
        self.gates = nn.Conv2d(channels, 2 * channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Features with the shape (B, channels, h, w) of `x`."""
        a, b = self.gates(self.far(self.near(self.expand(x)))).chunk(2, 1)
        return self.project(b.sigmoid() * a) + x
