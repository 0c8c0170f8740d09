"""What is said of a place, on ensembles whose members are written down by hand."""

import numpy as np
import pytest
import xarray as xr

import nowcast
from nowcast.forecasting.sentences import depth, sentences
from pipelines.store.units import RAIN_RATE, rain_rate_to_counts

INIT = np.datetime64("2021-07-04T14:00", "ns")
STEP = np.timedelta64(15, "m")
SPAN = "within 60 min of 2021-07-04 14:00 UTC"
HERE = {"Here": (52.0, 5.0)}


def forecast(rates, **attrs) -> xr.Dataset:
    """One case of 2 x 2 pixels, all alike, from rates in mm h-1 with dims (member, four lead times of 15 min)."""
    counts = rain_rate_to_counts(np.array(rates, float))[None, ..., None, None] * np.ones((2, 2))
    times = np.arange(1, 5) * STEP
    north, east = np.meshgrid([52.0, 52.01], [5.0, 5.015], indexing="ij")
    coords = {
        "event": ("case", ["storm"]),
        "init_time": ("case", [INIT]),
        "lead_time": times,
        "valid_time": (("case", "lead_time"), [INIT + times]),
        "member": np.arange(len(rates)),
        "latitude": (("y", "x"), north),
        "longitude": (("y", "x"), east),
    }
    vil = (("case", "member", "lead_time", "y", "x"), counts.astype("float32"), {"units": "1"})
    return xr.Dataset({"vil": vil}, coords, {"quantity": RAIN_RATE, **attrs})


def store(rates) -> xr.Dataset:
    """What was observed at the init time and at the four lead times, mm h-1."""
    counts = rain_rate_to_counts(np.array(rates, float))[None, :, None, None] * np.ones((2, 2))
    times = [INIT + np.arange(len(rates)) * STEP]
    return xr.Dataset(
        {"vil": (("event", "frame", "y", "x"), counts.astype("float32"))},
        {"event": ["storm"], "valid_time": (("event", "frame"), times)},
    )


def said(rates, *, thresholds=1, obs=None) -> list[str]:
    """The sentences of a place, without what each begins with and without its accumulation."""
    lines = sentences(nowcast.at(forecast(rates), HERE, thresholds=thresholds, obs=obs))
    assert all(line.startswith("Here: ") for line in lines)
    return [line.removeprefix("Here: ").split(" mm (")[0].rpartition("; ")[0] or line for line in lines]


def test_a_break_between_the_first_and_the_last_rain_is_said():
    assert said([[2, 0, 0, 2], [2, 0, 0, 2], [0, 2, 0, 2], [0, 0, 0, 0]]) == [
        f"75 % chance of 1 mm h⁻¹ or more {SPAN}; from the first lead time on, 14:15 (10 to 90 %: 14:15 to 14:30), "
        "and still at 15:00 UTC, though only 0 % at 14:45"
    ]
    assert said([[0, 2, 0, 2], [0, 2, 0, 2], [0, 2, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]]) == [
        f"60 % chance of 1 mm h⁻¹ or more {SPAN}; begins most likely about 14:30, and still at 15:00 UTC, "
        "though only 20 % at 14:45"
    ]
    (line,) = sentences(nowcast.at(forecast([[0, 2, 0, 2]]), HERE, thresholds=1))
    assert line.startswith(f"Here: 1 mm h⁻¹ or more {SPAN}, from 14:30, and still at 15:00 UTC, with breaks; ")


def test_members_that_differ_a_little_make_no_break():
    (line,) = said([[0, 2, 2, 0], [0, 0, 2, 0], [0, 2, 2, 0], [0, 0, 0, 0]])
    assert line.endswith("; begins most likely about 14:30 (10 to 90 %: 14:30 to 14:45), last ends about 15:00 UTC")


