"""The fair continuous ranked probability score as a loss: it rewards members that are neither alike nor astray.

M: members. x_m: member. y: observation. The score of a number (Ferro 2014, doi:10.1002/qj.2270; as a loss, Lang
et al. 2024, https://arxiv.org/abs/2412.15832) is

    1/M sum_m |x_m - y| - 1 / (2 M (M - 1)) sum_m,n |x_m - x_n|.

Of single pixels it says nothing of how they go together; means over blocks of several sizes do.
"""

from collections.abc import Sequence

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.functional import avg_pool2d

from nowcast.models.frames import FrameScale
from nowcast.models.network import Batch


class EnsembleSettings(BaseModel):
    """The loss of members that are trained together.

    Attributes:
        members: Members drawn of each case.
        blocks: Sides of the blocks, in pixels, of whose means the fair CRPS is taken.
        thresholds: Counts; for each the CRPS is taken once more with all below raised to it, so that strong echo is not
            traded for weak (threshold-weighted CRPS; Gneiting and Ranjan 2011, doi:10.1198/jbes.2010.08110).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: int = Field(default=2, ge=2)
    blocks: tuple[int, ...] = (1, 4, 16)
    thresholds: tuple[float, ...] = ()


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


def ensemble_loss(members: Tensor, batch: Batch, scale: FrameScale, settings: EnsembleSettings) -> dict[str, Tensor]:
    """Fair CRPS of some members in units of persistence's error and one count, so that light rain weighs as heavy rain.

    Args:
        members: In network units, shape (B, M, T, C, H, W). No echo is below zero.
        batch: What they forecast, and from what.
        scale: The network's units.
        settings: See there.
    """
    future, last = scale.to_values(batch.future.frames), scale.to_values(batch.history.frames[:, -1:])
    # Each channel of a video counts as a frame of its own.
    observed = batch.future.observed.expand_as(future).flatten(1, 2)
    fields = [scale.to_values(members).relu().flatten(2, 3), future.flatten(1, 2), last.expand_as(future).flatten(1, 2)]
    losses: list[Tensor] = []
    logged: dict[str, Tensor] = {}
    for floor in (0.0, *settings.thresholds):
        made, true, newest = (field.clamp(min=floor) for field in fields)
        crps = block_crps(made, true, observed, settings.blocks)
        error = block_crps(newest[:, None], true, observed, (1,))
        losses.append((crps / (error + 1)).mean())
        name = f"_above_{floor:g}" if floor else ""
        logged |= {f"crps_{size}{name}": part.mean() for size, part in zip(settings.blocks, crps, strict=True)}
    return {"loss": torch.stack(losses).mean(), **logged}
