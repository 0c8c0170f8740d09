"""Live mode: the newest frames of files of radar as a store of one event, which is forecast like any other."""

from collections.abc import Callable

import numpy as np
import xarray as xr

from nowcast.data.conventions import DURATION, TIME, minute_text
from nowcast.data.radar_file import Around, Sources, Tell, is_store, open_radar
from pipelines.errors import InputError
from pipelines.radar.files import OFF_STEP, commonest_step
from pipelines.store.progress import progress

__all__ = ["LENGTH", "is_store", "read_history"]

LENGTH = 10  # frames given and forecast where the model takes any number
LEAST = 3  # frames that a history may begin with: two steps of the echo, and how they differ
MOST_MISSING = 0.25  # of the frames after the first, as of a window of the training
_MINUTE = np.timedelta64(1, "m")


def read_history(
    sources: Sources,
    frames: int,
    init: np.datetime64 | None = None,
    tell: Tell = lambda text: None,
    around: Around | None = None,
    opened: Callable[[xr.Dataset], object] = lambda radar: None,
) -> xr.Dataset:
    """The newest frames of some files, as `pipelines.store.schema.open_store` gives a store.

    The newest frame is the last one that has an observed pixel. The files may begin within the history, which is then
    missing before them, except for its newest three frames. Of the frames after the first a quarter may be missing:
    lacking in the files, damaged, or without an observed pixel.

    Args:
        sources: Files of radar, folders or wildcards.
        frames: Number of frames.
        init: Time of the last of them, UTC; by default the newest there is.
        tell: Called with a line about each thing that is not as it should be.
        around: The square to take; by default the whole grid.
        opened: Called with the files as a store, before any frame is read (see `nowcast.data.radar_file.open_radar`).

    Returns:
        A store in memory of one event that has these frames, dims (event, frame, y, x), without protocol and reducer.

    Raises:
        InputError: when the files cannot be read, or have too few frames or uneven steps between them.
    """
    radar = open_radar(sources, newest=2 * frames, until=init, around=around, tell=tell)
    opened(radar)
    name, times = radar.attrs["source_name"], radar["valid_time"].values[0].astype(TIME)
    given = _last(name, times, init)
    _check_number(name, given + 1, times[given], min(LEAST, frames))  # before a frame is read, which may take long
    with progress("reading frames", frames) as advance:
        where = "the square of {2:g} km about {0:g}, {1:g} in ".format(*around) if around else ""
        last, newest = _newest_seen(radar, where + name, given, init is not None, tell)
        step, numbers = _slots(name, times[: last + 1], frames)
        fields = [np.full_like(newest, np.nan)] * frames
        for slot in range(frames):
            if (number := numbers.get(slot)) is not None:
                fields[slot] = newest if number == last else radar["vil"][0, number].values
            advance()
    counts, even = np.stack(fields), times[last] + step * np.arange(1 - frames, 1)
    missing = np.isnan(counts).mean((1, 2), dtype="float32")
    _check_missing(name, even, missing == 1, 0 in numbers.values(), tell)
    store = radar.isel(frame=[numbers.get(slot, last) for slot in range(frames)])
    store["vil"] = store["vil"].copy(data=counts[None])
    store = store.assign_coords(
        valid_time=store["valid_time"].copy(data=even.astype(store["valid_time"].dtype)[None]),
        event=store["event"],
        missing_fraction=(("event", "frame"), missing[None]),
    )
    return store.assign_attrs(cadence_minutes=step / _MINUTE)


def _last(name: str, times: np.ndarray, init: np.datetime64 | None) -> int:
    """The number of the newest frame, or of that of `init`, the times being in order."""
    if init is None:
        return len(times) - 1
    last = int(np.searchsorted(times, init.astype(TIME), side="right")) - 1
    if last < 0 or times[last] != init:
        after = int(np.searchsorted(times, init.astype(TIME)))
        beside = " and ".join(minute_text(time) for time in times[max(0, after - 1) : after + 1])
        step = commonest_step(times.tolist())
        every = f", every {step.total_seconds() / 60:g} minutes" if step else ""
        raise InputError(
            f"{name} has no frame at {minute_text(init)} UTC",
            got=f"frames from {minute_text(times[0])} to {minute_text(times[-1])} UTC{every}",
            expected=f"the time of one; the nearest to it: {beside}",
        )
    return last


