"""ConvLSTM: parameters beside the published ones, the cell beside loops, and what each step is fed."""

import numpy as np
import pytest
import torch

from nowcast.models import build_network
from nowcast.models.convlstm import Cell
from nowcast.models.frames import Clip
from nowcast.models.network import Batch, Draws

# OpenSTL's cells also hold a 5 x 5 convolution and a 1 x 1 convolution of [C, H] that are never called. Ours lack both.
NEVER_CALLED = 4 * (256 * 128 * 25 + 256 * 128)


@pytest.mark.parametrize(("channels", "published"), [(1, 15_083_520), (3, 15_497_216)])
def test_it_is_as_large_as_published_less_what_never_acts(channels, published):
    acting = sum(p.numel() for p in build_network("convlstm", {"channels": channels}).parameters())
    assert acting == published - NEVER_CALLED
    assert channels == 3 or acting == 11_675_648


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def test_the_cell_beside_loops():
    generator = np.random.default_rng(0)
    inputs, hidden, size = 2, 3, 5
    cell = Cell(inputs, hidden, 3)
    x, h, c = (generator.normal(size=(n, size, size)) for n in (inputs, hidden, hidden))
    kernels = cell.gates.weight.detach().double().numpy().reshape(4, hidden, inputs + hidden, 3, 3)
    fed = np.pad(np.concatenate([x, h]), ((0, 0), (1, 1), (1, 1)))
    new_h, new_c = np.empty((2, hidden, size, size))
    for k in range(hidden):
        for row in range(size):
            for column in range(size):
                window = fed[:, row : row + 3, column : column + 3]
                i, f, g, o = ((kernel[k] * window).sum() for kernel in kernels)
                after = sigmoid(f) * c[k, row, column] + sigmoid(i) * np.tanh(g)
                new_c[k, row, column], new_h[k, row, column] = after, sigmoid(o) * np.tanh(after)
    with torch.no_grad():
        made = cell(*(torch.from_numpy(each[None]).float() for each in (x, h, c)))
    for one, other in zip(made, (new_h, new_c), strict=True):
        np.testing.assert_allclose(one[0], other, atol=1e-5)


def draws(progress: float) -> Draws:
    return Draws([[torch.Generator().manual_seed(number)] for number in range(2)], progress)


@pytest.fixture
def batch() -> Batch:
    frames = 4 * torch.rand(2, 8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    seen = torch.ones_like(frames, dtype=torch.bool)
    seen[0, 2] = False
    return Batch(Clip(frames[:, :5], seen[:, :5]), Clip(frames[:, 5:], seen[:, 5:]))


@torch.no_grad()
def test_the_loss_is_over_every_frame_except_the_first(tiny, batch):
    made = tiny("convlstm").regression(batch, draws(1.0))
    frames = torch.cat([batch.history.frames, batch.future.frames], 1)
    torch.testing.assert_close(made.target, frames[:, 1:])
    assert made.prediction.shape == (2, 7, 1, 16, 16)
    assert made.observed[0, :, 0, 0, 0].tolist() == [True, False, True, True, True, True, True]


@torch.no_grad()
def test_true_frames_are_fed_at_first_and_forecasts_at_last(tiny, batch):
    network = tiny("convlstm").train()
    first, last = (network.regression(batch, draws(progress)).prediction for progress in (0.0, 1.0))
    torch.testing.assert_close(last[:, 4:], network(batch.history))
    torch.testing.assert_close(first[:, :5], last[:, :5])  # up to the first forecast all are fed the history
    assert (first[:, 5:] - last[:, 5:]).abs().amax((0, 2, 3, 4)).min() > 1e-3
    network.settings = network.settings.model_copy(update={"history": 7, "lead": 1})
    longer = Clip(torch.cat([batch.history.frames, batch.future.frames[:, :2]], 1), batch.history.observed)
    torch.testing.assert_close(first[:, 6:], network(longer))
    network.eval()
    torch.testing.assert_close(tiny("convlstm").regression(batch, draws(0.0)).prediction, last)  # of validation


@torch.no_grad()
def test_a_guess_reaches_its_own_lead_time_and_later_ones(tiny, batch):
    network = tiny("convlstm", first_guess="advection")
    counts = 50 * batch.history.frames[:, :, 0].numpy()
    guess = network.settings.guess(counts, np.ones_like(counts, bool), 5.0, 1.0)
    fields = guess.fields.clone()
    fields[:, :, 1] += 1
    one, other = (
        network(batch.history._replace(guess=guess._replace(fields=given))) for given in (guess.fields, fields)
    )
    changed = (one - other).abs().amax((0, 2, 3, 4)) > 1e-3
    assert changed.tolist() == [False, True, True]
