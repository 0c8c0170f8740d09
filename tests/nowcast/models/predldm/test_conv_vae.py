"""The autoencoders of Table 2 that convolve over time: what they begin as, which frames they see, and their size."""

import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn

from nowcast.models import build_network
from nowcast.models.predldm.conv_vae import ClipConvolution, ConvVAE, inflated, over_time
from nowcast.models.predldm.frame_vae import FrameVAESettings, build_frame_vae
from nowcast.training.config import load_config
from pipelines.errors import InputError

KINDS = ("3d", "2d+1d")
FRAME = FrameVAESettings(factor=4, latent_channels=2, channels=(8, 8))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def shaken(module: nn.Module) -> nn.Module:
    generator = seeded(7)
    for parameter in module.parameters():
        parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return module


def build(kind: str, settings: FrameVAESettings = FRAME, channels: int = 1) -> ConvVAE:
    torch.manual_seed(0)
    return ConvVAE(kind, settings, build_frame_vae(settings, channels=channels)).eval()


def clip(batch: int = 2, times: int = 5, channels: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    frames = torch.rand(batch, times, channels, 16, 16, generator=seeded(3))
    return frames, torch.ones(batch, times, 1, 16, 16, dtype=torch.bool)


def test_convolutions_over_three_frames_by_hand():
    convolution = ClipConvolution(1, 1, (3, 1, 1))
    convolution.times = 3
    convolution.weight.data.copy_(torch.tensor([100.0, 10.0, 1.0]).view(1, 1, 3, 1, 1))
    nn.init.zeros_(convolution.bias)
    frames = torch.tensor([1.0, 2.0, 3.0, 7.0, 7.0, 9.0]).view(6, 1, 1, 1)  # two clips
    # 1 1 2, 1 2 3, 2 3 3 and 7 7 7, 7 7 9, 7 9 9: the ends stand for their missing neighbours.
    assert convolution(frames).flatten().tolist() == [112, 123, 233, 777, 779, 799]


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_begins_as_that_of_frames(stride):
    convolution = nn.Conv2d(2, 3, 3, stride, padding=1)
    x = torch.randn(4, 2, 8, 8, generator=seeded())
    made = inflated(convolution)
    made.times = 2
    torch.testing.assert_close(made(x), convolution(x), atol=1e-6, rtol=1e-5)
    after = over_time(convolution)
    after.times = 2
    assert torch.equal(after(convolution(x)), convolution(x))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_it_begins_as_its_frame_vae(kind, channels):
    vae = build(kind, channels=channels)
    torch.manual_seed(0)
    alone = build_frame_vae(FRAME, channels=channels).eval()
    frames, observed = clip(channels=channels)
    latents = vae.encode(frames, observed)
    same = torch.equal if kind == "2d+1d" else lambda a, b: torch.allclose(a, b, atol=1e-5, rtol=1e-4)
    assert same(latents, alone.encode(frames)) and same(vae.decode(latents), alone.decode(latents))
    reconstruction = vae(frames, observed, [seeded()] * 2)
    assert same(reconstruction.mean, latents) and (reconstruction.log_variance == -10).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("times", [1, 4, 7])
def test_time_is_never_strided(kind, times):
    vae = shaken(build(kind))
    frames, observed = clip(times=times)
    latents = vae.encode(frames, observed)
    assert latents.shape == (2, times, 2, 4, 4) and vae.decode(latents).shape == frames.shape
    assert (vae.factor, vae.latent_channels) == (4, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_both_neighbours_are_seen_and_no_other_clip(kind):
    vae = shaken(build(kind))
    frames, observed = clip(times=9)
    latents = vae.encode(frames, observed)
    changed = frames.clone()
    changed[1, 4] += 1
    difference = (vae.encode(changed, observed) - latents).abs().amax((2, 3, 4))
    assert (difference[0] == 0).all() and (difference[1, 3:6] > 1e-3).all()
    torch.testing.assert_close(vae.encode(frames[1:], observed[1:]), latents[1:], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(vae.decode(latents[1:]), vae.decode(latents)[1:], atol=1e-5, rtol=1e-4)


def test_the_convolutions_over_time_alone_are_trained_beside_a_pretrained_vae(tmp_path):
    levels = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    oracle = AutoencoderKL(block_out_channels=(32, 32), layers_per_block=1, latent_channels=4, **levels)
    oracle.save_pretrained(tmp_path)
    settings = FrameVAESettings(pretrained=str(tmp_path), factor=2, channels=(32, 32), latent_scale=0.5)
    vae = build("2d+1d", settings)
    assert vae.trained is vae.temporal
    frames, observed = clip(batch=1)
    made = vae(frames, observed, [seeded()])
    moments = oracle.encode(frames[0].expand(-1, 3, -1, -1)).latent_dist
    torch.testing.assert_close(made.mean[0], 0.5 * moments.mean, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close((0.5 * made.log_variance[0]).exp(), 0.5 * moments.std, atol=1e-5, rtol=1e-4)
    vae.requires_grad_(False)
    vae.trained.requires_grad_(True)
    made.frames.square().mean()
    vae(frames, observed, [seeded()]).frames.square().mean().backward()
    assert all((p.grad is not None) == name.startswith("temporal.") for name, p in vae.named_parameters())


def test_sizes_with_stable_diffusions_vae():
    settings = FrameVAESettings(pretrained="any", channels=(128, 256, 512, 512), layers=2)
    with torch.device("meta"):
        sizes = {
            kind: sum(p.numel() for p in ConvVAE(kind, settings, build_frame_vae(settings, False)).parameters())
            for kind in KINDS
        }
    assert sizes == {"3d": 245_979_879, "2d+1d": 83_653_863 + 28_136_166}


def test_a_pretrained_vae_that_is_to_be_trained_from_scratch_is_refused():
    settings = {"autoencoder": {"kind": "3d"}, "frame_vae": {"pretrained": "any", "factor": 2}}
    with pytest.raises(InputError, match="kind 3d is trained from scratch"):
        build_network("predldm", settings, pretrained=False)


@pytest.mark.parametrize("kind", KINDS)
def test_one_setting_exchanges_the_autoencoder_of_a_configuration(kind):
    config = load_config("predldm-small", [f"network.autoencoder.kind={kind}"])
    with torch.device("meta"):
        network = build_network(config.model, config.network)
    assert isinstance(network.mtvae, ConvVAE) and not hasattr(network.mtvae, "transformer")
