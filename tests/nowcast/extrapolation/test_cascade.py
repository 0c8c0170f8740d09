import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.fft import rfft2

from nowcast.extrapolation.cascade import LEVELS, Cascade, autoregressive_weights, band_pass_filters


def test_autoregression_by_hand():
    # rho_1 = 0.8, rho_2 = 0.6: phi_1 = 0.8 * 0.4 / 0.36 = 8/9, phi_2 = (0.6 - 0.64) / 0.36 = -1/9
    weights = autoregressive_weights(np.array([0.8]), np.array([0.6]), 2)[..., 0]
    np.testing.assert_allclose(weights[0], [8 / 9, -1 / 9])
    np.testing.assert_allclose(weights[1], [64 / 81 - 1 / 9, -8 / 81])


@given(st.floats(-0.5, 0.999), st.floats(-1, 1))
def test_every_level_fades(rho_1, rho_2):
    weights = autoregressive_weights(np.array([rho_1]), np.array([min(rho_2, 0.999)]), 3000)
    assert np.isfinite(weights).all() and abs(weights[-1]).max() < 0.5


def test_filters_add_up_to_one_and_the_mean_is_in_the_first():
    filters = band_pass_filters(48, 64)
    assert filters.shape == (LEVELS, 48, 33)
    np.testing.assert_allclose(filters.sum(0), 1, atol=1e-6)
    assert filters[:, 0, 0].tolist() == [1, 0, 0, 0, 0, 0]


def test_autocorrelations_by_hand():
    angle = 2 * np.pi * np.arange(32) / 8
    newest, other = (np.broadcast_to(10 * wave(angle), (32, 32)) for wave in (np.cos, np.sin))  # uncorrelated
    made = Cascade(np.stack([0.28 * newest + 0.96 * other, 0.8 * newest + 0.6 * other, newest]).astype("float32"))
    level = made.scales.argmax()
    np.testing.assert_allclose([made.rho_1[level], made.rho_2[level]], [0.8, 0.28], atol=1e-4)


def cascade(rho_1: float, rho_2: float, shape: tuple[int, int] = (32, 48)) -> tuple[Cascade, np.ndarray]:
    """One of a random field, all of whose levels have these autocorrelations, and that field."""
    fields = np.random.default_rng(0).normal(40, 10, (3, *shape)).astype("float32")
    made = Cascade(fields)
    made.rho_1, made.rho_2 = np.full(LEVELS, rho_1), np.full(LEVELS, rho_2)
    made.local = made.rho_1[:, None, None], made.rho_2[:, None, None]
    return made, fields[-1]


def test_what_keeps_its_past_stays_and_has_no_noise():
    made, newest = cascade(1.0, (1 - 1e-6) ** 2)
    np.testing.assert_allclose(made.expected(3), np.repeat(newest[None], 3, 0), atol=0.1)
    assert made.gains(3).max() < 0.01 * made.spectrum.max() / newest.size**0.5


def test_of_what_has_no_past_nothing_is_left_but_noise_of_its_own_spectrum():
    for shape in ((32, 48), (31, 33)):
        made, newest = cascade(0.0, 0.0, shape)
        np.testing.assert_allclose(made.expected(2), newest.mean(), atol=0.1)
        # White noise has a spectrum of modulus (y * x)^0.5.
        wanted = np.abs(rfft2(newest)) / newest.size**0.5
        wanted[0, 0] = 0
        np.testing.assert_allclose(made.gains(1)[0], wanted, rtol=5e-3, atol=1e-3)


def half_of_it_stays() -> np.ndarray:
    """Three frames of noise: the left half is the same in all, the right half new in each."""
    frames = np.random.default_rng(0).normal(0, 10, (3, 128, 256)).astype("float32")
    frames[:, :, :128] = frames[2, :, :128]
    return frames


def test_autocorrelations_about_a_pixel_by_hand():
    made = Cascade(half_of_it_stays(), around=8)
    rho_1, rho_2 = (rho[-1] for rho in made.local)  # of the smallest scales
    whole = made.rho_1[-1]
    assert whole == pytest.approx(0.5, abs=0.02)  # half of it stays
    left, right = (rho_1[32:-32, middle - 32 : middle + 32] for middle in (64, 192))
    # The mean of the products is 1 on the left and 0 on the right, to which a tenth of those of the field are added.
    np.testing.assert_allclose(left.mean(), (1 + 0.1 * whole) / 1.1, atol=0.02)
    np.testing.assert_allclose(right.mean(), 0.1 * whole / 1.1, atol=0.02)
    assert rho_2.shape == (128, 256) and abs(rho_2[32:-32, 160:-32].mean()) < 0.1


def test_what_stays_stays_and_what_changes_fades_beside_it():
    frames = half_of_it_stays()
    whole, near = (Cascade(frames, around).expected(3)[-1] for around in (None, 8))
    kept, gone = (np.s_[16:-16, 16:112], np.s_[16:-16, 144:-16])
    assert np.abs(near[kept]).mean() > 1.5 * np.abs(whole[kept]).mean()
    assert np.abs(near[gone]).mean() < 0.6 * np.abs(whole[gone]).mean()


def test_noise_by_hand():
    whole = cascade(0.0, 0.0)[0].gains(1)[0]
    fresh, one, two = cascade(0.8, 0.6)[0].gains(3)
    # phi_1 = 8/9, phi_2 = -1/9: phi_0^2 = 1 - 8/9 * 0.8 + 1/9 * 0.6 = 16/45
    np.testing.assert_allclose(fresh, (16 / 45) ** 0.5 * whole, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(one, 8 / 9 * fresh, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(two, (64 / 81 - 1 / 9) * fresh, rtol=1e-4, atol=1e-4)
