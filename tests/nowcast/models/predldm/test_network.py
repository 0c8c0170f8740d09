"""PredLDM whole: what reaches which loss, latents of unit scale, members, and the paper's own size."""

import pytest
import torch
from diffusers import AutoencoderKL
from pydantic import ValidationError
from safetensors.torch import save_file

from nowcast.models import build_network
from nowcast.models.frames import Clip
from nowcast.models.network import Batch, Draws
from nowcast.models.predldm.network import PredLDM
from nowcast.models.predldm.settings import PredLDMSettings
from nowcast.perception.lpips import PerceptualLoss
from nowcast.training.config import load_config
from pipelines.errors import InputError

SMALL = {
    "side": 16,
    "history": 4,
    "lead": 5,
    "offset": 0,
    "scale": 50,
    "frame_vae": {"factor": 4, "latent_channels": 3, "channels": (8, 8)},
    "mtvae": {"hidden": 16, "layers": 1, "heads": 2},
    "denoiser": {"hidden": 16, "blocks": 2, "heads": 2},
    "objective": "flow",
    "sampling": {"sampler": "euler", "steps": 3},
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


STAGES = ("autoencoder", "diffusion", "ensemble")


def draws(size: int = 2, seed: int = 0) -> Draws:
    """One generator per sample."""
    return Draws([[seeded(1000 * seed + number)] for number in range(size)])


def batch(size: int = 2, history: int = 4, lead: int = 5, side: int = 16) -> Batch:
    """Random counts / 50 with the west half of the second sample missing throughout."""
    clips = []
    for seed, frames in ((1, history), (2, lead)):
        observed = torch.ones(size, frames, 1, side, side, dtype=torch.bool)
        observed[1:, ..., : side // 2] = False
        clips.append(Clip(4 * torch.rand(observed.shape, generator=seeded(seed)) * observed, observed))
    return Batch(*clips)


def loss(network: PredLDM, stage: str, data: Batch, seed: int = 0) -> dict[str, torch.Tensor]:
    return network.stages[stage].loss(data, draws(len(data.history.frames), seed))


@torch.no_grad()
def shaken(network: torch.nn.Module) -> torch.nn.Module:
    generator = seeded(7)
    for parameter in network.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.fixture
def network() -> PredLDM:
    torch.manual_seed(0)
    return shaken(PredLDM(PredLDMSettings(**SMALL))).eval()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_trains_its_modules_and_no_other(network, stage):
    network.requires_grad_(False)
    trained = {id(p) for p in network.stages[stage].trained.requires_grad_().parameters()}
    loss(network, stage, batch())["loss"].backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is not None) == (id(parameter) in trained), name
    assert trained == {id(p) for p in (network.mtvae if stage == "autoencoder" else network.denoiser).parameters()}


@pytest.mark.parametrize("stage", STAGES)
def test_draws_come_from_the_generator(network, stage):
    network.stages[stage].trained.train()
    first, again, other = (loss(network, stage, batch(), seed) for seed in (1, 1, 2))
    assert {name: value.item() for name, value in first.items()} == {n: v.item() for n, v in again.items()}
    assert first["loss"] != other["loss"]


def test_latents_have_unit_scale_in_the_diffusion(network):
    whole = Batch(*(clip._replace(observed=torch.ones_like(clip.observed)) for clip in batch(6)))
    network.train()  # the measurement itself must not be masked
    halves = [Batch(*(Clip(c.frames[part], c.observed[part]) for c in whole)) for part in (slice(2), slice(2, None))]
    network.stages["diffusion"].begin(halves)
    clips = [network.encode(clip)[0] for clip in whole]
    values = torch.cat([clip.transpose(1, 2).flatten(2).transpose(0, 1).flatten(1) for clip in clips], 1)
    torch.testing.assert_close(values.mean(1), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(values.std(1, correction=0), torch.ones(3), atol=1e-4, rtol=0)
    assert (network.latent_std != 1).all()


def test_unobserved_latents_do_not_set_the_scale(network):
    network.stages["diffusion"].begin([batch()])
    scale = network.latent_std.clone()
    unseen = Batch(*(clip._replace(observed=torch.zeros_like(clip.observed)) for clip in batch()))
    network.stages["diffusion"].begin([batch(), unseen])
    torch.testing.assert_close(network.latent_std, scale)


def test_reconstruction_weighs_observed_pixels_only(network):
    """The loss is the mean squared error where observed, by hand, whatever the decoder says elsewhere."""
    data = batch()
    network.mtvae.transformer.log_variance.bias.data.fill_(-60)  # clamped to -30: no noise to speak of
    network.mtvae.transformer.log_variance.weight.data.zero_()
    mse = loss(network, "autoencoder", data)["mse"]
    expected = []
    for x, observed, _ in data:
        out = network.mtvae.decode(network.mtvae.encode(x, observed))
        expected.append((out - x)[observed].square().mean())
    torch.testing.assert_close(mse, sum(expected) / 2, atol=1e-4, rtol=1e-4)


def test_diffusion_weighs_latents_by_their_observed_fraction(network):
    data = batch()
    observed, changed = data.future.observed.clone(), data.future.frames.clone()
    observed[1] = False
    changed[1] += 2  # of a sample that was not observed at all
    one, other = (
        loss(network, "diffusion", data._replace(future=Clip(frames, observed)))["forecast"]
        for frames in (data.future.frames, changed)
    )
    torch.testing.assert_close(one, other)


def test_both_terms_are_logged_and_weighed(network):
    parts = loss(network, "diffusion", batch())
    torch.testing.assert_close(parts["loss"], parts["forecast"] + parts["condition"])
    network.settings = network.settings.model_copy(update={"loss_weights": (2.0, 0.5)})
    parts = loss(network, "diffusion", batch())
    torch.testing.assert_close(parts["loss"], 2 * parts["forecast"] + 0.5 * parts["condition"])


def test_the_second_term_knows_the_history_alone(network):
    """Equation 13: neither the future nor any weight of the cross-attention reaches the condition's own term."""
    data = batch()
    before = loss(network, "diffusion", data)
    elsewhere = loss(network, "diffusion", data._replace(future=data.future._replace(frames=data.future.frames + 1)))
    assert torch.equal(before["condition"], elsewhere["condition"])
    for block in network.denoiser.blocks:
        shaken(block.cross_attention)
    after = loss(network, "diffusion", data)
    assert torch.equal(before["condition"], after["condition"])
    assert not torch.equal(before["forecast"], after["forecast"])


def test_both_terms_are_of_the_same_times(network, monkeypatch):
    times, forward = [], network.denoiser.forward
    monkeypatch.setattr(network.denoiser, "forward", lambda z, t, *others: times.append(t) or forward(z, t, *others))
    loss(network, "diffusion", batch())
    assert torch.equal(*times) and times[0].any()


def test_both_terms_pull_at_the_same_self_attention(network):
    weight = network.denoiser.blocks[0].self_attention.query.weight
    parts = loss(network, "diffusion", batch())
    gradients = [torch.autograd.grad(parts[name], weight, retain_graph=True)[0] for name in ("forecast", "condition")]
    assert all(gradient.abs().max() > 0 for gradient in gradients)
    cross = network.denoiser.blocks[0].cross_attention.query.weight
    assert torch.autograd.grad(parts["condition"], cross, allow_unused=True)[0] is None


def members(*numbers: int) -> list[torch.Generator]:
    return [seeded(100 + number) for number in numbers]


def test_members_stand_alone(network):
    data = batch()
    condition = network.condition(data.history)
    together = network.generate(condition, Draws([members(0, 1, 2), members(3, 4, 5)]))
    assert together.shape == (2, 3, 5, 1, 16, 16)
    second = Clip(data.history.frames[1:], data.history.observed[1:])
    alone = network.generate(network.condition(second), Draws([members(4)]))
    torch.testing.assert_close(alone[0, 0], together[1, 1], atol=2e-5, rtol=1e-4)
    assert (together[0, 0] - together[0, 1]).abs().max() > 0.02


@pytest.mark.parametrize("stage", STAGES)
def test_previews_are_like_the_future(network, stage):
    preview = network.stages[stage].preview(batch(), draws())
    assert preview.shape == (2, 5, 1, 16, 16) and preview.isfinite().all()


def test_settings_that_do_not_fit_are_refused():
    for changes, message in (
        ({"objective": "epsilon"}, "expected one of ddpm, ddim"),
        ({"side": 20}, "no multiple"),
        ({"denoiser": {"hidden": 16, "heads": 3}}, "denoiser.hidden 16 is no multiple"),
        ({"colour": 1}, "Extra inputs"),
        ({"mtvae": {"mask_ratio": 1.0}}, "less than 1"),
    ):
        with pytest.raises(ValidationError, match=message):
            PredLDMSettings(**{**SMALL, **changes})


def test_perceptual_network_is_no_part_of_a_checkpoint(tmp_path):
    weights = tmp_path / "vgg.safetensors"
    torch.manual_seed(0)
    save_file({k: v for k, v in PerceptualLoss().state_dict().items() if k.startswith("features")}, weights)
    changes = {"mtvae": {**SMALL["mtvae"], "perceptual_weight": 0.1, "perceptual_weights": str(weights)}}
    network = PredLDM(PredLDMSettings(**{**SMALL, **changes}))
    names = set(network.state_dict())
    network.stages["autoencoder"].begin([])
    parts = loss(network, "autoencoder", batch())
    kl = network.settings.mtvae.kl_weight * parts["kl"]
    torch.testing.assert_close(parts["loss"], parts["mse"] + 0.1 * parts["perceptual"] + kl)
    assert parts["perceptual"] > 0
    assert set(network.state_dict()) == names == set(PredLDM(PredLDMSettings(**SMALL)).state_dict())
    weights.unlink()
    with pytest.raises(InputError, match="no weights for the perceptual loss"):
        PredLDM(network.settings).stages["autoencoder"].begin([])


def parameters(name: str) -> dict[str, int]:
    with torch.device("meta"):
        config = load_config(name)
        network = build_network(config.model, config.network, pretrained=False)
    return {part: sum(p.numel() for p in module.parameters()) for part, module in network.named_children()}


def test_paper_has_the_size_of_table_5():
    """438 M, 4 % above the paper's 421 M, whose feed-forward ratio and count of what is included are not stated."""
    size = parameters("predldm-paper")["denoiser"]
    assert size == pytest.approx(421e6, rel=0.05)
    # A block: 10 d^2 weights, biases of 8 projections and 2 feed-forward layers, cross-norm, and the table of 6 d.
    d = 1152
    assert size - 32 * (10 * d * d + 10 * d + 2 * d + 6 * d) < 13e6


def test_small_configurations_are_small():
    assert 5e6 < parameters("predldm-small")["denoiser"] < 8e6
    assert 1e6 < parameters("demo")["denoiser"] < 2e6


@pytest.mark.slow
def test_paper_takes_a_training_and_a_sampling_step(tmp_path):
    """The whole size of the paper with random weights in place of the downloads: both losses, one step, one sample."""
    torch.manual_seed(0)
    AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
    ).save_pretrained(tmp_path)
    vgg = tmp_path / "vgg16.safetensors"
    save_file({k: v for k, v in PerceptualLoss().state_dict().items() if k.startswith("features")}, vgg)
    config = load_config(
        "predldm-paper",
        [
            f"network.frame_vae.pretrained={tmp_path}",
            f"network.mtvae.perceptual_weights={vgg}",
            "network.side=32",  # few and small frames; every weight is the paper's
            "network.history=2",
            "network.lead=2",
            "network.sampling.steps=1",
        ],
    )
    network = build_network(config.model, config.network)
    data = batch(1, 2, 2, side=32)
    for name, stage in network.stages.items():
        stage.begin([data])
        network.requires_grad_(False).eval()
        parameters = list(stage.trained.requires_grad_(True).train().parameters())
        before = [parameter.clone() for parameter in parameters[-2:]]
        # Plain gradient descent: Adam's moments would double the memory and tell nothing more about the network.
        optimizer = torch.optim.SGD(parameters, lr=1e-2)
        loss(network, name, data)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        assert any(not torch.equal(a, b) for a, b in zip(before, parameters[-2:], strict=True))
    with torch.inference_mode():
        made = network.eval().generate(network.condition(data.history), Draws([members(0)]))
    assert made.shape == (1, 1, 2, 1, 32, 32) and made.isfinite().all()
