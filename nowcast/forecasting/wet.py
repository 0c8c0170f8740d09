"""Wet cases of an archive, spread over its time, that share no scored frame: on which models are compared.

A case is chosen by the newest frame that a forecast sees, never by what came after: a choice by the outcome would
favour models that forecast too much rain.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from nowcast.data.conventions import ECHO, TIME
from nowcast.data.radar_file import open_archive
from nowcast.data.windows import Window, find_windows
from nowcast.forecasting.live import LENGTH
from pipelines.errors import InputError
from pipelines.radar.files import commonest_step
from pipelines.store.protocol import load_protocol
from pipelines.store.schema import pixels

__all__ = ["WetCase", "lengths", "open_archive", "spells", "wet_cases"]

WET = 0.01  # share of the observed pixels with echo from which a case is wet
_LEAST_SEEN = 0.1  # share of the pixels that must be observed
_LOOKED_AT = 30  # newest frames that are read for each case that is asked for
_SPELL = np.timedelta64(6, "h")  # cases less far apart belong to one spell of rain

Progress = Callable[[Sequence[Any]], Iterable[Any]]


class WetCase(NamedTuple):
    """A case.

    Attributes:
        event: Event id.
        init_time: Time of the newest frame that a forecast sees.
        echo: Share of the observed pixels of that frame with echo.
    """

    event: str
    init_time: np.datetime64
    echo: float


def wet_cases(
    archive: xr.Dataset, number: int, history: int = LENGTH, lead: int = LENGTH, progress: Progress = iter
) -> list[WetCase]:
    """The wettest case of each part of the archive, in order of time; all wet ones where they are fewer.

    Args:
        archive: See `open_archive`. Of a store the test split is taken.
        number: Largest number of cases.
        history: Frames that a forecast sees.
        lead: Frames that it forecasts; the scored frames of two cases of an event never overlap.
        progress: Wraps the candidates, whose newest frames are read.

    Raises:
        InputError: when the archive holds no such window of frames, or none that is wet.
    """
    store, split = (archive, "test") if "protocol" in archive.attrs else (_even(archive), None)
    windows = find_windows(store, history=history, lead=lead, stride=1, split=split)
    times, events = archive["valid_time"].values.astype(TIME), store["event"].values.astype(str)
    candidates = [(window.event, window.start + history - 1) for window in _apart(windows, lead)]
    candidates.sort(key=lambda place: times[place])
    most = _LOOKED_AT * number
    if len(candidates) > most:
        candidates = [candidates[place] for place in np.linspace(0, len(candidates) - 1, most).round().astype(int)]
    array = pixels(store)
    found = []
    for event, frame in progress(candidates):
        echo = _echo(array.isel(event=event, frame=frame).values)
        found.append(WetCase(events[event], times[event, frame], echo))
    wet = [case for case in found if case.echo >= WET]
    if not wet:
        raise InputError(
            f"no case is wet: {len(found)} were looked at",
            got=f"echo on at most {max(case.echo for case in found):.1%} of the observed pixels",
            expected=f"{WET:.0%} or more",
        )
    parts = np.array_split(np.arange(len(wet)), min(number, len(wet)))
    return [max((wet[place] for place in part), key=lambda case: case.echo) for part in parts]


def _even(radar: xr.Dataset) -> xr.Dataset:
    """Radar with its frames at the even times that they are nearest to, none of them missing throughout."""
    times = radar["valid_time"].values.astype(TIME)
    step = np.timedelta64(commonest_step(times[0].tolist()) or 1, "us")
    even = times[:, -1:] - step * np.rint((times[:, -1:] - times) / step).astype(int)
    return radar.assign_coords(
        valid_time=(("event", "frame"), even),
        missing_fraction=(("event", "frame"), np.zeros(times.shape, "float32")),
    )


def lengths(archive: xr.Dataset) -> tuple[int, int]:
    """Frames given and forecast: those of a store's protocol, or ten of each."""
    if "protocol" not in archive.attrs:
        return LENGTH, LENGTH
    protocol = load_protocol(archive.attrs["protocol"])
    return protocol.history, protocol.lead


def _apart(windows: Sequence[Window], lead: int) -> list[Window]:
    """Of windows in order, those that begin at least `lead` frames after the one before, of each event."""
    kept: list[Window] = []
    for window in windows:
        if not kept or kept[-1].event != window.event or window.start >= kept[-1].start + lead:
            kept.append(window)
    return kept


def _echo(frame: np.ndarray) -> float:
    """Share of the observed pixels with echo; 0 where hardly any was observed."""
    seen = np.isfinite(frame)
    return float((frame[seen] >= ECHO).mean()) if seen.mean() >= _LEAST_SEEN else 0.0


def spells(cases: Sequence[WetCase]) -> list[int]:
    """The number of the spell of rain that each case is of: cases less than six hours apart are of one."""
    times = np.array([case.init_time for case in cases])
    order = np.argsort(times, kind="stable")
    starts = np.diff(times[order], prepend=times[order][:1]) >= _SPELL
    numbers = np.empty(len(cases), int)
    numbers[order] = np.cumsum(starts)
    return numbers.tolist()
