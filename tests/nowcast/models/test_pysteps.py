import builtins
import logging

import numpy as np
import pytest
import xarray as xr

from nowcast.models import pysteps as module
from nowcast.models.persistence import Persistence
from nowcast.models.pysteps import PySteps
from pipelines.errors import InputError


@pytest.fixture(scope="module", autouse=True)
def installed():
    return pytest.importorskip("pysteps", reason="pysteps is not installed (the extra `pysteps`)")


@pytest.fixture(scope="module")
def history(to_history, moving_storm):
    """A case with a storm that changes as it moves, and one with another motion."""
    growth = np.linspace(0.7, 1.2, 6)[:, None, None]
    storms = [moving_storm((20, 30), (2, 1), 6) * growth, moving_storm((40, 30), (-1, 2), 6) * growth]
    return to_history(np.stack(storms) + 10 * np.random.default_rng(0).random((2, 6, 64, 64)))


def test_one_millimetre_an_hour_is_zero_decibels():
    # Z = 200 mm6 m-3, so VIL = 3.44e-6 * 200^(4/7) * 4500 = 0.3196 kg m-2 and X = 83.9 + 38.9 ln(0.3196) = 39.531
    counts = np.float32([39.531, 0, np.nan])
    np.testing.assert_allclose(module._to_decibels(counts), [0, -15, np.nan], atol=2e-3)
    np.testing.assert_allclose(module._to_counts(np.array([0.0, -15, np.nan])), [39.531, 0, np.nan], atol=2e-3)


def test_every_count_survives_the_way_to_rain_rate_and_back():
    counts = np.arange(6, 255, dtype="float32")
    np.testing.assert_allclose(module._to_counts(module._to_decibels(counts)), counts, atol=1e-2)


def test_members_differ_and_spread_with_lead_time(history, lead_times):
    forecast = PySteps().forecast(history, lead_times(6), 8, 0)
    spread = forecast.std("member").mean(("case", "y", "x"))
    assert spread[0] > 0.5 and spread[-1] > spread[0]


def test_members_do_not_depend_on_which_others_are_asked_for(history, lead_times):
    whole = PySteps().forecast(history, lead_times(3), 5, 0)
    some = PySteps().forecast(history, lead_times(3), [3, 1], 0)
    xr.testing.assert_equal(some, whole.sel(member=[3, 1]))


@pytest.fixture
def calls(monkeypatch):
    """The settings of each call to pysteps, whose members are then 30 counts, missing in the first ten columns."""
    made = []

    def forecast(decibels, velocity, **settings):
        made.append(settings)
        counts = np.full((settings["n_ens_members"], settings["timesteps"], *decibels.shape[1:]), 30.0, "float32")
        counts[..., :10] = np.nan
        return module._to_decibels(counts)

    monkeypatch.setattr(module, "_pysteps", lambda: (lambda decibels: None, forecast))
    return made


def test_pysteps_is_told_the_minutes_and_km_of_the_store(history, calls):
    times = history["init_time"].values[:, None] - np.arange(5, -1, -1) * np.timedelta64(150, "s")
    finer = history.assign_coords(valid_time=(("case", "frame"), times))
    finer = finer.assign_coords(x=("x", 500.0 * np.arange(64) + 250, {"units": "m"}))
    for given, minutes, km in ((history, 5, 3), (finer, 2.5, 0.5)):
        leads = (np.arange(1, 3) * 60 * minutes).astype("timedelta64[s]")
        PySteps().forecast(given, leads, 1, 0)
        assert (calls[-1]["timestep"], calls[-1]["kmperpixel"]) == (minutes, km)


