import numpy as np

from nowcast.models.persistence import Persistence

NAN = np.nan


def test_every_lead_time_repeats_the_newest_count_seen_at_each_pixel(to_history, lead_times):
    history = to_history(np.array([[[[1, 2, NAN, NAN]], [[3, NAN, 5, NAN]], [[7, NAN, NAN, NAN]]]]))
    forecast = Persistence().forecast(history, lead_times(2), 1, 0)
    np.testing.assert_array_equal(forecast, [[[[[7, 2, 5, NAN]], [[7, 2, 5, NAN]]]]])


def test_an_ensemble_of_persistence_is_its_one_member(to_history, lead_times):
    history = to_history(np.full((2, 3, 4, 4), 20.0))
    assert Persistence().forecast(history, lead_times(5), 100, 0).sizes == {
        "case": 2,
        "member": 1,
        "lead_time": 5,
        "y": 4,
        "x": 4,
    }
