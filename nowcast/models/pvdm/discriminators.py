"""The discriminators of PVDM's adversarial stage: PatchGANs of frames and of clips, as of pix2pix.

Isola et al. 2017, https://arxiv.org/abs/1611.07004, in the size of https://github.com/sihyun-yu/PVDM: each of many
patches is told from real ones. Batches are normalised by their own statistics, in validation too.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nowcast.models.pvdm.settings import AdversarialSettings


class PatchDiscriminator(nn.Module):
    """Convolutions of side 4 over `dims` axes, most of stride 2, down to one score per patch."""

    def __init__(self, settings: AdversarialSettings, dims: int, channels: int):
        super().__init__()
        convolution, norm = ((nn.Conv2d, nn.BatchNorm2d), (nn.Conv3d, nn.BatchNorm3d))[dims - 2]
        widths = [min(settings.width * 2**number, max(512, settings.width)) for number in range(settings.layers + 1)]
        first = nn.Sequential(convolution(channels, widths[0], 4, stride=2, padding=2), nn.LeakyReLU(0.2))
        self.layers = nn.ModuleList([first])
        for number, (inputs, width) in enumerate(pairwise(widths), 1):
            stride = 2 if number < settings.layers else 1
            made = convolution(inputs, width, 4, stride=stride, padding=2)
            self.layers.append(nn.Sequential(made, norm(width, track_running_stats=False), nn.LeakyReLU(0.2)))
        self.layers.append(convolution(widths[-1], 1, 4, padding=2))
        for part in self.modules():
            if isinstance(part, convolution):
                nn.init.normal_(part.weight, 0.0, 0.02)
            elif isinstance(part, norm):
                nn.init.normal_(part.weight, 1.0, 0.02)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The features of each layer, the last of which are the scores, of x (B, K, ...)."""
        features: list[Tensor] = []
        for layer in self.layers:
            features.append(layer(features[-1] if features else x))
        return features

    def held_constant(self, x: Tensor) -> list[Tensor]:
        """The same, through which x alone is improved: no gradient reaches the weights."""
        weights = {name: parameter.detach() for name, parameter in self.named_parameters()}
        return functional_call(self, weights, (x,))


def hinge(real: Tensor, made: Tensor) -> Tensor:
    """The discriminator's loss by its scores of real patches and of made ones."""
    return 0.5 * ((1 - real).relu().mean() + (1 + made).relu().mean())


def play(discriminator: PatchDiscriminator, real: Tensor, made: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both players' losses: the generator's score, its distance of features, and the discriminator's hinge loss.

    Each is a loss of its own player alone: of `made` in the first two, of the discriminator's weights in the third.
    """
    of_real, of_made = discriminator(real), discriminator.held_constant(made)
    pairs = zip(of_real[:-1], of_made[:-1], strict=True)
    distance = torch.stack([(one.detach() - other).abs().mean() for one, other in pairs]).sum()
    return -of_made[-1].mean(), distance, hinge(of_real[-1], discriminator(made.detach())[-1])
