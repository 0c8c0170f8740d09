"""PVDM's denoiser: its size beside the published ones, attention over all planes beside NumPy, and any sides."""

import numpy as np
import pytest
import torch

from nowcast.models.pvdm.autoencoder import as_planes
from nowcast.models.pvdm.denoiser import Denoiser, DenoiserSettings, ResidualBlock, Step, TokenAttention

SMALL = DenoiserSettings(width=8, widths=(1, 2, 2, 2), blocks=1, heads=2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("width", "published"), [(256, 528_273_412), (128, 132_163_588)])
def test_it_is_as_large_as_published(width, published):
    with torch.device("meta"):
        denoiser = Denoiser(DenoiserSettings(width=width), channels=4, conditions=1)
    assert sum(p.numel() for p in denoiser.parameters()) == published


@torch.no_grad()
def test_attention_over_the_tokens_of_all_planes_beside_numpy(shaken):
    attention = shaken(TokenAttention(8, heads=2))
    planes = [torch.randn(1, 8, *size, generator=seeded()) for size in ((2, 2), (3, 2), (3, 2))]
    made = torch.cat([plane.flatten(2) for plane in Step(8, 2).requires_grad_(False)(planes, torch.zeros(1, 4))], 2)
    torch.testing.assert_close(made, torch.cat([plane.flatten(2) for plane in planes], 2))  # it begins silent
    step = Step(8, 2)
    step.across = attention
    made = torch.cat([plane.flatten(2) for plane in step(planes, torch.zeros(1, 4))], 2)[0].T.numpy()
    of = {name: parameter.double().numpy() for name, parameter in attention.named_parameters()}
    x = np.concatenate([plane[0].flatten(1).double().numpy() for plane in planes], 1)  # (8, 16)
    groups = attention.norm.num_groups
    grouped = x.reshape(groups, -1)
    grouped = (grouped - grouped.mean(1, keepdims=True)) / np.sqrt(grouped.var(1, keepdims=True) + 1e-5)
    tokens = (grouped.reshape(x.shape) * of["norm.weight"][:, None] + of["norm.bias"][:, None]).T
    q, k, v = np.split(tokens @ of["inputs.weight"].T + of["inputs.bias"], 3, axis=1)
    expected = np.empty_like(q)
    for head in (slice(4), slice(4, 8)):
        for place in range(len(tokens)):
            scores = np.exp(k[:, head] @ q[place, head] / 2)
            expected[place, head] = scores @ v[:, head] / scores.sum()
    expected = x.T + expected @ of["out.weight"].T + of["out.bias"]
    np.testing.assert_allclose(made, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("side", "times"), [(8, 8), (4, 3), (5, 10), (16, 1)])
def test_sides_and_frames_of_any_number(shaken, side, times):
    denoiser = shaken(Denoiser(SMALL, channels=2, conditions=2))
    z = torch.randn(2, 2, side + 2 * times, side, generator=seeded())
    conditions = torch.randn(2, 4, side + 2 * times, side, generator=seeded(1))
    made = denoiser(z, torch.tensor([3.0, 900.0]), conditions)
    assert made.shape == z.shape and made.isfinite().all()


def test_a_new_denoiser_predicts_zero_and_a_block_is_the_identity():
    x, time = torch.randn(2, 8, 4, 6, generator=seeded()), torch.randn(2, 32, generator=seeded())
    assert torch.equal(ResidualBlock(8, 8, 32)(x, time), x)
    z = torch.randn(2, 2, 16, 4, generator=seeded())
    assert not Denoiser(SMALL, 2, 1)(z, torch.tensor([3.0, 900.0]), z).any()


@torch.no_grad()
def test_planes_share_weights_and_meet_and_samples_do_not(shaken):
    denoiser = shaken(Denoiser(SMALL, channels=2, conditions=1)).eval()
    z = torch.randn(3, 2, 8 + 2 * 4, 8, generator=seeded())
    t, told = torch.tensor([3.0, 500.0, 900.0]), torch.randn(3, 2, 16, 8, generator=seeded(1))
    together = denoiser(z, t, told)
    torch.testing.assert_close(denoiser(z[1:2], t[1:2], told[1:2]), together[1:2], atol=1e-5, rtol=1e-4)
    other = z.clone()
    other[0, 0, 0, 0] += 1  # one token of the plane xy
    changed = (denoiser(other, t, told) - together).abs().amax(1)
    assert all(plane.amax() > 1e-5 for plane in as_planes(changed[:1, None])) and not changed[1:].any()
    # The planes xt and yt in each other's places come out in each other's places.
    swapped = torch.cat([z[:, :, :8], z[:, :, 12:], z[:, :, 8:12]], 2)
    told_swapped = torch.cat([told[:, :, :8], told[:, :, 12:], told[:, :, 8:12]], 2)
    xy, xt, yt = as_planes(denoiser(swapped, t, told_swapped))
    torch.testing.assert_close(torch.cat([xy, yt, xt], 2), together, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_times_and_conditions_matter(shaken):
    denoiser = shaken(Denoiser(SMALL, channels=2, conditions=1))
    z, told = torch.randn(1, 2, 16, 8, generator=seeded()), torch.randn(1, 2, 16, 8, generator=seeded(1))
    made = denoiser(z, torch.tensor([3.0]), told)
    assert (denoiser(z, torch.tensor([900.0]), told) - made).abs().max() > 1e-3
    assert (denoiser(z, torch.tensor([3.0]), told + 1) - made).abs().max() > 1e-3
