"""PredRNN++: parameters beside the published ones, its cells beside their equations, and its wiring."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from nowcast.models import build_network
from nowcast.models.predrnn_plus import CausalLSTM, Highway
from pipelines.errors import InputError

# OpenSTL's cells also hold a 5 x 5 convolution of [C, M] that is never called. Ours lack it.
NEVER_CALLED = 4 * 256 * 128 * 25


@pytest.mark.parametrize(("channels", "published"), [(1, 38_584_320), (3, 39_305_216)])
def test_it_is_as_large_as_published_less_what_never_acts(channels, published):
    with torch.device("meta"):
        network = build_network("predrnn_plus", {"channels": channels})
    acting = sum(p.numel() for p in network.parameters())
    assert acting == published - NEVER_CALLED
    assert channels == 3 or acting == 35_307_520


@torch.no_grad()
def test_a_causal_lstm_beside_its_equations(plain):
    torch.manual_seed(0)
    layer = CausalLSTM(2, 3, 3)
    generator = np.random.default_rng(0)
    x, h, c, m = (generator.normal(size=(n, 5, 6)) for n in (2, 3, 3, 3))
    xi, xf, xg, xi2, xf2, xg2, xo = np.split(plain(layer.of_x)(x), 7)
    hi, hf, hg, ho = np.split(plain(layer.of_hidden)(h), 4)
    ci, cf, cg = np.split(plain(layer.of_cell)(c), 3)
    mi, mf, mm = np.split(plain(layer.of_memory)(m), 3)

    new_c = expit(xf + hf + cf + 1) * c + expit(xi + hi + ci) * np.tanh(xg + hg + cg)
    ci2, cf2, cg2, co = np.split(plain(layer.of_new_cell)(new_c), 4)
    new_m = expit(xf2 + cf2 + mf + 1) * np.tanh(mm) + expit(xi2 + ci2 + mi) * np.tanh(xg2 + cg2)
    o = np.tanh(xo + ho + co + plain(layer.of_new_memory)(new_m))
    new_h = o * np.tanh(plain(layer.joined)(new_c, new_m))

    made = layer(*(torch.from_numpy(field[None]).float() for field in (x, h, c, m)))
    for one, expected in zip(made, (new_h, new_c, new_m), strict=True):
        np.testing.assert_allclose(one[0], expected, atol=1e-5)


@torch.no_grad()
def test_the_highway_beside_its_equations(plain):
    torch.manual_seed(0)
    highway = Highway(3, 3)
    weights = torch.cat([parameter.flatten() for parameter in highway.parameters()])
    assert weights.abs().max() <= 0.001 and weights.std().item() == pytest.approx(0.001 / np.sqrt(3), rel=0.1)
    for parameter in highway.parameters():
        parameter.normal_()
    generator = np.random.default_rng(0)
    x, z = generator.normal(size=(2, 3, 5, 6))
    xp, xs = np.split(plain(highway.of_x)(x), 2)
    zp, zs = np.split(plain(highway.of_state)(z), 2)
    s = expit(xs + zs)
    made = highway(*(torch.from_numpy(field[None]).float() for field in (x, z)))
    np.testing.assert_allclose(made[0], s * np.tanh(xp + zp) + (1 - s) * z, atol=1e-5)


class Adding(torch.nn.Module):
    """A layer that notes what it is given and answers with x + number, 100 + number and 200 + number."""

    def __init__(self, number: int, given: list):
        super().__init__()
        self.number, self.given = number, given

    def forward(self, x, *states):
        self.given.append([field.item() for field in (x, *states)])
        return x + self.number, torch.full_like(x, 100.0 + self.number), torch.full_like(x, 200.0 + self.number)


def test_one_highway_between_the_first_two_layers(tiny):
    network, given = tiny("predrnn_plus", layers=3), []
    network.cells = torch.nn.ModuleList(Adding(number, given) for number in (1, 2, 3))
    network.highway.forward = lambda x, z: 10 * x + z
    state = network.start(torch.zeros(1, 1, 1, 1))
    for frame in (1.0, 2.0):
        top, state = network.step(torch.full((1, 1, 1, 1), frame), state)
    assert given == [
        [1, 0, 0, 0], [20, 0, 0, 201], [22, 0, 0, 202],  # Z' = 10 x 2 + 0; H of layer 2 is 22
        [2, 2, 101, 203], [50, 22, 102, 201], [52, 25, 103, 202],  # Z' = 10 x 3 + 20
    ]  # fmt: skip
    assert top.item() == 55 and state.highway.item() == 50


def test_a_single_layer_is_refused(tiny):
    with pytest.raises(InputError, match="layers"):
        tiny("predrnn_plus", layers=1)
