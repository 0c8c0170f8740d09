"""Forecasts verified by place and time: against a file of radar, a store of its tiles, and what is observed so far."""

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from nowcast.cli.app import app
from nowcast.verification import states, verify
from nowcast.verification.inputs import observed_part, open_forecast, open_observations
from pipelines.errors import InputError

STEP = np.timedelta64(300, "s")


def run(*words) -> str:
    result = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """Counts (frame, y, x) of echo that moves east over 140 x 280 pixels, a corner never seen."""
    row, column = np.mgrid[:140, :280]
    fields = [120 * np.exp(-((row - 70) ** 2 + (column - 60 - 4 * k) ** 2) / 900) for k in range(22)]
    counts = np.rint(np.where(np.array(fields) < 6, 0, fields))
    counts[:, :20, :30] = np.nan
    return counts


@pytest.fixture(scope="module")
def folder(counts, cf_radar, tmp_path_factory):
    """Radar so far (12 frames), of two hours (22), a store of its tiles, and a forecast of the whole file."""
    folder = tmp_path_factory.mktemp("place")
    for name, frames in (("now", 10), ("later", 12), ("rain_20240701", 22)):
        cf_radar(counts[:frames]).to_netcdf(folder / f"{name}.nc")
    run("prepare-radar", folder / "rain_20240701.nc", folder / "tiles.zarr", "--workers", 1)
    run("forecast", "persistence", folder / "now.nc", folder / "f.nc")
    return folder


def test_a_forecast_of_a_file_is_verified_against_a_file_and_a_store_of_it(folder, counts) -> None:
    against_file = verify(folder / "f.nc", folder / "rain_20240701.nc", samples=0)
    error = np.abs(counts[10:20] - counts[9])
    np.testing.assert_allclose(against_file["mae"], np.nanmean(error, (1, 2)), rtol=1e-5)
    assert against_file["counted_fraction_pooled"] == pytest.approx(1 - 600 / (140 * 280))
    tiled = verify(folder / "f.nc", folder / "tiles.zarr", samples=0)  # two of 128 x 128 about the middle
    inside = error[:, 6:134, 12:268]
    np.testing.assert_allclose(tiled["mae"], np.nanmean(inside, (1, 2)), rtol=1e-5)
    assert tiled["counted_fraction_pooled"] == pytest.approx((128 * 256 - 14 * 18) / (140 * 280))


def test_a_forecast_of_tiles_scores_alike_against_their_store_and_the_file(folder) -> None:
    run("forecast", "persistence", folder / "tiles.zarr", folder / "g.nc", "--overwrite")
    stored, filed = (states(folder / "g.nc", folder / name)[0] for name in ("tiles.zarr", "rain_20240701.nc"))
    assert stored.sizes["event"] == 2 and stored["squared_error"].max() > 0
    sums = list(set(stored) - {"squared_range", "similarity"})  # whose range a protocol says
    xr.testing.assert_equal(stored[sums], filed[sums])


def test_only_the_lead_times_that_were_observed_are_scored(folder, counts) -> None:
    printed = run("verify", folder / "f.nc", folder / "later.nc", "--out", folder / "scores.nc", "--overwrite")
    assert "Scored 2 of 10 lead times (+5 min and +10 min): later.nc ends at 2024-07-01 12:55 UTC." in printed
    with xr.open_dataset(folder / "scores.nc", decode_timedelta=True) as scores:
        assert (scores["lead_time"].values == STEP * np.array([1, 2])).all()
        np.testing.assert_allclose(scores["mae"], np.nanmean(np.abs(counts[10:12] - counts[9]), (1, 2)), rtol=1e-5)
    with pytest.raises(InputError, match=r"now.nc has no frame of event now at 2024-07-01 12:50 UTC; expected .*12:45"):
        verify(folder / "f.nc", folder / "now.nc")


@pytest.mark.parametrize(
    ("off", "line"),
    [  # seconds by which frames 12 to 15 miss their times, of steps of 300 s
        ((0, 30, 0, 0), ""),
        ((0, 60, 0, 0), "Scored 9 of 10 lead times (+5 min to +50 min): mine.nc has frames near the others that miss "
         "their times by more than a tenth of a step."),
        ((0, 90, 0, 0), "Scored 9 of 10 lead times (+5 min to +50 min): mine.nc has no frames of the others."),
        ((0, 60, 90, 0), "Scored 8 of 10 lead times (+5 min to +50 min): mine.nc has frames near the others that miss "
         "their times by more than a tenth of a step."),
    ],
)  # fmt: skip
def test_frames_that_a_history_would_take_and_that_are_no_truth_are_told(folder, counts, cf_radar, off, line) -> None:
    times = np.datetime64("2024-07-01T12:00", "ns") + np.arange(22) * STEP
    times[12:16] += np.array(off) * np.timedelta64(1, "s")
    cf_radar(counts, times).to_netcdf(folder / "mine.nc", mode="w")
    observations, forecast = open_observations(folder / "mine.nc"), open_forecast(folder / "f.nc")
    part, words = observed_part(forecast, observations)
    assert (f"Scored {words}." if words else "") == line
    assert len(part.lead_times) == 10 - sum(seconds > 30 for seconds in off)


def test_a_truth_of_nothing_but_frames_off_their_times_is_refused_with_the_reason(folder, counts, cf_radar) -> None:
    times = np.datetime64("2024-07-01T12:51", "ns") + np.arange(10) * STEP
    cf_radar(counts[10:20], times).to_netcdf(folder / "off.nc", mode="w")
    line = r"off.nc has no frame of event now at \S* 12:50 UTC; got one that misses it by more than a tenth of a step"
    with pytest.raises(InputError, match=line):
        verify(folder / "f.nc", folder / "off.nc")


def test_only_reached_takes_a_file_too(folder) -> None:
    shares = [
        verify(folder / "f.nc", folder / name, samples=0, only_reached=True)["counted_fraction"].values
        for name in ("rain_20240701.nc", "later.nc")
    ]
    np.testing.assert_array_equal(shares[0][:2], shares[1])
    assert 0.5 < shares[0][9] < shares[0][0] < 1


def test_what_is_given_in_the_wrong_place_is_named(folder) -> None:
    for wrong, words in (
        ((folder / "f.nc", folder / "f.nc"), r"f.nc is a forecast; expected a store, or a file of radar"),
        ((folder / "now.nc", folder / "f.nc"), r"now.nc is radar that was observed, not a forecast"),
        ((folder / "tiles.zarr", folder / "f.nc"), r"tiles.zarr is a store; expected a forecast; give the forecast"),
    ):
        with pytest.raises(InputError, match=words):
            verify(*wrong)


def test_cases_not_observed_yet_are_left_out_and_said(make_store, make_forecast) -> None:
    counts = np.random.default_rng(0).integers(0, 255, (1, 6, 4, 4))
    store = make_store(counts)
    forecasts = [make_forecast(np.repeat(counts[:, None, :3], 2, 1), last=last) for last in (1, 3, 5)]
    scores = verify(xr.concat(forecasts, "case"), store, samples=0)
    assert scores.attrs["scored"] == "2 of 3 cases, 3 of 3 lead times (+5 min to +15 min): the store ends at " + (
        "2019-07-01 00:25 UTC"
    )
    assert scores["cases"].values.tolist() == [2, 2, 1]
    whole, part = (verify(one, store, samples=0) for one in (forecasts[0], forecasts[1].isel(lead_time=[0, 1])))
    expected = (16 * 3 * whole["mae_pooled"] + 16 * 2 * part["mae_pooled"]) / (16 * 5)
    assert scores["mae_pooled"].item() == pytest.approx(expected.item())
