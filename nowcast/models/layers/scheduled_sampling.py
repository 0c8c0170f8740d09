"""Recurrent networks over frames, each step fed with a true frame or with the network's own forecast of it.

In training a network is weaned: at first every future frame that it is fed is the true one, later ever more of them are
its own (Bengio et al. 2015, https://arxiv.org/abs/1506.03099). B: cases. T: frames of history and future together.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from nowcast.models.network import Draws

S = TypeVar("S")


def fed_frames(history: int, lead: int, draws: Draws, weaned: float) -> Tensor:
    """Which of the T - 1 frames that are fed are the true ones, shape (B, T - 1), on the CPU.

    The history is true. Each later frame of each case is true with a probability that falls linearly from 1 at the
    first step to 0 at the share `weaned` of all training steps.
    """
    probability = max(0.0, 1 - draws.progress / weaned)
    chance = torch.stack([torch.rand(lead - 1, generator=generator) for generator in draws.cases])
    return torch.cat([torch.ones(len(chance), history, dtype=torch.bool), chance < probability], 1)


def unroll(step: Callable[[Tensor, S, int], tuple[Tensor, S]], state: S, frames: Tensor, fed: Tensor) -> Tensor:
    """Forecasts of frames 1 to T - 1, each of one step, shape (B, T - 1, ...).

    Args:
        step: The forecast of the next frame, and the next state, from a frame (B, ...), a state and the frame's number.
        state: The state before frame 0.
        frames: True frames, shape (B, T - 1, ...); any number where they are not fed.
        fed: Which of them are fed, shape (B, T - 1); elsewhere the last forecast is. Frame 0 always is.
    """
    made: list[Tensor] = []
    for number, (frame, true) in enumerate(zip(frames.unbind(1), fed.to(frames.device).unbind(1), strict=True)):
        mask = true.view(-1, *[1] * (frame.ndim - 1))
        forecast, state = step(torch.where(mask, frame, made[-1]) if made else frame, state, number)
        made.append(forecast)
    return torch.stack(made, 1)
