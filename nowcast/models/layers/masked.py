"""Means of latents over observed pixels."""

from collections.abc import Iterable

import torch
from torch import Tensor


def weighted_mean(x: Tensor, weight: Tensor) -> Tensor:
    """Mean of `x` (B, T, C, ...) under weights (B, T, 1, ...)."""
    return (x * weight).sum() / (weight.sum() * x.shape[2]).clamp(min=1)


def moments(clips: Iterable[tuple[Tensor, Tensor]], dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over `dims` of latents (B, T, C, h, w) where pixels were observed."""
    sums = []
    for z, valid in clips:
        z, weight = z.double(), valid.double().expand_as(z)
        sums.append(torch.stack([(weight * z**power).sum(dims) for power in (0, 1, 2)]))
    count, first, second = torch.stack(sums).sum(0)
    mean = first / count.clamp(min=1)
    return mean.float(), (second / count.clamp(min=1) - mean**2).clamp(min=1e-12).sqrt().float()
