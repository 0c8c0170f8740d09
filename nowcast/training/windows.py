"""Windows to train on: of several stores, in an order that a seed and a sample's number decide."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr

from nowcast.data.orientations import turned
from nowcast.data.seeds import numpy_generator
from nowcast.data.windows import Window, find_windows
from pipelines.errors import InputError
from pipelines.store.kind import kind_of
from pipelines.store.schema import open_pixels, open_store, pixels
from pipelines.store.units import MAX_COUNT, MISSING, counts_to_vil, vil_to_counts

ECHO = 16  # counts; the least of the thresholds


class TrainingStore:
    """An archive store of a training run, opened once.

    Attributes:
        path: Where it lies.
        store: Its open dataset (see pipelines.store.schema).
        array: Its pixels, uint8.
    """

    def __init__(self, path: Path):
        self.path, self.store, self.array = path, open_store(path), open_pixels(path)

    @property
    def video_range(self) -> int | None:
        """The largest value of a video; None of radar."""
        kind = kind_of(self.store)
        return kind.data_range if kind.has_channels else None

    @property
    def pixel_km(self) -> float:
        """Kilometres along a side of a pixel."""
        return float(self.store["x"][1] - self.store["x"][0]) / 1000

    def frames(
        self, window: Window, length: int, square: tuple[slice, slice] = (slice(None), slice(None))
    ) -> np.ndarray:
        """So many frames of a window, uint8, missing where the event has none.

        Args:
            window: Which.
            length: Frames.
            square: Rows and columns.
        """
        wanted = window.start + window.step * np.arange(length)
        inside = (wanted >= 0) & (wanted < self.array.shape[1])
        first, last = wanted[inside][[0, -1]]
        found = np.asarray(self.array[(window.event, slice(first, last + 1), ..., *square)])[:: window.step]
        frames = np.full((length, *found.shape[1:]), MISSING, "uint8")
        frames[inside] = found
        return frames

    @cached_property
    def echo_shares(self) -> np.ndarray:
        """Share of each event's pixels that reach 16 counts."""
        events = (np.asarray(self.array[number]) for number in range(self.array.shape[0]))
        return np.array([((frames >= ECHO) & (frames < MISSING)).mean() for frames in events])


def channels_of(stores: Iterable[TrainingStore]) -> int:
    """Channels of the frames of some stores; 1 of radar.

    Raises:
        InputError: when they differ, or some are of radar and some of video.
    """
    shapes = {pixels(of.store).shape[2:-2] for of in stores}
    if len(shapes) > 1:
        what = "stores of different channels, or of radar and video, do not go together"
        raise InputError(what, got=" and ".join(str(shape) for shape in sorted(shapes)))
    shape = shapes.pop()
    return shape[0] if shape else 1


def training_sources(
    stores: Iterable[TrainingStore],
    *,
    history: int,
    lead: int,
    stride: int,
    split: str,
    cadence: tuple[float, float] | None = None,
    least_echo: float = 0.0,
) -> list[tuple[TrainingStore, list[Window]]]:
    """Each store that has a split, with its windows (see `find_windows`).

    Args:
        stores: Stores to train on.
        history: Frames given.
        lead: Frames forecast.
        stride: Frames between the starts of two windows of an event.
        split: Split to take.
        cadence: Least and most minutes between frames. Every so many frames of a store are then taken as give such a
            cadence, in every way there is, and windows may lack a quarter of their frames.
        least_echo: Least share of an event's pixels that reach 16 counts.

    Raises:
        InputError: when no store has a window; for a `cadence` or `least_echo` of video.
    """
    least = None if cadence is None else (history + lead) * 3 // 4
    sources = []
    for of in stores:
        store = of.store
        if split not in store["split"].values:
            continue
        if kind_of(store).has_channels and (cadence or least_echo):
            raise InputError("cadence and least_echo choose windows of radar", got=f"{of.path}, a store of video")
        for step in _steps(store, cadence, least):
            windows = find_windows(
                store, history=history, lead=lead, stride=stride, split=split, step=step, least=least
            )
            shares = of.echo_shares if least_echo else np.ones(store.sizes["event"])
            sources.append((of, [window for window in windows if shares[window.event] >= least_echo]))
    if not any(windows for _, windows in sources):
        raise InputError(
            f"no store has a window of split {split}",
            remedy="see `nowcast info STORE`; `prepare-radar --protocol radar-train-128` makes a store for training",
        )
    return sources


