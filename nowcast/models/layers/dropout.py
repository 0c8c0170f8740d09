"""Dropout whose draws are a sample's own, so that a resumed training and one in several processes draw the same."""

import torch
from torch import Tensor

from nowcast.models.network import Draws


class Dropout:
    """Sets parts of x (B, ...) to zero at random and scales the rest, so that the mean stays the same.

    Args:
        draws: Those of the training step; sample b draws from the first generator of case b.
        device: Device of x, on which masks are drawn.
    """

    def __init__(self, draws: Draws, device: torch.device):
        seeds = [int(torch.randint(2**62, (), generator=generator)) for generator in draws.cases]
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def elements(self, x: Tensor, rate: float) -> Tensor:
        """Each element is zero with probability `rate`."""
        return x * self._kept(x.shape[1:], rate) if rate else x

    def samples(self, x: Tensor, rate: float) -> Tensor:
        """Each sample is zero as a whole with probability `rate` (stochastic depth)."""
        return x * self._kept((1,) * (x.ndim - 1), rate) if rate else x

    def _kept(self, shape: tuple[int, ...], rate: float) -> Tensor:
        drawn = [torch.rand(shape, generator=generator, device=generator.device) for generator in self._generators]
        return (torch.stack(drawn) >= rate) / (1 - rate)
