import h5py
import numpy as np
import pandas as pd
import pytest

from pipelines.building.plan import LeftOut
from pipelines.building.resample import REDUCERS
from pipelines.errors import InputError
from pipelines.sevir.archive import Archive
from pipelines.sevir.catalog import read_catalog
from pipelines.sevir.plan import make_plan
from pipelines.sevir.rows import Usual
from pipelines.store import geo
from pipelines.store.protocol import load_protocol


def plan_of(archive, **options):
    rows = read_catalog(archive.write_catalog())
    return make_plan(rows, Archive(str(archive.data)), load_protocol(str(archive.protocol)), side=12, **options)


def test_a_plan_says_what_where_and_when(archive):
    plan = plan_of(archive)
    assert [event.id for event in plan.events] == ["A", "B", "C"]
    assert [event.split for event in plan.events] == ["train", "train", "test"]
    second = plan.events[1]
    assert (second.file, second.index) == ("vil/2018/one.h5", 1)
    assert second.valid_times[0] == np.datetime64("2018-05-01T10:50:00")
    assert second.corner_y == pytest.approx(2 * 6370997 * np.sin(np.radians(0.05)), abs=0.1)
    assert plan.pixel_m == 3000
    assert [name for name, _ in plan.files] == ["vil/2018/one.h5", "vil/2019/two.h5"]
    assert plan.files[0][1] == (archive.data / "vil/2018/one.h5").stat().st_size
    assert plan.left_out == ()


def test_events_are_in_order_of_time_and_other_sensors_are_passed_over(archive):
    archive.rows.reverse()
    archive.rows.append(archive.rows[0] | {"img_type": "ir107", "file_name": "ir107/none.h5"})
    assert [event.id for event in plan_of(archive).events] == ["A", "B", "C"]


def test_events_and_limit_choose(archive):
    assert [event.id for event in plan_of(archive, events=["C", "B"]).events] == ["B", "C"]
    assert [event.id for event in plan_of(archive, limit=1).events] == ["A"]
    with pytest.raises(InputError, match="the catalog has no VIL event X"):
        plan_of(archive, events=["A", "X"])


def test_only_files_of_chosen_events_must_be_there(archive):
    (archive.data / "vil/2019/two.h5").unlink()
    assert [event.id for event in plan_of(archive, events=["A"]).events] == ["A"]


def test_equal_rows_collapse_and_differing_rows_of_an_id_are_left_out(archive):
    archive.rows.append(dict(archive.rows[0]))
    archive.rows.append(archive.rows[1] | {"file_index": 0})
    plan = plan_of(archive)
    assert [event.id for event in plan.events] == ["A", "C"]
    assert [one.id for one in plan.left_out] == ["A", "B", "B"]
    assert plan.left_out[0].reason == "a repeated row, equal to the one taken"
    assert plan.left_out[1].reason == "one of several differing rows of this id, at vil/2018/one.h5[1]"


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("minute_offsets", "-20:-10:0:10:20", "frames every 10 minutes, not every 5"),
        ("minute_offsets", "-10:-5:0:5:11", "frames every 5, 6 minutes, not every 5"),
        ("minute_offsets", "", "its minute_offsets cannot be read"),
        ("time_utc", "yesterday", "its time_utc cannot be read"),
        ("llcrnrlat", "", "its llcrnrlat cannot be read"),
        ("file_index", "first", "its file_index cannot be read"),
    ],
)
def test_an_unfit_row_is_left_out_with_its_reason(archive, column, value, reason):
    archive.rows[0][column] = value
    plan = plan_of(archive)
    assert [event.id for event in plan.events] == ["B", "C"]
    assert [(one.id, one.reason) for one in plan.left_out] == [("A", reason)]


def test_offsets_off_the_fives_are_fine(archive):
    archive.rows[0]["minute_offsets"] = "-9:-4:1:6:11"
    assert plan_of(archive).events[0].valid_times[0] == np.datetime64("2018-05-01T09:51:00")


def test_a_lost_projection_is_sevirs(archive):
    archive.rows[0]["proj"] = ""
    assert plan_of(archive).events[0].proj.startswith("+proj=laea +lat_0=38")


def test_nothing_left_is_an_error_that_says_why(archive):
    for row in archive.rows:
        row["minute_offsets"] = "0:10"
    with pytest.raises(InputError, match="no event to take; got 3 left out; 3 x frames every 10 minutes"):
        plan_of(archive)


def test_an_absent_file(archive):
    (archive.data / "vil/2019/two.h5").unlink()
    with pytest.raises(InputError, match=r"event C: no file .*two\.h5"):
        plan_of(archive)


@pytest.mark.parametrize("index", [-1, 2])
def test_an_index_out_of_range(archive, index):
    archive.rows[1]["file_index"] = index
    with pytest.raises(
        InputError, match=f"event B: file_index out of range in vil/2018/one.h5; got {index}; expected 0 to 1"
    ):
        plan_of(archive)


