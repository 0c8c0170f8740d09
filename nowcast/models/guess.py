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

# First guesses that a network is given, for each `first_guess` setting. A forecast starts from the last; with steps
# each member starts from a draw of its own around it.
GUESSES: dict[str, tuple[str, ...]] = {
    "none": (),
    "advection": ("advected_2", "advected_1", "advected"),
    "sprog": ("advected_2", "advected_1", "advected", "sprog"),
    "steps": ("advected_2", "advected_1", "advected", "sprog"),
}


class Guess(NamedTuple):
    """First guesses of B cases, in a network's units: x = (counts - offset) / scale.

    Attributes:
        fields: Those that `GUESSES` names, shape (B, G, lead, 1, H, W).
        reached: Where advection reaches from inside the observed domain, shape (B, lead, 1, H, W).
        offset: Counts at 0.
        scale: Counts per unit.
        perturbed: The distributions of members' own guesses, one per case; empty where all members share one guess.
    """

    fields: Tensor
    reached: Tensor
    offset: float
    scale: float
    perturbed: Sequence[PerturbedGuess] = ()

    @property
    def best(self) -> Tensor:
        """The guess that a forecast starts from, shape (B, lead, 1, H, W)."""
        return self.fields[:, -1]

    @property
    def as_channels(self) -> Tensor:
        """All fields, and 1 where advection reaches, as channels of each lead time: shape (B, lead, G + 1, H, W)."""
        return torch.cat([*self.fields.unbind(1), self.reached.to(self.fields.dtype)], 2)

    def to(self, device: torch.device) -> "Guess":
        """The same guesses on `device`; members' own are still drawn on the CPU."""
        return self._replace(fields=self.fields.to(device), reached=self.reached.to(device))

    def part(self, rows: slice, columns: slice) -> "Guess":
        """The same guesses of a part of the domain; all members then share one."""
        fields, reached = self.fields[..., rows, columns], self.reached[..., rows, columns]
        return self._replace(fields=fields, reached=reached, perturbed=())

    @staticmethod
    def joined(guesses: "Sequence[Guess]") -> "Guess":
        """The guesses of several batches of cases, one after another."""
        fields, reached = (torch.cat([getattr(guess, name) for guess in guesses]) for name in ("fields", "reached"))
        perturbed = [case for guess in guesses for case in guess.perturbed]
        return guesses[0]._replace(fields=fields, reached=reached, perturbed=perturbed)

    def draw(self, generators: Sequence[Sequence[torch.Generator]]) -> Tensor:
        """The members' own guesses, shape (B, M, lead, 1, H, W), or the one of all, (B, 1, lead, 1, H, W).

        Args:
            generators: `generators[b][m]` (CPU) draws member m of case b.
        """
        if not self.perturbed:
            return self.best[:, None]
        draws = [
            (case, *_randomness(case.expected.shape, generator))
            for case, members in zip(self.perturbed, generators, strict=True)
            for generator in members
        ]
        last = np.stack([case.last for case, *_ in draws])[:, None]
        counts = draw_members(draws)
        counts = np.where(np.isnan(counts), last, counts)
        fields = (torch.from_numpy(counts).to(self.fields.device) - self.offset) / self.scale
        return fields.unflatten(0, (len(self.perturbed), -1))[:, :, :, None]

    def near_echo(self, fields: Tensor) -> Tensor:
        """1 near the echo of fields of `draw`, 0 far from it, same shape.

        There alone a network may correct them: echo far from all that is known cannot be foreseen, only guessed at.
        """
        echo = (fields * self.scale + self.offset >= ECHO).flatten(0, -3).cpu().numpy()
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            shares = np.stack(list(pool.map(lambda field: nearness(field, _NEAR, _FAR), echo)))
        return torch.from_numpy(shares).to(fields.device).view(fields.shape)


def guess_future(
    counts: np.ndarray,
    observed: np.ndarray,
    lead: int,
    kind: str,
    offset: float,
    scale: float,
    *,
    minutes: float,
    km: float,
) -> Guess | None:
    """First guesses of some cases, on the CPU; None for the kind `none`.

    Args:
        counts: Histories with shape (B, T, H, W), zero where missing.
        observed: False where missing, same shape.
        lead: Frames ahead.
        kind: A key of `GUESSES`.
        offset: Counts that the network sees as 0.
        scale: Counts that the network sees as 1.
        minutes: Between frames.
        km: Along a side of a pixel.
    """
    if kind == "none":
        return None
    guess = first_guess(counts, observed, lead, minutes=minutes, km=km)
    fields = torch.stack([torch.from_numpy(getattr(guess, name)) for name in GUESSES[kind]], 1)[:, :, :, None]
    reached = torch.from_numpy(guess.reached)[:, :, None]
    return Guess((fields - offset) / scale, reached, offset, scale, guess.perturbed if kind == "steps" else ())


def draw_members(draws: Sequence[tuple[PerturbedGuess, np.ndarray, np.ndarray]]) -> np.ndarray:
    """Members, each of a distribution and its random numbers (see `PerturbedGuess.draw`), by the threads of torch.

    Returns:
        Counts with shape (member, lead, y, x), float32, NaN where the air comes from outside of the domain.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return np.stack(list(pool.map(PerturbedGuess.draw, *zip(*draws, strict=True))))


def _randomness(shape: tuple[int, ...], generator: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """White noise, and two numbers of a Laplace distribution of unit variance."""
    one, other = torch.empty(2, 2).exponential_(2**0.5, generator=generator)
    return torch.randn(shape, generator=generator).numpy(), (one - other).numpy()
