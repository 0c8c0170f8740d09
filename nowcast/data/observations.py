"""Observations of a forecast's cases, found by place and time in an archive store or files of radar.

A case that names an event of the store is read from that event, unless the two lie in different places. Any other case
is put together from all events of the store that share its pixels, such as the tiles that a whole domain was cut into.
Pixels and times that nothing covers are missing. Files of radar are a store of one event (see `radar_file`).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import xarray as xr

from nowcast.data.conventions import TIME, time_text
from nowcast.data.footprint import Footprint, footprint_of, footprints
from nowcast.data.radar_file import Sources, open_archive
from pipelines.errors import InputError
from pipelines.radar.files import OFF_STEP
from pipelines.store.kind import RADAR, kind_of
from pipelines.store.progress import progress
from pipelines.store.schema import pixels
from pipelines.store.units import MISSING

COUNT_UNITS = {None, "", "1", "count", "counts"}
_OFF_TIME = 0.1  # of the step between frames, by which the truth may miss a valid time; a history may by OFF_STEP


@dataclass(frozen=True)
class Case:
    """An event and an init time, with the times and the place of what is forecast.

    Attributes:
        event: Event id.
        init_time: Time of the last observed frame, datetime64[us].
        valid_times: One time per lead time, datetime64[us].
        footprint: Its pixels; None where the forecast does not say.
    """

    event: str
    init_time: np.datetime64
    valid_times: np.ndarray
    footprint: Footprint | None = None

    @classmethod
    def of(cls, one: xr.Dataset) -> Self:
        """One case of a forecast, without the dim case."""
        init, times = (one[name].values.astype(TIME) for name in ("init_time", "valid_time"))
        return cls(str(one["event"].item()), np.datetime64(init.item(), "us"), times, footprint_of(one))

    def __str__(self) -> str:
        return f"{self.event}@{time_text(self.init_time)}"


@dataclass(frozen=True)
class Observations:
    """An open store, read by place and time.

    Attributes:
        store: See pipelines.store.schema.
        name: Its name in messages.
    """

    store: xr.Dataset
    name: str = "the store"

    @classmethod
    def open(cls, source: Sources | xr.Dataset) -> Self:
        """The observations of an archive store (a path or an open one), or of files of radar, folders or wildcards.

        Raises:
            InputError: when it cannot be read, is a forecast, or is not in counts.
        """
        store = source if isinstance(source, xr.Dataset) else open_archive(source)
        name = store.attrs.get("source_name", "the store")
        kind = kind_of(store)
        variable, dims = kind.variable, kind.dims
        if not {variable, "event", "valid_time"} <= set(store.variables) or set(store[variable].dims) != set(dims):
            raise InputError("the observations are not a store", expected=f"event, valid_time, {variable} with {dims}")
        units = store[variable].attrs.get("units")
        if units not in COUNT_UNITS:
            raise InputError(
                f"{name} is not in counts", got=f"units {units}", expected=f"units 1 (0 to {RADAR.data_range})"
            )
        return cls(store, name)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {event: number for number, event in enumerate(texts(self.store["event"]))}

    @cached_property
    def _footprints(self) -> list[Footprint | None]:
        return footprints(self.store, "event")

    @cached_property
    def _times(self) -> np.ndarray:
        return self.store["valid_time"].transpose("event", "frame").values.astype(TIME)

    def footprint(self, case: Case) -> Footprint | None:
        """Where a case lies, by the forecast or else by the store."""
        number = self._numbers.get(case.event)
        return case.footprint or (None if number is None else self._footprints[number])

    def times(self, case: Case) -> np.ndarray:
        """Times of the frames that the store has of a case, in order.

        Raises:
            InputError: when the store has neither the event nor its pixels.
        """
        return np.unique(self._times[[number for number, _ in self._sources(case)]])

    def seen(self, case: Case) -> np.ndarray:
        """Which of a case's valid times have a frame, bool with shape (lead_time,).

        Raises:
            InputError: see `times`.
        """
        return self._any_frame(case, _OFF_TIME)

    def near(self, case: Case) -> np.ndarray:
        """Which of a case's valid times have a frame that a history would take for theirs; shape as `seen`.

        Raises:
            InputError: see `times`.
        """
        return self._any_frame(case, OFF_STEP)

    def _any_frame(self, case: Case, off: float) -> np.ndarray:
        return np.any([self._frames(number, case.valid_times, off) >= 0 for number, _ in self._sources(case)], axis=0)

    def fields(self, case: Case) -> np.ndarray:
        """Observed counts at a case's valid times, float32 with dims (lead_time, y, x), of video with channel before y.

        NaN where a pixel is missing, and where there is no frame.

        Raises:
            InputError: see `times`.
        """
        return self._at(case, case.valid_times)

    def past(self, case: Case, number: int) -> np.ndarray:
        """The newest frames up to a case's init time, at most `number` of them; dims as `fields`.

        Raises:
            InputError: see `times`.
        """
        times = self.times(case)
        times = times[times <= case.init_time][-number:]
        return self._at(case, times)

    def _at(self, case: Case, times: np.ndarray) -> np.ndarray:
        sources = self._sources(case)
        if case.footprint is None or sources[0][1] is None:
            return self._read(sources[0][0], times)
        shape = len(times), case.footprint.rows, case.footprint.columns
        fields = np.full(shape, np.nan, "float32")
        for event, offset in sources:
            part = self._read(event, times)
            here, there = zip(*map(_shared, offset or (0, 0), shape[1:], part.shape[1:]), strict=True)
            values = part[:, *there]
            fields[:, *here] = np.where(np.isnan(values), fields[:, *here], values)
        return fields

    def _sources(self, case: Case) -> Sequence[tuple[int, tuple[int, int] | None]]:
        """Numbers of the events that a case is read from, each with its offset; None: its pixels are the case's."""
        number, place = self._numbers.get(case.event), case.footprint
        own = None if number is None else self._footprints[number]
        if number is not None and (place is None or own is None or own.same_as(place)):
            return [(number, None)]
        if place is None:
            raise InputError(f"{self.name} has no event {case.event}, which the forecast has")
        offsets = [(event, place.offset(other)) for event, other in enumerate(self._footprints) if other]
        shared = [(event, offset) for event, offset in offsets if offset is not None]
        if not shared:
            other = next((other for other in self._footprints if other), "events of other forecasts")
            if isinstance(other, Footprint) and place.is_beside(other):
                raise InputError(
                    f"{self.name} and the forecast's event {case.event} are of grids of latitude and longitude with "
                    "other centres, and such a grid is laid on squares about its centre",
                    remedy="give the files that it was made from, or later ones of the same grid",
                )
            raise InputError(
                f"{self.name} has no pixel of the forecast's event {case.event}", got=other, expected=place
            )
        return shared

    def _frames(self, event: int, times: np.ndarray, off: float = _OFF_TIME) -> np.ndarray:
        """Numbers of an event's frames at some times, off by a part of a step at most; -1 where there is none."""
        own = self._times[event]
        order = np.argsort(own, kind="stable")
        tolerance = off * np.median(np.diff(own[order]).astype("int64")) if len(own) > 1 else 0
        distance = np.abs(own[order] - times.astype(TIME)[:, None]).astype("int64")
        nearest = distance.argmin(axis=1)
        return np.where(distance[np.arange(len(times)), nearest] <= tolerance, order[nearest], -1)

    def _read(self, event: int, times: np.ndarray) -> np.ndarray:
        """Counts of an event at some times; NaN where it has no frame."""
        frames = self._frames(event, times)
        array = pixels(self.store).isel(event=event).transpose("frame", ..., "y", "x")
        counts = _counts_by_parts(array.isel(frame=frames[frames >= 0]), self.name)
        if (frames >= 0).all():
            return counts
        fields = np.full((len(times), *counts.shape[1:]), np.nan, "float32")
        fields[frames >= 0] = counts
        return fields


