"""From noise to latents: schedulers, most of them diffusers', behind one loop.

z: the current sample, starting as standard normal noise. t: the time that a scheduler visits, in [0, 1000].
denoise(z, t): the quantity that the objective trained (eps, v, x0 or velocity), t with shape (B,).

`ddpm`         ancestral sampling, stochastic (Ho et al. 2020, https://arxiv.org/abs/2006.11239); DDIM's eta = 1
`ddim`         its deterministic limit, Euler's method in sigma / alpha (Song et al. 2020, https://arxiv.org/abs/2010.02502)
`dpmsolver++`  second-order multistep solver (Lu et al. 2022, https://arxiv.org/abs/2211.01095)
`euler`        Euler's method on the velocity of a rectified flow

A sampler is one function of the objective, its betas and the number of steps, which returns a scheduler with the
interface of diffusers', and one line in `SAMPLERS` per objective. Every member has its own CPU generator, so its noise
depends neither on its batch mates nor on the device.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nowcast.diffusion.objectives import LINEAR, PROCESSES, TIMES, Betas
from pipelines.errors import InputError

_PREDICTION = {"epsilon": "epsilon", "v": "v_prediction", "x0": "sample"}


def _process(objective: str, betas: Betas) -> dict[str, Any]:
    # "trailing" visits the last time, where training ended; the default spacing starts short of pure noise.
    return {
        "num_train_timesteps": TIMES,
        "beta_start": betas.first,
        "beta_end": betas.last,
        "beta_schedule": {1: "linear", 2: "scaled_linear"}[betas.power],
        "prediction_type": _PREDICTION[objective],
        "timestep_spacing": "trailing",
    }


def _ddpm(objective: str, betas: Betas, steps: int) -> Any:
    from diffusers import DDPMScheduler

    # diffusers clips samples to [-1, 1] unless told otherwise: right for images, wrong for latents.
    scheduler: Any = DDPMScheduler(**_process(objective, betas), clip_sample=False)
    scheduler.set_timesteps(steps)
    return scheduler


class _Step(NamedTuple):
    """A step's end, named as diffusers names it."""

    prev_sample: Tensor


class _Ddim:
    """DDIM without diffusers, which takes seconds to import: the shipped weights are sampled by it."""

    def __init__(self, objective: str, betas: Betas, steps: int):
        self._process = PROCESSES[objective](betas)
        self._stride = TIMES // steps
        self.timesteps = torch.from_numpy(np.arange(TIMES, 0, -TIMES / steps).round().astype("int64") - 1)

    def step(self, prediction: Tensor, t: Tensor, z: Tensor, generator: object) -> _Step:
        """Straight on to the next time, or to clean latents from the last."""
        alpha, sigma = self._process.levels(t)
        x0 = self._process.clean(prediction, z, t)
        if t < self._stride:
            return _Step(x0)
        next_alpha, next_sigma = self._process.levels(t - self._stride)
        return _Step(next_alpha * x0 + next_sigma * (z - alpha * x0) / sigma)


def _dpmsolver(objective: str, betas: Betas, steps: int) -> Any:
    from diffusers import DPMSolverMultistepScheduler

    scheduler: Any = DPMSolverMultistepScheduler(**_process(objective, betas))
    scheduler.set_timesteps(steps)
    return scheduler


def _euler(objective: str, betas: Betas, steps: int) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler: Any = FlowMatchEulerDiscreteScheduler(num_train_timesteps=TIMES)
    # Equal steps down to zero; the default wastes its last step on the last thousandth.
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps).tolist())
    return scheduler


SAMPLERS: dict[tuple[str, str], Callable[[str, Betas, int], Any]] = {
    ("epsilon", "ddpm"): _ddpm,
    ("epsilon", "ddim"): _Ddim,
    ("epsilon", "dpmsolver++"): _dpmsolver,
    ("v", "ddpm"): _ddpm,
    ("v", "ddim"): _Ddim,
    ("v", "dpmsolver++"): _dpmsolver,
    ("x0", "ddpm"): _ddpm,
    ("x0", "ddim"): _Ddim,
    ("x0", "dpmsolver++"): _dpmsolver,
    ("flow", "euler"): _euler,
}


def check_sampler(objective: str, sampler: str, steps: int) -> None:
    """Refuses a sampler that cannot sample `objective`, or a number of steps that it cannot take.

    Raises:
        InputError: naming the samplers, or the numbers of steps, that are possible.
    """
    if (objective, sampler) not in SAMPLERS:
        known = ", ".join(name for trained, name in SAMPLERS if trained == objective)
        raise InputError(f"sampler for the objective {objective!r}", got=repr(sampler), expected=f"one of {known}")
    if not 1 <= steps <= TIMES:
        raise InputError("sampling steps", got=steps, expected=f"1 to {TIMES}")


def draw_noise(shape: Sequence[int], generators: Sequence[torch.Generator]) -> Tensor:
    """Standard normal noise with shape (len(generators), *shape), each row from its own CPU generator."""
    return torch.stack([torch.randn(tuple(shape), generator=generator) for generator in generators])


def sampling(
    denoise: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    *,
    objective: str,
    sampler: str,
    steps: int,
    generators: Sequence[torch.Generator],
    betas: Betas = LINEAR,
) -> Iterator[Tensor]:
    """The reverse process from `noise` to clean latents, step by step.

    Args:
        denoise: Prediction for (z, t) with shapes (B, ...) and (B,). It sees the whole domain, so that the noise of
            every sampler is a function of place; one that works on tiles blends its predictions.
        noise: Standard normal start with shape (B, ...); its device is the sampling device.
        objective: The training target of `denoise`, a key of OBJECTIVES.
        sampler: One of the samplers possible for `objective` (see SAMPLERS).
        steps: Calls of `denoise`.
        generators: One CPU generator per row of `noise`, for samplers that add noise on the way.
        betas: Those under which `denoise` was trained; a flow has none.

    Yields:
        The sample after each step, with the shape of `noise`, float32; the last is clean.

    Raises:
        InputError: for a sampler that does not fit the objective.
    """
    check_sampler(objective, sampler, steps)
    scheduler = SAMPLERS[objective, sampler](objective, betas, steps)
    z = noise.float()
    for t in scheduler.timesteps:
        prediction = denoise(z, t.to(z.device).expand(len(z))).float()
        z = scheduler.step(prediction, t, z, generator=list(generators)).prev_sample
        yield z


def sample(*inputs: Any, steps: int, stop: float = 1.0, **settings: Any) -> Tensor:
    """The end of `sampling`, which takes the same arguments: clean latents with the shape of the noise.

    With `stop` below 1, the sample after that share of the steps, at least one of them: still noisy.
    """
    for z in islice(sampling(*inputs, steps=steps, **settings), max(1, round(stop * steps))):
        end = z
    return end
