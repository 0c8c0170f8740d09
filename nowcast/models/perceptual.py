"""The perceptual loss of MT-VAE: LPIPS on VGG16 features (Zhang et al. 2018, https://arxiv.org/abs/1801.03924).

In plain torch, so that neither torchvision nor a pickled checkpoint is needed. x, y: grey images in [-1, 1]. l: one of
five tapped layers. phi_l: its features, scaled to unit length over channels. w_l: its channel weights.

    d(x, y) = sum over l of mean over pixels of sum over channels of w_l (phi_l(x) - phi_l(y))^2
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, normalize, relu

from pipelines.errors import InputError

# VGG16's blocks: channels, number of convolutions, and index of the first one as `features` of timm counts them.
_WIDTHS = (64, 128, 256, 512, 512)
_COUNTS = (2, 2, 3, 3, 3)
_FIRSTS = (0, 5, 10, 17, 24)
# LPIPS' input scaling: ImageNet's mean and deviation for images in [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


class PerceptualLoss(nn.Module):
    """LPIPS distance of grey images.

    Args:
        widths: Channels of the five blocks; VGG16's unless a test wants a smaller network.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, widths: tuple[int, ...] = _WIDTHS):
        super().__init__()
        convolutions, channels = {}, 3
        for first, count, width in zip(_FIRSTS, _COUNTS, widths, strict=True):
            for i in range(count):
                convolutions[str(first + 2 * i)] = nn.Conv2d(channels, width, 3, padding=1)
                channels = width
        self.features = nn.ModuleDict(convolutions)
        self.linear = nn.ParameterList(torch.ones(width) for width in widths)
        self.register_buffer("shift", torch.tensor(_SHIFT).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE).view(3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances with shape (B,) of images `x` and `y` with shape (B, 1, H, W), in [-1, 1], at least 16 x 16."""
        total = torch.zeros(len(x), device=x.device)
        for weights, a, b in zip(self.linear, self._taps(x), self._taps(y), strict=True):
            difference = (normalize(a.float(), dim=1) - normalize(b.float(), dim=1)).square()
            total = total + (difference * weights.view(-1, 1, 1)).sum(1).mean((1, 2))
        return total

    def _taps(self, x: Tensor) -> list[Tensor]:
        x = (x.expand(-1, 3, -1, -1) - self.shift) / self.scale
        taps: list[Tensor] = []
        for first, count in zip(_FIRSTS, _COUNTS, strict=True):
            x = max_pool2d(x, 2) if taps else x
            for i in range(count):
                x = relu(self.features[str(first + 2 * i)](x))
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
        "take model.safetensors of https://huggingface.co/timm/vgg16.tv_in1k and set mtvae.perceptual_weights to its "
        "path, or set mtvae.perceptual_weight to 0"
    )
    if path is None or not Path(path).is_file():
        raise InputError("no weights for the perceptual loss", got=path, expected="a safetensors file", remedy=remedy)
    try:
        found = load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path} is not a safetensors file", got=error, remedy=remedy) from error
    loss = PerceptualLoss()
    names = {f"linear.{i}": f"lin{i}.model.1.weight" for i in range(len(_WIDTHS))}
    state = {}
    for name, parameter in loss.state_dict().items():
        source = names.get(name, name)
        value = found.get(source)
        if value is None and name in names:
            value = torch.full_like(parameter, 1 / len(parameter))
        if value is None or value.numel() != parameter.numel():
            raise InputError(
                f"{path} is not VGG16",
                got=f"{source} {'missing' if value is None else tuple(value.shape)}",
                remedy=remedy,
            )
        state[name] = value.view(parameter.shape).float()
    loss.load_state_dict(state)
    return loss
