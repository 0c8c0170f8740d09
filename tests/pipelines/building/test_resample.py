import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipelines.building.resample import REDUCERS, antialias, center, maximum, mean, none

M = 255


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], 5),
        ([0, 0, 0, 0, 0, 0, 0, 0, 4], 0),  # 4/9 rounds down
        ([0, 0, 0, 0, 0, 0, 0, 0, 5], 1),  # 5/9 rounds up
        ([1, 0, 1, 0, 1, 0, M, M, M], 1),  # 3/6: half rounds up
        ([254] * 9, 254),
        ([10, 20, 30, 40, 50, M, M, M, M], 30),  # four missing: mean of the other five
        ([10, 20, 30, 40, M, M, M, M, M], M),  # five missing: more than half
        ([M] * 9, M),
    ],
)
def test_mean_of_one_block_by_hand(block, expected):
    frames = np.array(block, "uint8").reshape(3, 3, 1)
    assert mean(frames).tolist() == [[[expected]]]


def test_rows_columns_and_frames_keep_their_places():
    frames = np.zeros((6, 9, 2), "uint8")
    frames[3:6, 6:9, 1] = 90
    reduced = mean(frames)
    assert reduced.shape == (2, 2, 3)
    assert reduced[1, 1, 2] == 90
    assert reduced.sum() == 90


def test_a_view_with_gaps_gives_what_its_copy_gives():
    frames = np.random.default_rng(0).integers(0, 256, (6, 6, 8), dtype="uint8")[..., ::2]
    assert np.array_equal(mean(frames), mean(frames.copy()))


@given(arrays("uint8", (6, 3, 4), elements=st.sampled_from([0, 1, 7, 100, 253, 254, M])))
def test_mean_equals_plain_numpy(frames):
    blocks = frames.reshape(2, 3, 1, 3, 4).transpose(4, 0, 2, 1, 3).reshape(4, 2, 1, 9).astype(float)
    blocks[blocks == M] = np.nan
    valid = np.isfinite(blocks).sum(-1)
    expected = np.where(valid >= 5, np.floor(np.nansum(blocks, -1) / np.maximum(valid, 1) + 0.5), M)
    assert np.array_equal(mean(frames), expected)


@pytest.mark.parametrize("count", [2, 49, 64, 65, 130])
def test_mean_of_many_frames_is_that_of_each_alone(count):
    frames = np.random.default_rng(count).integers(0, 256, (6, 9, count), dtype="uint8")
    frames[np.random.default_rng(1).random(frames.shape) < 0.4] = M
    alone = [mean(frames[..., t : t + 1])[0] for t in range(count)]
    assert np.array_equal(mean(frames), alone)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], 9),
        ([0, 0, 0, 0, 254, 0, 0, 0, 0], 254),
        ([10, 20, 30, 40, 50, M, M, M, M], 50),  # four missing: the largest of the others, not 255
        ([10, 20, 30, 40, M, M, M, M, M], M),
    ],
)
def test_max_of_one_block_by_hand(block, expected):
    assert maximum(np.array(block, "uint8").reshape(3, 3, 1)).tolist() == [[[expected]]]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], 5),
        ([M, M, M, M, 5, M, M, M, M], 5),  # only the centre counts
        ([1, 2, 3, 4, M, 6, 7, 8, 9], M),
    ],
)
def test_center_of_one_block_by_hand(block, expected):
    assert center(np.array(block, "uint8").reshape(3, 3, 1)).tolist() == [[[expected]]]


def ramp(missing=()):
    """9x9 pixels with 27 in the middle; pixels at `missing` are missing."""
    frame = np.zeros((9, 9, 1), "uint8")
    frame[4, 4] = 27
    for place in missing:
        frame[place] = M
    return frame


def test_antialias_by_hand():
    # The middle pixel has weight 9 of 81 in the middle block (rows 2 to 6), and is out of every other block's reach.
    assert antialias(ramp()).tolist() == [[[0, 0, 0], [0, 3, 0], [0, 0, 0]]]
    # Row 3 has weight 1 of 8 in the blocks above (rows 0 to 3 weigh 2 3 2 1) and 2 of 9 in those of rows 2 to 6.
    frame = np.zeros((9, 9, 1), "uint8")
    frame[3, :] = 80
    assert antialias(frame)[0, :, 0].tolist() == [10, 18, 0]  # 80 / 8, 80 * 2 / 9 = 17.8, beyond reach


def test_antialias_gives_missing_pixels_no_weight():
    # Of the weight 81, row 2 has 9 and row 3 has 18.
    rows = [(2, slice(None)), (3, slice(None))]
    assert antialias(ramp(rows))[0, 1, 1] == 5  # 27 * 9 / 54 = 4.5, half up
    frame = ramp([*rows, (4, slice(0, 4))])  # and of row 4 the weights 3 * (1 + 2): 36 of 81
    assert antialias(frame)[0, 1, 1] == 5  # 243 / 45 = 5.4
    assert antialias(ramp([*rows, (4, slice(0, 5))]))[0, 1, 1] == M  # 45 of 81 missing


def test_antialias_keeps_a_corner_block_of_which_half_is_seen():
    frame = np.full((9, 9, 1), 10, "uint8")
    frame[[0, 2]] = M  # weights 2 3 2 1 along each axis: 32 of 64 are seen
    assert antialias(frame)[0, 0, 0] == 10
    frame[3, 0] = M
    assert antialias(frame)[0, 0, 0] == M


def test_antialias_is_pillows():
    image = pytest.importorskip("PIL.Image")
    frames = np.random.default_rng(0).integers(0, 255, (384, 384, 1), dtype="uint8")
    expected = image.fromarray(frames[..., 0].astype("float32")).resize((128, 128), image.Resampling.BILINEAR)
    assert np.abs(antialias(frames)[0] - np.asarray(expected)).max() < 0.501


def test_none_only_turns():
    frames = np.random.default_rng(0).integers(0, 256, (6, 9, 4), dtype="uint8")
    assert np.array_equal(none(frames), frames.transpose(2, 0, 1))


@given(arrays("uint8", (6, 3, 4), elements=st.sampled_from([0, 1, 7, 100, 253, 254, M])))
def test_max_equals_plain_numpy(frames):
    blocks = frames.reshape(2, 3, 1, 3, 4).transpose(4, 0, 2, 1, 3).reshape(4, 2, 1, 9)
    largest = np.where(blocks == M, 0, blocks).max(-1)
    assert np.array_equal(maximum(frames), np.where((blocks == M).sum(-1) >= 5, M, largest))


@pytest.mark.parametrize("name", REDUCERS)
def test_every_reducer_keeps_all_missing_missing_and_constants_constant(name):
    frames = np.full((6, 6, 2), 40, "uint8")
    frames[..., 1] = M
    reduced = REDUCERS[name](frames)
    assert reduced.shape == ((2, 6, 6) if name == "none" else (2, 2, 2))
    assert reduced.dtype == np.uint8
    assert (reduced[0] == 40).all()
    assert (reduced[1] == M).all()
