import numpy as np
import pytest
import torch

from nowcast.models.layers.crps import block_crps, fair_crps


def test_fair_crps_by_hand():
    # members 1, 4, 6 and 3 observed: (2 + 1 + 3) / 3 - (3 + 5 + 2) * 2 / (2 * 3 * 2) = 2 - 5/3
    assert fair_crps(torch.tensor([[1.0, 4.0, 6.0]]), torch.tensor([3.0])).item() == pytest.approx(1 / 3)


def test_of_one_member_it_is_the_absolute_error():
    assert fair_crps(torch.tensor([[5.0]]), torch.tensor([3.0])).item() == 2


def test_fair_crps_rewards_the_right_spread():
    generator = torch.Generator().manual_seed(0)
    obs = torch.randn(20_000, generator=generator)
    draws = torch.randn(20_000, 4, generator=generator)
    scores = {scale: fair_crps(draws * scale, obs).mean().item() for scale in (0.3, 1.0, 2.0)}
    assert scores[1.0] == pytest.approx(1 / np.pi**0.5, rel=0.02)  # of a normal forecast of its own distribution
    assert scores[1.0] < min(scores[0.3], scores[2.0])


def test_blocks_by_hand():
    obs = torch.tensor([[[[0.0, 0, 4, 4], [0, 0, 4, 4]]]])[:, 0]  # (1, 1, 2, 4): blocks of mean 0 and 4
    members = torch.stack([obs + 1, obs - 1], 1)
    known = torch.ones_like(obs, dtype=torch.bool)
    # every pixel and every block: errors 1 and 1, distance 2: 1 - 2 / 2 = 0
    torch.testing.assert_close(block_crps(members, obs, known, (1, 2)), torch.zeros(2, 1))
    members = torch.stack([obs + 1, obs + 1], 1)
    torch.testing.assert_close(block_crps(members, obs, known, (1, 2)), torch.ones(2, 1))


def test_noise_that_averages_out_costs_pixels_but_not_blocks():
    obs = torch.zeros(1, 1, 4, 4)
    board = (torch.arange(4)[:, None] + torch.arange(4)) % 2 * 2.0 - 1
    members = board.expand(1, 2, 1, 4, 4)
    torch.testing.assert_close(
        block_crps(members, obs, torch.ones_like(obs).bool(), (1, 2)), torch.tensor([[1.0], [0.0]])
    )


def test_what_is_missing_carries_no_weight():
    obs, members = torch.rand(2, 3, 8, 8), torch.rand(2, 4, 3, 8, 8)
    known = torch.rand(2, 3, 8, 8) > 0.3
    wild = torch.where(known, obs, 1e6)
    torch.testing.assert_close(block_crps(members, wild, known, (1, 4)), block_crps(members, obs, known, (1, 4)))
    by_hand = (fair_crps(members, obs) * known).sum((1, 2, 3)) / known.sum((1, 2, 3))
    torch.testing.assert_close(block_crps(members, obs, known, (1,))[0], by_hand)


def test_it_is_the_score_of_the_verification():
    import xarray as xr
    from xskillscore import crps_ensemble

    rng = np.random.default_rng(0)
    obs, members = rng.random(50), rng.random((50, 5))
    ours = fair_crps(torch.from_numpy(members), torch.from_numpy(obs)).numpy()
    plain = crps_ensemble(xr.DataArray(obs, dims="x"), xr.DataArray(members, dims=("x", "member")), dim=[])
    # The plain form is larger by half the mean distance over M - 1.
    half_distance = np.abs(members[:, :, None] - members[:, None]).mean((1, 2)) / 2
    np.testing.assert_allclose(ours, plain.values - half_distance / 4, atol=1e-12)