def _shared(offset: int, size: int, other: int) -> tuple[slice, slice]:
    """Of two ranges, the second beginning `offset` after the first, what they share: in the first, in the second."""
    start, stop = max(0, offset), min(size, offset + other)
    return slice(start, stop), slice(start - offset, stop - offset)


def texts(names: xr.DataArray) -> list[str]:
    """Text of any kind that files have, as a list."""
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names.values.tolist()]


def _counts_by_parts(array: xr.DataArray, name: str) -> np.ndarray:
    """As `counts_of`, with progress: frames of files of radar may take long."""
    if array.chunks is None:
        return counts_of(array, name)
    at_once = os.cpu_count() or 1
    parts = []
    with progress("reading frames", array.sizes["frame"]) as advance:
        for start in range(0, array.sizes["frame"], at_once):
            parts.append(counts_of(array.isel(frame=slice(start, start + at_once)), name))
            for _ in parts[-1]:
                advance()
    return np.concatenate(parts)


def counts_of(array: xr.DataArray, name: str) -> np.ndarray:
    """The values of `vil` or `video`, read and as float32.

    Raises:
        InputError: for counts above 254, which are missing ones that are not marked as such.
    """
    values = array.values
    if array.name == RADAR.variable and values.dtype.kind in "ui" and values.size and values.max() > RADAR.data_range:
        raise InputError(f"{name} has counts of {values.max()}", remedy=f"give vil the attribute _FillValue {MISSING}")
    return values.astype("float32", copy=False)
