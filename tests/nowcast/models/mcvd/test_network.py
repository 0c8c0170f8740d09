"""MCVD: blocks made one after another, training targets and masks, and a Gaussian whose best denoiser is known."""

import numpy as np
import pytest
import torch

from nowcast.models.frames import Clip
from nowcast.models.mcvd.network import MCVD
from nowcast.models.network import Batch, Draws
from nowcast.models.trained import TrainedForecaster
from pipelines.errors import InputError

PIXELS = 16 * 16


def draws(*seeds: int) -> Draws:
    return Draws([[torch.Generator().manual_seed(seed)] for seed in seeds])


@pytest.fixture
def batch() -> Batch:
    """Two windows; the frame of number n is n / 10 everywhere, of the second window n / 10 + 1."""
    frames = (torch.arange(8) / 10).view(1, 8, 1, 1, 1).expand(2, 8, 1, 16, 16) + torch.arange(2).view(2, 1, 1, 1, 1)
    seen = torch.ones_like(frames, dtype=torch.bool)
    return Batch(Clip(frames[:, :5], seen[:, :5]), Clip(frames[:, 5:], seen[:, 5:]))


class Spied:
    """Stands in for `MCVD.denoise`: keeps what it is given, and predicts by x0 (told, z)."""

    def __init__(self, network: MCVD, x0):
        self.network, self.x0, self.given = network, x0, []

    def __call__(self, z, t, told, dropout=None):
        self.given.append((z, t, told))
        alpha, sigma = (level.view(-1, 1, 1, 1, 1) for level in self.network.objective.levels(t))
        x0 = self.x0(told, z)
        return self.network.objective.target(x0, (z - alpha * x0) / sigma, t)


@torch.no_grad()
def test_each_block_follows_on_the_last_and_is_told_its_own_guess(tiny, batch, monkeypatch):
    network = tiny("mcvd", first_guess="advection", sampling={"steps": 2})
    spied = Spied(network, lambda told, z: (told[:, 4] + 0.1)[:, None, None].expand_as(z))
    monkeypatch.setattr(network, "denoise", spied)
    counts = 50 * batch.history.frames[:, :, 0].numpy()
    guess = network.settings.guess(counts, np.ones_like(counts, bool), 5.0, 1.0)
    condition = network.condition(batch.history._replace(guess=guess))
    members = network.generate(condition, Draws([draws(1, 2).cases, draws(3, 4).cases]))
    expected = torch.tensor([0.5, 0.5, 0.6, 1.5, 1.5, 1.6]).view(2, 1, 3, 1, 1, 1).expand(2, 2, 3, 1, 16, 16)
    torch.testing.assert_close(members, expected, rtol=0, atol=1e-5)
    assert len(spied.given) == 4  # two steps of two blocks
    first, second = spied.given[0][2], spied.given[2][2]
    frames, guesses = batch.history.frames[:, :, 0], guess.as_channels
    torch.testing.assert_close(first[::2, :5], frames)
    torch.testing.assert_close(second[::2, :3], frames[:, 2:])
    torch.testing.assert_close(second[::2, 3:5], expected[:, 0, :2, 0])
    torch.testing.assert_close(first[::2, 5:], guesses[:, :2].flatten(1, 2))
    torch.testing.assert_close(second[::2, 5:9], guesses[:, 2])
    assert not second[:, 9:].any()  # past the lead there is none


@torch.no_grad()
def test_samples_are_cut_to_the_range_of_frames_in_every_step(tiny, batch, monkeypatch):
    network = tiny("mcvd", objective="epsilon", offset=127.5, scale=127.5, sampling={"steps": 5})
    monkeypatch.setattr(network, "denoise", spied := Spied(network, lambda told, z: torch.full_like(z, 7.0)))
    made = network.generate(network.condition(batch.history), draws(0, 1))
    torch.testing.assert_close(made, torch.ones_like(made), rtol=0, atol=1e-3)
    last, t, _ = spied.given[-1]
    alpha, sigma = network.objective.levels(t[:1])
    assert (last - alpha).abs().max() < 5 * sigma  # around 1, not around 7


