import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nowcast.models.layers.scheduled_sampling import chances_of_truth, fed_frames, unroll
from nowcast.models.network import Draws


def draws(progress: float, size: int = 200) -> Draws:
    return Draws([[torch.Generator().manual_seed(number)] for number in range(size)], progress)


@pytest.mark.parametrize(("progress", "share"), [(0.0, 1.0), (0.1, 0.75), (0.2, 0.5), (0.4, 0.0), (1.0, 0.0)])
def test_true_frames_grow_rare_and_the_history_is_true(progress, share):
    fed = fed_frames(4, 11, draws(progress), weaned=0.4)
    assert fed.shape == (200, 14) and fed[:, :4].all()
    assert fed[:, 4:].float().mean().item() == pytest.approx(share, abs=0.04)  # of 2000 draws


# Reverse sampling that begins to cease at a quarter of the steps, falls by e in a tenth, and is over at three quarters.
@pytest.mark.parametrize(
    ("progress", "history", "future"),
    [
        (0.0, 0.5, 0.5),
        (0.2, 0.5, 0.5),
        (0.25, 0.5, 0.5),
        (0.35, 0.8160603, 0.4),  # 1 - 0.5 / e, 0.5 - 0.5 x 0.1 / 0.5
        (0.5, 0.9589575, 0.25),  # 1 - 0.5 exp(-2.5)
        (0.75, 1.0, 0.0),
        (1.0, 1.0, 0.0),
    ],
)
def test_chances_of_truth_in_reverse_by_hand(progress, history, future):
    assert chances_of_truth(progress, 0.75, (0.25, 0.1)) == pytest.approx((history, future))
    fed = fed_frames(12, 13, draws(progress), 0.75, (0.25, 0.1))
    assert fed.shape == (200, 24) and fed[:, 0].all()
    shares = fed[:, 1:12].float().mean().item(), fed[:, 12:].float().mean().item()
    assert shares == pytest.approx((history, future), abs=0.04)  # of 2200 and 2400 draws


def test_chances_of_truth_at_the_authors_iterations():
    # V2 on Moving MNIST: of 80,000 iterations, 25,000 and 50,000 bound the phases and 2500 is the scale.
    def at(iteration):
        return chances_of_truth(iteration / 80_000, 0.625, (0.3125, 0.03125))

    assert at(24_999) == (0.5, 0.5)
    assert at(27_500) == pytest.approx((1 - 0.5 * np.exp(-1), 0.45))
    assert at(37_500) == pytest.approx((1 - 0.5 * np.exp(-5), 0.25))
    assert at(50_000) == (1.0, 0.0)


@given(*(st.floats(0.01, 1),) * 3, st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted))
def test_forecasts_replace_the_future_ever_more_and_the_history_ever_less(weaned, begin, decay, times):
    for reverse in (None, (begin, decay)):
        (past, future), (later_past, later_future) = (chances_of_truth(time, weaned, reverse) for time in times)
        assert 0 <= past <= later_past <= 1 and 1 >= future >= later_future >= 0
        assert chances_of_truth(1.0, weaned, reverse) == (1.0, 0.0)


def test_a_sample_s_draws_are_its_own():
    several = fed_frames(2, 30, draws(0.2, 3), weaned=0.4)
    alone = fed_frames(2, 30, Draws([[torch.Generator().manual_seed(2)]], 0.2), weaned=0.4)
    assert torch.equal(several[2:], alone)
    assert not torch.equal(several[0], several[1])


def test_unrolled_by_hand():
    # A step forecasts ten times what it is fed, plus the state, which counts the steps.
    frames = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    fed = torch.tensor([[True, True, False], [True, False, True]])
    numbers = []

    def step(x, state, number):
        numbers.append(number)
        return 10 * x + state, state + 1

    forecasts, state = unroll(step, torch.zeros(2), frames, fed)
    assert forecasts.tolist() == [[10, 21, 212], [40, 401, 62]]
    assert state.tolist() == [3, 3] and numbers == [0, 1, 2]
