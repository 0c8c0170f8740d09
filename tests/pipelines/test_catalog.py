import logging

import h5py
import numpy as np
import pytest

from pipelines.catalog import make_plan, read_catalog
from pipelines.errors import InputError
from pipelines.protocol import load_protocol


def plan_of(archive, **options):
    rows = read_catalog(archive.write_catalog())
    return make_plan(rows, archive.data, load_protocol(str(archive.protocol)), side=12, **options)


def test_a_plan_says_what_where_and_when(archive):
    plan = plan_of(archive)
    assert [event.id for event in plan.events] == ["A", "B", "C"]
    assert [event.split for event in plan.events] == ["train", "train", "test"]
    second = plan.events[1]
    assert (second.file, second.index) == ("vil/2018/one.h5", 1)
    assert second.valid_times[0] == np.datetime64("2018-05-01T10:50:00")
    assert second.corner_y == pytest.approx(2 * 6370997 * np.sin(np.radians(0.05)), abs=0.1)
    assert plan.pixel_m == 1000
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


def test_equal_rows_collapse_and_differing_rows_of_an_id_are_left_out(archive, caplog):
    archive.rows.append(dict(archive.rows[0]))
    archive.rows.append(archive.rows[1] | {"file_index": 0})
    with caplog.at_level(logging.WARNING):
        plan = plan_of(archive)
    assert [event.id for event in plan.events] == ["A", "C"]
    assert [one.id for one in plan.left_out] == ["A", "B", "B"]
    assert plan.left_out[0].reason == "a repeated row, equal to the one taken"
    assert plan.left_out[1].reason == "one of several differing rows of this id, at vil/2018/one.h5[1]"
    assert "left out B" in caplog.text


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


def test_a_lost_projection_is_sevirs_and_said(archive, caplog):
    archive.rows[0]["proj"] = ""
    assert plan_of(archive).events[0].proj.startswith("+proj=laea +lat_0=38")
    assert "1 rows without a projection" in caplog.text


def test_nothing_left_is_an_error_that_says_why(archive):
    for row in archive.rows:
        row["minute_offsets"] = "0:10"
    with pytest.raises(InputError, match="no event to take; got 3 left out; 3 x frames every 10 minutes"):
        plan_of(archive)


def test_no_catalog(tmp_path):
    with pytest.raises(InputError, match="no catalog at"):
        read_catalog(tmp_path / "CATALOG.csv")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01", b'id,"a\nb'])
def test_a_catalog_that_is_no_table(tmp_path, content):
    path = tmp_path / "CATALOG.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match="CATALOG"):
        read_catalog(path)


def test_a_missing_column_is_named(archive):
    for row in archive.rows:
        del row["proj"], row["file_index"]
    with pytest.raises(InputError, match="lacks columns; got no file_index, proj"):
        read_catalog(archive.write_catalog())


def test_no_vil_rows(archive):
    for row in archive.rows:
        row["img_type"] = "ir107"
    with pytest.raises(InputError, match="no row of img_type vil"):
        read_catalog(archive.write_catalog())


def test_a_byte_order_mark_is_no_part_of_the_first_column(archive):
    path = archive.root / "CATALOG.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_catalog(path)["id"].tolist() == ["A", "B", "C"]


def test_an_absent_file(archive):
    (archive.data / "vil/2019/two.h5").unlink()
    with pytest.raises(InputError, match=r"event C: no file .*two\.h5"):
        plan_of(archive)


@pytest.mark.parametrize("index", [-1, 2])
def test_an_index_out_of_range(archive, index):
    archive.rows[1]["file_index"] = index
    with pytest.raises(InputError, match=f"event B: file_index out of range in one.h5; got {index}; expected 0 to 1"):
        plan_of(archive)


def test_an_index_of_another_event(archive):
    archive.rows[0]["file_index"], archive.rows[1]["file_index"] = 1, 0
    with pytest.raises(InputError, match=r"event A: one\.h5 holds another event at index 1; got B"):
        plan_of(archive)


@pytest.mark.parametrize("how", ["../outside.h5", "absolute", "link"])
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
    with pytest.raises(InputError, match=r"event B: the catalog lists another number of frames .*got 4; expected 5"):
        plan_of(archive)


def test_pixels_of_another_size(archive):
    archive.rows[0]["width_m"] = 2 * 12 * 1000
    with pytest.raises(InputError, match="event A has pixels of another size; expected 1000 m"):
        plan_of(archive)
