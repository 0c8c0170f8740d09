"""The cases of a forecast: windows of a store, or the newest frames of files of radar."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from nowcast.data.conventions import DURATION, THRESHOLDS, TIME, lead_label, minute_text, minutes
from nowcast.data.radar_file import Around, Sources, Tell, several
from nowcast.data.windows import Window, find_windows
from nowcast.forecasting import live
from pipelines.errors import InputError
from pipelines.radar.files import commonest_step
from pipelines.store.protocol import load_protocol
from pipelines.store.schema import open_store

SIDE_KM = 256.0  # of a square about a place

Sized = Callable[[xr.Dataset, int, int], object]
"""Takes a store whose frames are not read yet, the number of cases, and the number of frames to forecast."""


@dataclass(frozen=True)
class Request:
    """Cases to forecast, and how.

    Attributes:
        members: Ensemble size; None for `MEMBERS`. A deterministic model makes one member.
        split: Split whose evaluation windows are forecast; not used when events are named.
        events: Only these event ids, of any split.
        init: Only this init time (UTC): the last frame that the model sees. By default the newest frames are taken of a
            store whose events are too short for windows that can be scored.
        around: Only this square of a grid of radar; not of a store.
        limit: Largest number of cases: the first ones, in the order of the store.
        lead: Number of frames to forecast, or the last lead time; by default as many frames as the model makes in one
            go. Beyond these a trained model is rolled out.
        seed: Seed of the run.
        summary_only: Whether to write mean, spread, quantiles and probabilities instead of members.
        units: Units of the file, such as mm/h; by default those that the source has or was made of.
    """

    members: int | None = None
    split: str = "test"
    events: tuple[str, ...] = ()
    init: np.datetime64 | None = None
    around: Around | None = None
    limit: int | None = None
    lead: int | np.timedelta64 | None = None
    seed: int = 0
    summary_only: bool = False
    units: str | None = None


@dataclass(frozen=True)
class Cases:
    """The cases of a request.

    Attributes:
        store: The store; files of radar are one of a single event.
        windows: One window per case.
        history: Number of frames that the model sees.
        lead: Number of frames to forecast.
        thresholds: Thresholds in counts for which probabilities are of interest.
    """

    store: xr.Dataset
    windows: list[Window]
    history: int
    lead: int
    thresholds: tuple[float, ...]

    @property
    def init_times(self) -> np.ndarray:
        """Init time of each case, datetime64[us]."""
        times = self.store["valid_time"].values.astype(TIME)
        return np.array([times[window.event, window.start + self.history - 1] for window in self.windows])


def parse_time(text: str) -> np.datetime64:
    """A UTC time such as 2019-06-01T12:30.

    Raises:
        InputError: when the text is no time.
    """
    try:
        return np.datetime64(text.removesuffix("Z").strip(), "us")
    except ValueError as error:
        raise InputError("wrong time", got=repr(text), expected="UTC, such as 2019-06-01T12:30") from error


def parse_around(text: str) -> Around:
    """The square about a place that "52.1,5.2" or "52.1,5.2,300" says: latitude, longitude, kilometres along a side.

    Raises:
        InputError: when the text says none.
    """
    try:
        latitude, longitude, km = (float(part) for part in [*text.split(","), str(SIDE_KM)][:3])
    except ValueError:
        latitude = longitude = km = float("nan")
    if not (abs(latitude) <= 90 and abs(longitude) <= 360 and 1 <= km <= 20_000):
        raise InputError("no square", got=repr(text), expected="LATITUDE,LONGITUDE or LATITUDE,LONGITUDE,KILOMETRES")
    return latitude, longitude, km


def parse_lead(text: str) -> np.timedelta64:
    """The last lead time that "3h", "90min" or "90" (minutes) says.

    Raises:
        InputError: when the text says none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(h|min|)\s*", text)
    if not found or not float(found[1]):
        raise InputError("no lead time", got=repr(text), expected="hours or minutes, such as 3h or 90min")
    return minutes(float(found[1]) * (60 if found[2] == "h" else 1))


def _frames(asked: int | np.timedelta64 | None, usual: int, cadence: np.timedelta64) -> int:
    """The number of frames to forecast, of a cadence."""
    if not isinstance(asked, np.timedelta64):
        return asked or usual
    frames, rest = divmod(asked.astype(DURATION), cadence.astype(DURATION))
    if rest:
        step = lead_label(cadence)
        raise InputError("the lead time is no multiple of the cadence", got=lead_label(asked), expected=f"N x {step}")
    return int(frames)


