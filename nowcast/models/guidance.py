"""First guesses as a network's input: the edge between their arrays and its tensors."""

from typing import NamedTuple

import torch
from torch import Tensor

from nowcast.first_guess import first_guess

# What the denoiser is given, by the name of the last, which it starts from.
GUESSES: dict[str, tuple[str, ...]] = {
    "none": (),
    "advection": ("advected_2", "advected_1", "advected"),
    "sprog": ("advected_2", "advected_1", "advected", "sprog"),
}


class Guess(NamedTuple):
    """What a forecast of B cases starts from; zero where there is no first guess.

    Attributes:
        counts: The last of the guesses, shape (B, T, H, W), counts.
        base: Its normalised latents, shape (B, T, C, h, w).
        decoded: What the decoder makes of them, shape (B, T, H, W), counts.
        told: What the denoiser is given: the latents of all guesses and the share of pixels that they reach, shape
            (B, T, G * C + 1, h, w); or None.
        leaves: 0 where a history without echo leaves nothing to predict and the guess is the forecast, else 1; shape
            (B, 1, 1, 1, 1).
    """

    counts: Tensor
    base: Tensor
    decoded: Tensor
    told: Tensor | None
    leaves: Tensor


def no_guess(like: Tensor) -> Guess:
    """A guess that broadcasts, on the device of `like`."""
    zero = like.new_zeros(1, 1, 1, 1)
    return Guess(zero, zero[..., None], zero, None, 1 + zero[..., None])


def guess_future(history: Tensor, observed: Tensor, steps: int, kind: str) -> tuple[Tensor, Tensor]:
    """The guesses that `kind` names, shape (B, G, steps, H, W), and where they reach, shape (B, steps, H, W)."""
    guess = first_guess(history.float().cpu().numpy(), observed.cpu().numpy(), steps)
    fields = torch.stack([torch.from_numpy(getattr(guess, name)) for name in GUESSES[kind]], 1)
    return fields.to(history.device), torch.from_numpy(guess.reached).to(history.device)