def _steps(store: xr.Dataset, cadence: tuple[float, float] | None, least: int | None) -> list[int]:
    """Every how many frames of a store to take, if that leaves enough of them."""
    if cadence is None or least is None:
        return [1]
    times = store["valid_time"].values.astype("datetime64[s]").astype(np.int64)
    minutes = float(np.median(np.diff(times, axis=1))) / 60
    longest = (times.shape[1] - 1) // (least - 1)
    return [step for step in range(1, longest + 1) if cadence[0] <= step * minutes <= cadence[1]]


class TrainingWindows:
    """Training windows by sample number: number n is the same window, turned the same way, in every run of a seed.

    The n-th sample belongs to epoch n // len(windows), each epoch being a shuffle of its own, so that a training run is
    resumed exactly by going on from the number of samples seen.
    """

    def __init__(
        self,
        sources: Sequence[tuple[TrainingStore, list[Window]]],
        history: int,
        lead: int,
        *,
        side: int,
        seed: int,
        augment: bool = False,
        reverse: bool = False,
        liquid: float = 1.0,
    ):
        """Windows of some stores.

        Args:
            sources: Stores and their windows.
            history: Frames given.
            lead: Frames forecast.
            side: Pixels along a side; of larger frames a square is cut out, at random or, without `augment`, in the
                middle.
            seed: Of the order, the cuts and the turns.
            augment: Turn and flip at random.
            reverse: Run time backwards in half of the windows, so that there is as much growth as decay.
            liquid: Multiply the liquid of a window by a random factor, at most this one and at least its inverse.

        Raises:
            InputError: when frames are smaller than `side`.
        """
        self._largest = min(kind_of(of.store).data_range for of, _ in sources)
        for of, _ in sources:
            if min(of.array.shape[-2:]) < side:
                raise InputError(
                    f"frames of {of.path} are too small", got=of.array.shape[-2:], expected=f"{side} or more"
                )
        self._windows = [(of, window) for of, windows in sources for window in windows]
        self._history, self._length, self._side = history, history + lead, side
        self._seed, self._augment, self._reverse, self._liquid = seed, augment, reverse, liquid
        self._epoch, self._order = -1, np.zeros(0, int)

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, number: int) -> np.ndarray:
        """Counts uint8 with shape (history + lead, [channel,] side, side), missing above data_range."""
        of, window = self._chosen(number)
        y, x = self._corner(of.array.shape[-2:], number)
        square = (slice(y, y + self._side), slice(x, x + self._side))
        frames = of.frames(window, self._length, square)
        if self._reverse and numpy_generator(self._seed, "reverse", number).integers(2):
            frames = frames[::-1]
        if self._liquid > 1:
            power = numpy_generator(self._seed, "liquid", number).uniform(-1, 1)
            frames = scaled(self._liquid**power)[frames]
        return self._turned(frames, number) if self._augment else frames

    def _chosen(self, number: int) -> tuple[TrainingStore, Window]:
        epoch, position = divmod(number, len(self._windows))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = numpy_generator(self._seed, "order", epoch).permutation(len(self._windows))
        return self._windows[self._order[position]]

    def grid(self, number: int) -> tuple[float, float]:
        """Minutes between the frames of sample `number`, and kilometres along a side of its pixels."""
        of, window = self._chosen(number)
        return window.step * of.store.attrs["cadence_minutes"], of.pixel_km

    def _corner(self, size: tuple[int, ...], number: int) -> tuple[int, int]:
        room = np.array(size) - self._side
        if not self._augment:
            y, x = room // 2
        else:
            y, x = numpy_generator(self._seed, "cut", number).integers(room + 1)
        return int(y), int(x)

    def _turned(self, frames: np.ndarray, number: int) -> np.ndarray:
        turns, flip = numpy_generator(self._seed, "augment", number).integers((4, 2))
        return turned(frames, int(turns + 4 * flip))

    def sample(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Values, float32, zero where missing, and where they were observed; both with the shape of `self[number]`."""
        counts = self[number]
        seen = counts <= self._largest
        return np.where(seen, counts, 0).astype("float32"), seen


def scaled(factor: float) -> np.ndarray:
    """The count after multiplying the liquid by `factor`, for each count; shape (256,). Missing stays missing."""
    counts = vil_to_counts(factor * counts_to_vil(np.arange(MAX_COUNT + 1.0)))
    return np.append(counts.round(), MISSING).astype("uint8")
