"""Times, gaps and tiles, on CF NetCDF files without echo."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pyproj import CRS

from pipelines.errors import InputError
from pipelines.radar.plan import make_plan
from pipelines.store.protocol import load_protocol

START = datetime(2020, 5, 1, 12)
RULES = load_protocol("radar-128-10-10")


def write(path: Path, minutes: list[float], side: int = 130, pixel: float = 1000.0, variable: str = "vil") -> Path:
    """A file with frames so many minutes after `START`."""
    centres = pixel * (np.arange(side) + 0.5)
    times = np.datetime64(START, "ns") + (np.array(minutes) * 60e9).astype("timedelta64[ns]")
    coords = {
        "time": times,
        "y": ("y", centres, {"units": "m", "standard_name": "projection_y_coordinate"}),
        "x": ("x", centres, {"units": "m", "standard_name": "projection_x_coordinate"}),
    }
    attrs = {"units": "1"} if variable == "vil" else {"units": "mm h-1", "standard_name": "rainfall_rate"}
    values = np.zeros((len(minutes), side, side), "uint8")
    dataset = xr.Dataset({variable: (("time", "y", "x"), values, attrs | {"grid_mapping": "crs"})}, coords)
    dataset["crs"] = xr.DataArray(0, attrs=CRS.from_string("+proj=laea +lat_0=50 +lon_0=5").to_cf())
    dataset.to_netcdf(path, encoding={variable: {"zlib": True}})
    return path


def taken(plan) -> list[list[int | None]]:
    """The numbers in the file of the frames of each loop, None where one is lacking."""
    return [[frame and frame.number for frame in event.loop.frames] for event in plan.events]


def test_one_sequence(tmp_path):
    plan = make_plan([write(tmp_path / "obs_20200501.nc", [0, 5, 10])], RULES)
    assert plan.rules.cadence_minutes == 5
    assert plan.pixel_m == 1000
    (event,) = plan.events
    assert event.id == "obs-20200501T120000-00-00"
    assert (event.time, event.offsets, event.split) == (START, (0, 300, 600), "test")
    assert (event.corner_x, event.corner_y) == (1000, 1000)  # 130 - 128 pixels, halved
    assert taken(plan) == [[0, 1, 2]]
    assert "of SEVIR counts; no gaps" in plan.title


def test_a_lacking_frame_is_missing_and_times_may_be_off_by_seconds(tmp_path):
    plan = make_plan([write(tmp_path / "obs.nc", [0, 2.1, 3.9, 8, 10])], RULES)
    assert plan.rules.cadence_minutes == 2
    assert taken(plan) == [[0, 1, 2, None, 3, 4]]
    assert plan.events[0].offsets == (0, 120, 240, 360, 480, 600)


@pytest.mark.parametrize("seconds", [30, 100, 150])
def test_cadences_of_parts_of_a_minute(tmp_path, seconds):
    plan = make_plan([write(tmp_path / "obs.nc", [seconds / 60 * n for n in range(4)])], RULES)
    assert plan.rules.cadence_minutes == seconds / 60
    assert plan.events[0].offsets == (0, seconds, 2 * seconds, 3 * seconds)
    rules = RULES.of_radar(plan.rules.cadence_minutes, "none")
    assert 60 * load_protocol(rules.name).cadence_minutes == pytest.approx(seconds, abs=1e-7)


def test_sequences_end_at_long_gaps_and_between_steps(tmp_path):
    plan = make_plan([write(tmp_path / "obs.nc", [0, 10, 20, 60, 70, 104, 114])], RULES, frames=3)
    assert taken(plan) == [[0, 1, 2], [3, 4, None], [5, 6, None]]
    assert plan.title.startswith("3 tiles of 3 sequences, 128 x 128 pixels (1 km), 3 frames every 10 minutes, ")
    assert ", 2020-05-01 12:00 to 14:04 UTC, from 1 file (" in plan.title
    assert plan.title.endswith("of SEVIR counts; 2 of 9 frames are missing")
    assert [event.time - START for event in plan.events] == [timedelta(minutes=m) for m in (0, 60, 104)]


def test_as_many_lacking_frames_as_an_event_has_end_a_sequence(tmp_path):
    plan = make_plan([write(tmp_path / "two.nc", [0, 10, 20, 50, 60])], RULES, frames=3)
    assert taken(plan) == [[0, 1, 2], [None, None, 3], [4, None, None]]
    plan = make_plan([write(tmp_path / "three.nc", [0, 10, 20, 60, 70])], RULES, frames=3)
    assert taken(plan) == [[0, 1, 2], [3, 4, None]]
    plan = make_plan([write(tmp_path / "anew.nc", [0, 10, 50, 60, 70])], RULES, frames=3)
    assert taken(plan) == [[0, 1, None], [2, 3, 4]]  # the events of the second sequence begin with it


def test_a_file_that_can_be_read_takes_the_place_of_a_broken_one_of_its_time(tmp_path):
    write(tmp_path / "obs_202005011200.nc", [0])
    (tmp_path / "obs_202005011205.nc").write_text("no NetCDF")
    write(tmp_path / "obs_20200501_1205.nc", [5])
    plan = make_plan([tmp_path], RULES)
    frames = plan.events[0].loop.frames
    assert [(Path(frame.file).name, frame.fault) for frame in frames] == [
        ("obs_202005011200.nc", ""),
        ("obs_20200501_1205.nc", ""),
    ]


def test_long_sequences_are_several_events_without_overlap(tmp_path):
    plan = make_plan([write(tmp_path / "obs.nc", list(range(0, 70, 10)))], RULES, frames=3)
    assert taken(plan) == [[0, 1, 2], [3, 4, 5], [6, None, None]]


def test_by_default_a_long_sequence_is_divided_evenly(tmp_path):
    plan = make_plan([write(tmp_path / "obs.nc", list(range(0, 244, 4)))], RULES)  # 61 frames
    assert taken(plan) == [list(range(31)), [*range(31, 61), None]]


def test_tiles_in_order_and_a_limit(tmp_path):
    path = write(tmp_path / "obs.nc", [0, 5, 10, 15], side=260)
    plan = make_plan([path], RULES, frames=2)
    assert [event.id[-12:] for event in plan.events[:5]] == [
        f"120000-{n}" for n in ("00-00", "00-01", "01-00", "01-01")
    ] + ["121000-00-00"]
    assert len(make_plan([path], RULES, limit=3).events) == 3
    (event,) = make_plan([path], RULES, coarsen=2).events
    assert (event.corner_x, event.corner_y) == (2000, 2000)


def test_files_of_one_product_are_one_series(tmp_path):
    write(tmp_path / "obs_202005011210.nc", [10])
    write(tmp_path / "obs_202005011205.nc", [5, 0])
    plan = make_plan([tmp_path], RULES)
    assert [(Path(frame.file).stem[-4:], frame.number) for frame in plan.events[0].loop.frames] == [
        ("1205", 1),
        ("1205", 0),
        ("1210", 0),
    ]
    assert [name for name, _ in plan.files] == ["obs_202005011205.nc", "obs_202005011210.nc"]


def test_files_that_cannot_be_used_cost_their_frames(tmp_path):
    write(tmp_path / "obs_202005011200.nc", [0])
    write(tmp_path / "obs_202005011205.nc", [5])
    (tmp_path / "obs_202005011210.nc").write_text("no NetCDF")
    write(tmp_path / "obs_202005011215.nc", [15], side=131)
    write(tmp_path / "obs_202005011220.nc", [20], variable="rain")
    write(tmp_path / "obs_20200501.nc", [5])
    (tmp_path / "obs_broken.nc").write_text("no NetCDF")
    (tmp_path / "other_202005011200.nc").write_text("no NetCDF")
    plan = make_plan([tmp_path], RULES)
    faults = [frame.fault for frame in plan.events[0].loop.frames]
    assert faults[:2] == ["", ""]
    assert "1210.nc cannot be read" in faults[2]
    assert "1215.nc has another grid than the files before it: " in faults[3] and ", not " in faults[3]
    assert "1220.nc has rain rate in mm h-1, not SEVIR counts" in faults[4]
    assert [str(part).split()[0].rstrip(":") for part in plan.left_out] == [
        "obs_202005011205.nc",
        "obs_broken.nc",
        "other_202005011200.nc",
    ]
    text = str(plan)
    assert "cannot be read: 3\n" in text
    assert "left out of the files: 3\n" in text


def test_splits_are_by_the_dates_of_the_protocol(tmp_path):
    plan = make_plan([write(tmp_path / "obs.nc", [0, 5])], load_protocol("sevir-128-10-10"))
    assert plan.events[0].split == "test"
    assert make_plan([tmp_path], load_protocol("sevir-lr-7-6@max"), limit=1).events[0].split == "test"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"a.nc": ([0], 130, 1000)}, "no common cadence; got one time of each product"),
        ({"a.nc": ([0, 5], 130, 1000), "b.nc": ([0, 10], 130, 1000)}, "got a every 5 minutes, b every 10 minutes"),
        ({"a.nc": ([0, 5], 130, 1000), "b.nc": ([0, 5], 130, 2000)}, "pixels of several sizes; got a 1000 m, b 2000 m"),
        ({"a.nc": ([0, 5], 120, 1000)}, "a does not fill a tile; got 120 x 120 pixels; expected 128 x 128"),
    ],
)
def test_files_that_do_not_belong_into_one_store(tmp_path, files, reason):
    for name, (minutes, side, pixel) in files.items():
        write(tmp_path / name, minutes, side, pixel)
    with pytest.raises(InputError, match=reason):
        make_plan([tmp_path], RULES)


def test_nothing_readable(tmp_path):
    (tmp_path / "a.nc").write_text("no NetCDF")
    with pytest.raises(InputError, match=r"^a\.nc cannot be read"):
        make_plan([tmp_path], RULES)
    (tmp_path / "b.nc").write_text("no NetCDF")
    with pytest.raises(InputError, match=r"no file can be read; got a\.nc cannot be read"):
        make_plan([tmp_path], RULES)
