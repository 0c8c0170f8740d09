"""PredRNN: parameters beside the published ones, the way of its memory, and the decoupling loss by hand."""

import numpy as np
import pytest
import torch

from nowcast.models import build_network
from nowcast.models.frames import Clip
from nowcast.models.layers.st_lstm import Stepped
from nowcast.models.network import Batch, Draws
from nowcast.models.predrnn import PredRNN, PredRNNSettings
from pipelines.errors import InputError

V1, V2 = 0.0, 0.1


# OpenSTL's counts on Moving MNIST; in colour, counted in its code.
@pytest.mark.parametrize(
    ("decoupling", "channels", "published"),
    [(V1, 1, 23_838_720), (V2, 1, 23_855_104), (V1, 3, 24_559_616), (V2, 3, 24_576_000)],
)
def test_it_is_as_large_as_published(decoupling, channels, published):
    with torch.device("meta"):
        network = build_network("predrnn", {"channels": channels, "decoupling": decoupling})
    assert sum(p.numel() for p in network.parameters()) == published


class Noting(torch.nn.Module):
    """A layer that notes what it is given and answers with numbers that say whose they are."""

    def __init__(self, number: int, given: list):
        super().__init__()
        self.number, self.given, self.steps = number, given, 0

    def forward(self, *fields: torch.Tensor) -> Stepped:
        self.given.append([round(field.flatten()[0].item(), 2) for field in fields])
        self.steps += 1
        named = [torch.full((1, 1, 1, 1), kind + 10 * self.number + self.steps) for kind in (100.0, 200.0, 300.0)]
        return Stepped(*named, *[torch.ones(1, 1, 1, 1)] * 2)


def test_the_memory_climbs_the_layers_and_then_enters_the_first(tiny):
    network, given = tiny("predrnn", layers=3), []
    network.cells = torch.nn.ModuleList(Noting(number, given) for number in (1, 2, 3))
    state = network.start(torch.zeros(1, 1, 1, 1))
    for frame in (1.0, 2.0):
        top, state = network.step(torch.full((1, 1, 1, 1), frame), state)
    # x, H, C and M: 100, 200 and 300 say H, C and M, the tens say of which layer, the ones of which step.
    assert given == [
        [1, 0, 0, 0], [111, 0, 0, 311], [121, 0, 0, 321],
        [2, 111, 211, 331], [112, 121, 221, 312], [122, 131, 231, 322],
    ]  # fmt: skip
    assert top.item() == 132 and state.memory.item() == 332


def test_the_decoupling_loss_by_hand():
    network = PredRNN(PredRNNSettings(hidden=2, layers=1, side=8, decoupling=0.1)).train()
    gains = [  # two steps, two channels, three pixels: what C gains, what M gains
        ([[1, 0, 0], [1, 1, 0]], [[0, 2, 0], [-1, -1, 0]]),  # cosines 0 and -1
        ([[3, 4, 0], [0, 0, 1]], [[4, 3, 0], [0, 0, 5]]),  # cosines 24/25 and 1
    ]
    with torch.no_grad():  # doubles every gain, which changes no angle, and swaps the channels
        network.adapter.weight.copy_(torch.tensor([[0.0, 2.0], [2.0, 0.0]])[:, :, None, None])
    state = network.start(torch.zeros(1, 2, 1, 3))
    for step in gains:
        tensors = [torch.tensor(gain, dtype=torch.float32)[None, :, None] for gain in step]
        network.cells[0].forward = lambda *_, made=tensors: Stepped(*[torch.zeros(1, 2, 1, 3)] * 3, *made)
        _, state = network.step(torch.zeros(1, 16, 1, 3), state)
    ((name, penalty),) = network.penalties(state).items()
    assert name == "decoupling" and penalty.item() == pytest.approx(0.1 * (0 + 1 + 24 / 25 + 1) / 4)


def test_the_adapter_mixes_the_channels_of_gains():
    network = PredRNN(PredRNNSettings(hidden=2, layers=1, side=8, decoupling=1.0)).train()
    with torch.no_grad():
        network.adapter.weight.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0]])[:, :, None, None])
    gains = torch.tensor([[1.0, 0], [0, 1]]), torch.tensor([[1.0, 0], [0, 0]])  # mixed: (1, 1), (1, -1); (1, 0), (1, 0)
    made = Stepped(*[torch.zeros(1, 2, 1, 2)] * 3, *(gain[None, :, None] for gain in gains))
    network.cells[0].forward = lambda *_: made
    _, state = network.step(torch.zeros(1, 16, 1, 2), network.start(torch.zeros(1, 2, 1, 2)))
    assert network.penalties(state)["decoupling"].item() == pytest.approx(np.sqrt(0.5))


@pytest.fixture
def batch() -> Batch:
    frames = 4 * torch.rand(2, 8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    seen = torch.ones_like(frames, dtype=torch.bool)
    return Batch(Clip(frames[:, :5], seen[:, :5]), Clip(frames[:, 5:], seen[:, 5:]))


def draws(progress: float) -> Draws:
    return Draws([[torch.Generator().manual_seed(number)] for number in range(2)], progress)


def test_the_loss_holds_the_decoupling_in_training_and_not_in_validation(tiny, batch):
    stage = tiny("predrnn").stages["regression"]
    validated = stage.loss(batch, draws(1.0))
    assert set(validated) == {"loss"}
    trained = (stage.trained.train() and stage).loss(batch, draws(1.0))
    assert set(trained) == {"loss", "decoupling"} and 0 < trained["decoupling"] < 0.1
    torch.testing.assert_close(trained["loss"] - trained["decoupling"], validated["loss"])
    trained["decoupling"].backward()
    assert stage.trained.adapter.weight.grad.abs().sum() > 0
    first = tiny("predrnn", decoupling=0.0).train()
    assert first.adapter is None and set(first.stages["regression"].loss(batch, draws(1.0))) == {"loss"}


@torch.no_grad()
def test_reverse_sampling_feeds_forecasts_of_the_history_at_first(tiny, batch):
    network = tiny("predrnn", reverse_sampling=[0.3, 0.03]).train()
    first, last = (network.regression(batch, draws(progress)).prediction for progress in (0.0, 1.0))
    torch.testing.assert_close(first[:, 0], last[:, 0])  # frame 0 is true
    assert (first[:, 1:5] - last[:, 1:5]).abs().max() > 1e-3
    torch.testing.assert_close(last[:, 4:], network(batch.history))
    true_history = tiny("predrnn", reverse_sampling=None).train().regression(batch, draws(0.0)).prediction
    torch.testing.assert_close(true_history[:, :5], last[:, :5])


@pytest.mark.parametrize("settings", [{"reverse_sampling": [0.3, 0.0]}, {"decoupling": -0.1}])
def test_settings_that_make_no_sense_are_refused(tiny, settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        tiny("predrnn", **settings)
