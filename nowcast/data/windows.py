"""Windows of a store: a history and the future that follows it, always of one event and so of one split."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from nowcast.data.conventions import TIME
from pipelines.errors import InputError
from pipelines.store.protocol import Protocol
from pipelines.store.schema import data_range, pixels


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
        store: An open store (see pipelines.store.schema).
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
    times = store["valid_time"].values.astype(TIME).astype(np.int64)
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


def _usable(times: np.ndarray, present: np.ndarray, frames: np.ndarray, needed: range, least: int) -> bool:
    inside = (frames >= 0) & (frames < len(times))
    inside[inside] = present[frames[inside]]
    if inside.sum() < least or not inside[list(needed)].all():
        return False
    steps = np.diff(times[frames[inside]]) / np.diff(np.flatnonzero(inside))
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
        each case, and the attribute data_range. Of a video the values of dims (case, frame, channel, y, x).
    """
    array = pixels(store)
    values = [
        array.isel(event=window.event, frame=slice(window.start, window.start + frames)).values for window in windows
    ]
    events = xr.DataArray([window.event for window in windows], dims="case")
    starts = xr.DataArray([window.start for window in windows], dims="case")
    coords = store.coords.to_dataset().isel(event=events, frame=starts + xr.DataArray(np.arange(frames), dims="frame"))
    coords = coords.assign_coords(init_time=coords["valid_time"].variable[:, -1])
    history = xr.DataArray(np.stack(values).astype("float32"), dims=("case", *array.dims[1:]), name=array.name)
    return history.assign_coords(coords.coords).assign_attrs(data_range=data_range(store.attrs))
