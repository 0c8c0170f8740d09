"""Videos to clips to stores."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.building.prepare import prepare
from pipelines.errors import InputError
from pipelines.store.rejects import read_rejects
from pipelines.store.schema import open_store
from pipelines.video.folder import plan_folder
from pipelines.video.kitti import plan_kitti
from pipelines.video.kth import plan_kth
from pipelines.video.pictures import squared


def make_kth(footage, root: Path) -> Path:
    """Persons 1, 16 and 17 boxing: 45 frames, 10 and 20."""
    for person, frames in ((1, 45), (16, 10), (17, 20)):
        path = root / "boxing" / f"person{person:02d}_boxing_d1_uncomp.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        footage.video(path, [np.full((12, 16, 3), 5 * n, np.uint8) for n in range(frames)])
    return root


def same(one: Path, two: Path) -> bool:
    files = [{p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()} for root in (one, two)]
    return files[0] == files[1]


def test_the_square_of_a_picture_made_smaller_is_the_mean_over_area():
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[:, 1:5, 0] = [[0, 4, 8, 8], [4, 8, 8, 8], [1, 1, 0, 0], [1, 1, 0, 8]]
    picture[:, 1:5, 1] = 10
    picture[:, [0, 5]] = 255  # outside of the square
    small = squared(picture, 2, 3)
    np.testing.assert_array_equal(small, [[[4, 8], [1, 2]], [[10, 10], [10, 10]], [[0, 0], [0, 0]]])
    np.testing.assert_array_equal(squared(picture.transpose(1, 0, 2), 2, 3), small.transpose(0, 2, 1))


def test_grey_is_luma():
    picture = np.full((4, 6, 3), (100, 50, 200), np.uint8)
    grey = squared(picture, 2, 1)
    assert grey.shape == (1, 2, 2)
    np.testing.assert_array_equal(grey, round(0.299 * 100 + 0.587 * 50 + 0.114 * 200))


def test_a_picture_made_larger_is_interpolated():
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[:, 1] = 100
    np.testing.assert_array_equal(squared(picture, 4, 3)[0, 0], [0, 25, 75, 100])


def test_kth_in_clips_of_twenty_frames_by_person(tmp_path, footage):
    plan = plan_kth(make_kth(footage, tmp_path / "kth"))
    assert [(clip.id, clip.split, clip.event_type, clip.frames) for clip in plan.events] == [
        ("person01_boxing_d1/0000", "train", "boxing", range(20)),
        ("person01_boxing_d1/0020", "train", "boxing", range(20, 40)),
        ("person17_boxing_d1/0000", "test", "boxing", range(20)),
    ]
    assert [(row.id, row.reason) for row in plan.left_out] == [
        ("person16_boxing_d1", "shorter than 20 frames at 25 a second")
    ]
    assert "3 clips of 10 + 10 frames at 25 a second" in str(plan)
    assert "dropped at the ends of videos: 5 frames" in str(plan)


def test_the_published_sequences_of_kth_are_kept_apart(tmp_path, footage):
    root = make_kth(footage, tmp_path / "kth")
    (root / "00sequences.txt").write_text("person01_boxing_d1\t\tframes\t2-22, 24-44\nperson17_boxing_d1\t*missing*\n")
    plan = plan_kth(root)
    assert [clip.frames for clip in plan.events] == [range(1, 21), range(23, 43), range(20)]
    assert "dropped at the ends of videos: 2 frames" in str(plan)


def test_a_store_of_kth(tmp_path, footage):
    summary = prepare(plan_kth(make_kth(footage, tmp_path / "kth")), tmp_path / "kth.zarr")
    assert (summary.events, summary.written, summary.splits, summary.left_out) == (3, 3, {"train": 2, "test": 1}, 1)
    assert "1 video left out" in str(summary)
    store = open_store(tmp_path / "kth.zarr")
    assert store["video"].dims == ("event", "frame", "channel", "y", "x")
    assert (store["video"].shape, store["video"].dtype) == ((3, 20, 1, 128, 128), np.uint8)
    values = store["video"].isel(channel=0, y=5, x=7).values
    np.testing.assert_array_equal(values[:2], np.arange(0, 200, 5).reshape(2, 20))
    assert list(store["channel"].values) == ["grey"]
    assert store.attrs["data_range"] == 255
    assert (store["missing_fraction"] == 0).all()  # 255 would be data
    times = store["valid_time"].values
    assert set(np.diff(times, axis=1).ravel().astype("timedelta64[us]").astype(int)) == {40_000}
    assert times[1, 0] - times[0, 0] == np.timedelta64(800, "ms")
    assert not {"proj", "corner_x", "crs", "vil"} & set(store.variables)


def test_white_is_data_and_not_missing(tmp_path, footage):
    (tmp_path / "in").mkdir()
    footage.video(tmp_path / "in" / "white.mkv", [np.full((8, 8, 3), 255, np.uint8)] * 20, fps=12)
    prepare(plan_folder(tmp_path / "in", size=8), tmp_path / "v.zarr")
    store = open_store(tmp_path / "v.zarr")
    assert (store["video"] == 255).all()
    assert (store["missing_fraction"] == 0).all()


def test_kitti_trains_and_caltech_at_a_third_of_its_frames_tests(tmp_path, footage):
    drive = "2011_09_26/2011_09_26_drive_{}_sync/image_0{}/data"
    footage.pictures(tmp_path / "kitti" / drive.format("0001", 2), footage.frames(20))
    footage.pictures(tmp_path / "kitti" / drive.format("0005", 3), footage.frames(20))
    footage.seq(tmp_path / "caltech" / "set06" / "V000.seq", footage.frames(16) * 4)
    footage.pictures(tmp_path / "caltech" / "set07" / "V001", footage.frames(16) * 4)
    footage.seq(tmp_path / "caltech" / "set01" / "V000.seq", footage.frames(16) * 4)
    plan = plan_kitti(tmp_path / "kitti", tmp_path / "caltech")
    assert [(clip.id, clip.split) for clip in plan.events] == [
        ("2011_09_26_drive_0001_sync/image_02/0000", "train"),
        ("2011_09_26_drive_0005_sync/image_03/0000", "val"),
        ("set06/V000/0000", "test"),
        ("set07/V001/0000", "test"),
    ]
    assert [(row.id, row.reason) for row in plan.left_out] == [("set01/V000", "of Caltech's training sets")]
    assert "dropped at the ends of videos: 4 frames" in str(plan)  # 2 + 2: frames 0, 3, ..., 63 are 22
    prepare(plan, tmp_path / "kitti.zarr")
    store = open_store(tmp_path / "kitti.zarr")
    assert list(store["channel"].values) == ["red", "green", "blue"]
    red, green, blue = store["video"].isel(y=64, x=64).values.astype(int).transpose(2, 0, 1)
    np.testing.assert_array_equal(red[0], 10 * np.arange(20))
    np.testing.assert_array_equal(blue[0] % 256, (200 - 10 * np.arange(20)) % 256)
    assert set(green[0]) == {100}
    thirds = 10 * (np.arange(0, 60, 3) % 16)
    np.testing.assert_array_equal(red[3], thirds)
    assert np.abs(red[2] - thirds).max() <= 2  # JPEG
    assert set(np.diff(store["valid_time"].values, axis=1).ravel().astype("timedelta64[us]").astype(int)) == {100_000}


def test_any_folder_with_a_size_a_rate_and_splits(tmp_path, footage):
    for split, count in (("train", 40), ("test", 45)):
        (tmp_path / "in" / split).mkdir(parents=True)
        footage.video(tmp_path / "in" / split / "a.mkv", footage.frames(count), fps=30)
    footage.video(tmp_path / "in" / "train" / "odd.mkv", footage.frames(60), fps=25)
    footage.pictures(tmp_path / "in" / "val" / "b", footage.frames(20))
    plan = plan_folder(tmp_path / "in", size=16, fps=15, grey=True, split_rule="folders")
    assert {clip.id: clip.split for clip in plan.events} == {
        "test/a.mkv/0000": "test",
        "train/a.mkv/0000": "train",
        "val/b/0000": "val",
    }
    assert [row.reason for row in plan.left_out] == ["25 frames a second, no multiple of 15"]
    assert plan.rules.name == "video-256-10-10@16,15,square-grey"
    prepare(plan, tmp_path / "v.zarr")
    video = open_store(tmp_path / "v.zarr")["video"]
    assert video.shape == (3, 20, 1, 16, 16)
    np.testing.assert_array_equal(video.values[0, :10], video.values[2, ::2])  # every second frame of 30 is each of 15


def test_times_between_frames_are_microseconds_to_the_nearest(tmp_path, footage):
    (tmp_path / "in").mkdir()
    footage.video(tmp_path / "in" / "a.mkv", [np.zeros((16, 16, 3), np.uint8)] * 20, fps=24)
    [clip] = plan_folder(tmp_path / "in", size=16, fps=24).events
    assert clip.offsets[:3] == (0, 0.041667, 0.083334)  # 1 / 24 s = 41,666.7 microseconds, each step the same


def test_percentages_of_the_videos_by_their_names(tmp_path):
    for number in range(40):
        (tmp_path / "in" / f"{number}").mkdir(parents=True)
        for frame in range(20):
            (tmp_path / "in" / f"{number}" / f"{frame}.png").touch()
    splits = {clip.id: clip.split for clip in plan_folder(tmp_path / "in", split_rule="50/25/25").events}
    assert set(splits.values()) == {"train", "val", "test"}
    assert 10 < sum(split == "train" for split in splits.values()) < 30
    shutil.rmtree(tmp_path / "in" / "7")
    fewer = {clip.id: clip.split for clip in plan_folder(tmp_path / "in", split_rule="50/25/25").events}
    assert fewer == {name: split for name, split in splits.items() if name != "7/0000"}


@pytest.mark.parametrize("rule", ["80/10", "80/10/20", "a/b/c", "folder"])
def test_a_wrong_split_rule(tmp_path, rule):
    with pytest.raises(InputError, match="wrong split rule"):
        plan_folder(tmp_path, split_rule=rule)


def test_folders_without_videos(tmp_path, footage):
    for plan, what in ((plan_kth, "KTH"), (plan_kitti, "KITTI"), (plan_folder, "no video in")):
        with pytest.raises(InputError, match=what):
            plan(tmp_path)
    with pytest.raises(InputError, match="is not one of video"):
        plan_kth(make_kth(footage, tmp_path), protocol="sevir-128-10-10")


def test_a_video_cut_short_costs_its_clips_and_is_mended(tmp_path, footage):
    root = tmp_path / "in"
    root.mkdir()
    frames = list(np.random.default_rng(0).integers(0, 255, (45, 32, 32, 3), dtype="uint8"))
    for name in ("a.avi", "b.avi"):
        footage.video(root / name, frames, fps=12)
    prepare(plan_folder(root, size=16), tmp_path / "whole.zarr")
    whole = (root / "b.avi").read_bytes()
    (root / "b.avi").write_bytes(whole[: len(whole) * 3 // 5])
    summary = prepare(plan_folder(root, size=16), tmp_path / "v.zarr")
    assert [reject.event for reject in summary.rejects] == ["b.avi/0020"]
    assert read_rejects(tmp_path / "v.zarr")[0].file == "b.avi"
    missing = open_store(tmp_path / "v.zarr")["missing_fraction"].values
    np.testing.assert_array_equal(missing, np.repeat([[0], [0], [0], [1]], 20, axis=1))
    (root / "b.avi").write_bytes(whole)
    assert prepare(plan_folder(root, size=16), tmp_path / "v.zarr").written == 1
    assert same(tmp_path / "v.zarr", tmp_path / "whole.zarr")
    assert prepare(plan_folder(root, size=16), tmp_path / "v.zarr").written == 0


def test_a_video_that_cannot_be_opened_is_one_reject(tmp_path, footage):
    root = make_kth(footage, tmp_path / "kth")
    (root / "boxing" / "person02_boxing_d1_uncomp.avi").write_bytes(b"no video")
    plan = plan_kth(root)
    assert "cannot be read: 1" in str(plan)
    summary = prepare(plan, tmp_path / "kth.zarr")
    assert [reject.event for reject in summary.rejects] == ["person02_boxing_d1/0000"]
    assert summary.events == 4


def test_workers_make_the_same_store(tmp_path, footage, monkeypatch):
    monkeypatch.setattr("pipelines.store.schema.SHARD_EVENTS", 2)
    root = make_kth(footage, tmp_path / "kth")
    prepare(plan_kth(root), tmp_path / "one.zarr")
    prepare(plan_kth(root), tmp_path / "two.zarr", workers=2)
    assert same(tmp_path / "one.zarr", tmp_path / "two.zarr")


def test_the_store_says_what_it_is_made_of(tmp_path, footage):
    root = make_kth(footage, tmp_path / "kth")
    prepare(plan_kth(root), tmp_path / "kth.zarr")
    attrs = json.loads((tmp_path / "kth.zarr" / "zarr.json").read_text())["attributes"]
    size = (root / "boxing" / "person01_boxing_d1_uncomp.avi").stat().st_size
    assert attrs["source_files"][0] == f"boxing/person01_boxing_d1_uncomp.avi {size} bytes"
    assert attrs["left_out"] == ["person16_boxing_d1: shorter than 20 frames at 25 a second"]
    assert (attrs["protocol"], attrs["reducer"]) == ("kth-128-10-10", "square-grey")


def test_real_clips(shared_data, tmp_path):
    prepare(plan_kth(shared_data / "video" / "kth"), tmp_path / "kth.zarr")
    prepare(plan_kitti(shared_data / "video" / "kitti"), tmp_path / "kitti.zarr")
    kth, kitti = (open_store(tmp_path / f"{name}.zarr")["video"] for name in ("kth", "kitti"))
    assert (kth.shape, kitti.shape) == ((18, 20, 1, 128, 128), (1, 20, 3, 128, 128))
    for video in (kth.values.astype("float32"), kitti.values.astype("float32")):
        step, mirrored = np.abs(np.diff(video, axis=1)).mean(), np.abs(video - video[..., ::-1]).mean()
        assert 0 < step < mirrored  # a frame is like the one before it
