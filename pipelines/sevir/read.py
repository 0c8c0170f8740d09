"""An event of SEVIR's HDF5 files, and how its counts are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipelines.building.resample import REDUCERS
from pipelines.errors import InputError
from pipelines.sevir.archive import Archive
from pipelines.store.schema import Event


@dataclass(frozen=True, kw_only=True)
class PlannedEvent(Event):
    """An event and where its pixels are: `vil[index]` of `file`, a name below the data folder.

    Attributes:
        file: Name of its file.
        index: Its place in the file.
        step: Every `step`-th frame of the file is taken, as many as there are offsets.
        fault: Why it cannot be read; empty when it can.
    """

    file: str
    index: int
    step: int = 1
    fault: str = ""


def read_events(archive: Archive, reducer: str, events: Sequence[PlannedEvent]) -> np.ndarray:
    """Reduced counts of events, uint8 with shape (event, frame, y, x), 255 missing.

    Raises:
        InputError: when one of them cannot be read.
    """
    faults = [event.fault for event in events if event.fault]
    if faults:
        raise InputError(faults[0])
    reduced: dict[str, np.ndarray] = {}
    for name in {event.file for event in events}:
        members = [event for event in events if event.file == name]
        try:
            reduced |= archive.trying(partial(_read_file, archive, name, reducer, members))
        except MemoryError:
            raise
        except Exception as error:  # HDF5 has many exceptions for damaged files
            path = f"{archive.root}/{name}"
            raise InputError(f"{path} cannot be read", got=error, remedy="fetch it anew and run again") from error
    return np.stack([reduced[event.id] for event in events])


def _read_file(archive: Archive, name: str, reducer: str, events: Sequence[PlannedEvent]) -> dict[str, np.ndarray]:
    with archive.hdf5(name) as file:
        vil = file["vil"]
        counts = np.empty(vil.shape[1:], np.uint8)  # one for all: new memory would cost more than the reading
        reduced = {}
        for event in events:
            vil.read_direct(counts, np.s_[event.index])
            reduced[event.id] = REDUCERS[reducer](counts[..., :: event.step][..., : len(event.offsets)])
        return reduced
