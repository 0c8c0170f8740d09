"""Noising processes: numbers by hand, diffusers as the oracle."""

import pytest
import torch
from diffusers import DDPMScheduler

from nowcast.diffusion.objectives import OBJECTIVES, Betas, Epsilon


def test_levels_by_hand():
    alpha, sigma = OBJECTIVES["epsilon"]().levels(torch.tensor([0, 1]))
    second_beta = 1e-4 + (0.02 - 1e-4) / 999
    assert alpha.square().tolist() == pytest.approx([0.9999, 0.9999 * (1 - second_beta)], rel=1e-6)
    assert sigma[0].item() == pytest.approx(0.01, rel=1e-6)
    alpha, sigma = OBJECTIVES["flow"]().levels(torch.tensor([0.0, 250.0, 1000.0]))
    assert (alpha.tolist(), sigma.tolist()) == ([1, 0.75, 0], [0, 0.25, 1])


def test_flow_by_hand():
    flow = OBJECTIVES["flow"]()
    x0, noise, t = torch.full((1, 2), 4.0), torch.full((1, 2), -2.0), torch.tensor([250.0])
    assert flow.noisy(x0, noise, t).tolist() == [[2.5, 2.5]]  # 0.75 * 4 - 0.25 * 2
    assert flow.target(x0, noise, t).tolist() == [[-6.0, -6.0]]


def test_discrete_process_is_that_of_diffusers():
    oracle = DDPMScheduler(beta_schedule="linear", prediction_type="v_prediction")
    x0, noise = torch.randn(2, 5, 3, 4, 4)
    t = torch.tensor([0, 3, 400, 998, 999])
    velocity = OBJECTIVES["v"]()
    torch.testing.assert_close(velocity.noisy(x0, noise, t), oracle.add_noise(x0, noise, t), atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(velocity.target(x0, noise, t), oracle.get_velocity(x0, noise, t), atol=2e-5, rtol=1e-4)
    assert OBJECTIVES["epsilon"]().target(x0, noise, t) is noise


def test_betas_of_evenly_spaced_roots_by_hand():
    betas = Betas(0.01, 0.04, power=2)  # roots from 0.1 to 0.2
    alpha, _ = Epsilon(betas).levels(torch.tensor([0, 999]))
    assert betas.values[[0, 999]].tolist() == pytest.approx([0.01, 0.04])
    assert betas.values[333].item() == pytest.approx((0.1 + 0.1 / 3) ** 2)
    assert alpha[0].item() ** 2 == pytest.approx(0.99)
    oracle = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.0015, beta_end=0.0195)
    t = torch.tensor([0, 3, 400, 998, 999])
    levels = Epsilon(Betas(0.0015, 0.0195, power=2)).levels(t)[0].square()
    torch.testing.assert_close(levels, oracle.alphas_cumprod[t], atol=0, rtol=1e-4)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_row_has_its_own_time(name):
    objective = OBJECTIVES[name]()
    x0, noise = torch.randn(2, 3, 2, 4)
    t = torch.tensor([10, 500, 900])
    together = objective.noisy(x0, noise, t), objective.target(x0, noise, t)
    for row in range(3):
        alone = slice(row, row + 1)
        torch.testing.assert_close(objective.noisy(x0[alone], noise[alone], t[alone]), together[0][alone])
        torch.testing.assert_close(objective.target(x0[alone], noise[alone], t[alone]), together[1][alone])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_times_cover_the_range_and_follow_the_generator(name):
    def times(seed: int) -> torch.Tensor:
        return OBJECTIVES[name]().draw_times([torch.Generator().manual_seed(seed)] * 20_000)

    assert torch.equal(times(1), times(1))
    assert not torch.equal(times(1), times(2))
    assert 0 <= times(1).min() < 2
    assert 998 <= times(1).max() < 1000
    assert times(1).double().mean().item() == pytest.approx(500, abs=8)  # four standard errors


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_prediction_implies_x0_and_is_cut_with_it(name):
    objective = OBJECTIVES[name]()
    noise, t = torch.randn(3, 4), torch.tensor([10, 500, 900])
    x0 = torch.tensor([-3.0, -0.5, 0.5, 2.0]).expand(3, 4)
    z = objective.noisy(x0, noise, t)
    prediction = objective.target(x0, noise, t)
    torch.testing.assert_close(objective.clean(prediction, z, t), x0, rtol=0, atol=1e-4)
    cut = objective.clipped(prediction, z, t, -1.0, 1.0)
    torch.testing.assert_close(objective.clean(cut, z, t), x0.clamp(-1, 1), rtol=0, atol=1e-4)
    torch.testing.assert_close(cut[:, 1:3], prediction[:, 1:3], rtol=1e-3, atol=1e-3)
