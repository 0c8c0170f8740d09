"""`nowcast prepare-sevir` and `nowcast info` on archives that are not quite sound."""

import csv

import pytest

from pipelines.simulation.storms import simulate_archive


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_archive(tmp_path_factory.mktemp("sevir") / "archive", events=4, seed=3)


@pytest.fixture
def archive(simulated, tmp_path):
    """A copy that a test may spoil, each with four events of 384 x 384 pixels."""
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "data").symlink_to(simulated / "data")
    (tmp_path / "archive" / "CATALOG.csv").write_bytes((simulated / "CATALOG.csv").read_bytes())
    return tmp_path / "archive"


def edit(path, change):
    """Rewrite a catalog, `change` being called with each row."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        change(number, row)
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_dry_run_prints_the_plan_and_writes_nothing(archive, tmp_path, nowcast):
    code, out, _ = nowcast("prepare-sevir", archive, tmp_path / "s.zarr", "--dry-run")
    assert code == 0
    assert out.startswith("plan: 4 events of 49 frames every 5 minutes, 128 x 128 pixels (3 km), from 3 files (")
    assert "test: 1 event, 3 windows of 10 -> 10" in out
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


def test_a_catalog_from_a_spreadsheet_gives_the_same_store(archive, tmp_path, nowcast):
    def mangle(number, row):
        date, time = row["time_utc"].split()
        year, month, day = date.split("-")
        row["time_utc"] = f"{int(month)}/{int(day)}/{year[2:]} {time[:5]}"
        row["proj"] = "#NAME?"
        row["my remark"] = "nice"

    nowcast("prepare-sevir", archive, tmp_path / "sound.zarr", "--limit", 2)
    edit(archive / "CATALOG.csv", mangle)
    code, _, err = nowcast("prepare-sevir", archive, tmp_path / "s.zarr", "--limit", 2, "--workers", 1)
    assert code == 0, err
    zarr_json = "zarr.json"
    assert (tmp_path / "s.zarr" / zarr_json).read_bytes() == (tmp_path / "sound.zarr" / zarr_json).read_bytes()


def test_events_that_cannot_be_read_are_exit_code_3_and_told_by_info(archive, tmp_path, nowcast):
    edit(archive / "CATALOG.csv", lambda number, row: row.update(file_index=99) if number == 1 else None)
    command = ("prepare-sevir", archive, tmp_path / "s.zarr", "--workers", 1)
    code, out, err = nowcast(*command)
    assert (code, out) == (2, "")
    assert "file_index out of range" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "s.zarr").exists()
    code, out, _ = nowcast(*command, "--skip-bad")
    assert code == 3
    assert "1 event could not be read and is missing" in out
    code, out, _ = nowcast("info", tmp_path / "s.zarr")
    assert code == 0
    assert "could not be read, missing: 1\n" in out
    assert "file_index out of range" in out
    for word in ("reducer: mean", "event_list_hash: ", "code_version: ", "source files: ", ".h5 "):
        assert word in out


def test_info_counts_what_was_left_out(archive, tmp_path, nowcast):
    edit(archive / "CATALOG.csv", lambda number, row: row.update(time_utc="?") if number > 1 else None)
    nowcast("prepare-sevir", archive, tmp_path / "s.zarr")
    _, out, _ = nowcast("info", tmp_path / "s.zarr")
    assert "2 x its time_utc cannot be read" in out
