import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipelines.resample import REDUCERS, mean

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


@settings(deadline=None)
@given(arrays("uint8", (6, 3, 4), elements=st.sampled_from([0, 1, 7, 100, 253, 254, M])))
def test_mean_equals_plain_numpy(frames):
    blocks = frames.reshape(2, 3, 1, 3, 4).transpose(4, 0, 2, 1, 3).reshape(4, 2, 1, 9).astype(float)
    blocks[blocks == M] = np.nan
    valid = np.isfinite(blocks).sum(-1)
    expected = np.where(valid >= 5, np.floor(np.nansum(blocks, -1) / np.maximum(valid, 1) + 0.5), M)
    assert np.array_equal(mean(frames), expected)


@pytest.mark.parametrize("name", REDUCERS)
def test_every_reducer_keeps_all_missing_missing_and_constants_constant(name):
    frames = np.full((6, 6, 2), 40, "uint8")
    frames[..., 1] = M
    reduced = REDUCERS[name](frames)
    assert reduced.shape == (2, 2, 2)
    assert reduced.dtype == np.uint8
    assert (reduced[0] == 40).all()
    assert (reduced[1] == M).all()
