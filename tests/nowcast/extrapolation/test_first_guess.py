import contextlib
import io

import numpy as np
import pytest

from nowcast.extrapolation.first_guess import _match, first_guess
from nowcast.extrapolation.optical_flow import motion
from nowcast.models.sprog import Sprog


def guess(path: np.ndarray, leads: int = 6):
    return first_guess(path[None].astype("float32"), np.ones(path[None].shape, bool), leads, minutes=5, km=3)


def test_a_storm_that_only_moves_keeps_its_place_and_echo(moving_storm):
    path = moving_storm((12, 40), (2, -1), 12)
    made = guess(path[:6])
    for fields in (made.advected[0], made.sprog[0]):
        row, column = divmod(int(fields[-1].argmax()), 64)
        assert np.hypot(row - 29, column - 34) <= 1.5  # (12, 40) + 11 frames of (2, -1), x before y
    wet = path[5] >= 6
    first = made.sprog[0, 0]
    assert first[first > 0].mean() == pytest.approx(path[5][wet].mean(), rel=0.15)


def test_earlier_frames_are_moved_on_to_the_same_times(moving_storm):
    made = guess(moving_storm((12, 40), (2, -1), 12)[:6])
    for earlier in (made.advected_1, made.advected_2):
        assert np.abs(earlier - made.advected).mean() < 0.05 * made.advected.mean()
    growing = moving_storm((12, 40), (2, -1), 12)[:6] * np.linspace(0.5, 1, 6)[:, None, None]
    made = guess(growing)
    newest, before, earlier = (getattr(made, f"advected{tail}").max() for tail in ("", "_1", "_2"))
    assert before / newest == pytest.approx(0.9, abs=0.03) and earlier / newest == pytest.approx(0.8, abs=0.03)


def test_small_scales_that_change_fade_first():
    rng = np.random.default_rng(0)
    row = np.mgrid[:64, :64][0]
    large = 60 + 30 * np.sin(2 * np.pi * row / 64)
    frames = large + 8 * rng.standard_normal((6, 64, 64))  # noise that no frame keeps
    made = guess(frames.clip(6))
    roughness = [np.abs(np.diff(field, axis=1)).mean() for field in (frames[-1], made.sprog[0, 0], made.sprog[0, -1])]
    assert 0 < max(roughness[1:]) < roughness[0] / 10
    assert np.corrcoef(made.sprog[0, -1].ravel(), large.ravel())[0, 1] > 0.95


def test_without_echo_it_is_persistence():
    made = guess(np.zeros((6, 32, 32)))
    assert not made.advected.any() and not made.sprog.any() and made.reached.all()


def test_what_nothing_reaches_is_what_was_last_seen(moving_storm):
    path = moving_storm((20, 32), (4, 0), 6) + 20.0
    made = guess(path, 3)
    assert not made.reached[0, -1, :, :2].any() and made.reached[0, -1, :, 16:].all()
    for fields in (made.advected, made.sprog):
        np.testing.assert_array_equal(fields[~made.reached], np.repeat(path[None, -1:], 3, 1)[~made.reached])


def test_gaps_are_filled_by_what_was_seen_before():
    frames = np.full((1, 6, 32, 32), 30, "float32")
    observed = np.ones(frames.shape, bool)
    observed[0, -1, 8:16] = False
    frames[~observed] = 0
    made = first_guess(frames, observed, 2, minutes=5, km=3)
    np.testing.assert_allclose(made.advected, 30, atol=1e-3)


def test_what_any_frame_saw_is_reached():
    still = np.broadcast_to(np.float32(20 + np.arange(32) * np.arange(32)[:, None] / 10), (1, 6, 32, 32))
    observed = np.ones(still.shape, bool)
    observed[0, -1, 8:16] = False  # seen until one frame before
    observed[0, :, 20:24, 4:8] = False  # never seen
    made = first_guess(np.where(observed, still, 0), observed, 2, minutes=5, km=3)
    np.testing.assert_array_equal(made.reached, np.broadcast_to(observed.any(1)[:, None], (1, 2, 32, 32)))
    np.testing.assert_allclose(made.advected[:, :, 8:16], np.broadcast_to(still[:, :1, 8:16], (1, 2, 8, 32)), atol=1)


def test_sprog_agrees_with_pysteps_on_real_radar(radar_case):
    with contextlib.redirect_stdout(io.StringIO()):
        from pysteps.nowcasts.sprog import forecast

        history, observed = radar_case[None, :10], np.ones((1, 10, 128, 128), bool)
        velocity = np.moveaxis(motion(history, observed)[0], -1, 0).astype(float)
        theirs = forecast(history[0, -3:].astype(float), velocity, 10, precip_thr=5.5, probmatching_method="mean")
    ours = first_guess(history, observed, 10, minutes=5, km=3)
    both = ours.reached[0] & np.isfinite(theirs)
    for lead in range(10):
        a, b, seen = (field[lead][both[lead]] for field in (ours.sprog[0], theirs, radar_case[10:]))
        assert np.corrcoef(a, b)[0, 1] > 0.93
        assert np.abs(a - seen).mean() < 1.05 * np.abs(b - seen).mean()


def test_sprog_is_a_model_of_the_table(to_history, lead_times, moving_storm):
    path = moving_storm((12, 40), (2, -1), 12)
    forecast = Sprog().forecast(to_history(path[None, :6]), lead_times(6), 1, 0)
    np.testing.assert_allclose(forecast[0, 0].values, guess(path[:6]).sprog[0], atol=1e-4)


def test_the_area_and_the_mean_of_the_echo_are_matched_by_hand():
    last = np.array([[20.0, 10.0, 0, 0]])
    # The larger half, 4 and 3, is moved on by the difference of the means: 15 - 3.5.
    np.testing.assert_allclose(_match(np.array([[3.0, 1.0, 4.0, 2.0]]), last), [[14.5, 0, 15.5, 0]])
    # 50 and 1 are moved back by 10.5, and no echo is below zero.
    np.testing.assert_allclose(_match(np.array([[50.0, 1.0, 0, 0]]), last), [[39.5, 0, 0, 0]])


def test_a_fast_storm_that_only_moves_fades_no_more_than_a_slow_one(moving_storm):
    slow, fast = (guess(moving_storm((14, 32), (speed, 0), 6), 3) for speed in (0.5, 5))
    for lead in range(3):
        assert fast.sprog[0, lead].max() > 0.95 * slow.sprog[0, lead].max() > 100


def test_there_is_hardly_any_noise_where_nothing_was_seen(moving_storm):
    frames = moving_storm((20, 32), (1, 0), 6) + 50
    observed = np.ones(frames.shape, bool)
    observed[:, :, 40:] = False
    made = first_guess(np.where(observed, frames, 0)[None], observed[None], 2, minutes=5, km=3)
    strength = made.perturbed[0].strength
    assert (strength[:, 40:] < 0.1 * strength[:, 10:30].mean()).all()
