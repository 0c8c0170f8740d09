"""First guesses as a network's input: the edge between their arrays and its tensors."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nowcast.data.conventions import ECHO
from nowcast.extrapolation.cascade import AROUND
from nowcast.extrapolation.ensemble import PerturbedGuess, nearness
from nowcast.extrapolation.first_guess import first_guess

_NEAR, _FAR = 8, 24  # pixels from a guess's echo within which it is corrected in full, and from which on not at all

# First guesses that a network is given, for each `first_guess` setting. A forecast starts from the last; with steps and
# members each member starts from a draw of its own around it, with members as the model `steps` makes it: its scales
# decorrelate at rates of their own about each pixel, and a frame of the past stands where air comes from outside.
GUESSES: dict[str, tuple[str, ...]] = {
    "none": (),
    "advection": ("advected_2", "advected_1", "advected"),
    "sprog": ("advected_2", "advected_1", "advected", "sprog"),
    "steps": ("advected_2", "advected_1", "advected", "sprog"),
    "members": ("advected_2", "advected_1", "advected", "sprog"),
}
OF_MEMBERS = ("steps", "members")  # settings with which each member has a guess of its own

Drawn = tuple[PerturbedGuess, np.ndarray, np.ndarray, np.ndarray]
"""The distribution that a member is drawn from, and the arguments of `PerturbedGuess.draw`."""


class Guess(NamedTuple):
    """First guesses of B cases, in a network's units: x = (counts - offset) / scale.

    Attributes:
        fields: Those that `GUESSES` names, shape (B, G, lead, 1, H, W).
        reached: Where advection reaches from inside the observed domain, shape (B, lead, 1, H, W).
        offset: Counts at 0.
        scale: Counts per unit.
        perturbed: The distributions of members' own guesses, one per case; empty where all members share one guess, or
            they are drawn already.
        past_edges: Whether a member takes a frame of the past where air comes from outside, rather than the newest.
        grid: Minutes between frames and kilometres along a side of a pixel, shape (B, 2).
        drawn: Members' own guesses that were drawn beforehand, shape (B, M, lead, 1, H, W); None where `draw` makes
            them.
    """

    fields: Tensor
    reached: Tensor
    offset: float
    scale: float
    grid: Tensor
    perturbed: Sequence[PerturbedGuess] = ()
    past_edges: bool = False
    drawn: Tensor | None = None

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
        return self._with(lambda tensor: tensor.to(device))

    def part(self, rows: slice, columns: slice) -> "Guess":
        """The same guesses of a part of the domain; all members then share one."""
        fields, reached = self.fields[..., rows, columns], self.reached[..., rows, columns]
        return self._replace(fields=fields, reached=reached, perturbed=(), drawn=None)

    def _with(self, change: Callable[[Tensor], Tensor]) -> "Guess":
        changed: dict[str, Any] = {
            name: change(value) for name, value in self._asdict().items() if isinstance(value, Tensor)
        }
        return self._replace(**changed)

    @staticmethod
    def joined(guesses: "Sequence[Guess]") -> "Guess":
        """The guesses of several batches of cases, one after another."""
        one, perturbed = guesses[0], [case for guess in guesses for case in guess.perturbed]
        names = [name for name, value in one._asdict().items() if isinstance(value, Tensor)]
        joined: dict[str, Any] = {name: torch.cat([getattr(guess, name) for guess in guesses]) for name in names}
        return one._replace(**joined, perturbed=perturbed)

    def draw(self, generators: Sequence[Sequence[torch.Generator]]) -> Tensor:
        """The members' own guesses, shape (B, M, lead, 1, H, W), or the one of all, (B, 1, lead, 1, H, W).

        Args:
            generators: `generators[b][m]` (CPU) draws member m of case b.
        """
        if self.drawn is not None:
            return self.drawn[:, : len(generators[0])]
        if not self.perturbed:
            return self.best[:, None]
        draws = [
            self._drawn(case, generator)
            for case, members in zip(self.perturbed, generators, strict=True)
            for generator in members
        ]
        counts = torch.from_numpy(draw_members(draws))
        fields = (counts.to(self.fields.device) - self.offset) / self.scale
        return fields.unflatten(0, (len(self.perturbed), -1))[:, :, :, None]

    def _drawn(self, case: PerturbedGuess, generator: torch.Generator) -> Drawn:
        edge = case.last  # drawn before the noise, which is longer for more lead times
        if self.past_edges:
            edge = case.edge(int(torch.randint(len(case.past), (1,), generator=generator)))
        return case, *_randomness(case.expected.shape, generator), edge

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
    as_steps = kind == "members"
    guess = first_guess(counts, observed, lead, minutes=minutes, km=km, around=AROUND if as_steps else None)
    fields = torch.stack([torch.from_numpy(getattr(guess, name)) for name in GUESSES[kind]], 1)[:, :, :, None]
    reached = torch.from_numpy(guess.reached)[:, :, None]
    perturbed = guess.perturbed if kind in OF_MEMBERS else ()
    grid = torch.tensor([[minutes, km]]).expand(len(fields), -1)
    return Guess((fields - offset) / scale, reached, offset, scale, grid, perturbed, past_edges=as_steps)


def draw_members(draws: Sequence[Drawn]) -> np.ndarray:
    """Members, by the threads of torch.

    Returns:
        Counts with shape (member, lead, y, x), float32.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return np.stack(list(pool.map(PerturbedGuess.draw, *zip(*draws, strict=True))))


def _randomness(shape: tuple[int, ...], generator: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """White noise, and two numbers of a Laplace distribution of unit variance."""
    one, other = torch.empty(2, 2).exponential_(2**0.5, generator=generator)
    return torch.randn(shape, generator=generator).numpy(), (one - other).numpy()
