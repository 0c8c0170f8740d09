"""The corrector: members of `steps`, corrected near echo, each as if it were alone."""

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from nowcast.data.conventions import ECHO
from nowcast.models import build_network
from nowcast.models.corrector import Block, CorrectorSettings, UNet, _noise
from nowcast.models.frames import Clip, FrameScale
from nowcast.models.guess import Guess
from nowcast.models.network import Draws
from nowcast.models.trained import TrainedForecaster
from pipelines.errors import InputError

SIDE = 64


def draws(*seeds: int) -> Draws:
    return Draws([[torch.Generator().manual_seed(seed) for seed in seeds]])


@pytest.fixture(scope="module")
def clip(moving_storm) -> Clip:
    """A storm that moves north-east, seen for five frames."""
    frames = torch.from_numpy(moving_storm((20, 20), (1, 1), 5, size=SIDE))[None, :, None] / 50
    clip = Clip(frames, torch.ones_like(frames, dtype=torch.bool))
    settings = CorrectorSettings(history=5, lead=3, side=32)
    counts = FrameScale(0, 50, 0).to_values(frames[:, :, 0]).numpy()
    return clip._replace(guess=settings.guess(counts, np.ones_like(counts, bool), 5.0, 1.0))


def with_guess(clip: Clip, **changes) -> Clip:
    assert clip.guess is not None
    return clip._replace(guess=clip.guess._replace(**changes))


@torch.no_grad()
def made(network, clip: Clip, *seeds: int) -> torch.Tensor:
    return network.generate(network.condition(clip), draws(*seeds))


