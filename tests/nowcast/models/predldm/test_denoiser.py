"""CA-LDM's denoiser: who may look at whom, and what starts at zero."""

import pytest
import torch

from nowcast.models.layers.attention import attend
from nowcast.models.layers.positions import sinusoids
from nowcast.models.predldm.denoiser import (
    Denoiser,
    DenoiserSettings,
    patchify,
    space_time_positions,
    unpatchify,
)

SETTINGS = DenoiserSettings(hidden=16, blocks=4, heads=2, patch=2, mlp_ratio=2)
CHANNELS, SIDE, HISTORY, LEAD = 3, 4, 5, 6


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def shake(module: torch.nn.Module) -> None:
    """Moves every parameter off its start, so that nothing is zero any more."""
    generator = seeded(7)
    for parameter in module.parameters():
        parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))


@pytest.fixture
def fresh() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(SETTINGS, CHANNELS, SIDE, HISTORY, LEAD).eval()


@pytest.fixture
def denoiser(fresh) -> Denoiser:
    shake(fresh)
    return fresh


def inputs(batch: int = 3):
    z = torch.randn(batch, LEAD, CHANNELS, SIDE, SIDE, generator=seeded(1))
    history = torch.randn(batch, HISTORY, CHANNELS, SIDE, SIDE, generator=seeded(2))
    valid = torch.rand(batch, HISTORY, 1, SIDE, SIDE, generator=seeded(3))
    return z, torch.linspace(10, 900, batch), history, valid


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_sinusoids_by_hand():
    features = sinusoids(torch.tensor([0.0, 2.0]), 4, longest=100)
    # Frequencies 1 and 100^(-1/2) = 0.1.
    close(features, torch.tensor([[0, 0, 1, 1], [0.9092974, 0.1986693, -0.4161468, 0.9800666]]))


def test_positions_are_of_time_then_of_rows_then_of_columns():
    time, rows, columns = space_time_positions(2, 3, 16).unflatten(1, (3, 3)).split([4, 6, 6], -1)
    assert torch.equal(time[1, 0, 0], time[1, 2, 1]) and not torch.equal(time[0, 0, 0], time[1, 0, 0])
    assert torch.equal(rows[0, 2, 0], rows[1, 2, 1]) and not torch.equal(rows[0, 0, 0], rows[0, 2, 0])
    assert torch.equal(columns[0, 0, 2], columns[1, 1, 2]) and not torch.equal(columns[0, 0, 0], columns[0, 0, 2])


def test_patches_are_places_and_return():
    z = torch.arange(2 * 3 * 2 * 4 * 4.0).view(2, 3, 2, 4, 4)
    patches = patchify(z, 2)
    assert patches.shape == (2, 3, 4, 8)
    # The second patch of a frame is its top right corner, in both channels.
    assert patches[0, 0, 1].tolist() == [2, 3, 6, 7, 18, 19, 22, 23]
    assert torch.equal(unpatchify(patches, 2, 4), z)


def test_zero_starts_survive_construction(fresh):
    z, t, history, valid = inputs()
    assert (fresh(z, t, fresh.context(history, valid)) == 0).all()
    for block in fresh.blocks:
        assert not block.cross_attention.out.weight.any()
        x, modulation = torch.randn(2, LEAD, 4, 16), fresh.modulation(torch.randn(2, 16)).unflatten(1, (6, -1))
        assert torch.equal(block(x, modulation, fresh.context(history[:2], valid[:2]).keys_values[0]), x)


def test_cross_attention_begins_near_the_same_place_in_the_newest_frame():
    torch.manual_seed(0)
    denoiser = Denoiser(DenoiserSettings(hidden=128, blocks=2, heads=4), CHANNELS, 16, HISTORY, LEAD)
    block, tokens = denoiser.blocks[0], denoiser.positions[None, :HISTORY].flatten(1, 2)
    keys, _ = block.cross_attention.keys_values(tokens)
    query = block.cross_attention.query(block.cross_norm(denoiser.positions[HISTORY, 3 * 8 + 5])).view(1, 4, 1, 32)
    weights = attend(query, keys, torch.eye(HISTORY * 64)).mean(1).view(HISTORY, 8, 8)
    assert weights.sum((1, 2)).argmax() == HISTORY - 1
    assert weights[-1].sum() > 0.3  # even attention: 0.2
    assert weights[:, 2:5, 4:7].sum() > 2 * 9 / 64  # twice what even attention would give its neighbourhood


