import pytest
import torch

from nowcast.models.layers.scheduled_sampling import fed_frames, unroll
from nowcast.models.network import Draws


def draws(progress: float, size: int = 200) -> Draws:
    return Draws([[torch.Generator().manual_seed(number)] for number in range(size)], progress)


@pytest.mark.parametrize(("progress", "share"), [(0.0, 1.0), (0.1, 0.75), (0.2, 0.5), (0.4, 0.0), (1.0, 0.0)])
def test_true_frames_grow_rare_and_the_history_is_true(progress, share):
    fed = fed_frames(4, 11, draws(progress), weaned=0.4)
    assert fed.shape == (200, 14) and fed[:, :4].all()
    assert fed[:, 4:].float().mean().item() == pytest.approx(share, abs=0.04)  # of 2000 draws


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

    assert unroll(step, torch.zeros(2), frames, fed).tolist() == [[10, 21, 212], [40, 401, 62]]
    assert numbers == [0, 1, 2]
