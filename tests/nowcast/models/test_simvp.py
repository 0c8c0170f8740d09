"""SimVP and SimVPv2: parameters beside the published ones, units beside NumPy, forecasts longer than the history."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from nowcast.models import build_network
from nowcast.models.frames import Clip
from nowcast.models.network import Batch, Draws
from nowcast.models.simvp.gsta import GatedBlock
from nowcast.models.simvp.network import Inception, Translator

MNIST = {"translator_hidden": 512, "translator_blocks": 8, "blocks": 4}
KTH = {"translator_hidden": 256, "translator_blocks": 6, "blocks": 2}
KITTI = {**KTH, "channels": 3}


@pytest.mark.parametrize(
    ("name", "settings", "published"),
    [
        ("simvp", MNIST, 57_946_113),
        ("simvp", KTH, 12_152_385),
        ("simvp", {**KITTI, "translator_blocks": 4}, 8_601_923),
        ("simvp", KITTI, 12_153_667),
        ("simvp_gsta", MNIST, 46_769_665),
        ("simvp_gsta", KTH, 15_632_961),
        ("simvp_gsta", KITTI, 15_634_243),
    ],
)
def test_it_is_as_large_as_published(name, settings, published):
    # OpenSTL's on Moving MNIST, KTH and KITTI/Caltech; ten frames are given.
    with torch.device("meta"):
        network = build_network(name, settings)
    assert sum(p.numel() for p in network.parameters()) == published


def perturbed(module: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())):
            tensor.add_(0.3 * torch.rand(tensor.shape, generator=generator))
    return module.eval()


def of_channels(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy().reshape(-1, 1, 1)


def test_the_inception_unit_beside_numpy(plain, normalised):
    unit = perturbed(Inception(5, 8, 16))
    x = np.random.default_rng(0).normal(size=(5, 6, 7))
    reduced = plain(unit.reduce)(x)
    total = np.zeros((16, 6, 7))
    for (convolution, norm, _), kernel in zip(unit.branches, (3, 5, 7, 11), strict=True):
        assert convolution.weight.shape == (16, 1, kernel, kernel)
        y = normalised(plain(convolution)(reduced), 8, 1e-5)
        y = y * of_channels(norm.weight) + of_channels(norm.bias)
        total += np.where(y > 0, y, 0.2 * y)
    with torch.no_grad():
        np.testing.assert_allclose(unit(torch.from_numpy(x[None]).float())[0], total, atol=1e-5)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))


def test_the_gated_block_beside_numpy(plain):
    block = perturbed(GatedBlock(4))
    x = np.random.default_rng(0).normal(size=(4, 6, 7))

    def norm(x, by):
        mean, variance, weight, bias = map(of_channels, (by.running_mean, by.running_var, by.weight, by.bias))
        return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias

    seen = norm(x, block.norms[0])
    attention = block.attention
    y = gelu(plain(attention.expand[0])(seen))
    a, b = np.split(plain(attention.gates)(plain(attention.far)(plain(attention.near)(y))), 2)
    after = x + of_channels(block.scales[0]) * (plain(attention.project)(a / (1 + np.exp(-b))) + seen)
    wide, mixing, _, narrow = block.feed_forward
    y = gelu(plain(mixing)(plain(wide)(norm(after, block.norms[1]))))
    after = after + of_channels(block.scales[1]) * plain(narrow)(y)
    with torch.no_grad():
        np.testing.assert_allclose(block(torch.from_numpy(x[None]).float(), None, 0.5)[0], after, atol=1e-5)


@torch.no_grad()
def test_the_ends_beside_plain_functions(tiny):
    network = tiny("simvp", blocks=4)
    tensors = iter([*network.encoder.parameters(), *network.decoder.parameters(), *network.last.parameters()])

    def block(x, stride=1, doubles=False):
        x = functional.conv2d(x, next(tensors), next(tensors), stride, padding=1)
        x = functional.pixel_shuffle(x, 2) if doubles else x
        return functional.silu(functional.group_norm(x, 2, next(tensors), next(tensors)))

    frames = 4 * torch.rand(2, 5, 1, 16, 16)
    x = first = block(frames.flatten(0, 1))
    for stride in (2, 1, 2):
        x = block(x, stride)
    assert x.shape == (10, 8, 4, 4)
    swapped = x.view(2, 5, 8, 4, 4).flip(1).flatten(0, 1)  # the stand-in for the translator: frames in reverse
    for doubles in (True, False, True):
        swapped = block(swapped, doubles=doubles)
    expected = functional.conv2d(block(swapped + first), next(tensors), next(tensors)).view(2, 5, 1, 16, 16)
    assert next(tensors, None) is None
    made = network.forecast(Clip(frames, frames > -1), lambda x: x.unflatten(1, (5, 8)).flip(1).flatten(1, 2))
    torch.testing.assert_close(made, expected[:, :3])


@torch.no_grad()
def test_the_translator_has_the_features_of_the_way_down_beside():
    translator = Translator(16, 32, 3)
    x = torch.randn(2, 16, 5, 5)
    one = translator.down[0](x)
    two = translator.down[1](one)
    up = translator.up[0](translator.down[2](two))
    up = translator.up[1](torch.cat([up, two], 1))
    torch.testing.assert_close(translator(x), translator.up[2](torch.cat([up, one], 1)))


@pytest.fixture
def clip() -> Clip:
    frames = 4 * torch.rand(2, 5, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    return Clip(frames, torch.ones_like(frames, dtype=torch.bool))


@torch.no_grad()
@pytest.mark.parametrize("name", ["simvp", "simvp_gsta"])
def test_longer_leads_run_on_their_own_forecast_and_shorter_ones_are_cut(tiny, clip, name):
    longest, longer, equal, shorter = (tiny(name, lead=lead)(clip) for lead in (11, 7, 5, 2))
    torch.testing.assert_close(longer, longest[:, :7])
    torch.testing.assert_close(equal, longer[:, :5])
    torch.testing.assert_close(shorter, longer[:, :2])
    torch.testing.assert_close(longer[:, 5:], tiny(name)(clip._replace(frames=equal))[:, :2])


@torch.no_grad()
def test_a_guess_stands_beside_the_frame_of_its_number(tiny, clip):
    network = tiny("simvp", lead=7, first_guess="advection")
    counts = 50 * clip.frames[:, :, 0].numpy()
    guess = network.settings.guess(counts, np.ones_like(counts, bool), 5.0, 1.0)
    later = guess.fields.clone()
    later[:, :, 5:] += 1  # of the frames that the second run makes
    one, other = (network(clip._replace(guess=guess._replace(fields=fields))) for fields in (guess.fields, later))
    assert ((one - other).abs().amax((0, 2, 3, 4)) > 1e-3).tolist() == [False] * 5 + [True] * 2


def of_training(network, clip, seeds):
    draws = Draws([[torch.Generator().manual_seed(seed)] for seed in seeds])
    return network.train().regression(Batch(clip, Clip(clip.frames[:, :3], clip.observed[:, :3])), draws).prediction


@torch.no_grad()
def test_blocks_are_left_out_by_sample(tiny, clip):
    network = tiny("simvp_gsta", drop_path=0.9)
    network.train()
    for norm in (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.eval()
        norm.train = lambda mode=True: None  # statistics stay, so that samples do not see each other
    both = of_training(network, clip, (1, 2))
    torch.testing.assert_close(of_training(network, clip, (1, 2)), both)
    drawn = [of_training(network, clip, (seed, 2)) for seed in range(8)]
    assert len({round(float(made[0].sum()), 3) for made in drawn}) > 1
    for made in drawn:
        torch.testing.assert_close(made[1], both[1])
    torch.testing.assert_close(network.eval().regression(Batch(clip, clip), Draws([])).prediction, network(clip))
