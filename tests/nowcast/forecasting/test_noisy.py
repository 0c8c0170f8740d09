"""Forecasts from noisy histories, and of more lead times than a model makes in one go."""

import numpy as np

from nowcast.data.conventions import lead_times
from nowcast.forecasting.cases import Request, find_cases
from nowcast.forecasting.noisy import Noisy
from nowcast.models.persistence import Persistence


def test_noise_has_its_deviation_stays_within_the_range_and_is_that_of_the_case(to_history):
    counts = np.full((2, 10, 64, 64), 120.0)
    counts[:, :, :8] = np.nan
    counts[:, -1, 8:16] = 2.0
    history, leads = to_history(counts), lead_times(5, 2)
    made = Noisy(Persistence(), 0.1).forecast(history, leads, 1, 3).values[:, 0]
    noise = made[:, :, 16:] - 120
    assert np.isnan(made[:, :, :8]).all() and made[:, :, 8:].min() == 0 and np.array_equal(made[:, 0], made[:, 1],
                                                                                          equal_nan=True)  # fmt: skip
    assert abs(noise.std() - 25.4) < 0.5 and abs(noise.mean()) < 1
    assert not np.array_equal(noise[0], noise[1])
    alone = Noisy(Persistence(), 0.1).forecast(history.isel(case=[1]), leads, 1, 3).values[:, 0]
    assert np.array_equal(alone[0], made[1], equal_nan=True)
    assert np.array_equal(Noisy(Persistence(), 0.0).forecast(history, leads, 1, 3), Persistence().forecast(
        history, leads, 1, 3), equal_nan=True)  # fmt: skip


def test_a_request_may_ask_for_more_lead_times(small_store):
    cases = find_cases(small_store, (10, 10), Request(lead=15), print)
    assert cases.lead == 15 and cases.history == 10
    assert all(window.start + 25 <= 30 for window in cases.windows)