@torch.no_grad()
def test_a_larger_domain_is_denoised_in_tiles_that_stay_in_place(tiny, monkeypatch):
    network = tiny("mcvd", sampling={"steps": 2})
    monkeypatch.setattr(network, "denoise", spied := Spied(network, lambda told, z: told[:, 4:5, None].expand_as(z)))
    frames = 4 * torch.rand(1, 5, 1, 48, 56)
    made = network.generate(network.condition(Clip(frames, frames > -1)), draws(0))
    torch.testing.assert_close(made[0, 0], frames[0, 4:].expand(3, 1, 48, 56), rtol=0, atol=1e-5)
    assert {z.shape[-2:] for z, _, _ in spied.given} == {(32, 32)}


def test_a_forecast_past_the_lead_goes_on_from_its_own_members(tiny, to_history, moving_storm, lead_times):
    forecaster = TrainedForecaster(tiny("mcvd"))
    history = to_history(moving_storm((16, 16), (1, 0), 5, size=32)[None])
    longer = forecaster.forecast(history, lead_times(5), 2, 0).values
    np.testing.assert_array_equal(longer[:, :, :3], forecaster.forecast(history, lead_times(3), 2, 0))
    alone = forecaster.forecast(history, lead_times(5), [1], 0).values
    np.testing.assert_allclose(longer[:, 1:], alone, rtol=1e-4, atol=0.01)
    assert np.isfinite(longer).all() and np.abs(longer[:, 0, 3:] - longer[:, 1, 3:]).max() > 1


@torch.no_grad()
@pytest.mark.parametrize("rates", [(0.0, 0.0), (0.5, 0.3)])
def test_training_blocks_their_past_future_and_masks(tiny, batch, monkeypatch, rates):
    masks = {"future": 1, "mask_past": rates[0], "mask_future": rates[1] or 1e-9}
    network = tiny("mcvd", block=1, **masks)
    monkeypatch.setattr(network, "denoise", spied := Spied(network, lambda told, z: torch.zeros_like(z)))
    starts, kept = [], []
    for seed in range(200):
        network.stages["diffusion"].loss(batch, draws(seed, 1000 + seed))
        told = spied.given[-1][2]
        kept.append(told[:, (0, 5), 0, 0] != 0)
        later = told[0, 5, 0, 0].item()
        past = told[0, :5, 0, 0]
        if kept[-1][0, 1]:
            starts.append(round(10 * later) - 6)
            if past.any():
                torch.testing.assert_close(past, (torch.arange(5) + starts[-1]) / 10)
    assert set(starts) == {0, 1}  # blocks of frame 5 or 6, with room for the frame after
    past, later = torch.stack(kept).float().mean((0,))[1]  # of the second window, none of whose frames is 0
    assert past.item() == pytest.approx(1 - rates[0], abs=0.15) and later.item() == pytest.approx(
        1 - rates[1], abs=0.15
    )


@torch.no_grad()
def test_the_loss_is_half_the_squared_error_summed_over_observed_pixels(tiny, batch, monkeypatch):
    network = tiny("mcvd", block=3, objective="epsilon")  # so that the block begins with the future
    monkeypatch.setattr(network, "denoise", spied := Spied(network, lambda told, z: torch.zeros_like(z)))
    seen = batch.future.observed.clone()
    seen[1, 2, :, :8] = False
    loss = network.stages["diffusion"].loss(batch._replace(future=batch.future._replace(observed=seen)), draws(0, 1))
    z, t, _ = spied.given[0]
    alpha, sigma = (level.view(2, 1, 1, 1, 1) for level in network.objective.levels(t))
    noise = (z - alpha * batch.future.frames) / sigma
    assert abs(noise.mean()) < 0.1 and noise.std().item() == pytest.approx(1, abs=0.1)
    error = (z / sigma - noise).square() * seen
    torch.testing.assert_close(loss["loss"], error.sum() / 4, rtol=1e-3, atol=0.1)
    torch.testing.assert_close(loss["mse"], error.sum() / seen.sum(), rtol=1e-3, atol=1e-3)


