"""LPIPS, the perceptual distance (Zhang et al. 2018, https://arxiv.org/abs/1801.03924): on VGG16, MT-VAE's loss; on
AlexNet, the score of the papers.

In plain torch, without torchvision; weights are read from safetensors files only, into which AlexNet's and LPIPS' own
have to be converted (`load_lpips`). x, y: images in [-1, 1]. l: one of five tapped layers. phi_l: its features, scaled
to unit length over channels. w_l: its channel weights.

    d(x, y) = sum over l of mean over pixels of sum over channels of w_l (phi_l(x) - phi_l(y))^2
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, normalize, relu

from pipelines.errors import InputError

# LPIPS' input scaling: ImageNet's mean and deviation for images in [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
FEWEST_PIXELS = 31  # on a side, for AlexNet's pools


@dataclass(frozen=True)
class Trunk:
    """The convolutions of a classifier up to the last tapped layer.

    Attributes:
        name: Its name.
        widths: Channels of each tapped block.
        places: For each block, the number in `features` (of torchvision and timm) of each convolution.
        kernels: For each block, the side of its kernels; they are padded so as to keep the size, except for the stride.
        stride: Stride of the first convolution.
        pooled: The blocks before which there is a max pool of stride 2.
        pool: Side of the max pool.
    """

    name: str
    widths: tuple[int, ...]
    places: tuple[tuple[int, ...], ...]
    kernels: tuple[int, ...]
    stride: int
    pooled: tuple[int, ...]
    pool: int


VGG16 = Trunk(
    name="VGG16",
    widths=(64, 128, 256, 512, 512),
    places=((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)),
    kernels=(3, 3, 3, 3, 3),
    stride=1,
    pooled=(1, 2, 3, 4),
    pool=2,
)
ALEXNET = Trunk(
    name="AlexNet",
    widths=(64, 192, 384, 256, 256),
    places=((0,), (3,), (6,), (8,), (10,)),
    kernels=(11, 5, 3, 3, 3),
    stride=4,
    pooled=(1, 2),
    pool=3,
)


class PerceptualLoss(nn.Module):
    """LPIPS distance of images, grey or in three colours."""

    shift: Tensor
    scale: Tensor

    def __init__(self, trunk: Trunk = VGG16):
        super().__init__()
        self.trunk = trunk
        convolutions, channels, stride = {}, 3, trunk.stride
        for places, width, kernel in zip(trunk.places, trunk.widths, trunk.kernels, strict=True):
            for place in places:
                # AlexNet's first convolution is padded by two of its eleven pixels, not by five.
                padding = kernel // 2 if stride == 1 else 2
                convolutions[str(place)] = nn.Conv2d(channels, width, kernel, stride, padding)
                channels, stride = width, 1
        self.features = nn.ModuleDict(convolutions)
        self.linear = nn.ParameterList(torch.ones(width) for width in trunk.widths)
        self.register_buffer("shift", torch.tensor(_SHIFT).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE).view(3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances with shape (B,) of images in [-1, 1].

        Args:
            x: Images with shape (B, 1, H, W) or (B, 3, H, W), at least 16 x 16, for AlexNet 31 x 31.
            y: Images of that shape, or one with B = 1 that all are compared with.
        """
        total = torch.zeros(len(x), device=x.device)
        for weights, a, b in zip(self.linear, self._taps(x), self._taps(y), strict=True):
            difference = (normalize(a.float(), dim=1) - normalize(b.float(), dim=1)).square()
            total = total + (difference * weights.view(-1, 1, 1)).sum(1).mean((1, 2))
        return total

    def _taps(self, x: Tensor) -> list[Tensor]:
        x = (x.expand(-1, 3, -1, -1) - self.shift) / self.scale
        taps: list[Tensor] = []
        for block, places in enumerate(self.trunk.places):
            x = max_pool2d(x, self.trunk.pool, stride=2) if block in self.trunk.pooled else x
            for place in places:
                x = relu(self.features[str(place)](x))
            taps.append(x)
        return taps


def load_perceptual(path: str | None) -> PerceptualLoss:
    """The loss with VGG16's weights from the safetensors file at `path`.

    The file holds `features.N.weight` and `features.N.bias` (timm's vgg16.tv_in1k does as it is) and, if it is to be
    calibrated LPIPS, the channel weights `lin0.model.1.weight` to `lin4.model.1.weight` of lpips' vgg.pth beside them;
    without these every channel weighs 1 / (channels of its layer).

    Raises:
        InputError: when there is no such file or a weight is missing or of another shape.
    """
    remedy = (
        "take model.safetensors of https://huggingface.co/timm/vgg16.tv_in1k and set perceptual_weights to its path, "
        "or set perceptual_weight to 0"
    )
    even = {f"lin{i}.model.1.weight": torch.full((width,), 1 / width) for i, width in enumerate(VGG16.widths)}
    return _loaded(VGG16, path, "the perceptual loss", remedy, even)


def load_lpips(path: str) -> PerceptualLoss:
    """LPIPS on AlexNet, as the papers report it, with the weights from the safetensors file at `path`.

    The file holds `features.N.weight` and `features.N.bias` of torchvision's AlexNet and the channel weights
    `lin0.model.1.weight` to `lin4.model.1.weight` of lpips 0.1. Both are published as pickles, which nowcast does not
    read. torch.load with weights_only=True gives their dictionaries, by torch 2.10 or newer: before it, a file could be
    made to run code in spite of weights_only (CVE-2025-32434, CVE-2026-24747). safetensors.torch.save_file writes both
    as one. That was not tried on the published files.

    Raises:
        InputError: when there is no such file or a weight is missing or of another shape.
    """
    remedy = (
        "take https://download.pytorch.org/models/alexnet-owt-7be5be79.pth and lpips/weights/v0.1/alex.pth of "
        "https://github.com/richzhang/PerceptualSimilarity, read both in Python by torch.load with weights_only=True "
        "(torch 2.10 or newer), and write the two dictionaries as one by safetensors.torch.save_file"
    )
    return _loaded(ALEXNET, path, "LPIPS", remedy, {})


def _loaded(trunk: Trunk, path: str | None, use: str, remedy: str, defaults: Mapping[str, Tensor]) -> PerceptualLoss:
    found = {**defaults, **load_weights(path, use, remedy)}
    loss = PerceptualLoss(trunk)
    names = {f"linear.{i}": f"lin{i}.model.1.weight" for i in range(len(trunk.widths))}
    state = {}
    for name, parameter in loss.state_dict().items():
        source = names.get(name, name)
        value = found.get(source)
        if value is None or value.numel() != parameter.numel():
            raise InputError(
                f"{path} is not {trunk.name}",
                got=f"{source} {'missing' if value is None else tuple(value.shape)}",
                remedy=remedy,
            )
        state[name] = value.view(parameter.shape).float()
    loss.load_state_dict(state)
    return loss


def load_weights(path: str | None, use: str, remedy: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file that the user points at.

    Raises:
        InputError: when there is no such file or it is of another kind.
    """
    if path is None or not Path(path).is_file():
        raise InputError(f"no weights for {use}", got=path, expected="a safetensors file", remedy=remedy)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path} is not a safetensors file", got=error, remedy=remedy) from error
