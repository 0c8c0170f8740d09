"""PVDM's autoencoder: its size beside the published one, its blocks beside NumPy, and what each plane sees."""

import numpy as np
import pytest
import torch
from scipy.special import erf

from nowcast.models.frames import FrameScale
from nowcast.models.pvdm.autoencoder import (
    AutoencoderSettings,
    Block,
    Projection,
    TriplaneAutoencoder,
    as_planes,
    rotated,
    space_angles,
    time_angles,
)

SMALL = AutoencoderSettings(patch=4, width=16, blocks=1, heads=2, head_width=8, projection_layers=2, latent_channels=3)
SCALE = FrameScale(0.0, 50.0, 0.0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def autoencoder(shaken) -> TriplaneAutoencoder:
    return shaken(TriplaneAutoencoder(SMALL, side=16, channels=1, longest=6, scale=SCALE)).eval()


def clip(batch: int = 2, times: int = 6, channels: int = 1) -> torch.Tensor:
    return 4 * torch.rand(batch, times, channels, 16, 16, generator=seeded(1))


def test_it_is_as_large_as_published():
    with torch.device("meta"):
        published = TriplaneAutoencoder(AutoencoderSettings(), 256, 3, 16, FrameScale(127.5, 127.5, 0.0))
    assert sum(p.numel() for p in published.parameters()) == 62_064_399


def test_pairs_of_features_are_turned_by_hand():
    x = torch.tensor([[1.0, 0.0, 0.0, 2.0]])
    turned = rotated(x, torch.tensor([[np.pi / 2, np.pi]]).float())
    torch.testing.assert_close(turned, torch.tensor([[0.0, 1.0, 0.0, -2.0]]), atol=1e-6, rtol=0)
    # 10,000^0 and 10,000^(-1/2) a frame; half a turn and five from the middle to the edge.
    torch.testing.assert_close(time_angles(3, 4)[2], torch.tensor([2.0, 0.02]))
    angles = space_angles(3, 8).unflatten(0, (3, 3)) / np.pi
    torch.testing.assert_close(angles[0, 1], torch.tensor([-1.0, -5.0, 0.0, 0.0]), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(angles[1, 2], torch.tensor([0.0, 0.0, 1.0, 5.0]), atol=1e-6, rtol=1e-6)


def weights(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: parameter.detach().double().numpy() for name, parameter in module.named_parameters()}


def normalised(x: np.ndarray, of: dict[str, np.ndarray], name: str) -> np.ndarray:
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * of[f"{name}.weight"] + of[f"{name}.bias"]


def attended(x: np.ndarray, of: dict[str, np.ndarray], name: str, heads: int, angles: np.ndarray | None) -> np.ndarray:
    """One sequence (n, d), head by head and query by query."""
    inputs = x @ of[f"{name}.inputs.weight"].T
    width = inputs.shape[1] // (3 * heads)
    made = np.zeros((len(x), heads * width))
    for head in range(heads):
        q, k, v = (inputs[:, (part * heads + head) * width :][:, :width].copy() for part in range(3))
        for place in range(len(x) if angles is not None else 0):
            for pair, angle in enumerate(angles[place]):
                turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
                for vector in (q[place], k[place]):
                    vector[2 * pair : 2 * pair + 2] = turn @ vector[2 * pair : 2 * pair + 2]
        for place in range(len(x)):
            scores = np.exp(k @ q[place] / np.sqrt(width))
            made[place, head * width : (head + 1) * width] = scores @ v / scores.sum()
    return made @ of[f"{name}.out.weight"].T + of[f"{name}.out.bias"]


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def test_a_block_beside_numpy(shaken):
    block = shaken(Block(SMALL))
    times, side = 3, 2
    x = torch.randn(1, times, side * side, 16, generator=seeded())
    angles = time_angles(times, 8), space_angles(side, 8)
    made = block(x, *angles)[0].detach().numpy()
    of, y = weights(block), x[0].double().numpy()
    over_time, over_space = (angle.double().numpy() for angle in angles)
    normal = normalised(y, of, "time_norm")
    y = y + np.stack([attended(normal[:, n], of, "over_time", 2, over_time) for n in range(side * side)], 1)
    normal = normalised(y, of, "space_norm")
    y = y + np.stack([attended(normal[t], of, "over_space", 2, over_space) for t in range(times)])
    hidden = normalised(y, of, "forward_norm") @ of["enter.weight"].T + of["enter.bias"]
    y = y + (hidden[..., :64] * gelu(hidden[..., 64:])) @ of["leave.weight"].T + of["leave.bias"]
    np.testing.assert_allclose(made, y, atol=1e-5, rtol=1e-5)


def test_a_projection_beside_numpy(shaken):
    projection = shaken(Projection(SMALL, longest=7))
    x = torch.randn(5, 16, generator=seeded())
    made = projection(x[None, None])[0, 0].detach().numpy()
    of = weights(projection)
    y = np.concatenate([x.double().numpy() + of["positions"][:5], (of["token"] + of["positions"][7])[None]])
    for layer in range(2):
        y = y + attended(normalised(y, of, f"layers.{layer}.attention.0"), of, f"layers.{layer}.attention.1", 4, None)
        hidden = normalised(y, of, f"layers.{layer}.mix.0") @ of[f"layers.{layer}.mix.1.weight"].T
        hidden = gelu(hidden + of[f"layers.{layer}.mix.1.bias"])
        y = y + hidden @ of[f"layers.{layer}.mix.3.weight"].T + of[f"layers.{layer}.mix.3.bias"]
    np.testing.assert_allclose(made, np.tanh(y[-1] @ of["out.weight"].T + of["out.bias"]), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_clips_of_any_length_become_bounded_planes_and_frames_in_range(autoencoder):
    for times in (1, 3, 6):
        latents = autoencoder.encode(clip(times=times))
        assert latents.shape == (2, 3, 4 + 2 * times, 4) and latents.abs().max() <= 1
        frames = autoencoder.decode(latents)
        assert frames.shape == (2, times, 1, 16, 16) and frames.min() >= 0 and frames.max() <= 255 / 50


@torch.no_grad()
def test_each_plane_keeps_two_axes(autoencoder):
    """Without attention between tokens, a changed pixel reaches the places that a plane's axes name, and no other."""
    for block in autoencoder.encoder:
        for attention in (block.over_time, block.over_space):
            for parameter in attention.out.parameters():
                torch.nn.init.zeros_(parameter)
    frames = clip(1)
    other = frames.clone()
    other[0, 5, 0, 4:8, 12:16] += 1  # frame 5, row 1 and column 3 of the patches
    change = (autoencoder.encode(other) - autoencoder.encode(frames)).abs().amax(1, keepdim=True) > 1e-6
    xy, xt, yt = (plane[0, 0].nonzero().tolist() for plane in as_planes(change))
    assert (xy, xt, yt) == ([[1, 3]], [[5, 3]], [[5, 1]])


@torch.no_grad()
def test_the_decoder_spreads_each_plane_along_its_missing_axis(autoencoder):
    for block in autoencoder.decoder:
        for attention in (block.over_time, block.over_space):
            for parameter in attention.out.parameters():
                torch.nn.init.zeros_(parameter)
    latents = 0.1 * torch.randn(1, 3, 4 + 2 * 6, 4, generator=seeded())
    for row, expected in ((1, {"y": {1}, "x": {3}}), (4 + 5, {"t": {5}, "x": {3}}), (4 + 6 + 5, {"t": {5}, "y": {3}})):
        other = latents.clone()
        other[0, :, row, 3] += 0.5
        change = (autoencoder.decode(other) - autoencoder.decode(latents)).abs()[0, :, 0] > 1e-7
        t, y, x = (
            set(places.tolist()) for places in change.unflatten(1, (4, 4)).unflatten(3, (4, 4)).amax((2, 4)).nonzero().T
        )
        reached = {"t": t, "y": y, "x": x}
        everywhere = {"t": set(range(6)), "y": set(range(4)), "x": set(range(4))}
        assert reached == everywhere | expected


@torch.no_grad()
def test_samples_of_a_batch_do_not_meet(autoencoder):
    frames = clip(3)
    together = autoencoder(frames)
    torch.testing.assert_close(autoencoder(frames[1:2]), together[1:2], atol=1e-5, rtol=1e-4)


def test_observed_shares_by_hand(autoencoder):
    observed = torch.ones(1, 2, 1, 16, 16, dtype=torch.bool)
    observed[0, 1, 0, :4, :8] = False  # of frame 1 row 0, columns 0 and 1 of the patches
    xy, xt, yt = (plane[0, 0].tolist() for plane in as_planes(autoencoder.observed(observed)))
    assert xy == [[0.5, 0.5, 1, 1], [1] * 4, [1] * 4, [1] * 4]
    assert xt == [[1] * 4, [0.75, 0.75, 1, 1]] and yt == [[1] * 4, [0.5, 1, 1, 1]]
