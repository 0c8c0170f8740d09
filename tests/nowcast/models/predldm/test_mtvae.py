"""MT-VAE: the mask of equation 10, attention over time, moments, and frame VAEs trained or pretrained."""

import pytest
import torch
from diffusers import AutoencoderKL
from hypothesis import given
from hypothesis import strategies as st

from nowcast.models.layers.attention import attend
from nowcast.models.predldm.frame_vae import FrameVAESettings, block_cosines, build_frame_vae, overlapping
from nowcast.models.predldm.mtvae import MTVAE, MTVAESettings, TemporalLayer, draw_time_mask, kl_divergence
from pipelines.errors import InputError

FRAME = FrameVAESettings(factor=4, latent_channels=2, channels=(8, 8))
TEMPORAL = MTVAESettings(hidden=16, layers=2, heads=2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def shaken(module: torch.nn.Module) -> torch.nn.Module:
    """The module with every parameter off its start, so that nothing is zero any more."""
    generator = seeded(7)
    for parameter in module.parameters():
        parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return module


@pytest.fixture
def mtvae() -> MTVAE:
    torch.manual_seed(0)
    return MTVAE(TEMPORAL, FRAME, build_frame_vae(FRAME))


def clip(batch: int = 2, times: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    generator = seeded(3)
    observed = torch.rand(batch, times, 1, 8, 8, generator=generator) > 0.2
    return torch.rand(batch, times, 1, 8, 8, generator=generator) * observed, observed


def test_six_of_ten_time_locations_are_masked():
    mask = draw_time_mask(10, 0.6, [seeded()] * 500)
    assert set(mask.unique().tolist()) == {0.0, float("-inf")}
    assert (mask.isinf().sum(1) == 6).all()
    # Each location is hidden equally often: 300 of 500 times, give or take four standard errors.
    assert (mask.isinf().sum(0) - 300).abs().max() < 44


@given(batch=st.integers(1, 5), times=st.integers(1, 25), ratio=st.floats(0, 0.999), seed=st.integers(0, 99))
def test_a_mask_never_hides_all(batch, times, ratio, seed):
    mask = draw_time_mask(times, ratio, [seeded(seed)] * batch)
    assert mask.shape == (batch, times)
    assert (mask == 0).any(1).all()
    assert (mask.isinf().sum(1) == min(int(ratio * times), times - 1)).all()


def test_attention_by_hand():
    # d_k = 4, so scores are q k / 2 = (ln 3, 0, 100); the third key is masked; weights 3/4 and 1/4.
    q = torch.tensor([2.0, 0, 0, 0]).view(1, 1, 1, 4)
    k = torch.tensor([[1.0986123, 0, 0, 0], [0, 5, 0, 0], [100, 0, 0, 0]]).view(1, 1, 3, 4)
    v = torch.tensor([[4.0, 0, 0, 0], [0, 8, 0, 0], [9, 9, 9, 9]]).view(1, 1, 3, 4)
    out = attend(q, k, v, torch.tensor([0, 0, float("-inf")]))
    torch.testing.assert_close(out.flatten(), torch.tensor([3.0, 2.0, 0, 0]))


def test_a_masked_time_reaches_no_other_time():
    layer = shaken(TemporalLayer(TEMPORAL))
    mask = torch.zeros(5)
    mask[[1, 3]] = float("-inf")
    z = torch.randn(6, 5, 16, generator=seeded())
    for time in range(5):
        changed = z.clone()
        changed[:, time] += 1
        difference = (layer(changed, mask) - layer(z, mask)).abs().amax((0, 2))
        others = [other for other in range(5) if other != time]
        assert difference[time] > 0.1
        assert (difference[others] == 0).all() == (time in (1, 3))


def test_masks_are_drawn_in_training_only_and_from_the_generator(mtvae):
    shaken(mtvae)
    frames, observed = clip()

    def mean(seed: int) -> torch.Tensor:
        return mtvae(frames, observed, [seeded(seed)] * len(frames)).mean

    assert torch.equal(mean(1), mean(1))
    assert (mean(1) - mean(2)).abs().max() > 1e-3
    mtvae.transformer.eval()
    assert torch.equal(mean(1), mean(2))
    torch.testing.assert_close(mean(1), mtvae.encode(frames, observed))


def test_one_mask_serves_every_location_of_a_sample(mtvae):
    # Two samples of spatially constant input: within a sample, all locations must come out alike.
    transformer = shaken(mtvae.transformer)
    torch.nn.init.zeros_(transformer.position.weight)  # U alone differs near the edges
    encoded = torch.randn(2, 10, 2, 1, 1, generator=seeded()).expand(-1, -1, -1, 2, 2)
    frames, observed = torch.zeros(2, 10, 1, 8, 8), torch.ones(2, 10, 1, 8, 8, dtype=torch.bool)
    mean, _ = transformer(encoded, frames, observed, draw_time_mask(10, 0.6, [seeded()] * 2))
    torch.testing.assert_close(mean, mean[..., :1, :1].expand_as(mean))


def test_training_starts_from_the_frame_vae(mtvae):
    frames, observed = clip()
    encoded = mtvae.frame_vae.encode(frames)
    mean, log_variance = mtvae.transformer(encoded, frames, observed, draw_time_mask(10, 0.6, [seeded()] * 2))
    torch.testing.assert_close(mean, encoded, atol=1e-5, rtol=1e-5)
    assert (log_variance == -10).all()


def test_positional_embedding_tells_time_and_missing_pixels(mtvae):
    shaken(mtvae)
    frames, observed = torch.ones(1, 10, 1, 8, 8), torch.ones(1, 10, 1, 8, 8, dtype=torch.bool)
    latents = mtvae.encode(frames, observed)
    assert (latents[:, 0] - latents[:, 5]).abs().max() > 1e-3
    assert (mtvae.encode(frames, ~observed) - latents).abs().max() > 1e-3


def test_samples_of_a_batch_do_not_meet(mtvae):
    shaken(mtvae).eval()
    frames, observed = clip(batch=3)
    together = mtvae.decode(mtvae.encode(frames, observed))
    alone = mtvae.decode(mtvae.encode(frames[1:2], observed[1:2]))
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-5)


def test_latents_are_sampled_around_their_mean(mtvae):
    frames, observed = clip(batch=8)
    decoded = []
    mtvae.decode = lambda z: decoded.append(z) or z  # type: ignore[method-assign]
    with torch.no_grad():
        torch.nn.init.constant_(mtvae.transformer.log_variance.bias, 2 * torch.tensor(0.5).log())
    result = mtvae(frames, observed, [seeded()] * len(frames))
    deviation = (decoded[0] - result.mean).std().item()
    assert deviation == pytest.approx(0.5, rel=0.1)


def test_kl_by_hand():
    assert kl_divergence(torch.zeros(3), torch.zeros(3)).item() == 0
    # 0.5 (2^2 + e^1 - 1 - 1) = 0.5 * 4.718282
    assert kl_divergence(torch.full((3,), 2.0), torch.ones(3)).item() == pytest.approx(2.359141, rel=1e-6)


def test_block_cosines_by_hand():
    half = 0.5**0.5
    assert block_cosines(2, 1).tolist() == [[[[0.5, 0.5], [0.5, 0.5]]]]
    torch.testing.assert_close(block_cosines(2, 2)[1, 0], half * torch.tensor([[half, -half], [half, -half]]))
    basis = block_cosines(8, 64).flatten(1)
    torch.testing.assert_close(basis @ basis.T, torch.eye(64), atol=1e-6, rtol=0)


def test_small_vae_starts_as_a_cosine_transform():
    frames = torch.rand(1, 2, 1, 16, 16)
    latents = build_frame_vae(FRAME).encode(frames)
    torch.testing.assert_close(latents[:, :, :1], block_means(frames))


def test_small_vae_keeps_constants_to_the_edge():
    vae = build_frame_vae(FrameVAESettings(factor=4, latent_channels=16, channels=(8, 8)))
    flat = torch.full((1, 2, 1, 16, 16), 0.7)
    torch.testing.assert_close(vae.decode(vae.encode(flat)), flat, atol=1e-5, rtol=1e-5)


def test_what_is_decoded_shows_no_borders_of_blocks():
    vae = build_frame_vae(FrameVAESettings(factor=8, latent_channels=4, channels=(8,)))
    latents = torch.zeros(1, 1, 4, 4, 4)
    latents[..., 0, :, 2:] = 1.0  # a step from one block to the next
    row = vae.decode(latents)[0, 0, 0, 16]
    assert row[0] == 0 and row[-1] == 1 and row.diff().max() < 0.2
    torch.testing.assert_close(row[12:20] + row[12:20].flip(0), torch.ones(8))


def test_overlapping_blocks_by_hand():
    # A constant block of two pixels reaches one pixel into its neighbours; sin^2 of 1/8, 3/8, 5/8 and 7/8 of pi.
    fade = torch.sin(torch.pi * torch.tensor([1, 3, 5, 7]) / 8).square()
    torch.testing.assert_close(overlapping(torch.ones(2, 2)), fade * fade[:, None])
    slope = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    torch.testing.assert_close(overlapping(slope)[1], fade[1] * fade * torch.tensor([1.0, 1.0, 2.0, 2.0]))


def block_means(frames: torch.Tensor) -> torch.Tensor:
    return frames.unflatten(-1, (-1, 4)).unflatten(-3, (-1, 4)).mean((-1, -3))


def test_folding_replaces_missing_levels():
    frames = torch.rand(2, 3, 1, 16, 16)
    for channels, fold in (((8, 8, 8), 1), ((8, 8), 2), ((8,), 4)):
        settings = FrameVAESettings(factor=4, latent_channels=2, channels=channels)
        vae = build_frame_vae(settings)
        assert settings.fold == fold
        latents = vae.encode(frames)
        assert latents.shape == (2, 3, 2, 4, 4)
        assert vae.decode(latents).shape == frames.shape
    with pytest.raises(ValueError, match="do not make up a factor of 4"):
        FrameVAESettings(factor=4, channels=(8, 8, 8, 8))


@pytest.fixture
def colour_vae(tmp_path):
    """A folder with a small random VAE of Stable Diffusion's kind, and the settings that describe it."""
    levels = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    vae = AutoencoderKL(block_out_channels=(32, 32), layers_per_block=1, latent_channels=4, **levels)
    vae.save_pretrained(tmp_path)
    return FrameVAESettings(pretrained=str(tmp_path), factor=2, channels=(32, 32), latent_scale=0.5), vae


def test_pretrained_vae_is_frozen_and_sees_grey_as_three_colours(colour_vae):
    settings, oracle = colour_vae
    vae = build_frame_vae(settings)
    assert not any(parameter.requires_grad for parameter in vae.parameters())
    frame = torch.rand(1, 1, 1, 8, 8)
    latents = vae.encode(frame)
    expected = oracle.encode(frame[0].expand(1, 3, 8, 8)).latent_dist.mean
    torch.testing.assert_close(latents[0], 0.5 * expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        vae.decode(latents)[0], oracle.decode(expected).sample.mean(1, keepdim=True), atol=1e-5, rtol=1e-4
    )


def test_pretrained_vae_is_left_to_the_checkpoint_when_asked(colour_vae):
    settings, _ = colour_vae
    elsewhere = settings.model_copy(update={"pretrained": "/nowhere"})
    unfetched = build_frame_vae(elsewhere, pretrained=False)
    assert unfetched.load_state_dict(build_frame_vae(settings).state_dict())


def test_pretrained_vae_that_is_missing_or_another_is_refused(colour_vae, tmp_path):
    settings, _ = colour_vae
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="expected a folder with config"):
        build_frame_vae(settings.model_copy(update={"pretrained": str(tmp_path / "empty")}))
    with pytest.raises(InputError, match="latent_channels; got 4; expected 8"):
        build_frame_vae(settings.model_copy(update={"latent_channels": 8}))
