"""Recurrent networks over frames, each step fed with a true frame or with the network's own forecast of it.

In training a network is weaned: at first every future frame that it is fed is the true one, later ever more of them are
its own (Bengio et al. 2015, https://arxiv.org/abs/1506.03099). Reverse scheduled sampling (Wang et al. 2022,
https://arxiv.org/abs/2103.09504) begins with half of all frames, those of the history too, and ends the same: with the
true history and no other true frame. B: cases. T: frames of history and future together.
"""

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from nowcast.models.network import Draws

S = TypeVar("S")


def chances_of_truth(progress: float, weaned: float, reverse: tuple[float, float] | None) -> tuple[float, float]:
    """Probabilities that a frame of the history, and one of the future, is fed as it truly is.

    Args:
        progress: Share of the training steps that are done.
        weaned: Share from which on they are 1 and 0. Without `reverse` that of the future falls linearly from 1.
        reverse: Share up to which both are 1/2, and the share in which the history's distance to 1 falls by a factor e.
            That of the future falls linearly between this first share and `weaned`.
    """
    if reverse is None:
        return 1.0, max(0.0, 1 - progress / weaned)
    begin, decay = reverse
    if progress < begin:
        return 0.5, 0.5
    if progress >= weaned:
        return 1.0, 0.0
    return 1 - 0.5 * math.exp((begin - progress) / decay), 0.5 * (weaned - progress) / (weaned - begin)


def fed_frames(
    history: int, lead: int, draws: Draws, weaned: float, reverse: tuple[float, float] | None = None
) -> Tensor:
    """Which of the T - 1 frames that are fed are the true ones, shape (B, T - 1), on the CPU.

    Frame 0 is. Each later frame of each case is true with the probability of `chances_of_truth`, drawn by itself.
    """
    past, future = chances_of_truth(draws.progress, weaned, reverse)
    first = torch.ones(len(draws.cases), 1, dtype=torch.bool)
    ahead = torch.stack([torch.rand(lead - 1, generator=generator) for generator in draws.cases]) < future
    known = torch.stack([torch.rand(history - 1, generator=generator) for generator in draws.cases]) < past
    return torch.cat([first, known, ahead], 1)


def unroll(
    step: Callable[[Tensor, S, int], tuple[Tensor, S]], state: S, frames: Tensor, fed: Tensor
) -> tuple[Tensor, S]:
    """Forecasts of frames 1 to T - 1, each of one step, shape (B, T - 1, ...), and the state after them.

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
    return torch.stack(made, 1), state
