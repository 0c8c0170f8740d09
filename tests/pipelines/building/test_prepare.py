"""A plan of a toy reader, a list of events and a function, to a store; its words."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pytest

from pipelines.building.plan import LeftOut, Plan
from pipelines.building.prepare import prepare
from pipelines.errors import InputError
from pipelines.store.geo import SEVIR_PROJ
from pipelines.store.protocol import load_protocol
from pipelines.store.schema import Event, open_store


def read(events):
    """Event n has n counts everywhere; event 2 was never observed, event 3 cannot be read."""
    numbers = [int(event.id) for event in events]
    if 3 in numbers:
        raise InputError("event 3 is damaged")
    values = [255 if number == 2 else number for number in numbers]
    return np.broadcast_to(np.array(values, "uint8")[:, None, None, None], (len(values), 12, 128, 128))


def plan(count: int, **options) -> Plan:
    events = tuple(
        Event(id=f"{n}", time=datetime(2020, 1, 1), offsets=tuple(range(0, 3600, 300)), split="test", proj=SEVIR_PROJ)
        for n in range(count)
    )
    rules = load_protocol("radar-128-10-10").of_radar(5.0, "none")
    return Plan(title="toys", events=events, read=read, rules=rules, files=(("a.h5", 7), ("b.h5", None)), **options)


def test_a_store_of_any_reader_and_its_summary(tmp_path):
    told = []
    summary = prepare(plan(4), tmp_path / "s.zarr", tell=told.append)
    assert told == [str(plan(4))]
    assert (summary.events, summary.written, summary.unobserved, summary.splits) == (4, 3, 1, {"test": 4})
    assert str(summary) == (
        f"{tmp_path}/s.zarr: 4 events (4 test); 3 written now; 0 files left out; "
        "1 event never observed, which will not be forecast; "
        f"1 event could not be read and is missing, see {tmp_path}/s.zarr/rejects.jsonl: "
        "mend the files and run again, only those events are read"
    )
    store = open_store(tmp_path / "s.zarr")
    assert store["vil"].max(("frame", "y", "x")).values[:2].tolist() == [0, 1]
    assert store.attrs["source_files"] == ["a.h5 7 bytes", "b.h5 absent"]


def test_a_finished_store_is_left_as_it_is(tmp_path):
    prepare(plan(2), tmp_path / "s.zarr")
    summary = prepare(plan(2, source="video"), tmp_path / "s.zarr")
    assert str(summary) == f"{tmp_path}/s.zarr: 2 events (2 test); up to date, nothing to do; 0 videos left out"


@dataclass(frozen=True, kw_only=True)
class FileEvent(Event):
    """An event of a file of its own."""

    file: str


class Killed(BaseException):
    """Stands for a kill in this process."""


def test_a_file_mended_before_an_unfinished_run_is_resumed(tmp_path):
    """Event 3 is damaged in the first run, which is killed in its second shard; then its file is mended."""
    seen, damaged, fatal = [], {"3"}, {"20"}

    def reading(events):
        seen.extend(event.id for event in events)
        if fatal & {event.id for event in events}:
            raise Killed
        if damaged & {event.id for event in events}:
            raise InputError("damaged")
        return np.full((len(events), 12, 128, 128), 9, "uint8")

    whole = plan(24)
    events = tuple(FileEvent(**vars(event), file=f"{event.id}.h5") for event in whole.events)
    first = replace(whole, events=events, read=reading, files=tuple((event.file, 5) for event in events))
    with pytest.raises(Killed):
        prepare(first, tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists() and {"0", "3", "20"} <= set(seen)
    mended = replace(first, files=tuple((name, 6 if name == "3.h5" else 5) for name, _ in first.files))
    seen.clear(), damaged.clear(), fatal.clear()
    summary = prepare(mended, tmp_path / "s.zarr")
    assert set(seen) == {"3", *map(str, range(16, 24))}
    assert summary.rejects == () and not (tmp_path / "s.zarr" / "rejects.jsonl").exists()
    store = open_store(tmp_path / "s.zarr")
    assert (store["missing_fraction"] == 0).all() and "3.h5 6 bytes" in store.attrs["source_files"]


def test_a_plan_in_words():
    gone = (LeftOut("c.h5", "too old"), LeftOut("d.h5", "too old"), LeftOut("", "e.h5 is a picture"))
    assert str(plan(1, left_out=gone, faults=(LeftOut("0", "damaged"),), notes=("  a note",))).splitlines() == [
        "plan: toys",
        "  a note",
        "  protocol radar-128-10-10: none to 128 x 128 pixels",
        "  test: 1 event, 0 windows of 10 -> 10 frames",
        "  too short to score: 12 frames, 20 needed",
        "cannot be read: 1",
        "  damaged: 0",
        "left out of the files: 3",
        "  too old: c.h5, d.h5",
        "  e.h5 is a picture",
    ]


def test_long_lists_are_cut():
    lines = str(plan(1, left_out=tuple(LeftOut(f"{n}", "old") for n in range(12)))).splitlines()
    assert lines[-1] == "  old: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    lines = str(plan(1, left_out=tuple(LeftOut("", f"reason {n}") for n in range(12)))).splitlines()
    assert lines[-2:] == ["  reason 9", "  and 2 more reasons"]


def test_a_count_of_254_is_seen_and_one_of_255_is_not(tmp_path):
    def half(events):
        return np.stack([np.tile(np.array([254, 255], "uint8"), (12, 128, 64))] * len(events))

    prepare(replace(plan(1), read=half), tmp_path / "s.zarr")
    store = open_store(tmp_path / "s.zarr")
    assert (store["missing_fraction"] == 0.5).all() and store["vil"].max() == 254


def test_a_source_that_was_never_observed_is_no_source_that_cannot_be_read(tmp_path):
    summary = prepare(
        replace(plan(1), read=lambda events: np.full((1, 12, 128, 128), 255, "uint8")), tmp_path / "s.zarr"
    )
    assert (summary.written, summary.unobserved, summary.rejects) == (1, 1, ())


def test_a_finished_store_leaves_the_unfinished_one_of_another_plan(tmp_path):
    seen, fatal = [], {"20"}

    def reading(events):
        seen.extend(event.id for event in events)
        if fatal & {event.id for event in events}:
            raise Killed
        return np.zeros((len(events), 12, 128, 128), "uint8")

    one, other = (replace(plan(number), read=reading) for number in (1, 24))
    prepare(one, tmp_path / "s.zarr")
    with pytest.raises(Killed):
        prepare(other, tmp_path / "s.zarr", overwrite=True)
    assert prepare(one, tmp_path / "s.zarr").written == 0
    seen.clear(), fatal.clear()
    prepare(other, tmp_path / "s.zarr", overwrite=True)
    assert seen == list(map(str, range(16, 24)))


def test_a_file_whose_name_begins_like_that_of_a_reject_makes_another_store(tmp_path):
    events = tuple(FileEvent(**vars(event), file=f"{event.id}.h5") for event in plan(4).events)
    first = replace(plan(4), events=events, files=(("0.h5", 5), ("3.h5", 5), ("3.h5x", 5)))
    prepare(first, tmp_path / "s.zarr")  # event 3 cannot be read
    prepare(replace(first, files=(("0.h5", 5), ("3.h5", 6), ("3.h5x", 5))), tmp_path / "s.zarr")
    with pytest.raises(InputError, match="holds other events or was made otherwise"):
        prepare(replace(first, files=(("0.h5", 5), ("3.h5", 6), ("3.h5x", 6))), tmp_path / "s.zarr")
