"""Every trainable model of the table at a tiny size, with random weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torch import nn

from nowcast.models import build_network
from nowcast.models.network import Network

# Settings with which the contract tests build each trainable model; one that is small by default needs no line here.
# "model, variant" is the model in another form, for which the contract holds too.
TINY: dict[str, dict[str, Any]] = {
    "predldm": {
        "frame_vae": {"factor": 4, "latent_channels": 4, "channels": [8, 8]},
        "mtvae": {"hidden": 16, "layers": 1, "heads": 2, "kl_weight": 0.0},
        "denoiser": {"hidden": 16, "blocks": 2, "heads": 2},
        "objective": "v",
        "sampling": {"sampler": "ddpm", "steps": 3, "member_batch": 2},
    },
    "corrector": {"case_widths": [8, 8], "case_blocks": 1, "member_widths": [8], "member_batch": 2},
    "unet": {"widths": [8, 16], "centre": 32},
    "convlstm": {"hidden": 16, "layers": 2, "kernel": 3, "patch": 2},
    "predrnn": {"hidden": 8, "layers": 2, "kernel": 3, "patch": 4},
    "predrnn_plus": {"hidden": 8, "layers": 2, "kernel": 3, "patch": 4},
    "motionrnn": {"hidden": 8, "layers": 2, "kernel": 3, "patch": 4},
    "simvp": {"hidden": 8, "translator_hidden": 16, "translator_blocks": 2},
    "simvp_gsta": {"hidden": 8, "translator_hidden": 16, "translator_blocks": 2},
    "mcvd": {
        "block": 2,
        "width": 8,
        "multipliers": [1, 2],
        "depth": 1,
        "attention": [4],
        "patch": 4,
        "objective": "v",
        "sampling": {"steps": 3, "member_batch": 2},
    },
    "pvdm": {
        "autoencoder": {"patch": 4, "width": 16, "blocks": 1, "heads": 2, "head_width": 8, "projection_layers": 1},
        "adversarial": {"width": 4, "layers": 1},
        "denoiser": {"width": 16, "widths": [1, 2], "blocks": 1, "heads": 2},
        "objective": "v",
        "sampling": {"steps": 3, "member_batch": 2},
    },
}
TINY |= {
    f"predldm, {kind}": {**TINY["predldm"], "mtvae": {"kl_weight": 0.0}, "autoencoder": {"kind": kind}}
    for kind in ("3d", "2d+1d")
}
FRAMES = {"history": 5, "lead": 3, "side": 32, "offset": 0.0, "scale": 50.0, "echo": 0.0}


@pytest.fixture(scope="session")
def tiny():
    """Builds a trainable model by name, with other settings where they are given, and random weights everywhere."""

    @torch.no_grad()
    def build(name: str, **settings: Any) -> Network:
        torch.manual_seed(0)
        model = name.partition(",")[0]
        network = build_network(model, {**FRAMES, **TINY.get(name, {}), **settings}, pretrained=False).eval()
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
        return network

    return build


@pytest.fixture(scope="session")
def plain() -> Callable[[nn.Conv2d], Callable[..., np.ndarray]]:
    """Writes a convolution that keeps the sides a second time, in NumPy: of fields (channel, y, x), joined in order."""

    def written(convolution: nn.Conv2d) -> Callable[..., np.ndarray]:
        spread = int(convolution.dilation[0])
        weights = convolution.weight.detach().double().numpy()
        kernels = np.zeros((*weights.shape[:2], *(spread * (side - 1) + 1 for side in weights.shape[2:])))
        kernels[..., ::spread, ::spread] = weights
        bias = np.zeros(len(kernels)) if convolution.bias is None else convolution.bias.detach().double().numpy()

        def convolved(*fields: np.ndarray) -> np.ndarray:
            groups = np.repeat(
                np.split(np.concatenate(fields), convolution.groups), len(kernels) // convolution.groups, 0
            )
            sums = [
                sum(map(lambda x, k: correlate2d(x, k, "same"), *pair)) for pair in zip(groups, kernels, strict=True)
            ]
            return np.array(sums) + bias[:, None, None]

        return convolved

    return written


@pytest.fixture(scope="session")
def normalised():
    """Group normalisation of x (C, h, w) without weights, written out."""

    def normalise(x: np.ndarray, groups: int, epsilon: float) -> np.ndarray:
        parts = x.reshape(groups, -1)
        scaled = (parts - parts.mean(1, keepdims=True)) / np.sqrt(parts.var(1, keepdims=True) + epsilon)
        return scaled.reshape(x.shape)

    return normalise
