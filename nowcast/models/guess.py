"""First guesses as a network's input: the edge between their arrays and its tensors."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nowcast.data.conventions import ECHO
from nowcast.extrapolation.ensemble import PerturbedGuess, nearness
from nowcast.extrapolation.first_guess import first_guess

_NEAR, _FAR = 8, 24  # pixels from a guess's echo within which it is corrected in full, and from which on not at all

# What the denoiser is given, by what it starts from: the last, or with steps what each member draws around the last.
GUESSES: dict[str, tuple[str, ...]] = {
    "none": (),
    "advection": ("advected_2", "advected_1", "advected"),
    "sprog": ("advected_2", "advected_1", "advected", "sprog"),
    "steps": ("advected_2", "advected_1", "advected", "sprog"),
}


class Guess(NamedTuple):
    """What a forecast of B cases starts from; zero where there is no first guess.

    Attributes:
        counts: The last of the guesses, shape (B, T, H, W), counts.
        base: Its normalised latents, shape (B, T, C, h, w).
        decoded: What the decoder makes of them, shape (B, T, H, W), counts.
        told: What the denoiser is given: the latents of all guesses and the share of pixels that they reach, shape
            (B, T, G * C + 1, h, w); or None.
        perturbed: Where each member starts from a guess of its own, what those are drawn from, one a case.
    """

    counts: Tensor
    base: Tensor
    decoded: Tensor
    told: Tensor | None
    perturbed: Sequence[PerturbedGuess] = ()

    def draw(self, generators: Sequence[Sequence[torch.Generator]]) -> Tensor:
        """The members' own guesses, shape (B, M, T, H, W), or the one of all, (B, 1, T, H, W), counts.

        Args:
            generators: `generators[b][m]` (CPU) draws member m of case b.
        """
        if not self.perturbed:
            return self.counts[:, None]
        draws = [
            (case, *_randomness(case.expected.shape, generator))
            for case, members in zip(self.perturbed, generators, strict=True)
            for generator in members
        ]
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            fields = np.stack(list(pool.map(PerturbedGuess.draw, *zip(*draws, strict=True))))
        return torch.from_numpy(fields).to(self.counts.device).unflatten(0, (len(self.perturbed), -1))

    def near_echo(self, fields: Tensor) -> Tensor | float:
        """1 near the echo of fields of `draw`, 0 far from it, same shape; 1 everywhere without a first guess.

        There alone the denoiser may correct them: echo far from all that is known cannot be foreseen, only guessed at.
        """
        if self.told is None:
            return 1.0
        echo = (fields >= ECHO).flatten(0, -3).cpu().numpy()
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            shares = np.stack(list(pool.map(lambda field: nearness(field, _NEAR, _FAR), echo)))
        return torch.from_numpy(shares).to(fields.device).view(fields.shape)


def no_guess(like: Tensor) -> Guess:
    """A guess that broadcasts, on the device of `like`."""
    zero = like.new_zeros(1, 1, 1, 1)
    return Guess(zero, zero[..., None], zero, None)


def guess_future(
    history: Tensor, observed: Tensor, steps: int, kind: str
) -> tuple[Tensor, Tensor, Sequence[PerturbedGuess]]:
    """First guesses of some cases.

    Returns:
        Those that `kind` names, shape (B, G, steps, H, W); where they reach, shape (B, steps, H, W); and what members'
        own are drawn from, if they have any.
    """
    guess = first_guess(history.float().cpu().numpy(), observed.cpu().numpy(), steps, minutes=5.0, km=3.0)
    fields = torch.stack([torch.from_numpy(getattr(guess, name)) for name in GUESSES[kind]], 1)
    reached = torch.from_numpy(guess.reached).to(history.device)
    return fields.to(history.device), reached, guess.perturbed if kind == "steps" else ()


def _randomness(shape: tuple[int, ...], generator: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """White noise, and two numbers of a Laplace distribution of unit variance."""
    one, other = torch.empty(2, 2).exponential_(2**0.5, generator=generator)
    return torch.randn(shape, generator=generator).numpy(), (one - other).numpy()
