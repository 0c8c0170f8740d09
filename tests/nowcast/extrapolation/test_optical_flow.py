import numpy as np
import pytest

from nowcast.extrapolation.first_guess import first_guess
from nowcast.extrapolation.optical_flow import departures, extrapolate, motion, reached, reached_after


@pytest.mark.parametrize("velocity", [(2.0, 0.0), (0.0, -1.5), (-1.5, 2.5)])
def test_motion_of_a_storm_is_its_velocity(velocity, moving_storm):
    frames = moving_storm((30, 32), velocity, 6)[None]
    found = motion(frames, np.ones_like(frames, bool))
    assert found.shape == (1, 64, 64, 2)
    echo = frames[0, -1] > 30
    np.testing.assert_allclose(found[0, echo].mean(axis=0), velocity, atol=0.2)


def test_two_storms_keep_their_own_motion(moving_storm):
    frames = np.maximum(moving_storm((20, 60), (2, 0), 6, size=128), moving_storm((100, 60), (-2, 1), 6, size=128))[
        None
    ]
    found = motion(frames, np.ones_like(frames, bool))[0]
    np.testing.assert_allclose(found[60, 28], (2, 0), atol=0.3)
    np.testing.assert_allclose(found[64, 92], (-2, 1), atol=0.3)


def test_cases_do_not_share_their_motion(moving_storm):
    frames = np.stack([moving_storm((30, 30), (2, 0), 5), moving_storm((30, 30), (0, 2), 5)])
    observed = np.ones_like(frames, bool)
    np.testing.assert_array_equal(motion(frames, observed)[1], motion(frames[1:], observed[1:])[0])


def test_there_is_no_motion_without_echo_or_where_it_was_not_seen(moving_storm):
    frames = np.zeros((2, 4, 32, 32), "float32")
    frames[1] = moving_storm((10, 16), (2, 0), 4, size=32)
    observed = np.ones_like(frames, bool)
    observed[1, 1::2] = False
    np.testing.assert_array_equal(motion(frames, observed), 0)


def test_whole_pixels_of_motion_shift_the_field():
    field = np.arange(20.0).reshape(1, 4, 5)
    velocity = np.broadcast_to(np.float32([1, -1]), (1, 4, 5, 2))  # one column to the right, one row down
    one, two = extrapolate(field, velocity, 2)[0]
    np.testing.assert_array_equal(one[:3, 1:], field[0, 1:, :4])
    np.testing.assert_array_equal(two[:2, 2:], field[0, 2:, :3])
    assert np.isnan(one[3]).all() and np.isnan(one[:, 0]).all() and np.isfinite(one).sum() == 12


def test_half_a_pixel_is_the_mean_of_two():
    field = np.array([[[0.0, 10.0, 30.0]]])
    carried = extrapolate(field, np.float32([[[[0.5, 0]] * 3]]), 1)
    np.testing.assert_allclose(carried[0, 0, 0, 1:], [5.0, 20.0])


def test_missing_pixels_travel_and_spread_nowhere_else():
    field = np.full((1, 5, 5), 40.0)
    field[0, 2, 2] = np.nan
    still = extrapolate(field, np.zeros((1, 5, 5, 2), "float32"), 1)[0, 0]
    np.testing.assert_array_equal(still, field[0])
    moved = extrapolate(field, np.broadcast_to(np.float32([1, 0]), (1, 5, 5, 2)), 1)[0, 0]
    assert np.isnan(moved[2, 3]) and np.isfinite(moved[2, 2]) and np.nanmin(moved) == 40


def test_rotation_carries_the_field_around():
    y, x = np.mgrid[:65, :65] - 32.0
    velocity = np.stack([-y, x], axis=-1)[None].astype("float32") * (np.pi / 2 / 20)
    blob = np.exp(-((x - 15) ** 2 + y**2) / 20)
    turned = extrapolate(blob[None] * 100, velocity, 20)[0, -1]
    weight = np.nan_to_num(turned) / np.nansum(turned)
    centre = (x * weight).sum(), (y * weight).sum()
    assert np.hypot(centre[0], centre[1] - 15) < 0.3  # a quarter of a turn; Euler's rule ends at a radius of 15.9
    assert np.nanmax(turned) == pytest.approx(100, rel=0.05)


def test_reached_is_what_air_of_pixels_once_seen_comes_to(moving_storm):
    frames = moving_storm((20, 32), (4.0, 0.0), 6)[None]
    observed = np.ones_like(frames, bool)
    observed[:, :, 40:44, 30:34] = False  # never seen
    observed[:, -1, 8:12, 30:34] = False  # seen until one frame before
    frames = np.where(observed, frames, 0)
    found = reached(frames, observed, 3)
    np.testing.assert_array_equal(found, first_guess(frames, observed, 3, minutes=5, km=3).reached)
    assert found.shape == (1, 3, 64, 64) and not found[0, 2, :, :10].any() and found[0, :, 8:12, 20:50].all()
    assert not found[0, 0, 41:43, 35:37].any()


@pytest.mark.parametrize("shape", [(11, 30), (30, 4), (1, 1)])
def test_a_domain_too_small_for_the_search_stands_still(shape):
    frames = np.full((1, 3, *shape), 50.0, "float32")
    assert not motion(frames, np.ones_like(frames, bool)).any()
    assert reached_after(frames[0], np.array([1, 4])).all()


def test_far_from_all_echo_the_air_moves_as_it_does_in_the_mean(moving_storm):
    frames = moving_storm((30, 30), (2, 1), 4, size=420)[None]
    found = motion(frames, np.ones_like(frames, bool))[0]
    np.testing.assert_allclose(found[400, 400], (2, 1), atol=0.3)


def test_air_from_outside_moves_as_that_at_the_edge():
    paths = departures(np.full((8, 8, 2), (2, -1), "float32"), 5)
    row, column = np.mgrid[:8, :8]
    for lead, path in enumerate(paths, 1):
        np.testing.assert_array_equal(path, np.stack([column - 2 * lead, row + lead], -1))


def test_a_pixel_is_known_where_half_of_its_weight_is():
    """Moved by a quarter and by a half of a pixel into one that was never seen, and by three quarters out of it."""
    field = np.array([[[10.0, 20.0, np.nan, np.nan]]])
    quarter, half, most = (extrapolate(field, np.full((1, 1, 4, 2), (by, 0)), 1)[0, 0, 0] for by in (0.25, 0.5, 0.75))
    np.testing.assert_allclose(quarter[1:], [17.5, np.nan, np.nan])
    np.testing.assert_allclose(half[1:], [15, 20, np.nan])
    np.testing.assert_allclose(most[1:], [12.5, 20, np.nan])
