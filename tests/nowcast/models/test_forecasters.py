"""The contract of `nowcast.models.forecaster`, held over every model of the table; networks are tiny and untrained."""

import contextlib
import io

import numpy as np
import pytest
import xarray as xr

from nowcast.models import MODELS, is_trainable, model_class
from nowcast.models.forecaster import Forecaster
from nowcast.models.trained import TrainedForecaster
from pipelines.errors import InputError


@pytest.fixture(params=MODELS)
def model(request, tiny):
    if is_trainable(model_class(request.param)):
        return TrainedForecaster(tiny(request.param))
    if request.param == "pysteps":
        with contextlib.redirect_stdout(io.StringIO()):
            pytest.importorskip("pysteps", reason="pysteps is not installed (the extra `pysteps`)")
    return model_class(request.param)()


def assert_same(model: Forecaster, one: xr.DataArray, other: xr.DataArray) -> None:
    """Equal; for a network except for the rounding of its products over batches of other sizes."""
    if isinstance(model, TrainedForecaster):
        xr.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-3)
    else:
        xr.testing.assert_equal(one, other)


@pytest.fixture(scope="module")
def history(to_history, moving_storm):
    """Three cases, one with a missing wedge; none of them still or dry."""
    grown = np.linspace(0.8, 1.1, 5)[:, None, None]
    storms = [moving_storm((24, 24), velocity, 5, size=48) * grown for velocity in ((2, 0), (0, -2), (-1, 1))]
    counts = np.stack(storms) + 8 * np.random.default_rng(1).random((3, 5, 48, 48))
    counts[1, :, 30:, :10] = np.nan
    return to_history(counts)


def test_a_forecast_has_the_dims_coordinates_and_range_of_the_contract(model, history, lead_times):
    forecast = model.forecast(history, lead_times(3), 4, 0)
    assert forecast.dims == ("case", "member", "lead_time", "y", "x")
    assert forecast.shape == (3, 1 if model.deterministic else 4, 3, 48, 48)
    assert forecast.dtype == "float32" and forecast.name == "vil"
    assert list(forecast["member"]) == list(range(forecast.sizes["member"]))
    assert list(forecast["event"]) == ["S0", "S1", "S2"] and "init_time" in forecast.coords
    np.testing.assert_array_equal(forecast["lead_time"], lead_times(3).astype(forecast["lead_time"].dtype))
    assert forecast.min() >= 0 and forecast.max() <= 254
    np.testing.assert_array_equal(np.isnan(forecast).any(("member", "lead_time")), np.isnan(history).all("frame"))


def test_the_seed_decides_the_forecast(model, history, lead_times):
    first, again, other = (model.forecast(history, lead_times(2), 2, seed) for seed in (0, 0, 1))
    xr.testing.assert_equal(first, again)
    assert model.deterministic or not first.equals(other)


def test_a_member_alone_is_the_same_as_among_others(model, history, lead_times):
    whole = model.forecast(history, lead_times(2), 4, 0)
    number = 0 if model.deterministic else 3
    assert_same(model, model.forecast(history, lead_times(2), [number], 0), whole.sel(member=[number]))


def test_a_case_does_not_depend_on_the_cases_beside_it_or_their_order(model, history, lead_times):
    whole = model.forecast(history, lead_times(2), 2, 0)
    backwards = model.forecast(history.isel(case=[2, 1, 0]), lead_times(2), 2, 0)
    assert_same(model, backwards.isel(case=[2, 1, 0]), whole)
    assert_same(model, model.forecast(history.isel(case=[1]), lead_times(2), 2, 0), whole.isel(case=[1]))


def test_cases_of_equal_history_have_noise_of_their_own(model, history, lead_times):
    twins = history.isel(case=[0, 0]).assign_coords(event=("case", ["S0", "S1"]))
    one, other = model.forecast(twins, lead_times(1), 1, 0).values
    assert np.allclose(one, other, rtol=1e-5, atol=1e-3) == model.deterministic


def test_the_history_is_left_as_it_was(model, history, lead_times):
    before = history.copy(deep=True)
    model.forecast(history, lead_times(2), 2, 0)
    xr.testing.assert_identical(history, before)


def test_models_are_told_minutes_and_km(history, lead_times):
    class Told(Forecaster):
        def predict(self, cases, leads, members, seed):
            self.told = cases.cadence_minutes, cases.pixel_km
            return np.zeros((3, len(members), leads, 48, 48), "float32")

    told = Told()
    centres = ("x", 2000.0 * np.arange(48), {"units": "m"})
    for given, expected in ((history, 3), (history.assign_coords(x=centres), 2)):
        told.forecast(given, lead_times(2), 1, 0)
        assert told.told == (5, expected)


def test_lead_times_of_another_cadence_are_refused(model, history, lead_times):
    with pytest.raises(InputError, match="multiples of 5 minutes"):
        model.forecast(history, 2 * lead_times(2), 1, 0)


def test_a_history_that_is_not_in_counts_is_refused(model, history, lead_times):
    with pytest.raises(InputError, match="the history is not in counts; got units 'mm h-1'"):
        model.forecast(history.assign_attrs(units="mm h-1"), lead_times(2), 1, 0)
    assert model.forecast(history.assign_attrs(units="1"), lead_times(1), 1, 0).sizes["lead_time"] == 1


def test_an_ensemble_is_begun_once_and_made_in_parts(model, history, lead_times):
    whole = model.forecast(history, lead_times(2), 4, 0)
    ensemble = model.begin(history, lead_times(2), 0)
    for numbers in ([2, 3], [0]):
        expected = whole.sel(member=[0] if model.deterministic else numbers)
        assert_same(model, ensemble.members(numbers), expected)