def test_an_index_of_another_event(archive):
    archive.rows[0]["file_index"], archive.rows[1]["file_index"] = 1, 0
    with pytest.raises(InputError, match=r"event A: vil/2018/one\.h5 holds another event at index 1; got B"):
        plan_of(archive)


@pytest.mark.parametrize("how", ["../outside.h5", "absolute", "link", "x::memory://one.h5", "memory://one.h5"])
def test_a_file_outside_the_archive(archive, how):
    outside = archive.root / "outside.h5"
    (archive.data / "vil/2018/one.h5").rename(outside)
    name = str(outside) if how == "absolute" else how
    if how == "link":
        (archive.data / "link").symlink_to(outside)
    archive.rows[0]["file_name"] = archive.rows[1]["file_name"] = name
    with pytest.raises(InputError, match="leaves the archive"):
        plan_of(archive)


def test_a_linked_data_folder_is_fine(archive):
    archive.data.rename(archive.root / "elsewhere")
    archive.data.symlink_to(archive.root / "elsewhere")
    assert len(plan_of(archive).events) == 3


def test_a_truncated_file(archive):
    path = archive.data / "vil/2018/one.h5"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"one.h5 cannot be read; .*fetch it anew"):
        plan_of(archive)


@pytest.mark.parametrize(
    ("vil", "message"),
    [
        (np.zeros((2, 8, 8, 5), "uint8"), r"one.h5: vil has the wrong shape or type; got uint8 \(2, 8, 8, 5\)"),
        (np.zeros((2, 12, 12, 5), "int16"), "got int16"),
        (np.zeros((2, 12, 12), "uint8"), "wrong shape"),
        (None, "one.h5 cannot be read"),
    ],
)
def test_a_wrong_vil(archive, vil, message):
    with h5py.File(archive.data / "vil/2018/one.h5", "a") as file:
        del file["vil"]
        if vil is not None:
            file["vil"] = vil
    with pytest.raises(InputError, match=message):
        plan_of(archive)


def test_frames_of_catalog_and_file_differ(archive):
    archive.rows[1]["minute_offsets"] = "-5:0:5:10"
    assert plan_of(archive).left_out == (LeftOut("B", "4 frames, not 5 as most events"),)
    with pytest.raises(InputError, match=r"event B: the catalog lists another number of frames .*got 4; expected 5"):
        plan_of(archive, events=["B"])


def test_pixels_of_another_size_or_number(archive):
    archive.rows[0]["width_m"] = 2 * 12 * 1000
    assert plan_of(archive).left_out == (LeftOut("A", "pixels of 2000 m, not 1000 m as most events"),)
    archive.rows[0] |= {"size_x": 24}
    assert plan_of(archive).left_out == (LeftOut("A", "24 pixels a side, not 12"),)


def test_a_lost_projection_that_the_corners_contradict(archive):
    x, y = geo.corner(geo.SEVIR_PROJ, 38.0, -98)
    lon, lat = geo.projection(geo.SEVIR_PROJ)(x + 12000, y + 12000, inverse=True)
    archive.rows[0] |= {"proj": "", "urcrnrlat": lat, "urcrnrlon": lon}
    assert plan_of(archive).left_out == ()
    for stretch, taken in ((1.005, 3), (1.05, 2), (0.95, 2)):
        lon, lat = geo.projection(geo.SEVIR_PROJ)(x + 12000 * stretch, y + 12000, inverse=True)
        archive.rows[0] |= {"urcrnrlat": lat, "urcrnrlon": lon}
        assert len(plan_of(archive).events) == taken
    assert plan_of(archive).left_out == (LeftOut("A", "its proj is lost, and its corners are not in SEVIR's"),)
    archive.rows[0]["proj"] = "+proj=nonsense"
    assert plan_of(archive).left_out == (LeftOut("A", "its proj cannot be read"),)


def test_a_limit_to_missing_pixels(archive):
    for row, percent in zip(archive.rows, ["0", "20.0", ""], strict=True):
        row["pct_missing"] = percent
    assert [event.id for event in plan_of(archive, max_missing=0.2).events] == ["A", "B"]
    plan = plan_of(archive, max_missing=0.1999)
    assert [(one.id, one.reason) for one in plan.left_out] == [
        ("B", "more than 19.99% of it is missing"),
        ("C", "its pct_missing cannot be read"),
    ]
    assert len(plan_of(archive).events) == 3


def test_a_cadence_that_is_a_multiple_of_the_archives_thins_the_frames(archive):
    archive.protocol.write_text(archive.protocol.read_text().replace("cadence_minutes: 5", "cadence_minutes: 10"))
    archive.rows[2]["minute_offsets"] = "-20:-10:0:10:20"
    plan = plan_of(archive)
    assert plan.events[0].offsets == (-600, 0, 600)
    assert plan.events[0].step == 2
    assert plan.left_out == (LeftOut("C", "5 frames, not 3 as most events"),)