def _newest_seen(radar: xr.Dataset, name: str, last: int, given: bool, tell: Tell) -> tuple[int, np.ndarray]:
    """The number and counts of the newest frame, from `last` back, that has an observed pixel.

    A future that an archive filled with missing pixels may be years long: beyond the newest frames it is searched in
    strides that double, and then by halves. Frames lost in the past do not end that search.

    Raises:
        InputError: when none has, or `last` itself has none and was given by the user.
    """
    times = radar["valid_time"].values[0]
    fields: dict[int, np.ndarray] = {}

    def seen(number: int) -> bool:
        field = radar["vil"][0, number].values
        if is_seen := not np.isnan(field).all():
            fields[number] = field
        return is_seen

    number, future, stride = last, last + 1, 1
    while not seen(number):
        if given or number == 0:
            at = f" at {minute_text(times[last])}" if given else ""
            raise InputError(f"{name} has nothing but missing pixels{at}")
        number, future, stride = max(0, number - stride), number, stride if last - number < LENGTH else 2 * stride
    found: int | None = number
    while found is not None:
        number, empty = found, future
        while empty - number > 1:
            middle = (number + empty) // 2
            number, empty = (middle, empty) if seen(middle) else (number, middle)
        found = next((later for later in range(min(number + LENGTH, future - 1), number, -1) if seen(later)), None)
    if number < last:
        newest = minute_text(times[number])
        tell(f"{name} has nothing but missing pixels after {newest} UTC: the forecast starts from then")
    return number, fields[number]


def _slots(name: str, times: np.ndarray, frames: int) -> tuple[np.timedelta64, dict[int, int]]:
    """The step between frames (see `pipelines.radar.files.commonest_step`), and the frame at each step of the history.

    Args:
        name: Name of the files.
        times: Times of the frames, in order; the last one ends the history.
        frames: Number of steps.

    Returns:
        The step; the numbers of the frames by the number of their step, from 0 to frames - 1.

    Raises:
        InputError: when there are too few frames, one in the history is off by more than a quarter of a step, or one
            has another cadence.
    """
    step = np.timedelta64(commonest_step(times[-max(frames, 2) :].tolist()) or 0, "us").astype(DURATION)
    exact = (times - times[-1]) / step + frames - 1 if step else np.zeros(1)
    nearest = np.rint(exact).astype(int)
    held = len(set(nearest[nearest >= 0].tolist()))
    _check_number(name, held, times[-1], min(LEAST, frames) if step else 2)
    inside = nearest >= 0
    before = max(0, int(inside.argmax()) - 1)  # a step into the history is longer where the cadence was another
    gaps = np.diff(nearest[before:])
    changed = (gaps[1:] == gaps[:-1]) & (gaps[1:] > 1)
    if changed.any() or (np.abs(exact - nearest) > OFF_STEP)[inside].any():
        raise InputError(
            f"the last {frames} frames of {name} are not evenly spaced",
            got=", ".join(f"{minutes:g}" for minutes in np.diff(times[before:]) / _MINUTE) + " minutes",
            expected="equal steps",
            remedy="add what is missing, or end before it with --init",
        )
    order = np.argsort(-np.abs(exact - nearest), kind="stable")  # of two frames of a step the nearer one is taken
    return step, {int(nearest[number]): int(number) for number in order if inside[number]}


def _check_number(name: str, held: int, end: np.datetime64, least: int) -> None:
    if held < least:
        raise InputError(
            f"{name} holds {held} frame{'s' * (held != 1)} up to {minute_text(end)} UTC",
            expected=f"{LEAST} frames or more",
            remedy="where each file holds one frame, give several, their folder or a wildcard",
        )


def _check_missing(name: str, times: np.ndarray, lost: np.ndarray, begins: bool, tell: Tell) -> None:
    """Say which frames of a history are missing, and refuse one that lacks too many after its first.

    Args:
        name: Name of the files.
        times: Times of the history.
        lost: True where its frame is missing.
        begins: Whether the files begin within the history.
        tell: Called with the lines.
    """
    frames, first = len(times), int(lost.argmin())
    if first and (begins or lost.mean() > MOST_MISSING):
        how = "begins" if begins else "has a long gap before it begins again"
        since = minute_text(times[first])
        tell(f"{name} {how} at {since} UTC: {first} of {frames} frames of the history are missing")
        times, lost = times[first:], lost[first:]
    missing = ", ".join(minute_text(time) for time in times[lost])
    if lost.mean() > MOST_MISSING:
        raise InputError(
            f"{lost.sum()} of the newest {len(times)} frames of {name} are missing",
            got=f"none at {missing} UTC",
            expected=f"at most {int(MOST_MISSING * len(times))}",
            remedy="end before them with --init",
        )
    if missing:
        are = "is" if lost.sum() == 1 else "are"
        tell(f"{lost.sum()} of the newest {len(times)} frames of {name} {are} missing: {missing} UTC")
