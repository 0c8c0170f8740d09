"""PVDM whole: what each stage trains, both players of the adversarial one, members, and first guesses."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nowcast.models import build_network
from nowcast.models.checkpoint import load_finished_stages, save_tensors
from nowcast.models.frames import Clip
from nowcast.models.network import Batch, Draws
from nowcast.models.pvdm.discriminators import PatchDiscriminator, hinge, play
from nowcast.models.pvdm.network import stretched
from nowcast.models.pvdm.settings import AdversarialSettings
from nowcast.perception.lpips import PerceptualLoss
from pipelines.errors import InputError

STAGES = ("autoencoder", "adversarial", "diffusion")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws(size: int = 2, seed: int = 0) -> Draws:
    return Draws([[seeded(1000 * seed + number)] for number in range(size)])


def batch(size: int = 2) -> Batch:
    """Random counts / 50, of which the west half of the second sample is missing throughout."""
    clips = []
    for seed, frames in ((1, 5), (2, 3)):
        observed = torch.ones(size, frames, 1, 32, 32, dtype=torch.bool)
        observed[1:, ..., :16] = False
        clips.append(Clip(4 * torch.rand(observed.shape, generator=seeded(seed)) * observed, observed))
    return Batch(*clips)


@pytest.fixture
def network(tiny):
    return tiny("pvdm")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_trains_its_modules_and_no_other(network, stage):
    network.requires_grad_(False)
    trained = network.stages[stage].trained.train().requires_grad_(True)
    network.stages[stage].loss(batch(), draws())["loss"].backward()
    assert all(parameter.grad is not None for parameter in trained.parameters())
    of_stage = {id(parameter) for parameter in trained.parameters()}
    part = network.denoiser if stage == "diffusion" else network.autoencoder
    own = {id(p) for p in part.parameters()}
    assert {id(p) for p in network.parameters()} & of_stage == own
    assert (of_stage == own) == (stage != "adversarial")


@pytest.mark.parametrize("stage", STAGES)
def test_draws_come_from_the_generator(network, stage):
    losses = [network.stages[stage].loss(batch(), draws(seed=seed))["loss"].item() for seed in (1, 1, 2)]
    assert losses[0] == losses[1]
    assert (losses[0] != losses[2]) == (stage != "autoencoder")  # which draws nothing without a perceptual loss


def test_errors_weigh_observed_pixels_only(network):
    data = batch()
    parts = network.stages["autoencoder"].loss(data, draws())
    errors = [(network.autoencoder(x) - x)[seen].abs().mean() for x, seen, _ in data]
    torch.testing.assert_close(parts["pixels"], sum(errors) / 2)
    torch.testing.assert_close(parts["loss"], 4 * parts["pixels"])
    changed = data.future.frames.clone()
    changed[1] += 2  # the west half, which is not observed, and the east
    one, other = (
        network.stages["diffusion"].loss(data._replace(future=Clip(frames, seen)), draws())["loss"]
        for frames in (data.future.frames, changed)
        for seen in [torch.cat([data.future.observed[:1], torch.zeros_like(data.future.observed[1:])])]
    )
    torch.testing.assert_close(one, other)


def test_hinge_by_hand():
    # Real patches at 2 and 0.5 lose 0 and 0.5; made ones at -3 and 1 lose 0 and 2: half of 0.25 + 1.
    assert hinge(torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 1.0])).item() == pytest.approx(0.625)


@pytest.mark.parametrize("dims", [2, 3])
def test_each_player_has_a_loss_of_its_own(dims):
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(AdversarialSettings(width=4, layers=2), dims, channels=1)
    size = (2, 1, *[16] * dims)
    real, made = torch.randn(size, generator=seeded(1)), torch.randn(size, generator=seeded(2)).requires_grad_()
    score, distance, own = play(discriminator, real, made)
    torch.testing.assert_close(score, -discriminator(made)[-1].mean())
    features = [(a - b).abs().mean() for a, b in zip(discriminator(real)[:-1], discriminator(made)[:-1], strict=True)]
    torch.testing.assert_close(distance, sum(features))
    torch.testing.assert_close(own, hinge(discriminator(real)[-1], discriminator(made)[-1]))
    parameters = list(discriminator.parameters())
    for loss in (score, distance):
        assert torch.autograd.grad(loss, made, retain_graph=True)[0].any()
        assert not any(
            g is not None for g in torch.autograd.grad(loss + own * 0, parameters, retain_graph=True) if g.any()
        )
    assert torch.autograd.grad(own, made, allow_unused=True, retain_graph=True)[0] is None
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(own, parameters))


def test_the_published_discriminators():
    with torch.device("meta"):
        sizes = [
            sum(p.numel() for p in PatchDiscriminator(AdversarialSettings(), dims, 3).parameters()) for dims in (2, 3)
        ]
    # Convolutions of 3, 64, 128, 256, 512 and 1 channels, side 4, biases, and two numbers per normalised channel.
    widths = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 1)]
    expected = [sum(a * b * 4**dims + b for a, b in widths) + 2 * (128 + 256 + 512) for dims in (2, 3)]
    assert sizes == expected


def test_discriminators_are_no_part_of_the_model_and_stages_are_found_again(network, tiny, tmp_path):
    assert not [name for name in network.state_dict() if "discriminator" in name or "auxiliary" in name]
    config = {"model": "pvdm", "network": network.settings.model_dump(mode="json")}
    path = tmp_path / "model.safetensors"
    save_tensors(path, network.state_dict(), {"config": config, "stages": ["autoencoder", "adversarial"]})
    other = build_network("pvdm", {**config["network"], "denoiser": {"width": 8, "widths": [1], "heads": 2}})
    assert load_finished_stages(other, path) == ["autoencoder", "adversarial"]
    for one, another in zip(network.autoencoder.parameters(), other.autoencoder.parameters(), strict=True):
        assert torch.equal(one, another)


@torch.no_grad()
def test_the_game_is_weighed_and_logged(network):
    stage = network.stages["adversarial"]
    parts = stage.loss(batch(), draws())
    expected = 4 * parts["pixels"] + parts["score"] + 4 * parts["features"] + parts["discriminators"]
    torch.testing.assert_close(parts["loss"], expected)


def test_a_frame_a_clip_is_judged_by_the_perceptual_network(tiny, tmp_path):
    torch.manual_seed(0)
    weights = tmp_path / "vgg.safetensors"
    save_file({k: v for k, v in PerceptualLoss().state_dict().items() if k.startswith("features")}, weights)
    told = {"perceptual_weight": 4.0, "perceptual_weights": str(weights)}
    network = tiny("pvdm", reconstruction=told)
    parts = network.stages["autoencoder"].loss(batch(), draws())
    assert parts["perceptual"] > 0
    torch.testing.assert_close(parts["loss"], 4 * parts["pixels"] + 4 * parts["perceptual"])
    assert "perceptual" not in " ".join(network.state_dict())
    weights.unlink()
    with pytest.raises(InputError, match="no weights for the perceptual loss"):
        tiny("pvdm", reconstruction=told).stages["autoencoder"].begin([])


@torch.no_grad()
def test_members_stand_alone(network):
    data = batch()
    generators = [[seeded(100 + number) for number in range(first, first + 3)] for first in (0, 3)]
    together = network.generate(network.condition(data.history), Draws(generators))
    assert together.shape == (2, 3, 3, 1, 32, 32) and together.isfinite().all()
    second = Clip(data.history.frames[1:], data.history.observed[1:])
    alone = network.generate(network.condition(second), Draws([[seeded(104)]]))
    torch.testing.assert_close(alone[0, 0], together[1, 1], atol=1e-4, rtol=1e-4)
    assert (together[0, 0] - together[0, 1]).abs().max() > 0.02


@torch.no_grad()
@pytest.mark.parametrize("kind", ["advection", "steps"])
def test_first_guesses_are_told_and_with_steps_each_member_has_its_own(tiny, moving_storm, kind):
    network = tiny("pvdm", first_guess=kind)
    assert network.denoiser.enter.in_channels == 3 * 4
    counts = np.stack([moving_storm((16, 16), motion, 5, size=32) for motion in ((1, 0), (0, 1))])
    guess = network.settings.guess(counts, np.ones_like(counts, bool), 5.0, 1.0)
    frames = torch.from_numpy(counts)[:, :, None] / 50
    history = Clip(frames, torch.ones_like(frames, dtype=torch.bool), guess)
    told = network.conditions(network.condition(history), Draws([[seeded(1), seeded(2)], [seeded(3), seeded(4)]]))
    assert told.shape == (4, 8, 8 + 2 * 3, 8)
    assert torch.equal(told[0, :4], told[1, :4]) and not torch.equal(told[1, :4], told[2, :4])
    assert torch.equal(told[0, 4:], told[1, 4:]) == (kind == "advection")
    if kind == "advection":
        torch.testing.assert_close(told[::2, 4:], network.autoencoder.encode(guess.best))
    data = Batch(history, Clip(frames[:, :3], history.observed[:, :3]))
    loss, preview = network.stages["diffusion"].loss(data, draws()), network.stages["diffusion"].preview(data, draws())
    assert loss["loss"].isfinite() and preview.shape == (2, 3, 1, 32, 32)


def test_planes_over_time_are_stretched_to_the_forecast():
    latents = torch.arange(12.0).view(1, 1, 6, 2)  # two rows of xy, then two frames of xt and of yt
    assert torch.equal(stretched(latents, 2), latents)
    made = stretched(latents, 4)[0, 0, :, 0].tolist()
    # Four frames at a quarter and three quarters of each of the two.
    assert made == [0, 2, 4, 4.5, 5.5, 6, 8, 8.5, 9.5, 10]


def test_settings_that_do_not_fit_are_refused():
    for settings, said in (
        ({"side": 12}, "side 12 is no multiple of 8"),
        ({"objective": "flow"}, "objective"),
        ({"sampling": {"sampler": "euler"}}, "expected one of ddpm, ddim"),
        ({"denoiser": {"width": 20}}, "no multiple of heads"),
        ({"autoencoder": {"head_width": 6}}, "head_width"),
    ):
        with pytest.raises(InputError, match=said):
            build_network("pvdm", settings)
