"""Samplers against a Gaussian: with data N(m, s^2) the best prediction, and so the sampled law, is known exactly."""

import pytest
import torch
from diffusers import DDIMScheduler

from nowcast.diffusion.objectives import OBJECTIVES, Betas, Epsilon
from nowcast.diffusion.samplers import SAMPLERS, draw_noise, sample, sampling
from pipelines.errors import InputError

MEAN, STD = 1.5, 0.4
STEPS = {"ddpm": 1000, "ddim": 500, "dpmsolver++": 100, "euler": 500}


def exact_denoiser(objective: str):
    """E[target | z_t] for x0 ~ N(MEAN, STD^2): E[x0 | z] = m + alpha s^2 (z - alpha m) / (alpha^2 s^2 + sigma^2)."""
    process = OBJECTIVES[objective]()

    def denoise(z, t):
        alpha, sigma = (level.double()[:, None] for level in process.levels(t))
        z = z.double()
        x0 = MEAN + alpha * STD**2 * (z - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2)
        noise = (z - alpha * x0) / sigma
        return {"epsilon": noise, "v": alpha * noise - sigma * x0, "x0": x0, "flow": noise - x0}[objective]

    return denoise


def generators(count: int, first: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(first + i) for i in range(count)]


@pytest.mark.parametrize(("objective", "sampler"), SAMPLERS)
def test_samples_have_the_mean_and_deviation_of_the_data(objective, sampler):
    rows = generators(4)
    options = {"objective": objective, "sampler": sampler, "steps": STEPS.get(sampler, 500), "generators": rows}
    z = sample(exact_denoiser(objective), draw_noise((25_000,), rows), **options).double()
    # Four standard errors of 100,000 draws are 0.0051 for the mean and 0.0036 for the deviation.
    assert z.mean().item() == pytest.approx(MEAN, abs=0.007)
    assert z.std().item() == pytest.approx(STD, abs=0.007)
    assert (z[0] - z[1]).std().item() == pytest.approx(STD * 2**0.5, abs=0.015)


def test_few_steps_of_euler_by_hand():
    # One step of a straight path: z0 = z1 - velocity.
    z = sample(
        lambda z, t: z - t[:, None] / 1000,
        torch.full((1, 2), 3.0),
        objective="flow",
        sampler="euler",
        steps=1,
        generators=generators(1),
    )
    assert z.tolist() == [[1.0, 1.0]]


def test_few_steps_of_ddpm_are_ddim_with_eta_one_by_hand():
    betas = Betas(0.0015, 0.0195, power=2)
    process, generator, rows = Epsilon(betas), generators(1)[0], generators(1)
    start = torch.randn(1, 6, generator=torch.Generator().manual_seed(9))
    options = {"objective": "epsilon", "sampler": "ddpm", "steps": 4, "generators": rows, "betas": betas}
    made = sample(lambda z, t: 0.3 * z, start, **options)
    z, times = start.double(), [999, 749, 499, 249]
    for t, after in zip(times, [*times[1:], None], strict=True):
        alpha, sigma = (level.double() for level in process.levels(torch.tensor([t])))
        noise = 0.3 * z
        x0 = (z - sigma * noise) / alpha
        if after is None:
            z = x0
            continue
        next_alpha, next_sigma = (level.double() for level in process.levels(torch.tensor([after])))
        added = (next_sigma / sigma) * (1 - alpha**2 / next_alpha**2).sqrt()
        drawn = torch.randn(1, 6, generator=generator).double()
        z = next_alpha * x0 + (next_sigma**2 - added**2).sqrt() * noise + added * drawn
    torch.testing.assert_close(made.double(), z, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 3, 50])
@pytest.mark.parametrize("objective", ["epsilon", "v", "x0"])
def test_ddim_is_that_of_diffusers(objective, steps):
    betas = Betas(0.0015, 0.0195, power=2)
    kind = {"epsilon": "epsilon", "v": "v_prediction", "x0": "sample"}[objective]
    shape = {"beta_start": betas.first, "beta_end": betas.last, "beta_schedule": "scaled_linear"}
    oracle = DDIMScheduler(**shape, prediction_type=kind, clip_sample=False, timestep_spacing="trailing")
    oracle.set_timesteps(steps)
    z = start = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    for t in oracle.timesteps:
        z = oracle.step(0.5 * z.sin(), t, z).prev_sample
    options = {"objective": objective, "sampler": "ddim", "steps": steps, "generators": generators(2), "betas": betas}
    made = sample(lambda z, t: 0.5 * z.sin(), start, **options)
    torch.testing.assert_close(made, z, atol=1e-4, rtol=1e-4)


def test_euler_takes_equal_steps_from_noise_to_data():
    visited = []

    def denoise(z, t):
        visited.append(t[0].item())
        return torch.ones_like(z)

    z = sample(denoise, torch.zeros(1, 1), objective="flow", sampler="euler", steps=4, generators=generators(1))
    assert visited == pytest.approx([1000, 750, 500, 250])
    assert z.item() == pytest.approx(-1)


@pytest.mark.parametrize(("objective", "sampler"), SAMPLERS)
def test_a_member_does_not_depend_on_its_batch(objective, sampler):
    def run(first: int, count: int) -> torch.Tensor:
        rows = generators(count, first)
        options = {"objective": objective, "sampler": sampler, "steps": 5, "generators": rows}
        return sample(exact_denoiser(objective), draw_noise((7,), rows), **options)

    together = run(0, 4)
    torch.testing.assert_close(run(2, 1), together[2:3], rtol=0, atol=0)
    assert not torch.equal(together[0], together[1])


def test_impossible_choices_are_refused():
    def refused(**options):
        with pytest.raises(InputError) as error:
            sample(lambda z, t: z, torch.zeros(1, 1), generators=generators(1), **options)
        return str(error.value)

    assert "expected one of ddpm, ddim, dpmsolver++" in refused(objective="epsilon", sampler="euler", steps=5)
    assert "expected one of euler" in refused(objective="flow", sampler="ddpm", steps=5)
    assert "1 to 1000" in refused(objective="v", sampler="ddim", steps=0)
    assert "1 to 1000" in refused(objective="v", sampler="ddim", steps=1001)


def test_sampling_may_stop_on_the_way():
    noise = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    settings = {"objective": "v", "sampler": "ddim", "steps": 10, "generators": [torch.Generator()] * 2}
    way = list(sampling(lambda z, t: 0.5 * z, noise, **settings))
    for stop, expected in ((0.01, way[0]), (0.3, way[2]), (1.0, way[-1])):
        assert torch.equal(sample(lambda z, t: 0.5 * z, noise, stop=stop, **settings), expected)
