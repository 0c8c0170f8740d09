"""MotionRNN: parameters beside the published ones, its parts beside loops, and its wiring."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from nowcast.models import build_network
from nowcast.models.layers.st_lstm import Stepped
from nowcast.models.motionrnn import MotionGRU, Warp
from pipelines.errors import InputError


# Counted in the authors' code; their own runs are the first line.
@pytest.mark.parametrize(
    ("settings", "published"),
    [
        ({"channels": 3}, 7_214_657),
        ({"channels": 1}, 6_852_161),
        ({"hidden": 128}, 26_911_553),
        ({"hidden": 128, "patch": 2}, 26_639_681),
    ],
)
def test_it_is_as_large_as_published(settings, published):
    with torch.device("meta"):
        network = build_network("motionrnn", settings)
    assert sum(p.numel() for p in network.parameters()) == published


def bilinear(field: np.ndarray, row: float, column: float) -> float:
    """The value of a field between its pixels; zero outside of it."""
    total, top, left = 0.0, int(np.floor(row)), int(np.floor(column))
    for y in (top, top + 1):
        for x in (left, left + 1):
            if 0 <= y < field.shape[0] and 0 <= x < field.shape[1]:
                total += (1 - abs(row - y)) * (1 - abs(column - x)) * field[y, x]
    return total


def warped(warp: Warp, x: np.ndarray, motion: np.ndarray, plain) -> np.ndarray:
    """Y, pixel by pixel, neighbour by neighbour."""
    channels, height, width = x.shape
    weight = expit(plain(warp.weigh)(x))
    kernels = warp.gather.weight.detach().double().numpy().reshape(channels, channels, 3, 3)
    made = np.zeros_like(x)
    for row, column in np.ndindex(height, width):
        for n, (down, right) in enumerate((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)):
            place = row + down + motion[n, row, column], column + right + motion[9 + n, row, column]
            for c in range(channels):
                value = weight[n, row, column] * bilinear(x[c], *place)
                made[:, row, column] += kernels[:, c, down + 1, right + 1] * value
    return made


def doubled(decode: torch.nn.ConvTranspose2d, x: np.ndarray) -> np.ndarray:
    """A transposed convolution of side 4 and stride 2, whose outermost pixels are cut."""
    kernels, bias = (parameter.detach().double().numpy() for parameter in (decode.weight, decode.bias))
    grown = np.zeros((kernels.shape[1], 2 * x.shape[1] + 2, 2 * x.shape[2] + 2))
    for row, column in np.ndindex(*x.shape[1:]):
        part = grown[:, 2 * row : 2 * row + 4, 2 * column : 2 * column + 4]
        part += np.tensordot(x[:, row, column], kernels, 1)
    return grown[:, 1:-1, 1:-1] + bias[:, None, None]


@torch.no_grad()
def randomised(module: torch.nn.Module, scale: float = 0.4) -> torch.nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        parameter.normal_(0, scale)
    return module


def tensors(*fields: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(field[None]).float() for field in fields]


@torch.no_grad()
def test_a_warp_beside_loops(plain):
    warp, generator = randomised(Warp(2)), np.random.default_rng(0)
    x, motion = generator.normal(size=(2, 4, 5)), generator.normal(0, 2, (18, 4, 5))  # also far outside
    np.testing.assert_allclose(warp(*tensors(x, motion))[0], warped(warp, x, motion, plain), atol=1e-5)
    one = generator.normal(size=(2, 1, 1)), generator.normal(size=(18, 1, 1))
    np.testing.assert_allclose(warp(*tensors(*one))[0], warped(warp, *one, plain), atol=1e-5)


@torch.no_grad()
def test_whole_pixels_of_motion_by_hand():
    # Only the neighbour above counts (n = 1), it is moved by two rows and one column: from row 1 on, one column over.
    warp = Warp(1)
    warp.weigh.bias.fill_(30)  # s(30) = 1
    warp.gather.weight.copy_(torch.eye(9)[1].view(1, 9, 1, 1))
    motion = torch.zeros(1, 18, 3, 3)
    motion[:, 1], motion[:, 9 + 1] = 2, 1
    x = torch.arange(9.0).view(1, 1, 3, 3)
    assert warp(x, motion)[0, 0].round(decimals=4).tolist() == [[4, 5, 0], [7, 8, 0], [0, 0, 0]]


@torch.no_grad()
def test_a_motion_gru_beside_its_equations(plain):
    gru, generator = randomised(MotionGRU(8, 3)), np.random.default_rng(0)
    h = generator.normal(size=(8, 6, 8))
    f, d = generator.normal(size=(2, 18, 3, 4))
    e = plain(gru.encode)(h)[:, ::2, ::2]
    u, r = expit(plain(gru.update)(e, f)), expit(plain(gru.reset)(e, f))
    z = np.tanh(plain(gru.candidate)(e, r * f))
    new_d = d + 0.5 * (f - d)
    new_f = u * z + (1 - u) * f + new_d
    decoded = doubled(gru.decode, warped(gru.warp, e, new_f, plain))
    q = expit(plain(gru.gate)(decoded, h))
    x = q * decoded + (1 - q) * h
    for made, expected in zip(gru(*tensors(h, f, d)), (x, new_f, new_d), strict=True):
        np.testing.assert_allclose(made[0], expected, atol=1e-5)


def test_motion_begins_as_none():
    gru = MotionGRU(8, 3)
    _, motion, trend = gru(torch.randn(1, 8, 6, 8), *[torch.zeros(1, 18, 3, 4)] * 2)
    assert not motion.any() and not trend.any()


class Noting(torch.nn.Module):
    """A layer that notes x, H, C, M and below, and answers with 100, 200 and 300 plus ten times its number."""

    def __init__(self, number: int, given: list):
        super().__init__()
        self.number, self.given = number, given

    def forward(self, *fields):
        self.given.append([field.mean().item() for field in fields])
        named = [torch.full((1, 4, 2, 2), kind + 10 * self.number) for kind in (100.0, 200.0, 300.0)]
        return Stepped(*named, *named[:2])


def test_motion_grus_join_the_layers_and_highways_pass_them_by(tiny):
    network, given = tiny("motionrnn", hidden=4, layers=3), []
    network.cells = torch.nn.ModuleList(Noting(number, given) for number in (1, 2, 3))
    network.first.forward = lambda x: -x
    for motion in network.motions:
        motion.forward = lambda hidden, f, d: (hidden + 5 + f.mean(), f + 1, d)
    state = network.start(torch.zeros(1, 4, 2, 2))
    for frame in (1.0, 2.0):
        top, state = network.step(torch.full((1, 4, 2, 2), frame), state)
    assert given == [
        [1, 0, 0, 0, -1], [115, 0, 0, 310, 110], [125, 0, 0, 320, 120],
        [2, 115, 210, 330, -2], [116, 125, 220, 310, 110], [126, 130, 230, 320, 120],
    ]  # fmt: skip
    assert top.mean() == 130 and [f.mean().item() for f, _ in state.motions] == [2, 2]


@pytest.mark.parametrize(
    ("settings", "said"), [({"side": 36}, "side 36 is no multiple of 8"), ({"hidden": 6}, "multiple of 4")]
)
def test_sizes_that_do_not_fit_are_refused(tiny, settings, said):
    with pytest.raises(InputError, match=said):
        tiny("motionrnn", **settings)
