"""MCVD's U-Net: parameters beside the published ones, filters by hand, blocks beside NumPy."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from nowcast.models import build_network
from nowcast.models.layers.dropout import Dropout
from nowcast.models.mcvd.unet import Block, Given, PlaceAttention, Size, UNet, doubled, halved
from nowcast.models.network import Draws

KTH = {"history": 10, "block": 5, "side": 64, "width": 96}
MNIST = {"history": 5, "block": 5, "side": 64, "width": 64}
CITYSCAPES = {"history": 2, "block": 5, "side": 128, "width": 128, "channels": 3, "multipliers": (1, 1, 2, 3, 4)}


@pytest.mark.parametrize(
    ("settings", "published"),
    [
        (KTH, 62_831_141),
        ({**KTH, "kind": "spatin"}, 102_005_669),
        ({**KTH, "kind": "spatin", "width": 192, "spatin_width": 192}, 367_650_437),  # as run, and PredLDM's Table 5
        (MNIST, 27_941_765),
        ({**MNIST, "kind": "spatin"}, 53_953_989),
        (CITYSCAPES, 116_551_695),
    ],
)
def test_it_is_as_large_as_published(settings, published):
    with torch.device("meta"):
        network = build_network("mcvd", settings)
    assert sum(p.numel() for p in network.parameters()) == published


def size(**changes) -> Size:
    fixed = {"inputs": 2, "told": 3, "side": 8, "width": 8, "multipliers": (1, 2), "depth": 1, "attention": (4,)}
    return Size(**{**fixed, "head_width": 4, "spatin_width": None, "dropout": 0.0, **changes})


def test_the_filters_by_hand():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1, 2] = 64.0
    # Of rows -1 to 2, which row 0 of the result sees, row 1 is the third; of 1 to 4 it is the first. Columns alike.
    assert halved(x)[0, 0].tolist() == [[3, 9], [1, 3]]
    spread = np.zeros((8, 8))
    spread[1:5, 3:7] = 4 * np.outer([1, 3, 3, 1], [1, 3, 3, 1])
    np.testing.assert_array_equal(doubled(x)[0, 0], spread)
    flat = torch.ones(1, 3, 8, 8)
    assert (halved(flat)[..., 1:-1, 1:-1] == 1).all() and (doubled(flat)[..., 1:-1, 1:-1] == 1).all()


def filtered(x: np.ndarray, resample) -> np.ndarray:
    """x (C, n, n) halved or doubled by a matrix of 1, 3, 3, 1 in each row, two columns further on in the next."""
    if resample is None:
        return x
    shorter = x.shape[-1] // 2 if resample is halved else x.shape[-1]
    matrix = np.zeros((shorter, 2 * shorter + 2))
    for row in range(shorter):
        matrix[row, 2 * row : 2 * row + 4] = np.array([1, 3, 3, 1]) / 8
    matrix = matrix[:, 1:-1]
    return matrix @ x @ matrix.T if resample is halved else 4 * matrix.T @ x @ matrix


def numbers(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def linear(layer: torch.nn.Linear, x: np.ndarray) -> np.ndarray:
    return x @ numbers(layer.weight).T + numbers(layer.bias)


def silu(x: np.ndarray) -> np.ndarray:
    return x * expit(x)


def perturbed(module: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


@pytest.mark.parametrize("resample", [None, halved, doubled])
@pytest.mark.parametrize("spatin_width", [None, 5])
def test_the_residual_block_beside_numpy(plain, normalised, spatin_width, resample):
    block = perturbed(Block(size(spatin_width=spatin_width), 12, 8, resample=resample))
    random = np.random.default_rng(0)
    x, told, time = random.normal(size=(12, 4, 4)), random.normal(size=(3, 8, 8)), random.normal(size=32)

    def norm(x: np.ndarray, by, groups: int) -> np.ndarray:
        x = normalised(x, groups, 1e-6)
        if spatin_width:
            nearest = told[:, :: 8 // x.shape[-1], :: 8 // x.shape[-1]]
            gamma, beta = np.split(plain(by.place)(silu(plain(by.told)(nearest))), 2)
            x = x * (1 + gamma) + beta
        scale, shift = np.split(linear(by.time, silu(time)), 2)
        return silu(x * (1 + scale[:, None, None]) + shift[:, None, None])

    changed = filtered(norm(x, block.norms[0], 3), resample)
    changed = plain(block.convolutions[1])(norm(plain(block.convolutions[0])(changed), block.norms[1], 2))
    expected = (plain(block.shortcut)(filtered(x, resample)) + changed) / np.sqrt(2)
    given = Given(*(torch.from_numpy(each[None]).float() for each in (time, told)), None)
    with torch.no_grad():
        np.testing.assert_allclose(block(torch.from_numpy(x[None]).float(), given)[0], expected, atol=1e-5)


def test_attention_beside_numpy(normalised):
    attention = perturbed(PlaceAttention(8, 4))
    x = np.random.default_rng(0).normal(size=(8, 3, 5))
    weight, bias = (numbers(t)[:, None, None] for t in (attention.normal.weight, attention.normal.bias))
    places = (normalised(x, 2, 1e-6) * weight + bias).reshape(8, 15).T
    layers = attention.attention
    q, k, v = (linear(layer, places).reshape(15, 2, 4) for layer in (layers.query, layers.key, layers.value))
    seen = np.empty((15, 2, 4))
    for head in range(2):
        shares = np.exp(q[:, head] @ k[:, head].T / 2)
        seen[:, head] = shares / shares.sum(1, keepdims=True) @ v[:, head]
    expected = (x + linear(layers.out, seen.reshape(15, 8)).T.reshape(x.shape)) / np.sqrt(2)
    with torch.no_grad():
        np.testing.assert_allclose(attention(torch.from_numpy(x[None]).float())[0], expected, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("spatin_width", [None, 5])
def test_the_levels_are_joined_in_order(spatin_width):
    unet = perturbed(UNet(size(spatin_width=spatin_width)))
    z, told, t = torch.randn(2, 2, 8, 8), torch.randn(2, 3, 8, 8), torch.tensor([3.0, 900.0])
    angles = t[:, None] * 10_000 ** -(torch.arange(4) / 4)
    given = Given(unet.time(torch.cat([angles.sin(), angles.cos()], 1)), told, None)
    first = unet.first(z if spatin_width else torch.cat([z, told], 1))
    high = unet.down[0](first, given)
    small = unet.down[1](high, given)
    low = unet.down[2](small, given)
    assert low.shape == (2, 16, 4, 4) and unet.down[2].attention and not unet.down[0].attention
    x = unet.middle[1](unet.middle[0](low, given), given)
    for block, skip in zip(unet.up[:2], (low, small), strict=True):
        x = block(torch.cat([x, skip], 1), given)
    x = unet.up[2](x, given)
    for block, skip in zip(unet.up[3:], (high, first), strict=True):
        x = block(torch.cat([x, skip], 1), given)
    torch.testing.assert_close(unet(z, t, told), unet.last(unet.last_norm(x, given)))


@torch.no_grad()
def test_a_new_block_is_its_shortcut_and_drops_by_sample():
    block = Block(size(dropout=0.5), 8, 8)
    x, given = torch.randn(2, 8, 4, 4), Given(torch.randn(2, 32), torch.zeros(2, 3, 4, 4), None)
    torch.testing.assert_close(block(x, given), x / 2**0.5, rtol=0, atol=1e-3)
    block = perturbed(block)
    drop = Dropout(Draws([[torch.Generator().manual_seed(seed)] for seed in (1, 2)]), x.device)
    dropped = block(x, given._replace(dropout=drop))
    assert ((dropped - block(x, given)).abs().amax((1, 2, 3)) > 1e-3).all()
