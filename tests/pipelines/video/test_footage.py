"""Frames come by number and exactly, from every kind of source."""

import os

import cv2
import numpy as np
import pytest

from pipelines.errors import InputError
from pipelines.video.footage import inspect, read

NUMBERS = [0, 3, 11]


@pytest.mark.parametrize("name", ["a.avi", "a.mkv"])
def test_frames_of_a_video_file(tmp_path, footage, name):
    frames = footage.frames(12)
    footage.video(tmp_path / name, frames)
    found = inspect(tmp_path / name)
    assert (found.frames, found.fps, found.size) == (12, 25, (tmp_path / name).stat().st_size)
    found = list(read(tmp_path / name, NUMBERS))
    np.testing.assert_array_equal(found, [frames[number] for number in NUMBERS])


def test_frames_of_a_folder_in_the_order_of_their_numbers(tmp_path, footage):
    frames = footage.frames(12)
    footage.pictures(tmp_path / "clip", frames)
    (tmp_path / "clip" / "notes.txt").write_text("no picture")
    found = inspect(tmp_path / "clip")
    assert (found.frames, found.fps) == (12, None)
    np.testing.assert_array_equal(list(read(tmp_path / "clip", NUMBERS)), [frames[number] for number in NUMBERS])


@pytest.mark.parametrize(("stated", "gap"), [(None, b""), (0, b""), (None, bytes(8))])
def test_frames_of_a_seq_file(tmp_path, footage, stated, gap):
    frames = footage.frames(12)
    footage.seq(tmp_path / "V000.seq", frames, stated=stated, gap=gap)
    assert inspect(tmp_path / "V000.seq").frames == 12
    found = np.stack(list(read(tmp_path / "V000.seq", NUMBERS))).astype(int)
    assert np.abs(found - [frames[number] for number in NUMBERS]).max() <= 2  # JPEG


def test_a_picture_in_grey_is_given_in_three_equal_colours(tmp_path):
    (tmp_path / "clip").mkdir()
    cv2.imwrite(str(tmp_path / "clip" / "0.png"), np.full((4, 4), 7, np.uint8))
    np.testing.assert_array_equal(next(iter(read(tmp_path / "clip", [0]))), np.full((4, 4, 3), 7))


@pytest.mark.parametrize("name", ["a.avi", "V000.seq"])
def test_a_file_that_is_none(tmp_path, name):
    (tmp_path / name).write_bytes(b"not a video" * 200)
    with pytest.raises(InputError, match=name):
        inspect(tmp_path / name)


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile ours.avi\n",
    "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nours.avi\n#EXT-X-ENDLIST\n"])  # fmt: skip
def test_a_playlist_called_a_video_has_no_other_file_read(tmp_path, footage, text):
    footage.video(tmp_path / "ours.avi", footage.frames(3))
    (tmp_path / "theirs.avi").write_text(text)
    with pytest.raises(InputError, match=r"theirs\.avi"):
        inspect(tmp_path / "theirs.avi")
    with pytest.raises(InputError, match=r"theirs\.avi"):
        next(iter(read(tmp_path / "theirs.avi", [0])))


def test_a_pipe_is_no_video_and_not_waited_for(tmp_path):
    for name in ("a.avi", "a.seq"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(InputError, match="no file"):
            inspect(tmp_path / name)


def test_a_file_cut_short_gives_its_first_frames_and_then_fails(tmp_path, footage):
    path = tmp_path / "a.avi"
    footage.video(path, list(np.random.default_rng(0).integers(0, 255, (12, 48, 64, 3), dtype="uint8")))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert len(list(read(path, [0, 1]))) == 2
    with pytest.raises(InputError, match="a.avi"):  # noqa: RUF043
        list(read(path, [0, 11]))


def test_a_seq_file_cut_short(tmp_path, footage):
    path = tmp_path / "V000.seq"
    footage.seq(path, footage.frames(12))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"V000\.seq ends before frame"):
        inspect(path)


def test_a_picture_that_cannot_be_read(tmp_path, footage):
    footage.pictures(tmp_path / "clip", footage.frames(3))
    (tmp_path / "clip" / "frame1.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"frame1\.png cannot be read"):
        list(read(tmp_path / "clip", [0, 1]))


def test_the_real_clip_of_kth(shared_data):
    path = shared_data / "video" / "kth" / "boxing" / "person01_boxing_d1_uncomp.avi"
    found = inspect(path)
    assert (found.frames, found.fps) == (360, 25)
    first, last = read(path, [0, 359])
    assert first.shape == last.shape == (120, 160, 3)
