"""Windows of a store: a history and the future that follows it, always of one event and so of one split."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from nowcast.seeds import numpy_generator
from pipelines.errors import InputError
from pipelines.protocol import Protocol

_FILL = 255


@dataclass(frozen=True)
class Window:
    """Frames `start` to `start + history + lead` of the event at position `event` of a store."""

    event: int
    start: int


def find_windows(
    store: xr.Dataset,
    *,
    history: int,
    lead: int,
    stride: int,
    split: str | None = None,
    events: Iterable[str] | None = None,
) -> list[Window]:
    """All windows of a store, in the order of its events.

    A window is left out when its frames are not evenly spaced in time or one of them is missing throughout.

    Args:
        store: An open store (see pipelines.store).
        history: Frames given.
        lead: Frames forecast.
        stride: Frames between the starts of two windows of an event.
        split: Only events of this split.
        events: Only these event ids.

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
    absent = store["missing_fraction"].values >= 1
    length = history + lead
    windows = [
        Window(int(event), start)
        for event in np.flatnonzero(chosen)
        for start in range(0, times.shape[1] - length + 1, stride)
        if not absent[event, start : start + length].any() and _evenly_spaced(times[event, start : start + length])
    ]
    if not windows:
        where = f" of split {split}" if split else ""
        raise InputError(
            f"the store has no window of {history} + {lead} frames{where}",
            got=f"{chosen.sum()} events{where}",
            remedy="see `nowcast info STORE` for its splits and missing frames",
        )
    return windows


def _evenly_spaced(seconds: np.ndarray) -> bool:
    steps = np.diff(seconds)
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


class TrainingWindows:
    """Training windows by sample number: number n is the same window, turned the same way, in every run of a seed.

    The n-th sample belongs to epoch n // len(windows), each epoch being a shuffle of its own, so that a training run is
    resumed exactly by going on from the number of samples seen.
    """

    def __init__(
        self, store: Path, windows: list[Window], history: int, lead: int, *, seed: int, augment: bool = False
    ):
        self._counts = zarr.open_array(f"{store}/vil", mode="r")
        self._windows = windows
        self._history, self._length = history, history + lead
        self._seed, self._augment = seed, augment
        self._epoch, self._order = -1, np.zeros(0, int)

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, number: int) -> np.ndarray:
        """Counts uint8 with shape (history + lead, y, x), 255 missing."""
        epoch, position = divmod(number, len(self._windows))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = numpy_generator(self._seed, "order", epoch).permutation(len(self._windows))
        window = self._windows[self._order[position]]
        frames = np.asarray(self._counts[window.event, window.start : window.start + self._length])
        return self._turned(frames, number) if self._augment else frames

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
