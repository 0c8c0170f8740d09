"""The data edge of networks: counts in NumPy on one side, tensors in a network's own units on the other.

B: windows or cases. T: frames. C: channels, 1 of radar and grey video, 3 of colour. G: first guesses.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from nowcast.models.guess import Guess


class FrameScale(NamedTuple):
    """How a network sees the values of frames, counts of radar or brightness of video.

    Attributes:
        offset: The value that a network sees as 0.
        scale: How many values a network sees as 1.
        echo: Values below are no echo and become 0; 0 for video.
    """

    offset: float
    scale: float
    echo: float

    def to_network(self, values: Tensor) -> Tensor:
        """Values of frames in the network's units, same shape."""
        return (values - self.offset) / self.scale

    def to_values(self, x: Tensor) -> Tensor:
        """The network's units as values of frames, same shape; may lie outside of their range."""
        return x * self.scale + self.offset

    def floored(self, values: Tensor) -> Tensor:
        """Values without those below the least echo, a network's noise around zero."""
        return torch.where(values < self.echo, 0, values)


class Clip(NamedTuple):
    """Frames as a network sees them.

    Attributes:
        frames: In the network's own units, zero echo where missing, shape (B, T, C, H, W).
        observed: Where all channels were observed, shape (B, T, 1, H, W).
        guess: First guesses of the frames that follow, where the settings ask for them.
    """

    frames: Tensor
    observed: Tensor
    guess: Guess | None = None

    def to(self, device: torch.device) -> "Clip":
        """The same clip on `device`."""
        guess = None if self.guess is None else self.guess.to(device)
        return Clip(self.frames.to(device), self.observed.to(device), guess)

    def part(self, rows: slice, columns: slice) -> "Clip":
        """The same clip of a part of the domain."""
        guess = None if self.guess is None else self.guess.part(rows, columns)
        return Clip(self.frames[..., rows, columns], self.observed[..., rows, columns], guess)


def clip_of(values: np.ndarray, observed: np.ndarray, scale: FrameScale) -> Clip:
    """A clip on the CPU, without guesses.

    Args:
        values: Frames with shape (B, T, H, W), or of video (B, T, C, H, W); zero where missing.
        observed: False where missing, same shape.
        scale: The network's units.
    """
    frames, seen = torch.from_numpy(np.ascontiguousarray(values)), torch.from_numpy(np.ascontiguousarray(observed))
    if frames.ndim == 4:
        return Clip(scale.to_network(frames[:, :, None]), seen[:, :, None])
    return Clip(scale.to_network(frames), seen.all(2, keepdim=True))


def padded(fields: np.ndarray, multiple: int) -> np.ndarray:
    """Fields (..., H, W) with zeros (False) to the north and east until their sides are whole multiples."""
    height, width = fields.shape[-2:]
    missing = (0, -width % multiple, 0, -height % multiple)
    return pad(torch.from_numpy(np.ascontiguousarray(fields)), missing).numpy() if any(missing) else fields
