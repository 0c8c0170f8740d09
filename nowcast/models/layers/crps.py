"""The fair continuous ranked probability score as a loss: it rewards members that are neither alike nor astray.

M: members. x_m: member. y: observation. The score of a number (Ferro 2014, doi:10.1002/qj.2270; as a loss, Lang
et al. 2024, https://arxiv.org/abs/2412.15832) is

    1/M sum_m |x_m - y| - 1 / (2 M (M - 1)) sum_m,n |x_m - x_n|.

Of single pixels it says nothing of how they go together; means over blocks of several sizes do.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d


def fair_crps(members: Tensor, obs: Tensor) -> Tensor:
    """The score of members (B, M, ...) against observations (B, ...), element by element, shape (B, ...).

    Of a single member it is the absolute error.
    """
    count = members.shape[1]
    error = (members - obs[:, None]).abs().mean(1)
    if count == 1:
        return error
    ordered = members.sort(1).values
    rank = torch.arange(1 - count, count, 2, device=members.device, dtype=members.dtype)
    spread = torch.einsum("bm...,m->b...", ordered, rank) / (count * (count - 1))  # half the mean distance of two
    return error - spread


def block_crps(members: Tensor, obs: Tensor, observed: Tensor, sizes: Sequence[int]) -> Tensor:
    """Fair CRPS of means over square blocks, shape (sizes, B).

    Args:
        members: Shape (B, M, T, H, W).
        obs: Shape (B, T, H, W).
        observed: Where they are known; blocks count by their share of it.
        sizes: Pixels along a side of a block.
    """
    known = observed.to(members.dtype)
    masked = torch.cat([members, obs[:, None]], 1) * known[:, None]
    scores = []
    for size in sizes:
        share = avg_pool2d(known, size)
        means = avg_pool2d(masked.flatten(0, 1), size).unflatten(0, masked.shape[:2])
        # The mean of a half-known block is that of its known half, times its share: the weight it then has.
        score = fair_crps(means[:, :-1], means[:, -1])
        scores.append(score.flatten(1).sum(1) / share.flatten(1).sum(1).clamp(min=1))
    return torch.stack(scores)
