"""Simulated fields against the two real SEVIR events: marginal shares, spectrum, and motion."""

import cv2
import numpy as np
import pytest
import xarray as xr

from pipelines.simulation.fields import simulate_counts


@pytest.fixture(scope="module")
def events() -> list[np.ndarray]:
    """Six simulated events, each (frame, y, x) at 3 km, 3x3 mean."""
    simulated = (np.moveaxis(simulate_counts(np.random.default_rng([5, k])), -1, 0) for k in range(6))
    return [counts.reshape(49, 128, 3, 128, 3).mean(axis=(2, 4), dtype=np.float32) for counts in simulated]


def _spectral_slope(field: np.ndarray) -> float:
    """Log-log slope of the radially averaged power spectrum at wavelengths of 15 to 100 km; 3 km pixels."""
    n = len(field)
    taper = np.hanning(n)[:, None] * np.hanning(n)
    power = np.abs(np.fft.fft2((field - field.mean()) * taper)) ** 2
    k = np.rint(np.hypot(*np.meshgrid(np.fft.fftfreq(n, 1 / n), np.fft.fftfreq(n, 1 / n)))).astype(int).ravel()
    radial = np.bincount(k, power.ravel()) / np.bincount(k)
    band = np.arange(4, 26)
    return float(np.polyfit(np.log(band), np.log(radial[band]), 1)[0])


def _moved(field: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The field shifted by `step` (x, y) pixels; NaN comes in at the edges."""
    shift = np.float32([[1, 0, step[0]], [0, 1, step[1]]])
    return cv2.warpAffine(field, shift, field.shape[::-1], borderValue=np.nan)


def test_slope_of_a_known_spectrum():
    n = 128
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(n, 1 / n), np.fft.fftfreq(n, 1 / n)))
    k[0, 0] = np.inf
    noise = np.fft.fft2(np.random.default_rng(0).standard_normal((n, n)))
    assert _spectral_slope(np.fft.ifft2(noise * k**-1.5).real) == pytest.approx(-3, abs=0.2)


def test_shares_are_those_of_sevir(events):
    moderate, strong = (np.array([(event >= level).mean() for event in events]) for level in (74, 133))
    assert 0.10 <= moderate.mean() <= 0.18
    assert 0.02 <= strong.mean() <= 0.04
    assert moderate.min() > 0.06 and moderate.max() < 0.25
    assert np.mean([(event < 1).mean() for event in events]) > 0.3
    assert max(event.max() for event in events) > 200


def test_shares_are_those_of_the_real_events(events, shared_data):
    real = xr.open_dataset(shared_data / "sevir_real_128.nc")["vil"].values
    for level, factor in ((16, 1.5), (74, 1.5), (133, 2), (160, 3)):
        simulated = np.mean([(event >= level).mean() for event in events])
        assert 1 / factor < simulated / (real >= level).mean() < factor


def test_spectrum_falls_as_that_of_the_real_events(events, shared_data):
    real = xr.open_dataset(shared_data / "sevir_real_128.nc")["vil"].values.astype(np.float32)
    expected = np.mean([_spectral_slope(frame) for event in real for frame in event[::6]])
    simulated = np.mean([_spectral_slope(frame) for event in events for frame in event[::8]])
    assert simulated == pytest.approx(expected, abs=0.5)


def test_storms_move(events):
    """Half an hour ahead, moving the field by its latest displacement beats leaving it where it is."""
    taper = cv2.createHanningWindow((128, 128), cv2.CV_32F)
    advected, persistent = [], []
    for event in events:
        for now in (12, 24, 36):
            step, _ = cv2.phaseCorrelate(event[now - 3], event[now], taper)
            forecast = _moved(event[now], 2 * np.array(step))
            seen = np.isfinite(forecast)
            advected.append(np.abs(forecast - event[now + 6])[seen].mean())
            persistent.append(np.abs(event[now] - event[now + 6])[seen].mean())
    assert np.mean(advected) < 0.8 * np.mean(persistent)


def test_storms_grow_and_decay(events):
    """The area of echo at 74 and more changes by a fifth or more within a typical event."""
    areas = np.array([[(frame >= 74).mean() for frame in event] for event in events])
    assert np.median(areas.max(axis=1) / areas.min(axis=1)) > 1.2


def test_events_differ_and_repeat():
    first, again, other = (simulate_counts(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (384, 384, 49) and first.dtype == np.uint8 and first.max() <= 254
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
