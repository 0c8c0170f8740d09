"""Spectra of waves of known energy, and against pysteps."""

import numpy as np
import pytest
import xarray as xr
from pysteps.utils.spectral import rapsd

from nowcast.verification.contract import Pair, coverage
from nowcast.verification.metrics.spectrum import energies, energy, energy_ratio


def totals(members: np.ndarray, obs: np.ndarray) -> xr.Dataset:
    members, obs = np.asarray(members, "float32"), np.asarray(obs, "float32")
    pair = Pair(members, obs, np.isfinite(obs) & np.isfinite(members).all(axis=0), (74.0,))
    return xr.Dataset({**coverage(pair), **energies(pair)})


def wave(number: int, amplitude: float, phase: float = 0) -> np.ndarray:
    return 100 + amplitude * np.cos(2 * np.pi * number * np.arange(16) / 16 + phase)[None] * np.ones((16, 1))


def test_a_wave_has_its_energy_at_its_wavenumber_and_nowhere_else() -> None:
    # Of a cosine on n = 256 pixels, fft2 has two coefficients amplitude * n / 2: of power amplitude^2 n / 4 each. The
    # ring of 3 has the 16 waves whose distance from 0 rounds to 3.
    spectrum = energy(totals(wave(3, 10)[None], wave(3, 20))).sel(kind="observed")
    assert spectrum.sel(wavenumber=3).item() == pytest.approx(2 * 20**2 * 256 / 4 / 16, rel=1e-5)
    assert spectrum.sel(wavenumber=0).item() == pytest.approx(100**2 * 256, rel=1e-6)
    assert spectrum.drop_sel(wavenumber=[0, 3]).max() < 1e-3


def test_members_in_opposite_phase_keep_the_energy_that_their_mean_loses() -> None:
    members = np.stack([wave(3, 20), wave(3, 20, np.pi)])
    ratio = energy_ratio(totals(members, wave(3, 20))).sel(wavenumber=3)
    assert ratio.sel(summary="member").item() == pytest.approx(1, rel=1e-5)
    assert ratio.sel(summary="mean").item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("side", [16, 17])
def test_agrees_with_pysteps(side: int) -> None:
    members = np.random.default_rng(0).uniform(0, 254, (4, side, side))
    obs = np.random.default_rng(1).uniform(0, 254, (side, side))
    spectrum = energy(totals(members, obs))
    np.testing.assert_allclose(spectrum.sel(kind="observed"), rapsd(obs, np.fft), rtol=1e-4)
    np.testing.assert_allclose(spectrum.sel(kind="mean"), rapsd(members.mean(axis=0), np.fft), rtol=1e-4)
    expected = np.mean([rapsd(member, np.fft) for member in members], axis=0)
    np.testing.assert_allclose(spectrum.sel(kind="member"), expected, rtol=1e-4)


def test_a_grid_that_is_no_square_is_measured_along_its_longer_side() -> None:
    field = wave(3, 20)[:8]  # 8 rows of 16 columns: still three cycles along the longer side
    assert energy(totals(field[None], field)).sel(kind="observed")[1:].argmax() == 2


def test_a_missing_pixel_is_zero_in_all_three() -> None:
    obs = np.random.default_rng(1).uniform(0, 254, (16, 16))
    gap, members = obs.copy(), obs[None].copy()
    gap[4, 5] = np.nan
    obs[4, 5] = 0
    expected = energy(totals(obs[None], obs))
    np.testing.assert_allclose(energy(totals(members, gap)), expected, rtol=1e-6)
