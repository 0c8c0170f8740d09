"""ST-LSTM beside its equations in NumPy, on random weights."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from nowcast.models.layers.st_lstm import STLSTM


@pytest.mark.parametrize("kernel", [3, 5])
@torch.no_grad()
def test_a_step_beside_its_equations(plain, kernel):
    torch.manual_seed(0)
    layer = STLSTM(2, 3, kernel)
    generator = np.random.default_rng(0)
    x, h, c, m, below = (generator.normal(size=(n, 6, 7)) for n in (2, 3, 3, 3, 3))
    names = [f"x_{gate}" for gate in ("i", "f", "g", "i2", "f2", "g2", "o")]
    w = dict(zip(names, np.split(plain(layer.of_x)(x), 7), strict=True))
    w |= dict(zip(("h_i", "h_f", "h_g", "h_o"), np.split(plain(layer.of_hidden)(h), 4), strict=True))
    w |= dict(zip(("m_i", "m_f", "m_g"), np.split(plain(layer.of_memory)(m), 3), strict=True))

    gain = expit(w["x_i"] + w["h_i"]) * np.tanh(w["x_g"] + w["h_g"])
    new_c = expit(w["x_f"] + w["h_f"] + 1) * c + gain
    memory_gain = expit(w["x_i2"] + w["m_i"]) * np.tanh(w["x_g2"] + w["m_g"])
    new_m = expit(w["x_f2"] + w["m_f"] + 1) * m + memory_gain
    o = expit(w["x_o"] + w["h_o"] + plain(layer.of_both)(new_c, new_m))
    new_h = o * np.tanh(plain(layer.joined)(new_c, new_m))

    tensors = [torch.from_numpy(field[None]).float() for field in (x, h, c, m)]
    for made, expected in zip(layer(*tensors), (new_h, new_c, new_m, gain, memory_gain), strict=True):
        np.testing.assert_allclose(made[0], expected, atol=1e-5)
    over = layer(*tensors, torch.from_numpy(below[None]).float())
    np.testing.assert_allclose(over.hidden[0], new_h + (1 - o) * below, atol=1e-5)
    np.testing.assert_allclose(over.cell[0], new_c, atol=1e-5)
