import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

from nowcast.models import model_class, steps
from nowcast.models.advection import Advection
from nowcast.models.steps import Steps
from pipelines.store.units import MAX_COUNT


@pytest.fixture(scope="module")
def history(to_history, moving_storm):
    """A case with a storm that changes as it moves, and one with another motion."""
    growth = np.linspace(0.7, 1.2, 6)[:, None, None]
    storms = [moving_storm((20, 30), (2, 1), 6) * growth, moving_storm((40, 30), (-1, 2), 6) * growth]
    return to_history(np.stack(storms) + 10 * np.random.default_rng(0).random((2, 6, 64, 64)))


def test_members_spread_with_lead_time_and_keep_the_newest_values(history, lead_times):
    forecast = Steps().forecast(history, lead_times(6), 8, 0)
    spread = forecast.std("member").mean(("case", "y", "x"))
    assert spread[0] > 0.5 and spread[-1] > 1.5 * spread[0]
    assert forecast.max() <= history[:, -1].max() <= MAX_COUNT


def test_a_longer_forecast_begins_as_the_shorter_one(history, lead_times):
    three, nine = (Steps().forecast(history, lead_times(leads), 2, 0) for leads in (3, 9))
    np.testing.assert_allclose(nine[:, :, :3], three, atol=0.05)  # sums of other lengths are rounded
    assert (nine[:, :, 8].std("member") > 0).mean() > 0.5


def test_factors_of_noise_and_of_the_error_of_motion(history, lead_times):
    def spread(motion_error: float, noise: float) -> float:
        made = Steps(motion_error, noise).forecast(history, lead_times(3), 4, 0)
        return float(made.std("member")[..., 16:-16, 16:-16].mean())  # where air from outside does not come

    assert spread(0, 0) == pytest.approx(0, abs=1e-4)
    assert 0 < spread(0.5, 0) < spread(1, 0) < spread(1, 1)
    assert 0 < spread(0, 0.5) < spread(0, 1)


def test_errors_of_motion_are_drawn_with_unit_variance(to_history, lead_times, monkeypatch):
    drawn = []
    made = np.zeros((4000, 1, 16, 16), "float32")
    monkeypatch.setattr(steps, "draw_members", lambda draws: drawn.extend(draws) or made)
    Steps().forecast(to_history(np.zeros((1, 6, 16, 16))), lead_times(1), 4000, 0)
    np.testing.assert_allclose(np.var([off_course for _, _, off_course, _ in drawn], axis=0), 1, atol=0.15)


def test_what_a_member_does_not_reach_repeats_a_frame_of_its_own(to_history, lead_times):
    pattern = 60 + 200 * gaussian_filter(np.random.default_rng(0).standard_normal((64, 160)), 3)
    frames = np.stack([pattern[:, 80 - 4 * frame :][:, :64] for frame in range(6)])  # east by 4 pixels per frame
    frames[:3, :, 1] = np.nan  # seen later only: these frames repeat the newest counts there
    history = to_history(frames[None])
    forecast = Steps(motion_error=0).forecast(history, lead_times(6), 12, 0).values[0]
    edge, past = forecast[:, :, :, :3], np.where(np.isnan(frames), frames[-1], frames)[..., :3].astype("float32")
    np.testing.assert_array_equal(edge[:, 2:], np.repeat(edge[:, 2:3], 4, axis=1))  # one frame at all lead times
    drawn = (edge[:, None, -1] == past).all((2, 3))
    assert (drawn.sum(1) == 1).all() and len(set(drawn.argmax(1))) > 3


@pytest.mark.parametrize(("model", "share"), [("steps", 0.8), ("pysteps", 0.85)])
def test_crps_on_a_real_storm_is_well_below_the_error_of_advection(shared_data, to_history, lead_times, model, share):
    if model == "pysteps":
        pytest.importorskip("pysteps", reason="pysteps is not installed (the extra `pysteps`)")
    with xr.open_dataset(shared_data / "sevir_real_128.nc") as sevir:
        frames = sevir["vil"].values[:1, :18].astype("float32")
    history, observed = to_history(frames[:, :10]), frames[:, 10:]
    members = model_class(model)().forecast(history, lead_times(8), 12, 0).values
    pairs = np.abs(members[:, :, None] - members[:, None]).sum(axis=(1, 2)) / (12 * 11)
    crps = (np.abs(members - observed[:, None]).mean(axis=1) - pairs / 2).mean()
    error = np.abs(Advection().forecast(history, lead_times(8), 1, 0).values[:, 0] - observed).mean()
    assert crps < share * error
