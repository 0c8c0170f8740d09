"""Training targets of a denoiser: four parametrisations of one Gaussian noising process.

    z_t = alpha_t x0 + sigma_t eps

x0: clean latents. eps: standard normal noise of the same shape. t: time in [0, 1000], 0 clean, 1000 noise, shape (B,),
on the scale of diffusers' schedulers. alpha_t, sigma_t: signal and noise level. beta_t: variance added in step t.

`epsilon`  the noise eps; discrete t, alpha_t^2 = prod(1 - beta), sigma_t^2 = 1 - alpha_t^2, beta_t evenly spaced from
           1e-4 to 0.02 (Ho et al. 2020, https://arxiv.org/abs/2006.11239; PredLDM, equation 12) or of other `Betas`
`v`        alpha_t eps - sigma_t x0; the same process (Salimans and Ho 2022, https://arxiv.org/abs/2202.00512)
`x0`       x0 itself; the same process
`flow`     the velocity eps - x0; t uniform, alpha_t = 1 - t/1000, sigma_t = t/1000
           (rectified flow, Liu et al. 2022, https://arxiv.org/abs/2209.03003)
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

TIMES = 1000


class Betas(NamedTuple):
    """The variances beta_t that are added in the steps of a process.

    Attributes:
        first: Of the first step.
        last: Of the last step.
        power: beta_t^(1 / power) is evenly spaced: 1, or 2 for latents (Rombach et al. 2022,
            https://arxiv.org/abs/2112.10752).
    """

    first: float = 1e-4
    last: float = 0.02
    power: Literal[1, 2] = 1

    @property
    def values(self) -> Tensor:
        """beta_t with shape (TIMES,), float64."""
        first, last = (end ** (1 / self.power) for end in (self.first, self.last))
        return torch.linspace(first, last, TIMES, dtype=torch.float64) ** self.power


LINEAR = Betas()


class Objective(ABC):
    """A noising process and the quantity that the denoiser predicts under it."""

    @abstractmethod
    def draw_times(self, generators: Sequence[torch.Generator]) -> Tensor:
        """Training times with shape (B,), on the CPU, each from its own generator."""

    @abstractmethod
    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Signal and noise level (alpha_t, sigma_t), each with the shape of `t`."""

    @abstractmethod
    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The target of the denoiser for `noisy(x0, noise, t)`; shape of `x0`."""

    @abstractmethod
    def clean(self, prediction: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """x0 as a prediction for `z` at times (B,) implies it; shape of `z`."""

    def clipped(self, prediction: Tensor, z: Tensor, t: Tensor, low: float, high: float) -> Tensor:
        """The prediction that implies the same x0, cut to its range from `low` to `high`; shape of `z`."""
        alpha, sigma = self._levels_like(z, t)
        x0 = self.clean(prediction, z, t).clamp(low, high)
        return self.target(x0, (z - alpha * x0) / sigma, t)

    def noisy(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """z_t = alpha_t x0 + sigma_t eps, with `t` of shape (B,) for `x0` of shape (B, ...)."""
        alpha, sigma = self._levels_like(x0, t)
        return alpha * x0 + sigma * noise

    def _levels_like(self, x0: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = self.levels(t.to(x0.device))
        shape = (-1, *[1] * (x0.dim() - 1))
        return alpha.view(shape), sigma.view(shape)


class Epsilon(Objective):
    """Prediction of the noise, T = 1000; under linear betas PredLDM's own."""

    def __init__(self, betas: Betas = LINEAR) -> None:
        self._alpha_squared = torch.cumprod(1 - betas.values, 0)

    def draw_times(self, generators: Sequence[torch.Generator]) -> Tensor:
        """See `Objective.draw_times`."""
        return torch.cat([torch.randint(TIMES, (1,), generator=generator) for generator in generators])

    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """See `Objective.levels`."""
        alpha_squared = self._alpha_squared.to(t.device)[t.long()]
        return alpha_squared.sqrt().float(), (1 - alpha_squared).sqrt().float()

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """See `Objective.target`."""
        return noise

    def clean(self, prediction: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """See `Objective.clean`."""
        alpha, sigma = self._levels_like(z, t)
        return (z - sigma * prediction) / alpha


class Velocity(Epsilon):
    """Prediction of v = alpha_t eps - sigma_t x0 under the same betas."""

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """See `Objective.target`."""
        alpha, sigma = self._levels_like(x0, t)
        return alpha * noise - sigma * x0

    def clean(self, prediction: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """See `Objective.clean`."""
        alpha, sigma = self._levels_like(z, t)
        return alpha * z - sigma * prediction


class Data(Epsilon):
    """Prediction of x0 under the same betas."""

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """See `Objective.target`."""
        return x0

    def clean(self, prediction: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """See `Objective.clean`."""
        return prediction


class Flow(Objective):
    """Prediction of the velocity eps - x0 of straight paths from data to noise."""

    def draw_times(self, generators: Sequence[torch.Generator]) -> Tensor:
        """See `Objective.draw_times`."""
        return TIMES * torch.cat([torch.rand(1, generator=generator) for generator in generators])

    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """See `Objective.levels`."""
        return 1 - t / TIMES, t / TIMES

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """See `Objective.target`."""
        return noise - x0

    def clean(self, prediction: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """See `Objective.clean`."""
        return z - self._levels_like(z, t)[1] * prediction


PROCESSES: dict[str, type[Epsilon]] = {"epsilon": Epsilon, "v": Velocity, "x0": Data}
"""Objectives under betas."""

OBJECTIVES: dict[str, type[Objective]] = {**PROCESSES, "flow": Flow}
