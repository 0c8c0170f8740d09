"""The cost of a forecast, beside one worked out by hand."""

import numpy as np
import pytest

from nowcast.data.conventions import lead_times
from nowcast.forecasting import costs
from nowcast.models.persistence import Persistence

NETWORK = {"side": 16, "widths": [2], "centre": 3, "offset": 0.0, "scale": 50.0}


def test_the_operations_of_a_network_are_those_of_its_convolutions(to_history):
    history = to_history(np.zeros((1, 10, 16, 16)))
    made = costs._one(costs._fresh("unet", NETWORK, "cpu"), history, lead_times(5, 10))
    whole, half = 16 * 16, 8 * 8
    macs = whole * 9 * (10 * 2 + 2 * 2) + half * 9 * (2 * 3 + 3 * 3)  # down, centre
    macs += half * 4 * 3 * 2 + whole * 9 * (4 * 2 + 2 * 2) + whole * 2 * 10  # up, last
    assert made.gflops == pytest.approx(2 * macs / 1e9)
    assert made.parameters > 500 and made.seconds > 0 and made.memory > 0.05
    assert costs._one(Persistence(), history, lead_times(5, 10)).gflops == 0


def test_the_cost_of_many_sampling_steps_is_taken_from_few(small_store):
    network = {
        "side": 16, "frame_vae": {"factor": 4, "latent_channels": 2, "channels": [8, 8]},
        "mtvae": {"hidden": 8, "layers": 1, "heads": 2}, "denoiser": {"hidden": 16, "blocks": 1, "heads": 2},
    }  # fmt: skip
    made = [
        costs._measured("predldm", {**network, "sampling": {"steps": steps}}, small_store, "cpu").gflops
        for steps in (4, 5, 6)
    ]
    assert made[1] - made[0] == pytest.approx(made[2] - made[1]) and made[0] < made[1]
