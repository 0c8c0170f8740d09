"""The edge between counts and a network's units."""

import numpy as np
import torch

from nowcast.models.frames import FrameScale, clip_of, padded

SCALE = FrameScale(offset=100.0, scale=50.0, echo=5.5)


def test_units_by_hand():
    counts = np.array([0, 100, 250], "float32").reshape(1, 1, 1, 3)
    clip = clip_of(counts, np.array([True, False, True]).reshape(1, 1, 1, 3), SCALE)
    assert clip.frames.flatten().tolist() == [-2, 0, 3] and clip.frames.shape == (1, 1, 1, 1, 3)
    assert clip.observed.flatten().tolist() == [True, False, True]
    assert SCALE.to_values(clip.frames).flatten().tolist() == [0, 100, 250]
    assert SCALE.floored(torch.tensor([5.4, 5.5, -1.0])).tolist() == [0, 5.5, 0]


def test_a_pixel_of_video_is_observed_where_all_its_channels_are():
    values, seen = np.zeros((1, 2, 3, 2, 2), "float32"), np.ones((1, 2, 3, 2, 2), bool)
    seen[0, 1, 2, 0, 1] = False
    clip = clip_of(values, seen, SCALE)
    assert clip.frames.shape == (1, 2, 3, 2, 2) and clip.observed.shape == (1, 2, 1, 2, 2)
    assert np.argwhere(~clip.observed.numpy()).tolist() == [[0, 1, 0, 0, 1]]


def test_padding_is_to_the_north_and_east():
    x = np.ones((1, 2, 13, 16), bool)
    larger = padded(x, 8)
    assert larger.dtype == bool and larger.shape == (1, 2, 16, 16)
    assert larger[..., :13, :].all() and not larger[..., 13:, :].any()
    assert padded(x, 1) is x