def guesses(clip: Clip, *seeds: int) -> torch.Tensor:
    """The members' guesses, which are drawn after the network's noise."""
    generators = draws(*seeds).generators
    for generator in generators[0]:
        _noise((SIDE // 2, SIDE // 2), generator)
    assert clip.guess is not None
    return clip.guess.draw(generators)


def test_parameters_of_the_default_size():
    network = build_network("corrector", {})
    assert sum(parameter.numel() for parameter in network.parameters()) == 7_640_040
    of_member = [*network.of_member.parameters(), *network.last.parameters()]
    assert sum(parameter.numel() for parameter in of_member) == pytest.approx(0.87e6, rel=0.02)


def test_before_training_a_member_is_its_guess(clip):
    network = build_network("corrector", {"history": 5, "lead": 3, "side": 32})
    members = made(network, clip, 0, 1)
    assert (members == guesses(clip, 0, 1)).all() and (members[:, 0] != members[:, 1]).any()


def test_far_from_echo_nothing_is_corrected(tiny, clip):
    network = tiny("corrector")
    fields, members = guesses(clip, 0)[0, 0], made(network, clip, 0)[0, 0]
    for field, member in zip(50 * fields[:, 0].numpy(), 50 * members[:, 0].numpy(), strict=True):
        rows, columns = np.nonzero(field >= ECHO)
        y, x = np.mgrid[:SIDE, :SIDE]
        away = np.hypot(y[..., None] - rows, x[..., None] - columns).min(-1)
        changed = np.abs(field - member) > 1e-3
        assert not changed[away >= 24].any() and changed[away < 8].mean() > 0.9


def test_what_each_input_is_told(tiny, clip):
    network, base = tiny("corrector"), made(tiny("corrector"), clip, 0)
    guess = clip.guess
    for changed in (
        clip._replace(frames=clip.frames + 0.1),
        clip._replace(observed=torch.zeros_like(clip.observed)),
        with_guess(clip, grid=guess.grid * torch.tensor([2.0, 1.0])),
        with_guess(clip, grid=guess.grid * torch.tensor([1.0, 2.0])),
        with_guess(clip, reached=~guess.reached),
        with_guess(clip, fields=guess.fields * torch.tensor([1.1, 1, 1, 1]).view(1, 4, 1, 1, 1, 1)),
    ):
        assert float((made(network, changed, 0) - base).abs().max()) > 1e-4


def test_noise_makes_members_of_one_guess_differ(tiny, clip):
    one = with_guess(clip, drawn=clip.guess.best[:, None].expand(-1, 2, -1, -1, -1, -1))
    members = made(tiny("corrector"), one, 0, 1)
    assert float((members[:, 0] - members[:, 1]).abs().max()) > 1e-3


def test_a_pixel_does_not_feel_what_lies_far_away(tiny, clip):
    network = tiny("corrector")
    frames = clip.frames.clone()
    frames[..., 56:, 56:] += 1
    before, after = (made(network, part, 0) for part in (clip, clip._replace(frames=frames)))
    assert float((before - after)[..., :24, :24].abs().max()) < 1e-6


@torch.no_grad()
def test_a_block_written_a_second_time(plain):
    torch.manual_seed(0)
    block, x = Block(3, 2), torch.randn(1, 3, 6, 5)
    for parameter in block.parameters():
        parameter.add_(0.3 * torch.randn(parameter.shape))

    def silu(x: np.ndarray) -> np.ndarray:
        return x / (1 + np.exp(-x))

    def convolved(layer, x: np.ndarray) -> np.ndarray:  # borders repeat the edge
        edged = pad(torch.from_numpy(x)[None], (1, 1, 1, 1), mode="replicate")[0].numpy()
        return plain(layer)(edged)[:, 1:-1, 1:-1]

    values = x[0].double().numpy()
    scaled = block.scale.factor.double().numpy() * values + block.scale.shift.double().numpy()
    expected = plain(block.skip)(values) + convolved(block.second, silu(convolved(block.first, silu(scaled))))
    np.testing.assert_allclose(block(x)[0].numpy(), expected, atol=1e-5)


@torch.no_grad()
def test_levels_of_the_network_and_their_order():
    torch.manual_seed(0)
    network, x = UNet(3, (4, 6, 8), 2, told=(5, 7, 9)), torch.randn(2, 3, 16, 8)
    told = [torch.randn(2, width, 16 >> level, 8 >> level) for level, width in enumerate((5, 7, 9))]
    features = network(x, told)
    assert [tuple(level.shape) for level in features] == [(2, 4, 16, 8), (2, 6, 8, 4), (2, 8, 4, 2)]
    for level in range(3):
        changed = [part + (number == level) for number, part in enumerate(told)]
        assert float((network(x, changed)[0] - features[0]).abs().max()) > 1e-4


def test_beyond_its_lead_members_go_on_as_their_guesses_do(tiny, to_history, moving_storm, lead_times):
    history = to_history(moving_storm((12, 12), (1, 1), 5, size=SIDE)[None])
    network = tiny("corrector")
    three, seven = (TrainedForecaster(network).forecast(history, lead_times(leads), 2, 0) for leads in (3, 7))
    np.testing.assert_allclose(seven[:, :, :3], three, atol=0.05)  # sums of other lengths are rounded
    for layer in (network.last.weight, network.last.bias):
        torch.nn.init.zeros_(layer)
    raw = TrainedForecaster(network).forecast(history, lead_times(7), 2, 0)
    np.testing.assert_array_equal(seven[:, :, 3:], raw[:, :, 3:])
    assert float(np.abs(seven - raw)[:, :, :3].max()) > 1 and float(raw[:, :, 6].std("member").max()) > 1


def test_settings_that_do_not_fit():
    with pytest.raises(InputError, match="member_widths"):
        build_network("corrector", {"case_widths": [8], "member_widths": [8, 8]})
    with pytest.raises(InputError, match="channels"):
        build_network("corrector", {"channels": 3})
    with pytest.raises(InputError, match="first_guess"):
        build_network("corrector", {"first_guess": "none"})


def test_a_guess_drawn_beforehand_is_taken(clip):
    drawn = torch.arange(4.0).view(1, 4, 1, 1, 1, 1)
    guess: Guess = clip.guess._replace(drawn=drawn)
    assert guess.draw(draws(0, 1).generators).flatten().tolist() == [0, 1]
