import contextlib
import io
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from nowcast.extrapolation.ensemble import PerturbedGuess, motion_errors, nearness, noise_strength
from nowcast.extrapolation.first_guess import first_guess
from nowcast.extrapolation.optical_flow import motion
from nowcast.models.guess import Guess, _randomness
from nowcast.models.layers.crps import fair_crps


def guess(path: np.ndarray, leads: int = 4, *, minutes: float = 5, km: float = 3) -> PerturbedGuess:
    observed = np.ones(path[None].shape, bool)
    made = first_guess(path[None].astype("float32"), observed, leads, minutes=minutes, km=km)
    return made.perturbed[0]


def _drawn(perturbed: Sequence[PerturbedGuess], seeds: Sequence[int]) -> torch.Tensor:
    """Members of the first case in counts, shape (member, lead, y, x)."""
    guess = Guess(torch.zeros(()), torch.zeros(()), 0, 1, torch.zeros(()), perturbed)
    return guess.draw([[torch.Generator().manual_seed(seed) for seed in seeds]])[0, :, :, 0]


def flickering(frames: int = 6) -> np.ndarray:
    """Storms in place whose small scales change from frame to frame."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:64, :64]
    storm = 120 * np.exp(-((row - 30) ** 2 + (column - 34) ** 2) / 120)
    path = storm + 12 * rng.standard_normal((frames, 64, 64)) * (storm > 6)
    return np.where(path >= 6, path, 0)


def test_motion_errors_by_hand():
    errors = motion_errors(2, minutes=5, km=3)
    along = [10.88 * minutes**0.23 - 7.68 for minutes in (5, 10)]  # km h-1; a frame is 1/12 h, a pixel 3 km
    across = [5.76 * minutes**0.31 - 2.72 for minutes in (5, 10)]
    np.testing.assert_allclose(errors[0], [along[0] / 36, across[0] / 36])
    np.testing.assert_allclose(errors[1], [sum(along) / 36, sum(across) / 36])


def test_motion_errors_are_those_of_the_minutes_and_km_given():
    ten, five = motion_errors(2, minutes=10, km=1), motion_errors(2, minutes=5, km=3)
    np.testing.assert_allclose(ten[0], [(10.88 * 10**0.23 - 7.68) / 6, (5.76 * 10**0.31 - 2.72) / 6])
    np.testing.assert_allclose(motion_errors(2, minutes=5, km=1), 3 * five)
    np.testing.assert_array_equal(guess(flickering(), 2, minutes=10, km=1).errors, ten)


def test_without_noise_or_error_of_motion_it_is_what_is_left_with_the_values_of_the_newest_field():
    still = np.stack(np.meshgrid(range(64), range(64)), -1).astype("float32")
    case = guess(flickering())._replace(paths=np.stack([still] * 4))
    made = case.draw(np.zeros((4, 64, 64), "float32"), np.zeros(2))
    wet = case.last >= 6
    for field, expected in zip(made, case.expected, strict=True):
        np.testing.assert_allclose(np.sort(field.ravel()), np.sort(case.last.ravel()), atol=1e-3)
        high = expected > np.quantile(expected, 1 - wet.mean() / 4)
        assert np.corrcoef(field[high].argsort().argsort(), expected[high].argsort().argsort())[0, 1] > 0.999


def test_members_differ_where_scales_lose_their_past_and_keep_their_values():
    case, rng = guess(flickering()), np.random.default_rng(1)
    members = np.stack([case.draw(rng.standard_normal((4, 64, 64), dtype="float32"), np.zeros(2)) for _ in range(8)])
    assert members.dtype == np.float32 and (members >= 0).all()
    assert members.std(0)[:, case.last >= 6].mean() > 3
    assert members.mean((0, 2, 3)) == pytest.approx(case.last.mean(), rel=0.05)


def test_noise_is_strong_where_the_field_varies_and_of_unit_mean_square():
    stripes, seen = np.zeros((32, 256), "float32"), np.ones((32, 256), bool)
    stripes[:, :128] = 10 * (-1.0) ** np.arange(128)  # deviations of 10 on the left, none on the right
    strength = noise_strength(stripes, seen)
    assert (strength**2).mean() == pytest.approx(1)
    # To 1 on the left and 0 on the right, half of the mean, are added 0.05 of that mean: 1.025 to 0.025, about 41.
    assert strength[16, 10] / strength[16, 250] == pytest.approx(41, rel=0.1)
    np.testing.assert_allclose(strength[:, 10], strength[16, 10], rtol=0.01)
    np.testing.assert_allclose(noise_strength(9 * stripes, seen), strength, rtol=1e-3)


def test_noise_follows_the_root_of_the_deviation():
    stripes = (-1.0) ** np.arange(256) * np.where(np.arange(256) < 128, 1, 4)
    strength = noise_strength(np.tile(stripes, (32, 1)).astype("float32"), np.ones((32, 256), bool))
    # The roots of the deviations are 1 and 2, to which 0.05 of their mean is added: 1.075 and 2.075.
    assert strength[16, 236] / strength[16, 20] == pytest.approx(2.075 / 1.075, rel=0.01)


def test_noise_of_an_age_is_that_of_so_many_frames_before():
    last = 40 + np.random.default_rng(0).normal(0, 5, (16, 16)).astype("float32")  # echo everywhere, so none is cut off
    still = np.stack(np.meshgrid(range(16), range(16)), -1).astype("float32")
    gains = np.zeros((3, 16, 9), "float32")
    gains[0] = 1
    case = PerturbedGuess(
        last, last[None], last > 0, np.zeros((3, 16, 16)), gains, np.ones((16, 16)), np.stack([still] * 3),
        np.float64([1, 0]), np.zeros((3, 2)),
    )  # fmt: skip
    white = np.random.default_rng(1).standard_normal((2, 3, 16, 16))
    for age in range(3):  # noise of this age alone: frame k depends on white[k - age] alone
        one = case._replace(gains=np.roll(gains, age, axis=0))
        before = one.draw(white[0], np.zeros(2))
        for number in range(3):
            changed = white[0].copy()
            changed[number] = white[1, number]
            differ = (one.draw(changed, np.zeros(2)) != before).any((1, 2))
            assert differ.tolist() == [k - age == number for k in range(3)]


def test_noise_takes_no_part_of_what_is_missing_for_a_border_of_echo():
    seen = np.ones((64, 64), bool)
    seen[:, 40:] = False
    rng = np.random.default_rng(0)
    field = np.where(seen, 50 + rng.normal(size=(64, 64)), 0).astype("float32")
    strength = noise_strength(field, seen)
    assert strength[:, 36:40].mean() == pytest.approx(strength[:, 10:30].mean(), rel=0.1)
    assert (strength[~seen] < 0.1 * strength[seen].min()).all()


def test_echo_grows_by_less_than_four_pixels_a_frame():
    case, rng = guess(flickering()), np.random.default_rng(1)
    loud = case._replace(gains=30 * case.gains)
    fields = loud._as_was_seen(loud.expected + rng.normal(0, 100, (4, 64, 64)))
    for before, field in zip((case.last, *fields), fields, strict=False):
        assert distance_transform_edt(before < 6)[field >= 6].max() < 4
    assert distance_transform_edt(case.last < 6)[fields[2] >= 6].max() > 4  # and on from where it was, each frame


def test_echo_comes_to_three_pixels_from_echo_and_not_to_four():
    last = np.zeros((16, 16), "float32")
    last[8, 8] = 100
    case = PerturbedGuess(last, last[None], np.ones_like(last, bool), *[last] * 6)
    wanted = np.zeros((1, 16, 16))
    wanted[0, 8, 11], wanted[0, 8, 12] = 10, 1e6
    assert np.argwhere(case._as_was_seen(wanted)[0]).tolist() == [[8, 11]]


def test_an_error_of_motion_moves_a_member_along_it(moving_storm):
    case = guess(moving_storm((12, 40), (2, -1), 8), 4)
    np.testing.assert_allclose(case.heading, np.array([2, -1]) / 5**0.5, atol=0.05)
    still = np.zeros((4, 64, 64), "float32")
    slow, fast = (np.nan_to_num(case.draw(still, np.array([error, 0.0]))) for error in (0.0, -4.0))
    row, column = np.mgrid[:64, :64]

    def centre(field: np.ndarray) -> np.ndarray:
        return np.array([(field * column).sum(), (field * row).sum()]) / field.sum()

    off = centre(fast[-1]) - centre(slow[-1])
    np.testing.assert_allclose(off, 4 * motion_errors(4, minutes=5, km=3)[-1, 0] * case.heading, atol=0.4)


def shifted(last: np.ndarray, by: float) -> np.ndarray:
    """A member without noise whose air comes from `by` pixels to the west."""
    rows, columns = last.shape
    still = np.stack(np.meshgrid(range(columns), range(rows)), -1).astype("float32")
    return PerturbedGuess(
        last, last[None], np.ones_like(last, bool), last[None].astype(float),
        np.zeros((1, rows, columns // 2 + 1), "float32"),
        np.ones_like(last), (still - np.float32([by, 0]))[None], np.float64([1, 0]), np.zeros((1, 2)),
    ).draw(np.zeros((1, rows, columns), "float32"), np.zeros(2))[0]  # fmt: skip


def test_members_are_carried_by_cubic_interpolation():
    last = np.full((8, 8), 10.0, "float32")
    last[:, 4] = 110
    # OpenCV's cubic kernel with A = -0.75 at half a pixel: ((A + 2) / 2 - (A + 3)) / 4 + 1 = 0.59375
    np.testing.assert_allclose(shifted(last, 0.5)[4, 4:6], 10 + 59.375, rtol=1e-4)


def test_members_do_not_exceed_the_newest_field():
    last = np.full((8, 16), 10.0, "float32")
    last[:, 6:] = 110
    made = shifted(last, 0.5)
    assert np.nanmax(made) == 110 and made[4, 7] == 110  # 10 + 100 * (1 + 0.09375), by the same kernel


def test_an_error_of_motion_across_moves_a_member_across(moving_storm):
    case = guess(moving_storm((12, 40), (2, -1), 8), 4)
    still = np.zeros((4, 64, 64), "float32")
    row, column = np.mgrid[:64, :64]
    slow, off = (np.nan_to_num(case.draw(still, np.array([0.0, error])))[-1] for error in (0.0, 4.0))
    moved = [((off * axis).sum() / off.sum() - (slow * axis).sum() / slow.sum()) for axis in (column, row)]
    size = 4 * motion_errors(4, minutes=5, km=3)[-1, 1]
    assert np.dot(moved, case.heading) == pytest.approx(0, abs=0.4)
    assert np.hypot(*moved) == pytest.approx(size, abs=0.4) and size > 2


def test_errors_of_motion_have_unit_variance():
    generator = torch.Generator().manual_seed(0)
    off_course = np.stack([_randomness((1,), generator)[1] for _ in range(10_000)])
    np.testing.assert_allclose(off_course.var(0), 1, rtol=0.05)
    np.testing.assert_allclose(off_course.mean(0), 0, atol=0.05)


def test_without_echo_or_enough_frames_members_are_what_was_last_seen():
    noise = np.random.default_rng(0).standard_normal((4, 32, 32), dtype="float32")
    dry = guess(np.zeros((6, 32, 32)))
    assert not dry.draw(noise, np.ones(2)).any()
    short = guess(np.full((2, 32, 32), 30.0))
    np.testing.assert_allclose(short.draw(noise, np.zeros(2)), 30, atol=1e-3)


def test_a_member_depends_on_its_own_generator_only():
    case = guess(flickering())

    def drawn(*seeds: int) -> torch.Tensor:
        return _drawn([case], seeds)

    together = drawn(1, 2, 3)
    assert torch.equal(together[1:], drawn(2, 3)) and not torch.equal(together[0], together[1])


def test_members_score_within_a_tenth_of_those_of_pysteps_on_real_radar(radar_case):
    with contextlib.redirect_stdout(io.StringIO()):
        from pysteps.nowcasts.steps import forecast

        history, observed = radar_case[None, :10], np.ones((1, 10, 128, 128), bool)
        made = first_guess(history, observed, 10, minutes=5, km=3)
        velocity = np.moveaxis(motion(history, observed)[0], -1, 0).astype(float)
        theirs = forecast(
            history[0, -3:].astype(float), velocity, 10, n_ens_members=12, precip_thr=5.5, kmperpixel=3.0, timestep=5.0,
            seed=1,
        )  # fmt: skip
    ours = _drawn(made.perturbed, range(12)).numpy()
    both = made.reached[0] & np.isfinite(theirs).all(0)
    scores, spreads = [], []
    for members in (ours, np.nan_to_num(theirs).astype("float32")):
        crps = fair_crps(torch.from_numpy(members)[None], torch.from_numpy(radar_case[None, 10:]))[0].numpy()
        scores.append(crps[both].mean())
        spreads.append(members.var(0)[both].mean() ** 0.5)
    assert scores[0] < 1.1 * scores[1]
    assert 0.8 < spreads[0] / spreads[1] < 1.25


def test_nearness_is_exact_and_so_the_same_wherever_a_field_lies_in_memory():
    rng = np.random.default_rng(0)
    for _ in range(20):
        echo = rng.random((48, 53)) < 0.003
        squares = np.rint(distance_transform_edt(~echo) ** 2).astype("float32")
        np.testing.assert_array_equal(nearness(echo, 0, 64), np.clip((64 - np.sqrt(squares)) / 64, 0, 1))
    row = np.zeros((1, 40), bool)
    assert not nearness(row, 8, 24).any()  # without echo
    row[0, 0] = True
    np.testing.assert_allclose(nearness(row, 8, 24)[0, [0, 8, 12, 24, 39]], [1, 1, 0.75, 0, 0])
