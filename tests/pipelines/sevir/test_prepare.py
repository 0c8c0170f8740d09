import csv
import json
import logging
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

from pipelines.building.resample import REDUCERS, mean
from pipelines.errors import InputError
from pipelines.sevir import plan as planning
from pipelines.sevir import prepare as sevir
from pipelines.sevir.prepare import prepare
from pipelines.simulation.storms import simulate_archive
from pipelines.store.schema import open_store


def prepare_tiny(archive, store, **options):
    return prepare(archive.root, store, protocol=str(archive.protocol), **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def twenty(archive):
    """More events than one shard takes: sixteen and seven."""
    archive.add_file("vil/2018/more.h5", [f"M{n:02d}" for n in range(20)], "2018-06-01T00:00:00", seed=3)
    archive.write_catalog()
    return archive


def test_a_store_holds_the_reduced_counts_of_every_event(archive, tmp_path):
    summary = prepare_tiny(archive, tmp_path / "s.zarr")
    assert (summary.events, summary.written, summary.splits) == (3, 3, {"train": 2, "test": 1})
    assert str(summary) == (
        f"{tmp_path / 's.zarr'}: 3 events (2 train, 1 test); 3 written now; 0 catalog rows left out"
    )
    dataset = open_store(tmp_path / "s.zarr")
    for event, counts in archive.counts.items():
        expected = mean(counts).astype("float32")
        expected[expected == 255] = np.nan
        assert np.array_equal(dataset["vil"].sel(event=event), expected, equal_nan=True)
    assert np.allclose(dataset["missing_fraction"], np.isnan(dataset["vil"]).mean(("y", "x")))
    assert dataset["x"].values.tolist() == [1500, 4500, 7500, 10500]
    assert dataset["event_type"].values.tolist() == ["Hail"] * 3
    assert dataset.attrs["protocol"] == "tiny"
    assert dataset.attrs["cadence_minutes"] == 5
    size = (archive.data / "vil/2018/one.h5").stat().st_size
    assert dataset.attrs["source_files"][0] == f"vil/2018/one.h5 {size} bytes"


def test_the_data_rule_of_predldms_release_on_a_simulated_archive(tmp_path):
    image = pytest.importorskip("PIL.Image")
    archive = simulate_archive(tmp_path / "archive", events=4, seed=0)
    with (archive / "CATALOG.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    ids = sorted(row["id"] for row in rows)
    others = [
        row | {"img_type": kind} for row in rows if row["id"] != ids[0] for kind in ("vis", "ir069", "ir107", "lght")
    ]
    with (archive / "CATALOG.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows([*rows, *others])
    prepare(archive, tmp_path / "s.zarr", protocol="predldm-128-10-10")
    dataset = open_store(tmp_path / "s.zarr")
    assert dict(dataset.sizes) == {"event": 3, "frame": 20, "y": 128, "x": 128}
    splits = dict(zip(dataset["event"].values, dataset["split"].values, strict=True))
    assert splits == dict(zip(ids[1:], ["train", "val", "test"], strict=True))  # of three: to 1.8 and to 2.4
    row = next(row for row in rows if row["id"] == ids[3])
    with h5py.File(archive / "data" / row["file_name"]) as file:
        counts = file["vil"][int(row["file_index"]), ..., 19]
    seen = counts != 255
    pillows = np.asarray(image.fromarray(np.where(seen, counts, 0)).resize((128, 128), image.Resampling.BILINEAR))
    whole = np.asarray(image.fromarray(seen.astype("float32")).resize((128, 128), image.Resampling.BILINEAR)) > 0.999
    ours = dataset["vil"].sel(event=ids[3])[19].values
    assert whole.mean() > 0.5 and np.abs(ours - pillows)[whole].max() <= 1


def test_only_the_store_is_left_behind(archive, tmp_path):
    prepare_tiny(archive, tmp_path / "out" / "s.zarr")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["s.zarr"]


def test_a_second_run_does_nothing_and_says_so(archive, tmp_path, caplog):
    prepare_tiny(archive, tmp_path / "s.zarr")
    before = contents(tmp_path / "s.zarr")
    with caplog.at_level(logging.INFO):
        summary = prepare_tiny(archive, tmp_path / "s.zarr")
    assert summary.written == 0
    assert "up to date" in str(summary)
    assert "is up to date: 3 events" in caplog.text
    assert contents(tmp_path / "s.zarr") == before


def test_another_plan_replaces_a_store_only_when_told(archive, tmp_path):
    prepare_tiny(archive, tmp_path / "s.zarr")
    with pytest.raises(InputError, match=r"s.zarr holds other events .*--overwrite"):
        prepare_tiny(archive, tmp_path / "s.zarr", limit=1)
    assert open_store(tmp_path / "s.zarr").sizes["event"] == 3
    prepare_tiny(archive, tmp_path / "s.zarr", limit=1, overwrite=True)
    assert open_store(tmp_path / "s.zarr").sizes["event"] == 1


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_store_is_never_replaced(archive, tmp_path, overwrite):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="exists and is not an archive store"):
        prepare_tiny(archive, tmp_path / "home", overwrite=overwrite)
    assert (tmp_path / "home" / "thesis.txt").read_text() == "precious"


def test_the_data_folder_itself_is_an_archive_and_the_catalog_may_be_elsewhere(archive, tmp_path):
    tiny = {"protocol": str(archive.protocol)}
    assert prepare(archive.data, tmp_path / "one.zarr", **tiny).events == 3
    elsewhere = tmp_path / "my.csv"
    (archive.root / "CATALOG.csv").rename(elsewhere)
    assert prepare(archive.root, tmp_path / "two.zarr", catalog=elsewhere, **tiny).events == 3
    with pytest.raises(InputError, match="no catalog at"):
        prepare(archive.root, tmp_path / "three.zarr", **tiny)


def test_wrong_input_writes_nothing(archive, tmp_path):
    archive.rows[2]["file_index"] = 7
    archive.write_catalog()
    with pytest.raises(InputError, match="file_index out of range"):
        prepare_tiny(archive, tmp_path / "out" / "s.zarr")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="no archive at"):
        prepare(tmp_path / "nowhere", tmp_path / "out" / "s.zarr")
    archive.protocol.write_text(archive.protocol.read_text().replace("mean", "median"))
    with pytest.raises(InputError, match="no reducer 'median'; expected one of mean"):
        prepare_tiny(archive, tmp_path / "out" / "s.zarr")


def spoil(path: Path, chunk: int) -> bytes:
    """Overwrite a chunk of a file's vil; gives the file as it was."""
    sound = path.read_bytes()
    with h5py.File(path) as file:
        place = file["vil"].id.get_chunk_info(chunk)
    end = place.byte_offset + place.size
    path.write_bytes(sound[: place.byte_offset] + bytes(place.size) + sound[end:])
    return sound


def test_a_damaged_chunk_costs_its_event_only_and_mended_only_that_is_read(archive, tmp_path, monkeypatch):
    path = archive.data / "vil/2018/one.h5"
    prepare_tiny(archive, tmp_path / "whole.zarr")
    sound = spoil(path, 1)
    summary = prepare_tiny(archive, tmp_path / "s.zarr")
    assert (summary.events, summary.written) == (3, 2)
    assert [(reject.event, reject.file) for reject in summary.rejects] == [("B", "vil/2018/one.h5")]
    assert "cannot be read" in summary.rejects[0].reason
    assert "1 event could not be read and is missing" in str(summary)
    line = json.loads((tmp_path / "s.zarr" / "rejects.jsonl").read_text())
    assert line == {"event": "B", "file": "vil/2018/one.h5", "reason": summary.rejects[0].reason, "partly": False}
    dataset = open_store(tmp_path / "s.zarr")
    assert dataset["missing_fraction"].sel(event="B").values.tolist() == [1] * 5
    assert np.isfinite(dataset["vil"].sel(event="A")).any()

    again = prepare_tiny(archive, tmp_path / "s.zarr")
    assert (again.written, len(again.rejects)) == (0, 1)
    assert "up to date" not in str(again)
    path.write_bytes(sound)
    read, seen = planning.read_events, []
    monkeypatch.setattr(planning, "read_events", lambda *args: seen.extend(one.id for one in args[2]) or read(*args))
    mended = prepare_tiny(archive, tmp_path / "s.zarr")
    assert (mended.written, mended.rejects, seen) == (1, (), ["B"])
    assert contents(tmp_path / "s.zarr") == contents(tmp_path / "whole.zarr")


def test_an_absent_file_may_be_skipped_and_added_later(archive, tmp_path):
    path = archive.data / "vil/2019/two.h5"
    prepare_tiny(archive, tmp_path / "whole.zarr")
    sound = path.read_bytes()
    path.unlink()
    with pytest.raises(InputError, match="event C: no file"):
        prepare_tiny(archive, tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()
    summary = prepare_tiny(archive, tmp_path / "s.zarr", skip_bad=True)
    assert (summary.written, [reject.event for reject in summary.rejects]) == (2, ["C"])
    assert open_store(tmp_path / "s.zarr").attrs["source_files"][1] == "vil/2019/two.h5 absent"
    path.write_bytes(sound)
    assert prepare_tiny(archive, tmp_path / "s.zarr").written == 1
    assert contents(tmp_path / "s.zarr") == contents(tmp_path / "whole.zarr")


def test_no_event_that_can_be_read_is_an_input_error_and_leaves_nothing(archive, tmp_path):
    spoil(archive.data / "vil/2019/two.h5", 0)
    with pytest.raises(InputError, match=r"no event can be read; got .*two\.h5 cannot be read"):
        prepare_tiny(archive, tmp_path / "out" / "s.zarr", events=["C"])
    assert list((tmp_path / "out").iterdir()) == []


def test_a_source_file_that_changed_makes_another_store(archive, tmp_path):
    prepare_tiny(archive, tmp_path / "s.zarr")
    with h5py.File(archive.data / "vil/2019/two.h5", "a") as file:
        file["note"] = np.zeros(1000)
    with pytest.raises(InputError, match="was made otherwise"):
        prepare_tiny(archive, tmp_path / "s.zarr")


def test_the_store_tells_what_was_left_out(archive, tmp_path):
    archive.rows.append(dict(archive.rows[0]))
    archive.write_catalog()
    said = []
    prepare_tiny(archive, tmp_path / "s.zarr", tell=said.append)
    assert open_store(tmp_path / "s.zarr").attrs["left_out"] == ["A: a repeated row, equal to the one taken"]
    assert "a repeated row, equal to the one taken: A" in said[0]


KILLED = """
import os, signal, sys
from pipelines.sevir import plan, prepare
read = plan.read_events
def dying(data, reducer, events):
    if events[0].id == "M14":
        os.kill(os.getpid(), signal.SIGKILL)
    return read(data, reducer, events)
plan.read_events = dying
prepare.prepare(sys.argv[1], sys.argv[2], protocol=sys.argv[3])
"""


def test_a_killed_run_goes_on_and_ends_byte_identical(twenty, tmp_path, monkeypatch):
    killed, whole = tmp_path / "killed.zarr", tmp_path / "whole.zarr"
    command = [sys.executable, "-c", KILLED, twenty.root, killed, twenty.protocol]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not killed.exists()

    read, seen = planning.read_events, []
    monkeypatch.setattr(planning, "read_events", lambda *args: seen.append(args[2][0].id) or read(*args))
    assert prepare_tiny(twenty, killed).written == 7
    assert seen == ["M14"]
    monkeypatch.undo()
    prepare_tiny(twenty, whole)
    assert contents(killed) == contents(whole)


def test_two_processes_make_the_same_store(twenty, tmp_path):
    prepare_tiny(twenty, tmp_path / "one.zarr")
    prepare_tiny(twenty, tmp_path / "two.zarr", workers=2)
    assert contents(tmp_path / "one.zarr") == contents(tmp_path / "two.zarr")


@pytest.mark.parametrize("name", ["max", "center", "antialias"])
def test_another_reducer_is_written_in_the_store(archive, tmp_path, name):
    prepare_tiny(archive, tmp_path / "s.zarr", reducer=name)
    dataset = open_store(tmp_path / "s.zarr")
    assert (dataset.attrs["protocol"], dataset.attrs["reducer"]) == (f"tiny@{name}", name)
    expected = REDUCERS[name](archive.counts["B"]).astype("float32")
    assert np.array_equal(dataset["vil"].sel(event="B").fillna(255), expected)


def test_the_whole_grid_is_three_times_as_many_pixels_of_a_third_the_size(archive, tmp_path):
    prepare_tiny(archive, tmp_path / "s.zarr", grid=12)
    dataset = open_store(tmp_path / "s.zarr")
    assert dataset.attrs["reducer"] == "none"
    assert dataset["x"].values[:2].tolist() == [500, 1500]
    expected = archive.counts["C"].transpose(2, 0, 1)
    assert np.array_equal(dataset["vil"].sel(event="C").fillna(255), expected)
    with pytest.raises(InputError, match="no grid of 8 pixels"):
        prepare_tiny(archive, tmp_path / "t.zarr", grid=8)
    with pytest.raises(InputError, match="no grid of 12 pixels by max; expected 4"):
        prepare_tiny(archive, tmp_path / "t.zarr", grid=12, reducer="max")


def test_a_slower_protocol_takes_every_other_frame(archive, tmp_path):
    archive.protocol.write_text(archive.protocol.read_text().replace("cadence_minutes: 5", "cadence_minutes: 10"))
    prepare_tiny(archive, tmp_path / "s.zarr")
    dataset = open_store(tmp_path / "s.zarr")
    assert dataset.sizes["frame"] == 3
    minutes = (dataset["valid_time"][0] - np.datetime64("2018-05-01T10:00")).values.astype("timedelta64[m]")
    assert minutes.astype(int).tolist() == [-10, 0, 10]
    assert np.array_equal(dataset["vil"].sel(event="A").fillna(255), mean(archive.counts["A"])[::2])


@pytest.mark.parametrize("choice", [{"reducer": "none"}, {}, {"reducer": "max"}])
def test_an_open_archive_is_what_prepare_would_write(archive, tmp_path, choice):
    prepare_tiny(archive, tmp_path / "s.zarr", **choice)
    stored = open_store(tmp_path / "s.zarr")
    lazy = sevir.open_archive(archive.root, protocol=str(archive.protocol), **choice)
    xr.testing.assert_equal(lazy.compute(), stored.drop_vars("missing_fraction").compute())
    assert lazy.attrs == stored.attrs


def test_an_open_archive_reads_only_what_is_computed(archive, monkeypatch):
    read, seen = planning.read_events, []
    monkeypatch.setattr(planning, "read_events", lambda *args: seen.extend(one.id for one in args[2]) or read(*args))
    lazy = sevir.open_archive(archive.root, protocol=str(archive.protocol))
    assert seen == []
    assert lazy["vil"].dtype == "float32"
    lazy["vil"].sel(event="B").isel(frame=0).compute()
    assert seen == ["B"]


def test_an_open_archive_has_all_pixels_by_default(shared_data):
    lazy = sevir.open_archive(shared_data / "sevir-layout", events=["XKNMI10082600"])
    assert dict(lazy.sizes) == {"event": 1, "frame": 49, "y": 384, "x": 384}
    assert np.isnan(lazy["vil"][0, 0]).sum() > 1000


def test_real_radar_on_the_whole_grid(shared_data, tmp_path):
    archive = shared_data / "sevir-layout"
    event = "XKNMI10082600"
    prepare(archive, tmp_path / "eu.zarr", protocol="europe-128-10-10", grid=384, events=[event])
    with h5py.File(archive / "data/vil/2010/SEVIR_VIL_KNMI_20100826.h5") as file:
        raw = file["vil"][0].transpose(2, 0, 1)
    stored = zarr.open_array(tmp_path / "eu.zarr" / "vil")
    assert stored.chunks == (1, 49, 128, 128)
    assert np.array_equal(stored[0], raw)


def test_real_radar(shared_data, tmp_path):
    archive = shared_data / "sevir-layout"
    summary = prepare(archive, tmp_path / "eu.zarr", protocol="europe-128-10-10")
    assert summary.splits == {"train": 9, "val": 7, "test": 3}
    dataset = open_store(tmp_path / "eu.zarr")
    assert dict(dataset.sizes) == {"event": 19, "frame": 49, "y": 128, "x": 128}
    split = dataset["split"].to_series()
    assert set(split[split.index.str.startswith("XFMI17")]) == {"val"}
    assert set(split[split.index.str.startswith("XRMI")]) == {"test"}
    assert split["XKNMI10082600"] == "train"

    with h5py.File(archive / "data/vil/2010/SEVIR_VIL_KNMI_20100826.h5") as file:
        raw = file["vil"][0]
    vil = dataset["vil"].sel(event="XKNMI10082600").values
    missing = (raw == 255).reshape(128, 3, 128, 3, 49).sum((1, 3)).transpose(2, 0, 1)
    assert missing.max() == 9  # the ring beyond the radar's range
    assert np.array_equal(np.isnan(vil), missing >= 5)
    assert raw[180:183, 234:237, 0].tolist() == [[76, 83, 77], [76, 83, 77], [77, 85, 91]]
    assert vil[0, 60, 78] == 81  # 725 / 9
    assert raw[237:240, 171:174, 1].tolist() == [[72, 72, 96], [77, 80, 96], [88, 93, 96]]
    assert vil[1, 79, 57] == 86  # 770 / 9
    assert missing[0, 45, 50] == 4
    assert np.isfinite(vil[0, 45, 50])
    assert missing[0, 43, 82] == 5
    assert np.isnan(vil[0, 43, 82])