def find_cases(
    source: Sources,
    length: tuple[int, int] | None,
    request: Request,
    tell: Tell,
    sized: Sized = lambda store, cases, lead: None,
) -> Cases:
    """The cases that a request asks of a store, or of files of radar.

    Args:
        source: A store; or files of radar, folders or wildcards.
        length: Frames that the model sees and forecasts; None for those of the store's protocol.
        request: Which cases.
        tell: Called with a line about events that are left out, and frames that are missing.
        sized: Called once, before any frame is read.

    Raises:
        InputError: when the source is neither, or lacks what is asked for.
    """
    paths = several(source)
    if len(paths) == 1 and live.is_store(paths[0]):
        if request.around:
            raise InputError("a square is cut out of files of radar", got=f"the store {paths[0]}", remedy="say --event")
        store = open_store(paths[0])
        protocol = load_protocol(store.attrs["protocol"])
        history, lead = length or (protocol.history, protocol.lead)
        lead = _frames(request.lead, lead, minutes(store.attrs["cadence_minutes"]))
        request = _newest_of_short(store, request, history, lead, tell)
        windows = _windows(store, request, history, lead, protocol.stride)
        _tell_left_out(store, windows, request, tell)
        cases = Cases(store, windows[: request.limit], history, lead, protocol.thresholds)
        sized(store, len(cases.windows), lead)
        return cases
    history, lead = length or (live.LENGTH, live.LENGTH)

    def opened(radar: xr.Dataset) -> None:
        event = radar["event"].item()
        if unknown := sorted(set(request.events) - {event}):
            raise InputError(f"the files have no event {unknown[0]}", expected=event)
        if step := commonest_step(radar["valid_time"].values[0, -max(history, 2) :].astype(TIME).tolist()):
            sized(radar, 1, _frames(request.lead, lead, np.timedelta64(step, "us")))

    store = live.read_history(paths, history, request.init, tell, request.around, opened)
    lead = _frames(request.lead, lead, minutes(store.attrs["cadence_minutes"]))
    return Cases(store, [Window(0, 0)], history, lead, THRESHOLDS)


def _newest_of_short(store: xr.Dataset, request: Request, history: int, lead: int, tell: Tell) -> Request:
    """The request, from the newest frames where events hold a history but no window that can be scored."""
    frames = store.sizes["frame"]
    if request.init is not None or not history <= frames < history + lead:
        return request
    last = store["valid_time"].values.astype(TIME).max()
    tell(
        f"forecasting what comes after {minute_text(last)} UTC: the events have {frames} frames, and a window that can "
        f"be scored needs {history + lead}"
    )
    return replace(request, init=last)


def _windows(store: xr.Dataset, request: Request, history: int, lead: int, stride: int) -> list[Window]:
    split, events = None if request.events else request.split, request.events or None
    if request.init is None:
        return find_windows(store, history=history, lead=lead, stride=stride, split=split, events=events)
    init = request.init.astype(TIME)
    windows = find_windows(store, history=history, lead=0, stride=1, split=None, events=events)
    times = store["valid_time"].values.astype(TIME)
    windows = [window for window in windows if times[window.event, window.start + history - 1] == init]
    if not windows:
        raise InputError(
            f"the store has no {history} frames that end at {minute_text(init)} UTC",
            remedy="see `nowcast info STORE` for its events and times",
        )
    return windows


def _tell_left_out(store: xr.Dataset, windows: list[Window], request: Request, tell: Tell) -> None:
    """Say how many of the events that were asked for have no window."""
    asked = np.ones(store.sizes["event"], bool)
    if request.events:
        asked = np.isin(store["event"].values.astype(str), request.events)
    elif request.init is None:
        asked = store["split"].values.astype(str) == request.split
    if request.init is not None:
        asked &= (store["valid_time"].values.astype(TIME) == request.init.astype(TIME)).any(1)
    lacking = asked.copy()
    lacking[[window.event for window in windows]] = False
    unseen = (store["missing_fraction"].values == 1).all(1)
    for reason, number in (
        ("nothing was observed in them", (lacking & unseen).sum()),
        ("too many of their frames are missing", (lacking & ~unseen).sum()),
    ):
        if number:
            tell(f"{number} of {asked.sum()} events left out: {reason}")