def test_samples_of_a_batch_do_not_meet(denoiser):
    z, t, history, valid = inputs()
    together = denoiser(z, t, denoiser.context(history, valid))
    for row in range(3):
        alone = slice(row, row + 1)
        close(denoiser(z[alone], t[alone], denoiser.context(history[alone], valid[alone])), together[alone])
        close(denoiser(z[alone], t[alone]), denoiser(z, t)[alone])
    other = history.clone()
    other[0] += 1
    changed = denoiser(z, t, denoiser.context(other, valid))
    assert (changed[0] - together[0]).abs().max() > 1e-3
    close(changed[1:], together[1:])


def test_members_share_the_context_of_their_case(denoiser):
    z, t, history, valid = inputs(batch=6)
    shared = denoiser.context(history[:2], valid[:2])
    repeated = denoiser.context(history[:2].repeat_interleave(3, 0), valid[:2].repeat_interleave(3, 0))
    close(denoiser(z, t, shared), denoiser(z, t, repeated))


def test_without_context_nothing_of_cross_attention_is_used(denoiser):
    z, t, history, valid = inputs()
    unconditional, conditional = denoiser(z, t), denoiser(z, t, denoiser.context(history, valid))
    for block in denoiser.blocks:
        shake(block.cross_attention)
        shake(block.cross_norm)
    shake(denoiser.embed_history)
    assert torch.equal(denoiser(z, t), unconditional)
    assert (denoiser(z, t, denoiser.context(history, valid)) - conditional).abs().max() > 1e-3


def test_both_ways_share_self_attention(denoiser):
    z, t, history, valid = inputs()
    unconditional, conditional = denoiser(z, t), denoiser(z, t, denoiser.context(history, valid))
    shake(denoiser.blocks[1].self_attention)
    assert (denoiser(z, t) - unconditional).abs().max() > 1e-3
    assert (denoiser(z, t, denoiser.context(history, valid)) - conditional).abs().max() > 1e-3


def test_blocks_look_over_space_and_over_time_in_turn(denoiser):
    x = torch.randn(1, LEAD, 4, 16, generator=seeded(5))
    modulation = denoiser.modulation(torch.randn(1, 16, generator=seeded(6))).unflatten(1, (6, -1))
    changed = x.clone()
    changed[0, 2, 1, 0] += 1  # one channel: a layer norm would not see all of them move together
    for number, block in enumerate(denoiser.blocks):
        reached = (block(changed, modulation, None) - block(x, modulation, None)).abs().amax((0, 3)) > 1e-6
        expected = torch.zeros(LEAD, 4, dtype=torch.bool)
        if number % 2 == 0:
            expected[2, :] = True
        else:
            expected[:, 1] = True
        assert torch.equal(reached, expected)


def test_history_carries_its_order_in_time(denoiser):
    z, t, history, valid = inputs()
    valid = torch.ones_like(valid)
    forward = denoiser(z, t, denoiser.context(history, valid))
    assert (denoiser(z, t, denoiser.context(history.flip(1), valid)) - forward).abs().max() > 1e-3


def test_valid_fraction_is_part_of_the_condition(denoiser):
    z, t, history, valid = inputs()
    base = denoiser(z, t, denoiser.context(history, valid))
    assert (denoiser(z, t, denoiser.context(history, 0 * valid)) - base).abs().max() > 1e-3


def test_history_and_future_stand_at_their_own_times(denoiser):
    positions = denoiser.positions.unflatten(1, (2, 2))
    close(positions[:, 1, 0, :4], sinusoids(torch.arange(HISTORY + LEAD), 4, 10))
    close(positions[3, :, 1, 4:10], sinusoids(torch.arange(2), 6, 10))
    close(positions[3, 1, :, 10:], sinusoids(torch.arange(2), 6, 10))
    # Frames without a context are the history's: the same frames at the future's times come out otherwise.
    _, t, history, _ = inputs()
    as_history = denoiser(history, t)
    denoiser.positions = denoiser.positions.roll(-HISTORY, 0)
    assert (denoiser(history, t) - as_history).abs().max() > 1e-3


def test_with_a_context_frames_stand_at_the_futures_times(denoiser):
    z, t, history, valid = inputs()
    context = denoiser.context(history, valid)
    before = denoiser(z, t, context)
    past, ahead = denoiser.positions[:HISTORY], denoiser.positions[HISTORY:]
    denoiser.positions = torch.cat([past.flip(0), ahead])
    assert torch.equal(denoiser(z, t, context), before)
    denoiser.positions = torch.cat([past, ahead.flip(0)])
    assert (denoiser(z, t, context) - before).abs().max() > 1e-3
