"""Intervals: quantiles by NumPy, coverage by repetition, and what they must not depend on."""

import numpy as np
import pytest
import xarray as xr

from nowcast.verification import verify
from nowcast.verification.bootstrap import interval, resampled
from nowcast.verification.metrics.continuous import mae


def totals(errors: np.ndarray) -> xr.Dataset:
    """Aggregate of events with one pixel each and these absolute errors."""
    events = [f"e{number:03}" for number in range(len(errors))]
    sums = {"absolute_error": errors.astype("float64"), "pixels": np.ones(len(errors))}
    coords = {"event": events, "lead_time": [np.timedelta64(300, "s")]}
    return xr.Dataset({name: (("event", "lead_time"), value[:, None]) for name, value in sums.items()}, coords)


def test_bounds_are_quantiles_of_the_samples_that_have_the_score() -> None:
    values = np.random.default_rng(0).normal(size=(101, 3, 4))
    values[:30, 0, 0] = np.nan
    values[:, 1, 1] = np.nan
    bounds = interval(xr.DataArray(values, dims=("sample", "a", "b")), level=0.9)
    with np.errstate(all="ignore"):
        expected = np.array([[np.nanquantile(values[:, i, j], [0.05, 0.95]) if (i, j) != (1, 1) else [np.nan] * 2
                              for j in range(4)] for i in range(3)])  # fmt: skip
    np.testing.assert_allclose(bounds.transpose("a", "b", "bound"), expected)


def test_a_sample_draws_whole_events_and_as_many_as_there_are() -> None:
    sums = totals(np.array([1.0, 100.0, 10000.0]))
    drawn = resampled(sums, 50)
    assert (drawn["pixels"] == 3).all()
    digits = drawn["absolute_error"].values.ravel()
    numbers = np.stack([digits // 10000, digits % 10000 // 100, digits % 100])
    assert (numbers.sum(axis=0) == 3).all() and numbers.std(axis=1).min() > 0


def test_forecasts_of_the_same_events_are_resampled_alike() -> None:
    one, two = (resampled(totals(np.arange(8.0) * factor), 20) for factor in (1, 3))
    np.testing.assert_allclose(3 * one["absolute_error"], two["absolute_error"])


def test_the_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(150):
        low, high = interval(mae(resampled(totals(rng.gamma(2, 1, 60)), 100))).values.ravel()
        inside += low <= 2 <= high
    assert 0.88 <= inside / 150 <= 0.98


@pytest.fixture
def inputs(make_store, make_forecast) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """A forecast, one that is a little worse everywhere, and the store: four events of very different errors."""
    rng = np.random.default_rng(3)
    obs = rng.uniform(0, 100, (4, 3, 6, 6))
    error = rng.uniform(0, 1, (4, 1, 2, 6, 6)) * np.array([1, 5, 20, 40]).reshape(4, 1, 1, 1, 1)
    better, worse = (make_forecast(obs[:, None, 1:] + error * factor) for factor in (1, 1.02))
    return better, worse.assign_attrs(model="worse"), make_store(obs)


def test_a_difference_is_surer_than_the_scores_it_is_taken_of(inputs) -> None:
    better, worse, store = inputs
    result = verify(better, store, reference=worse, samples=100)
    width = result["mae_pooled_interval"].diff("bound").squeeze()
    against = result.sel(forecast="reference")
    assert (width > 5).all()
    assert against["mae_pooled_difference_interval"].diff("bound").item() < 0.05 * width.min()
    assert against["mae_pooled_difference_interval"].max() < 0  # better for sure, though the intervals overlap
    low, high = against["mae_pooled_skill_interval"].values
    assert low == pytest.approx(high, rel=1e-3) == pytest.approx(1 - 1 / 1.02, rel=1e-3)


def test_intervals_do_not_depend_on_the_order_of_cases(inputs) -> None:
    better, _, store = inputs
    result, reordered = (verify(cases, store, samples=50) for cases in (better, better.isel(case=[2, 0, 3, 1])))
    xr.testing.assert_allclose(result["csi_pooled_interval"], reordered["csi_pooled_interval"])


def test_one_event_has_no_interval(inputs) -> None:
    better, _, store = inputs
    assert not [name for name in verify(better.isel(case=[0]), store) if str(name).endswith("interval")]


def test_no_samples_no_interval(inputs) -> None:
    better, _, store = inputs
    assert "mae_pooled_interval" not in verify(better, store, samples=0)
