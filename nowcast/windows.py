"""Windows of a store: a history and the future that follows it, always of one event and so of one split."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from nowcast.seeds import numpy_generator
from pipelines.errors import InputError
from pipelines.protocol import Protocol
from pipelines.store import open_store

_FILL = 255


@dataclass(frozen=True)
class Window:
    """Frames from `start` on, each `step` after the one before, of the event at position `event` of a store."""

    event: int
    start: int
    step: int = 1


def find_windows(
    store: xr.Dataset,
    *,
    history: int,
    lead: int,
    stride: int,
    split: str | None = None,
    events: Iterable[str] | None = None,
    step: int = 1,
    least: int | None = None,
) -> list[Window]:
    """All windows of a store, in the order of its events.

    A window is left out when its frames are not evenly spaced in time or one of them is missing throughout, that is
    more than `least` allows.

    Args:
        store: An open store (see pipelines.store).
        history: Frames given.
        lead: Frames forecast.
        stride: Frames between the starts of two windows of an event.
        split: Only events of this split.
        events: Only these event ids.
        step: Frames from one of a window to the next.
        least: For training, a window may lack frames, begin before its event or end after it, if it has so many frames,
            and among them the newest three of the history and the first of the future.

    Raises:
        InputError: when an asked event is not in the store, or nothing is left.
    """
    ids = store["event"].values.astype(str)
    chosen = np.ones(len(ids), bool)
    if events is not None:
        unknown = sorted(set(events) - set(ids))
        if unknown:
            raise InputError(f"the store has no event {unknown[0]}", expected=f"one of {len(ids)}, such as {ids[0]}")
        chosen &= np.isin(ids, list(events))
    if split is not None:
        chosen &= store["split"].values.astype(str) == split
    times = store["valid_time"].values.astype("datetime64[s]").astype(np.int64)
    present = store["missing_fraction"].values < 1
    length = history + lead
    needed = range(length) if least is None else range(max(0, history - 3), history + min(1, lead))
    slack = 0 if least is None else (length - least) * step
    last = times.shape[1] - 1 - (length - 1) * step
    windows = [
        Window(int(event), start, step)
        for event in np.flatnonzero(chosen)
        for start in range(-slack, last + slack + 1, stride)
        if _usable(times[event], present[event], start + step * np.arange(length), needed, least or length)
    ]
    if not windows:
        where = f" of split {split}" if split else ""
        raise InputError(
            f"the store has no window of {history} + {lead} frames{where}",
            got=f"{chosen.sum()} events{where}",
            remedy="see `nowcast info STORE` for its splits and missing frames",
        )
    return windows


def _usable(seconds: np.ndarray, present: np.ndarray, frames: np.ndarray, needed: range, least: int) -> bool:
    inside = (frames >= 0) & (frames < len(seconds))
    inside[inside] = present[frames[inside]]
    if inside.sum() < least or not inside[list(needed)].all():
        return False
    steps = np.diff(seconds[frames[inside]]) / np.diff(np.flatnonzero(inside))
    return bool(steps[0] > 0 and (steps == steps[0]).all())


def evaluation_windows(
    store: xr.Dataset, protocol: Protocol, split: str | None, events: Iterable[str] | None = None
) -> list[Window]:
    """The windows that a protocol scores (see `find_windows`)."""
    return find_windows(
        store, history=protocol.history, lead=protocol.lead, stride=protocol.stride, split=split, events=events
    )


def history_of(store: xr.Dataset, windows: list[Window], frames: int) -> xr.DataArray:
    """The histories of some windows, as a forecaster takes them.

    Returns:
        Counts, float32, NaN missing, dims (case, frame, y, x), with coordinates event, init_time and the geography of
        each case.
    """
    values = [
        store["vil"].isel(event=window.event, frame=slice(window.start, window.start + frames)).values
        for window in windows
    ]
    events = xr.DataArray([window.event for window in windows], dims="case")
    starts = xr.DataArray([window.start for window in windows], dims="case")
    coords = store.coords.to_dataset().isel(event=events, frame=starts + xr.DataArray(np.arange(frames), dims="frame"))
    coords = coords.assign_coords(init_time=coords["valid_time"].variable[:, -1])
    history = xr.DataArray(np.stack(values).astype("float32"), dims=("case", "frame", "y", "x"), name="vil")
    return history.assign_coords(coords.coords)


def training_sources(
    stores: Iterable[Path],
    *,
    history: int,
    lead: int,
    stride: int,
    split: str,
    cadence: tuple[float, float] | None = None,
) -> list[tuple[Path, list[Window]]]:
    """Each store that has a split, with its windows (see `find_windows`).

    Args:
        stores: Stores to train on.
        history: Frames given.
        lead: Frames forecast.
        stride: Frames between the starts of two windows of an event.
        split: Split to take.
        cadence: Least and most minutes between frames. Every so many frames of a store are then taken as give such a
            cadence, in every way there is, and windows may lack a quarter of their frames.

    Raises:
        InputError: when no store has a window.
    """
    least = None if cadence is None else (history + lead) * 3 // 4
    sources = []
    for path in stores:
        store = open_store(path)
        if split not in store["split"].values:
            continue
        for step in _steps(store, cadence):
            windows = find_windows(
                store, history=history, lead=lead, stride=stride, split=split, step=step, least=least
            )
            sources.append((path, windows))
    if not sources:
        raise InputError(f"no store has a window of split {split}", remedy="see `nowcast info STORE` for its splits")
    return sources


def _steps(store: xr.Dataset, cadence: tuple[float, float] | None) -> list[int]:
    """Every how many frames of a store to take."""
    if cadence is None:
        return [1]
    times = store["valid_time"].values.astype("datetime64[s]").astype(np.int64)
    minutes = float(np.median(np.diff(times, axis=1))) / 60
    return [step for step in range(1, times.shape[1]) if cadence[0] <= step * minutes <= cadence[1]]


class TrainingWindows:
    """Training windows by sample number: number n is the same window, turned the same way, in every run of a seed.

    The n-th sample belongs to epoch n // len(windows), each epoch being a shuffle of its own, so that a training run is
    resumed exactly by going on from the number of samples seen.
    """

    def __init__(
        self,
        sources: Sequence[tuple[Path, list[Window]]],
        history: int,
        lead: int,
        *,
        side: int,
        seed: int,
        augment: bool = False,
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

        Raises:
            InputError: when frames are smaller than `side`.
        """
        arrays = [zarr.open_array(f"{store}/vil", mode="r") for store, _ in sources]
        for (store, _), array in zip(sources, arrays, strict=True):
            if min(array.shape[2:]) < side:
                raise InputError(f"frames of {store} are too small", got=array.shape[2:], expected=f"{side} or more")
        self._windows = [
            (array, window) for array, (_, windows) in zip(arrays, sources, strict=True) for window in windows
        ]
        self._history, self._length, self._side = history, history + lead, side
        self._seed, self._augment = seed, augment
        self._epoch, self._order = -1, np.zeros(0, int)

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, number: int) -> np.ndarray:
        """Counts uint8 with shape (history + lead, side, side), 255 missing."""
        epoch, position = divmod(number, len(self._windows))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = numpy_generator(self._seed, "order", epoch).permutation(len(self._windows))
        array, window = self._windows[self._order[position]]
        frames = self._read(array, window, number)
        return self._turned(frames, number) if self._augment else frames

    def _read(self, array: zarr.Array, window: Window, number: int) -> np.ndarray:
        """The frames of a window, missing where the event has none."""
        y, x = self._corner(array.shape[2:], number)
        wanted = window.start + window.step * np.arange(self._length)
        inside = (wanted >= 0) & (wanted < array.shape[1])
        first, last = wanted[inside][[0, -1]]
        frames = np.full((self._length, self._side, self._side), _FILL, "uint8")
        frames[inside] = np.asarray(array[window.event, first : last + 1, y : y + self._side, x : x + self._side])[
            :: window.step
        ]
        return frames

    def _corner(self, size: tuple[int, ...], number: int) -> tuple[int, int]:
        room = np.array(size) - self._side
        if not self._augment:
            y, x = room // 2
        else:
            y, x = numpy_generator(self._seed, "cut", number).integers(room + 1)
        return int(y), int(x)

    def _turned(self, frames: np.ndarray, number: int) -> np.ndarray:
        turns, flip = numpy_generator(self._seed, "augment", number).integers((4, 2))
        frames = np.rot90(frames, turns, axes=(1, 2))
        return frames[:, :, ::-1] if flip else frames

    def batches(self, first: int, size: int, *, rank: int = 0, ranks: int = 1) -> Iterator[tuple[np.ndarray, ...]]:
        """Endless batches from sample number `first` on: (history, history_observed, future, future_observed).

        Counts are float32 with shape (size, frames, y, x), zero where missing. With several processes each takes its
        own share of the numbers.
        """
        while True:
            start = first + rank * size
            counts = np.stack([self[number] for number in range(start, start + size)])
            observed = counts != _FILL
            frames = np.where(observed, counts, 0).astype("float32")
            past, ahead = slice(None, self._history), slice(self._history, None)
            yield frames[:, past], observed[:, past], frames[:, ahead], observed[:, ahead]
            first += size * ranks
