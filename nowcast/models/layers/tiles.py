"""Large domains as overlapping tiles of the size that a network was trained at, blended without seams."""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor


class Tile(NamedTuple):
    """A square of a domain, of pixels or latent locations, by its south-west corner."""

    row: int
    column: int
    side: int

    @property
    def rows(self) -> slice:
        """Its rows in the domain."""
        return slice(self.row, self.row + self.side)

    @property
    def columns(self) -> slice:
        """Its columns in the domain."""
        return slice(self.column, self.column + self.side)

    def of(self, x: Tensor) -> Tensor:
        """The tile's part of `x` with shape (..., h, w)."""
        return x[..., self.rows, self.columns]


def cover(height: int, width: int, side: int) -> list[Tile]:
    """Tiles that cover a domain, evenly spread, at least a quarter of a side in common."""
    return [Tile(row, column, side) for row, column in product(_starts(height, side), _starts(width, side))]


def _starts(length: int, side: int) -> list[int]:
    gaps = -(-(length - side) // (side - side // 4))
    return [round(number * (length - side) / max(gaps, 1)) for number in range(gaps + 1)]


def blend(parts: Iterable[Tensor], tiles: Sequence[Tile], height: int, width: int) -> Tensor:
    """One field (..., height, width) of the parts (..., side, side) of tiles.

    Where tiles overlap, weights fall linearly towards their edges and add up to one; with one tile it is that part.
    """
    if len(tiles) == 1:
        return next(iter(parts))
    ramp = torch.arange(1, tiles[0].side + 1)
    edge = torch.minimum(ramp, ramp.flip(0)).float()
    weight = torch.outer(edge, edge)
    total: Tensor | None = None
    weights = torch.zeros(height, width)
    for part, tile in zip(parts, tiles, strict=True):
        if total is None:
            total, weights = part.new_zeros(*part.shape[:-2], height, width), weights.to(part.device)
        tile.of(total).add_(part * weight.to(part.device))
        tile.of(weights).add_(weight.to(part.device))
    assert total is not None
    return total / weights