def test_what_a_member_does_not_reach_repeats_a_frame_of_its_own(history, lead_times, calls):
    forecast = PySteps().forecast(history, lead_times(3), 12, 0).values
    np.testing.assert_allclose(forecast[..., 10:], 30, atol=1e-2)
    edges, frames = forecast[..., :10], history.values[..., :10]
    drawn = np.array([[[(edge == frame).all() for frame in past] for edge in case[:, 0]]
                      for case, past in zip(edges, frames, strict=True)])  # fmt: skip
    assert (drawn.sum(-1) == 1).all()  # each member repeats one whole frame of its case,
    np.testing.assert_array_equal(edges, np.repeat(edges[:, :, :1], 3, axis=2))  # at all lead times,
    number = drawn.argmax(-1)
    assert len(set(number[0])) > 3 and (number[0] != number[1]).any()  # and draws it itself
    alone = PySteps().forecast(history, lead_times(3), [7], 0).values
    np.testing.assert_array_equal(alone, forecast[:, 7:8])
    assert not np.array_equal(PySteps().forecast(history, lead_times(3), 12, 1).values, forecast)


def test_persistence_fill_has_no_spread(history, lead_times, calls):
    forecast = PySteps("persistence").forecast(history, lead_times(3), 4, 0).values
    last = np.broadcast_to(history.values[:, None, None, -1, :, :10], (2, 4, 3, 64, 10))
    np.testing.assert_array_equal(forecast[..., :10], last)


def test_a_past_frame_has_no_gaps(history, lead_times, calls):
    holed = history.copy()
    holed[:, :3, :, :5] = np.nan  # not yet seen: the newest counts
    holed[:, -1, :, 5:10] = np.nan
    forecast = PySteps().forecast(holed, lead_times(1), 12, 0)
    assert np.isfinite(forecast).all()
    first = np.abs(forecast[0, :, 0, :, :5] - holed[0, -1, :, :5]).max(("y", "x")) == 0
    assert first.any() and not first.all()


def test_members_of_pysteps_spread_at_the_edge_where_the_air_comes_in(history, lead_times):
    east = PySteps().forecast(history[:1], lead_times(6), 4, 0).std("member")[0, -1, :, :2]
    assert (east > 0).mean() > 0.5
    still = PySteps("persistence").forecast(history[:1], lead_times(6), 4, 0).std("member")[0, -1, :, :2]
    assert (still == 0).any()


def test_nothing_is_printed(history, lead_times, capfd):
    PySteps().forecast(history, lead_times(2), 2, 0)
    assert capfd.readouterr() == ("", "")


def test_a_case_without_echo_is_persistence(to_history, lead_times):
    counts = np.zeros((1, 4, 32, 32))
    counts[:, :, 3, 3] = np.nan
    forecast = PySteps().forecast(to_history(counts), lead_times(2), 2, 0)
    expected = Persistence().forecast(to_history(counts), lead_times(2), 1, 0)
    np.testing.assert_array_equal(forecast, np.repeat(expected, 2, axis=1))


def test_a_storm_that_stands_still_is_persistence_and_says_so(to_history, lead_times, moving_storm, caplog):
    still = to_history(moving_storm((20, 20), (0, 0), 4, size=40)[None])
    with caplog.at_level(logging.WARNING):
        forecast = PySteps().forecast(still, lead_times(2), 2, 0)
    np.testing.assert_allclose(forecast, np.broadcast_to(still[:, -1].values[:, None, None], (1, 2, 2, 40, 40)))
    assert "S0@2019-07-01T12:00:00: persistence" in caplog.text


def test_missing_pixels_are_missing_only_where_never_seen(history, lead_times):
    holed = history.copy()
    holed[:, :, :, :8] = np.nan
    holed[:, -1, 50:] = np.nan
    missing = np.isnan(PySteps().forecast(holed, lead_times(3), 2, 0))
    assert missing[..., :8].all() and not missing[..., 8:].any()


def test_two_frames_are_too_few(history, lead_times):
    with pytest.raises(InputError, match="too short for pysteps; got 2; expected 3 frames"):
        PySteps().forecast(history[:, :2], lead_times(2), 2, 0)


def test_without_pysteps_the_extra_is_named(history, lead_times, monkeypatch):
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("pysteps"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match=r"pip install pysteps"):
        PySteps().forecast(history, lead_times(2), 2, 0)