def test_an_unfit_row_of_an_event_that_was_asked_for_is_an_error(archive):
    archive.rows[0]["time_utc"] = "yesterday"
    with pytest.raises(InputError, match="event A cannot be taken; got its time_utc cannot be read"):
        plan_of(archive, events=["A", "B"])
    assert [event.id for event in plan_of(archive, events=["A", "B"], skip_bad=True).events] == ["B"]
    archive.rows.append(dict(archive.rows[1]))  # a repeated row takes nothing away
    assert [event.id for event in plan_of(archive, events=["B", "C"]).events] == ["B", "C"]


def test_with_skip_bad_faults_are_kept_with_their_events(archive):
    archive.rows[1]["file_index"] = 9
    (archive.data / "vil/2019/two.h5").unlink()
    plan = plan_of(archive, skip_bad=True)
    assert [bool(event.fault) for event in plan.events] == [False, True, True]
    assert plan.events[1].fault.startswith("event B: file_index out of range")
    assert plan.files[1] == ("vil/2019/two.h5", None)
    with pytest.raises(InputError, match=r"event B: file_index out of range .*and 1 more .*say --skip-bad"):
        plan_of(archive)
    with pytest.raises(InputError, match=r"event C: no file"):
        plan_of(archive, events=["C"], skip_bad=True)


def test_with_skip_bad_a_file_outside_the_archive_is_an_error_still(archive):
    archive.rows[0]["file_name"] = "../../etc/passwd"
    with pytest.raises(InputError, match="leaves the archive"):
        plan_of(archive, skip_bad=True)


def by_ids(archive) -> None:
    """The archive's protocol with splits by id, of events that have two image types, and their first three frames."""
    rule = "id_shares: [0.5, 0.25]\nimage_types: [vil, lght]\nframes: 3\n"
    lines = [line for line in archive.protocol.read_text().splitlines() if "_from" not in line]
    archive.protocol.write_text("\n".join(lines) + f"\n{rule}")


def test_splits_by_id_are_of_all_events_that_have_the_image_types(archive):
    by_ids(archive)
    archive.add_file("vil/2017/three.h5", ["0", "D", "E"], "2017-05-01T10:00:00", seed=3)
    archive.rows += [row | {"img_type": "lght"} for row in archive.rows if row["id"] != "B"]
    # In the order of their ids: 0, A, C, D, E; the order of time is 0, D, E, A, C.
    plan = plan_of(archive)
    taken = [("0", "train"), ("D", "test"), ("E", "test"), ("A", "train"), ("C", "val")]
    assert [(event.id, event.split) for event in plan.events] == taken
    assert plan.left_out == (LeftOut("B", "the catalog has no lght of it"),)
    assert [(event.id, event.split) for event in plan_of(archive, events=["E", "C"]).events] == [taken[2], taken[4]]
    assert [event.split for event in plan_of(archive, limit=2).events] == ["train", "test"]
    archive.rows[0]["minute_offsets"] = "0:10"  # A, which is unfit, keeps its place among the ids
    assert [event.split for event in plan_of(archive).events] == ["train", "test", "test", "val"]


def test_the_first_frames_alone_are_taken(archive):
    by_ids(archive)
    archive.rows += [row | {"img_type": "lght"} for row in archive.rows]
    plan = plan_of(archive)
    assert [event.offsets for event in plan.events] == [(-600, -300, 0)] * 3
    counts = plan.read([plan.events[2]])[0]
    np.testing.assert_array_equal(counts, REDUCERS["mean"](archive.counts["C"])[:3])
    assert "3 frames every 5 minutes" in str(plan)


def test_a_plan_in_words(archive):
    archive.rows += [dict(archive.rows[0]), archive.rows[1] | {"time_utc": "yesterday", "id": "D"}]
    (archive.data / "vil/2019/two.h5").unlink()
    assert str(plan_of(archive, skip_bad=True)).splitlines() == [
        "plan: 3 events of 5 frames every 5 minutes, 4 x 4 pixels (3 km), from 2 files (0.0 MB)",
        "  protocol tiny: mean to 4 x 4 pixels",
        "  train: 2 events, 4 windows of 2 -> 2 frames",  # frames 0-3 and 1-4 of each
        "  test: 1 event, 2 windows of 2 -> 2 frames",
        "cannot be read: 1",
        f"  event C: no file {archive.data}/vil/2019/two.h5; fetch it, or take its rows out of the catalog: C",
        "left out of the catalog rows: 2",
        "  a repeated row, equal to the one taken: A",
        "  its time_utc cannot be read: D",
    ]


def test_of_equally_common_lengths_the_longest_is_usual():
    rows = pd.DataFrame({"offsets": [(0,) * 5, (0,) * 6, (0,) * 5, (0,) * 6], "width_m": 12e3, "size_x": 12})
    assert Usual.of(rows, 12) == Usual(12, 6, 1000.0)
