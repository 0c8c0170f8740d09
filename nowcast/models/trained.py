"""The forecaster that serves a trained network: everything between counts and the network, once for all models.

It scales frames, pads them, makes first guesses, lets members see their case in several orientations, cuts large
domains into tiles, rolls out past the network's own lead, and drops values below the least echo.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nowcast.data.orientations import turned, turned_back
from nowcast.data.seeds import integer_seed
from nowcast.models.device import multiplies_bf16
from nowcast.models.forecaster import Cases, Forecaster, Members
from nowcast.models.frames import Clip, clip_of, padded
from nowcast.models.layers.tiles import Tile, blend, cover
from nowcast.models.network import Draws, Network
from pipelines.errors import InputError


class TrainedForecaster(Forecaster):
    """A trained network behind the contract of `Forecaster`."""

    takes_video = True

    def __init__(self, network: Network, device: str = "cpu"):
        self.network = network.to(device).eval().requires_grad_(False)
        self.deterministic = network.deterministic
        self.member_batch = network.settings.members_at_once
        self.window = (network.settings.history, network.settings.lead)
        self.device = torch.device(device)
        self.bf16 = multiplies_bf16(device)

    def predict(self, cases: Cases, leads: int, members: Sequence[int], seed: int) -> np.ndarray:
        """See `Forecaster.predict`."""
        return self.prepare(cases, leads, seed)(members)

    def prepare(self, cases: Cases, leads: int, seed: int) -> Members:
        """See `Forecaster.prepare`; the history is encoded once per orientation.

        Raises:
            InputError: when the history has another length or other channels, its frames are too small, or they are of
                video and the network takes a first guess.
        """
        settings = self.network.settings
        frames, (height, width) = cases.frames.shape[1], cases.frames.shape[-2:]
        if frames != settings.history or min(height, width) < settings.side:
            raise InputError(
                "frames of the history",
                got=f"{frames} of {height} x {width} pixels",
                expected=f"{settings.history} of at least {settings.side} x {settings.side}",
            )
        if cases.frames.ndim == 5 and settings.first_guess != "none":
            raise InputError("the network takes a first guess, which is of radar", got="video")
        channels = cases.frames.shape[2] if cases.frames.ndim == 5 else 1
        if channels != settings.channels:
            raise InputError(
                "the network was trained on frames of other channels", got=channels, expected=settings.channels
            )
        return _Block(self, cases, leads, seed)


class _Block:
    """Members of some cases, `network.settings.lead` frames of them at a time; calls give counts by member number."""

    def __init__(self, forecaster: TrainedForecaster, cases: Cases, leads: int, seed: int, block: int = 0):
        self.forecaster, self.network = forecaster, forecaster.network
        self.cases, self.leads, self.seed, self.block = cases, leads, seed, block
        self.conditions: dict[int, list[tuple[Tile, Any]]] = {}
        at_once = self.network.settings.lead
        self._leads = max(leads, at_once) if self.network.any_lead else at_once

    def __call__(self, members: Sequence[int]) -> np.ndarray:
        """Counts with shape (case, member, lead, ...)."""
        orientations = np.array(members) % self.network.settings.orientations
        size = (self._leads, *self.cases.frames.shape[2:])
        counts = np.empty((len(self.cases.keys), len(members), *size), "float32")
        for orientation in np.unique(orientations).tolist():
            alike = np.flatnonzero(orientations == orientation)
            made = self._generate([members[number] for number in alike.tolist()], orientation)
            counts[:, alike] = turned_back(made, orientation)
        if self.leads <= size[0]:
            return counts[:, :, : self.leads]
        later = [self._roll_out(counts[:, number], member) for number, member in enumerate(members)]
        return np.concatenate([counts, np.stack(later, 1)], axis=2)

    def _roll_out(self, made: np.ndarray, member: int) -> np.ndarray:
        """The frames after those (case, lead, ...) that were made of one member, forecast from these."""
        cases = self.cases
        seen = np.broadcast_to(cases.observed.any(1, keepdims=True), made.shape)
        made = np.where(seen, np.clip(made, 0, cases.data_range), 0)
        frames, observed = (
            np.concatenate(parts, axis=1)[:, -cases.frames.shape[1] :]
            for parts in ((cases.frames, made), (cases.observed, seen))
        )
        later = Cases(frames, observed, cases.keys, cases.cadence_minutes, cases.pixel_km, cases.data_range)
        leads = self.leads - self.network.settings.lead
        return _Block(self.forecaster, later, leads, self.seed, self.block + 1)([member])[:, 0]

    def _generate(self, members: Sequence[int], orientation: int) -> np.ndarray:
        """Members that see their case in one orientation, as they see it, shape (case, member, lead, ...)."""
        block = ("block", self.block) if self.block else ()
        seeds = [[integer_seed(self.seed, "forecast", key, m, *block) for m in members] for key in self.cases.keys]
        scale = self.network.settings.frame_scale
        with torch.inference_mode(), self._precision():
            tiles, conditions = zip(*self._condition(orientation), strict=True)
            parts = (self._members(condition, seeds) for condition in conditions)
            height, width = turned(self.cases.frames[:1, :1], orientation).shape[-2:]
            x = blend(parts, tiles, *self._padded_size(height, width))[..., :height, :width]
            values = scale.floored(scale.to_values(x.float()))
        return values.cpu().numpy().reshape(*values.shape[:3], *self.cases.frames.shape[2:-2], height, width)

    def _members(self, condition: Any, seeds: list[list[int]]) -> Tensor:
        draws = Draws([[torch.Generator().manual_seed(seed) for seed in members] for members in seeds])
        return self.network.generate(condition, draws)

    def _precision(self) -> torch.autocast:
        """Computing in 16 bits where the device multiplies them natively."""
        return torch.autocast(self.forecaster.device.type, torch.bfloat16, enabled=self.forecaster.bf16)

    def _padded_size(self, height: int, width: int) -> tuple[int, int]:
        multiple = self.network.settings.multiple
        return height + -height % multiple, width + -width % multiple

    def _condition(self, orientation: int) -> list[tuple[Tile, Any]]:
        """Tiles of the domain and the network's condition of each, kept for the next members."""
        if orientation not in self.conditions:
            clip = self._clip(orientation)
            height, width = clip.frames.shape[-2:]
            side = self.network.settings.side
            tiles = [Tile(0, 0, max(height, width))] if self.network.whole_domain else cover(height, width, side)
            parts = (clip.part(tile.rows, tile.columns) if len(tiles) > 1 else clip for tile in tiles)
            self.conditions[orientation] = [
                (tile, self.network.condition(part.to(self.forecaster.device)))
                for tile, part in zip(tiles, parts, strict=True)
            ]
        return self.conditions[orientation]

    def _clip(self, orientation: int) -> Clip:
        settings = self.network.settings
        frames, observed = (
            padded(turned(array, orientation), settings.multiple) for array in (self.cases.frames, self.cases.observed)
        )
        guess = settings.guess(frames, observed, self.cases.cadence_minutes, self.cases.pixel_km, self._leads)
        return clip_of(frames, observed, settings.frame_scale)._replace(guess=guess)
