"""Training windows whose first guesses were made on the domain around them, once, before the first step.

A guess made from a window of 128 pixels is worse than one made from the composite that holds it, and a network that
trains on such guesses learns to mend windows. So the tiles of a store that lie side by side are joined to scenes; a
scene's guesses and members are made, and windows are cut out of them and kept in the run folder. Scene n is the same in
every run of a seed, whoever makes it.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr

from nowcast.data.orientations import turned
from nowcast.data.seeds import integer_seed, numpy_generator
from nowcast.data.windows import Window
from nowcast.models.frames import clip_of
from nowcast.models.guess import Guess
from nowcast.models.network import Batch, NetworkSettings
from nowcast.training.config import RunConfig, SceneSettings
from nowcast.training.windows import ECHO, TrainingStore, scaled
from pipelines.errors import InputError
from pipelines.store.progress import progress
from pipelines.store.units import MISSING
from pipelines.store.whole import whole

_TRIES = 300  # windows and scenes that are looked at before others are
_KNOWN, _WET, _NEARLY_DRY = 0.55, 0.01, 0.001  # least shares of a window's pixels: observed, and echo in its history
_NEARLY_DRY_WINDOWS = 0.2  # share of the windows that may be nearly dry
_ARRAYS = ("frames", "fields", "reached", "drawn")


class Mosaic(NamedTuple):
    """Events of a store that lie side by side at the same times.

    Attributes:
        events: Their positions in the store by row and column, from the south-west; -1 where there is none.
        place: Row and column of each event.
    """

    events: np.ndarray
    place: Mapping[int, tuple[int, int]]


def mosaics(store: xr.Dataset) -> dict[int, Mosaic]:
    """The mosaic of each event of a store, by its position."""
    side_m = len(store["x"]) * float(store["x"][1] - store["x"][0])
    corners = np.stack([store["corner_y"].values, store["corner_x"].values], 1)
    starts = store["valid_time"].values[:, 0]
    groups: dict[tuple, list[int]] = {}
    for event, (corner, start, proj) in enumerate(zip(corners, starts, store["proj"].values, strict=True)):
        off_lattice = np.round(corner % side_m / side_m, 3) % 1
        groups.setdefault((start, str(proj), *off_lattice), []).append(event)
    found: dict[int, Mosaic] = {}
    for events in groups.values():
        lattice = np.round((corners[events] - corners[events].min(0)) / side_m).astype(int)
        grid = np.full(lattice.max(0) + 1, -1)
        grid[tuple(lattice.T)] = events
        mosaic = Mosaic(
            grid, {event: (int(row), int(column)) for event, (row, column) in zip(events, lattice, strict=True)}
        )
        found |= dict.fromkeys(events, mosaic)
    return found


class SceneWindows:
    """Windows of scenes by sample number: number n is the same window, turned the same way, in every run of a seed."""

    def __init__(
        self,
        sources: Sequence[tuple[TrainingStore, list[Window]]],
        settings: NetworkSettings,
        scenes: SceneSettings,
        config: RunConfig,
        *,
        members: int,
        training: bool,
        folder: Path,
    ):
        """Windows of scenes around the windows of some stores, which are made by `make`.

        Args:
            sources: Stores and their windows, of which a scene holds one; each store has about as many scenes, and of
                these each cadence as many.
            settings: Of the network that is trained.
            scenes: Sizes.
            config: Of the run, for its seed and its augmentations.
            members: Members that are drawn of a scene.
            training: Whether windows are turned, reversed and scaled, where the configuration says so; else there are a
                twentieth of the scenes, to validate on.
            folder: Where they are kept.
        """
        sources = [(of, windows) for of, windows in sources if windows]
        self._sources, self._settings, self._scenes, self._members = sources, settings, scenes, members
        self._seed = integer_seed(config.seed, "train" if training else "val")
        self._augment, self._reverse = config.augment and training, config.reverse and training
        self._liquid = config.liquid if training else 1.0
        self._number = scenes.number if training else max(1, scenes.number // 20)
        self._mosaics = {of: mosaics(of.store) for of, _ in sources}
        told = (
            [[of.store.attrs["event_list_hash"], len(windows)] for of, windows in sources],
            settings.history, settings.lead, settings.side, settings.first_guess, scenes.model_dump(exclude={"number"}),
            members,
            self._seed, self._reverse, self._liquid,
        )  # fmt: skip
        self._folder, self._name = folder, hashlib.sha256(repr(told).encode()).hexdigest()[:12]

    def __len__(self) -> int:
        return self._number * self._scenes.windows

    def make(self, process: int, processes: int) -> None:
        """Make this process's share of the scenes that are not there yet.

        Raises:
            InputError: when the stores have no scene with enough echo.
        """
        left = [n for n in range(self._number) if n % processes == process and not self._file(n).is_file()]
        self._folder.mkdir(parents=True, exist_ok=True)
        with (
            progress("first guesses of scenes", len(left)) as advance,
            ThreadPoolExecutor(torch.get_num_threads()) as pool,
        ):
            for _ in pool.map(self._make, left):
                advance()

    def batch(self, numbers: range) -> Batch:
        """The windows of some sample numbers, on the CPU."""
        arrays, grids = zip(*map(self._sample, numbers), strict=True)
        frames, fields, reached, drawn = (np.stack(same) for same in zip(*arrays, strict=True))
        settings = self._settings
        history, future = np.split(frames, [settings.history], axis=1)
        scale = settings.frame_scale
        clips = [clip_of(np.where(part == MISSING, 0, part).astype("float32"), part != MISSING, scale)
                 for part in (history, future)]  # fmt: skip
        guess = Guess(
            scale.to_network(torch.from_numpy(fields).float())[:, :, :, None],
            torch.from_numpy(reached)[:, :, None] > 0,
            settings.offset,
            settings.scale,
            torch.tensor(grids),
            drawn=scale.to_network(torch.from_numpy(drawn).float())[:, :, :, None],
        )
        return Batch(clips[0]._replace(guess=guess), clips[1])

    def _file(self, scene: int) -> Path:
        return self._folder / f"{self._name}-{scene:05}.npz"

    def _sample(self, number: int) -> tuple[list[np.ndarray], tuple[float, float]]:
        epoch, position = divmod(number, len(self))
        order = numpy_generator(self._seed, "order", epoch).permutation(len(self))
        scene, window = divmod(int(order[position]), self._scenes.windows)
        turn = int(numpy_generator(self._seed, "augment", number).integers(8)) if self._augment else 0
        with np.load(self._file(scene), allow_pickle=False) as kept:
            minutes, km = kept[f"grid_{window}"]
            return [turned(kept[f"{name}_{window}"], turn) for name in _ARRAYS], (float(minutes), float(km))

    def _make(self, scene: int) -> None:
        """Write the windows of a scene, or of as many scenes as they need."""
        rng = numpy_generator(self._seed, "scene", scene)
        side, wanted = self._scenes.sides[scene % len(self._scenes.sides)], self._scenes.windows
        at_once = max(1, min(wanted, side**2 // (2 * self._settings.side**2)))
        kept: dict[str, Any] = {}
        size = self._settings.side
        for begun in range(0, wanted, at_once):
            frames, grid, corners = self._found(side, min(at_once, wanted - begun), rng)
            arrays = self._guessed(frames, grid, [scene, begun])
            for number, (y, x) in enumerate(corners, begun):
                square = (..., slice(y, y + size), slice(x, x + size))
                kept |= {f"{name}_{number}": array[square] for name, array in zip(_ARRAYS, arrays, strict=True)}
                kept[f"grid_{number}"] = np.array(grid)
        with whole(self._file(scene)) as growing:
            np.savez_compressed(growing, **kept)

    def _found(
        self, side: int, windows: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, tuple[float, float], list[tuple[int, int]]]:
        """Frames of a scene with enough echo, its minutes and kilometres, and the corners of its windows."""
        for _ in range(_TRIES):
            frames, grid = self._frames(side, rng)
            corners = list(self._corners(frames, windows, rng))
            if len(corners) == windows:
                return frames, grid, corners
        raise InputError("no scene of the stores has enough echo", remedy="train on other events")

    def _guessed(self, frames: np.ndarray, grid: tuple[float, float], keys: list[int]) -> list[np.ndarray]:
        """The arrays of a scene, 8 bits each."""
        history = self._settings.history
        seen = frames[None, :history] != MISSING
        counts = np.where(seen, frames[:history], 0).astype("float32")
        guess = self._settings.guess(counts, seen, *grid)
        assert guess is not None
        seeds = (integer_seed(self._seed, "scene", *keys, member) for member in range(self._members))
        members = guess.draw([[torch.Generator().manual_seed(seed) for seed in seeds]])
        scale = self._settings.frame_scale
        fields, drawn = (scale.to_values(x)[0, :, :, 0].round().byte().numpy() for x in (guess.fields, members))
        return [frames, fields, guess.reached[0, :, 0].byte().numpy(), drawn]

    def _frames(self, longest: int, rng: np.random.Generator) -> tuple[np.ndarray, tuple[float, float]]:
        """Frames of a scene, uint8 with shape (history + lead, y, x), and minutes between them and km of a pixel."""
        stores = list(self._mosaics)
        of = stores[int(rng.integers(len(stores)))]
        cadences = [windows for store, windows in self._sources if store is of]
        windows = cadences[int(rng.integers(len(cadences)))]
        window = windows[int(rng.integers(len(windows)))]
        mosaic, side = self._mosaics[of][window.event], of.array.shape[-1]
        most = max(1, longest // side)
        block = []
        for place, length in zip(mosaic.place[window.event], mosaic.events.shape, strict=True):
            first = int(rng.integers(max(0, place - most + 1), min(place, max(0, length - most)) + 1))
            block.append(slice(first, min(first + most, length)))
        length = self._settings.history + self._settings.lead
        nothing = np.full((length, side, side), MISSING, "uint8")
        tiles = [[nothing if event < 0 else of.frames(Window(int(event), window.start, window.step), length)
                  for event in row] for row in mosaic.events[tuple(block)]]  # fmt: skip
        frames = np.block(tiles)
        if self._reverse and rng.integers(2):
            frames = frames[::-1]
        if self._liquid > 1:
            frames = scaled(self._liquid ** rng.uniform(-1, 1))[frames]
        return frames, (window.step * of.store.attrs["cadence_minutes"], of.pixel_km)

    def _corners(self, frames: np.ndarray, windows: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
        """Rows and columns of at most so many squares with echo, at random."""
        side, history = self._settings.side, self._settings.history
        known = (frames != MISSING).mean(0)
        wet = ((frames[:history] >= ECHO) & (frames[:history] != MISSING)).mean(0)
        found = 0
        for _ in range(_TRIES):
            y, x = rng.integers(np.array(known.shape) - side + 1)
            square = (slice(y, y + side), slice(x, x + side))
            least = _NEARLY_DRY if rng.random() < _NEARLY_DRY_WINDOWS else _WET
            if known[square].mean() >= _KNOWN and wet[square].mean() >= least:
                yield int(y), int(x)
                found += 1
            if found == windows:
                return