@pytest.mark.parametrize("members", [2, 5])
def test_all_members_are_not_certainty(members):
    (line,) = said([[0, 2, 0, 0]] * members)
    assert line == (
        f"1 mm h⁻¹ or more is likely {SPAN} (all of {members} members); begins most likely about 14:30, "
        "last ends about 14:45 UTC"
    )
    assert said([[0, 0, 0, 0]] * members) == [f"1 mm h⁻¹ or more is unlikely {SPAN} (none of {members} members)"]


def test_what_the_first_lead_time_has_does_not_begin_there():
    assert said([[2, 2, 0, 0], [2, 2, 0, 0], [0, 0, 0, 0]]) == [
        f"67 % chance of 1 mm h⁻¹ or more {SPAN}; from the first lead time on, 14:15, last ends about 14:45 UTC"
    ]
    (line,) = sentences(nowcast.at(forecast([[2, 0, 0, 0]]), HERE, thresholds=1))
    assert line.startswith(f"Here: 1 mm h⁻¹ or more {SPAN}, from the first lead time on, 14:15, until 14:30 UTC; ")


def test_what_is_observed_at_the_init_time_is_there_already():
    wet, later, dry = [[2, 2, 0, 0], [2, 2, 0, 0]], [[0, 0, 2, 0], [0, 0, 2, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]
    seen = store([3, 2, 0, 0, 0])
    likely = f"1 mm h⁻¹ or more is likely {SPAN} (all of 2 members); "
    assert said(wet, obs=seen) == [likely + "observed already at 14:00, last ends about 14:45 UTC"]
    assert said(later, obs=seen) == [
        likely + "observed already at 14:00, again most likely about 14:45, last ends about 15:00 UTC"
    ]
    assert said(dry, obs=seen) == [f"1 mm h⁻¹ or more is unlikely {SPAN} (none of 2 members), though observed at 14:00"]
    for unseen in (store([0.5, 2, 0, 0, 0]), store([3, 2, 0, 0, 0]).isel(frame=slice(1, None))):
        assert said(wet, obs=unseen) == [likely + "from the first lead time on, 14:15, last ends about 14:45 UTC"]


def test_each_threshold_has_its_sentence_up_to_the_first_that_no_member_reaches():
    rates = [[0, 2, 0, 0], [0, 2, 6, 0], [0, 0, 0, 0]]
    lines = sentences(nowcast.at(forecast(rates), HERE, thresholds=[1, 5, 20, 40]))
    assert lines[0].startswith(f"Here: 67 % chance of 1 mm h⁻¹ or more {SPAN}; ") and lines[0].endswith(" by 15:00.")
    assert lines[1:] == [
        f"Here: 33 % chance of 5 mm h⁻¹ or more {SPAN}; begins most likely about 14:45, last ends about 15:00 UTC.",
        f"Here: 20 mm h⁻¹ or more is unlikely {SPAN} (none of 3 members).",
    ]
    backwards = sentences(nowcast.at(forecast(rates), HERE, thresholds=[40, 20, 5]))
    assert [line.split(" mm h⁻¹")[0].split()[-1] for line in backwards] == ["40", "20", "5"]


def test_a_threshold_is_said_in_the_unit_that_was_given_and_in_that_of_the_answer():
    counts = forecast([[0, 2, 0, 0], [0, 3, 6, 0]])
    del counts.attrs["quantity"]
    lines = sentences(nowcast.at(counts, HERE, thresholds=["2.5mm/h", "20 dBZ", "74"]))
    assert lines[0].startswith("Here: 50 % chance of 2.5 mm h⁻¹ (72.1 counts) or more within")
    assert "20 dBZ (24.1 counts)" in lines[1] and "of 74 counts or more" in lines[2]


def test_what_begins_at_the_last_time_is_not_also_still_there():
    assert said([[0, 0, 0, 2]] * 2) == [
        f"1 mm h⁻¹ or more is likely {SPAN} (all of 2 members); begins most likely about 15:00 UTC"
    ]


def test_depths_of_rain_in_three_digits():
    assert [depth(each) for each in (0, 0.04, 9.96, 99.94, 99.96, 153.1, np.nan)] == [
        "0.0", "0.0", "10.0", "99.9", "100", "153", "–",
    ]  # fmt: skip
