"""Positions and times as features that a network can tell apart."""

import torch
from torch import Tensor


def sinusoids(positions: Tensor, channels: int, longest: float) -> Tensor:
    """Sines and cosines with shape (*positions.shape, channels), wavelengths from 2 pi to 2 pi times `longest`."""
    frequencies = longest ** -(torch.arange(channels // 2, device=positions.device) / (channels // 2))
    angles = positions.float()[..., None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], -1)