MEAN, STD = 1.5, 0.4


def of_gaussian(network: MCVD):
    """The best denoiser of pixels N(MEAN, STD^2) that do not depend on each other."""

    def denoise(z, t, told, dropout=None):
        alpha, sigma = (level.view(-1, 1, 1, 1, 1) for level in network.objective.levels(t))
        x0 = MEAN + alpha * STD**2 * (z - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2)
        return network.objective.target(x0, (z - alpha * x0) / sigma, t)

    return denoise


@torch.no_grad()
@pytest.mark.parametrize("objective", ["epsilon", "x0"])
def test_members_have_the_mean_and_deviation_of_the_data(tiny, batch, monkeypatch, objective):
    network = tiny("mcvd", objective=objective, sampling={"steps": 250})
    monkeypatch.setattr(network, "denoise", of_gaussian(network))
    made = network.generate(network.condition(batch.history), Draws([draws(0, 1).cases, draws(2, 3).cases])).double()
    assert made.shape == (2, 2, 3, 1, 16, 16)
    standard_error = STD / (4 * 3 * PIXELS) ** 0.5
    assert made.mean().item() == pytest.approx(MEAN, abs=4 * standard_error)
    assert made.std().item() == pytest.approx(STD, abs=4 * standard_error)
    blocks = made[:, :, 1] - MEAN, made[:, :, 2] - MEAN  # the last frame of a block and the first of the next
    assert abs((blocks[0] * blocks[1]).mean() / STD**2) < 4 / (4 * PIXELS) ** 0.5


@torch.no_grad()
def test_the_loss_of_the_best_denoiser_is_the_noise_that_nobody_can_know(tiny, batch, monkeypatch):
    network = tiny("mcvd", block=3, objective="epsilon")
    monkeypatch.setattr(network, "denoise", of_gaussian(network))
    measured, expected = [], []
    for seed in range(100):
        random = torch.Generator().manual_seed(seed)
        future = MEAN + STD * torch.randn(2, 3, 1, 16, 16, generator=random)
        of = draws(2 * seed, 2 * seed + 1)
        measured.append(
            network.stages["diffusion"].loss(batch._replace(future=batch.future._replace(frames=future)), of)
        )
        again = draws(2 * seed, 2 * seed + 1).cases
        for generator in again:  # a start and two masks are drawn before the time
            torch.randint(1, (), generator=generator)
        for _ in range(2):
            for generator in again:
                torch.rand((), generator=generator)
        alpha, sigma = network.objective.levels(network.objective.draw_times(again))
        expected.append((alpha**2 * STD**2 / (alpha**2 * STD**2 + sigma**2)).mean())  # variance of the noise given z
    mse = torch.stack([loss["mse"] for loss in measured]).mean()
    assert mse.item() == pytest.approx(torch.stack(expected).mean().item(), rel=0.02)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"block": 4}, "block 4 and future 0 are longer than lead 3"),
        ({"future": 1}, "mask_future"),
        ({"sampling": {"sampler": "euler"}}, "sampler for the objective 'v'"),
        ({"sampling": {"steps": 0}}, "sampling steps"),
        ({"side": 36}, "side 36 is no multiple of 8"),
        ({"first_guess": "steps"}, "first_guess"),
        ({"head_width": 3}, "width 8 is no multiple of head_width 3"),
        ({"kind": "film"}, "kind"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tiny, settings, said):
    with pytest.raises(InputError, match=said):
        tiny("mcvd", **settings)
