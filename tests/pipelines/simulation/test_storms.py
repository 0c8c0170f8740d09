"""The simulated archive: SEVIR's layout, a true catalog, determinism, whole or not at all."""

import csv
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
from pyproj import Proj

from pipelines.errors import InputError
from pipelines.simulation.storms import _lose_radars, simulate_archive
from pipelines.store.protocol import load_protocol

COLUMNS = [
    *(
        "id",
        "file_name",
        "file_index",
        "img_type",
        "time_utc",
        "minute_offsets",
        "episode_id",
        "event_id",
        "event_type",
    ),
    *("llcrnrlat", "llcrnrlon", "urcrnrlat", "urcrnrlon", "proj", "size_x", "size_y", "height_m", "width_m"),
    *("data_min", "data_max", "pct_missing"),
]


def _rows(archive: Path) -> list[dict[str, str]]:
    with (archive / "CATALOG.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _counts(archive: Path, row: dict[str, str]) -> np.ndarray:
    with h5py.File(archive / "data" / row["file_name"]) as file:
        assert file["id"][int(row["file_index"])].decode() == row["id"]
        return file["vil"][int(row["file_index"])]


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    return simulate_archive(tmp_path_factory.mktemp("storms") / "archive", events=6, seed=2)


def test_catalog_says_what_the_files_hold(archive):
    rows = _rows(archive)
    assert list(rows[0]) == COLUMNS and len(rows) == 6
    for row in rows:
        counts = _counts(archive, row)
        assert counts.shape == (384, 384, 49) and counts.dtype == np.uint8
        seen = counts[counts != 255]
        assert (seen.min(), seen.max()) == (int(row["data_min"]), int(row["data_max"]))
        assert float(row["pct_missing"]) == pytest.approx(100 * (counts == 255).mean(), abs=1e-3)


def test_all_splits_are_there(archive):
    protocol = load_protocol("sevir-128-10-10")
    splits = [protocol.split(datetime.fromisoformat(row["time_utc"])) for row in _rows(archive)[:4]]
    assert splits == ["train", "train", "val", "test"]


def test_frames_fall_on_the_five_minutes(archive):
    for row in _rows(archive):
        offsets = [int(offset) for offset in row["minute_offsets"].split(":")]
        assert len(offsets) == 49 and set(np.diff(offsets)) == {5}
        assert (datetime.fromisoformat(row["time_utc"]).minute + offsets[0]) % 5 == 0
        assert -120 <= offsets[0] <= -116
    assert any(not row["minute_offsets"].startswith("-120:") for row in _rows(archive))


def test_corners_are_384_km_apart_inside_the_us(archive):
    for row in _rows(archive):
        project = Proj(row["proj"])
        x, y = project(
            [float(row["llcrnrlon"]), float(row["urcrnrlon"])], [float(row["llcrnrlat"]), float(row["urcrnrlat"])]
        )
        assert np.diff(x)[0] == pytest.approx(384_000, abs=1) and np.diff(y)[0] == pytest.approx(384_000, abs=1)
        assert 25 < float(row["llcrnrlat"]) < float(row["urcrnrlat"]) < 49
        assert -124 < float(row["llcrnrlon"]) < float(row["urcrnrlon"]) < -67


def test_random_events_have_no_type(archive):
    rows = _rows(archive)
    assert {row["id"][0] for row in rows} == {"S", "R"}
    assert all(bool(row["event_type"]) == ("STORMEVENTS" in row["file_name"]) for row in rows)


def test_some_events_have_a_missing_wedge():
    wedges = 0
    for k in range(60):
        counts = np.zeros((384, 384, 49), np.uint8)
        _lose_radars(counts, np.random.default_rng(k))
        missing = (counts == 255).all(axis=2)
        assert missing.mean() < 0.25
        wedges += missing.any()
    assert 4 <= wedges <= 18


def test_event_depends_on_seed_and_number_only(archive, tmp_path):
    first = _rows(archive)[0]
    again, other = (
        simulate_archive(tmp_path / "a", events=1, seed=2),
        simulate_archive(tmp_path / "b", events=1, seed=3),
    )
    assert _rows(again)[0] == first
    np.testing.assert_array_equal(_counts(again, first), _counts(archive, first))
    assert not np.array_equal(_counts(other, _rows(other)[0]), _counts(archive, first))


def test_occupied_folder_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        simulate_archive(tmp_path, events=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("wrong", [{"events": 0}, {"seed": -1}])
def test_wrong_numbers_are_refused(tmp_path, wrong):
    with pytest.raises(InputError, match=r"expected (at least 1|0 or more)"):
        simulate_archive(tmp_path / "archive", **wrong)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_archive_leaves_nothing(tmp_path):
    def interrupted(numbers):
        yield numbers[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_archive(tmp_path / "archive", events=2, progress=interrupted)
    assert list(tmp_path.iterdir()) == []
