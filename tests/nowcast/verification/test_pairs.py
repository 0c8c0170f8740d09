"""Pairs of forecast and observation, used as they are by xskillscore and scores."""

import dask
import numpy as np
import pytest
import scores
import xarray as xr
import xskillscore
from scores.probability import crps_for_ensemble

from nowcast.forecasting.forecast import Request, load_forecaster, write_forecast
from nowcast.verification import open_pairs, verify
from pipelines.errors import InputError


@pytest.fixture
def both(make_forecast, make_store):
    """A forecast of two cases, seven members and three lead times, and its store; a pixel of each is missing."""
    rng = np.random.default_rng(6)
    radar = np.round(rng.uniform(0, 250, (2, 5, 6, 6)))
    radar[:, :, 0, 0] = np.nan
    members = np.round(rng.uniform(0, 250, (2, 7, 3, 6, 6)))
    members[1, 4, 2, 3, 3] = np.nan
    return make_forecast(members), make_store(radar)


def test_pairs_lie_on_the_same_coordinates_and_lack_the_same_pixels(both) -> None:
    forecast, obs = open_pairs(*both)
    assert forecast.dims == ("case", "member", "lead_time", "y", "x") and obs.dims == ("case", "lead_time", "y", "x")
    assert forecast.dtype == obs.dtype == "float32"
    xr.testing.assert_identical(forecast.isel(member=0, drop=True).coords.to_dataset(), obs.coords.to_dataset())
    assert list(obs["event"].values) == ["e0", "e1"]
    np.testing.assert_array_equal(obs["valid_time"], obs["init_time"] + obs["lead_time"])
    missing = np.zeros((2, 3, 6, 6), bool)
    missing[:, :, 0, 0] = missing[1, 2, 3, 3] = True
    np.testing.assert_array_equal(obs.isnull(), missing)
    for member in forecast.transpose("member", ...):
        np.testing.assert_array_equal(member.isnull(), missing)
    told, seen = both
    np.testing.assert_array_equal(obs.isel(case=1, lead_time=2, y=5), seen["vil"].isel(event=1, frame=3, y=5))
    np.testing.assert_array_equal(forecast[0, :, :, 5], told["vil"][0, :, :, 5])


def test_xskillscore_and_scores_take_pairs_as_they_are_and_get_what_verify_gets(both) -> None:
    forecast, obs = open_pairs(*both)
    ours = verify(*both, samples=0)
    theirs = xskillscore.crps_ensemble(obs, forecast, member_dim="member", dim=["case", "y", "x"])
    np.testing.assert_allclose(theirs, ours["crps_standard"], rtol=1e-6)
    fair = crps_for_ensemble(forecast, obs, "member", method="fair", preserve_dims="lead_time")
    np.testing.assert_allclose(fair, ours["crps_fair"], rtol=1e-6)
    squared = xskillscore.mse(forecast.mean("member"), obs, dim=["y", "x"], skipna=True)
    np.testing.assert_allclose(squared.mean("case")[:2], ours["mse"][:2], rtol=1e-6)


def test_a_file_of_rain_rates_on_a_store_is_scored_by_both_without_renaming(small_store, tmp_path) -> None:
    model, described = load_forecaster("persistence")
    file = write_forecast(model, small_store, tmp_path / "f.nc", Request(units="mm/h"), described=described)
    forecast, obs = (array.compute() for array in open_pairs(file, small_store))
    assert forecast.attrs["units"] == obs.attrs["units"] == "1" and forecast.max() > 200
    ours = verify(file, small_store, samples=0, thresholds=["2.5mm/h"])
    level = ours["threshold"].item()
    ensemble, events = forecast >= level, obs >= level
    brier = xskillscore.brier_score(events.where(obs.notnull()), ensemble.mean("member"), dim=["case", "y", "x"])
    np.testing.assert_allclose(brier, ours["brier"].squeeze("threshold"), rtol=1e-6)
    theirs = scores.probability.brier_score_for_ensemble(
        forecast, obs, "member", level, fair_correction=False, preserve_dims="lead_time"
    )
    np.testing.assert_allclose(theirs.squeeze("threshold"), brier, rtol=1e-6)
    contingency = scores.categorical.ThresholdEventOperator(default_event_threshold=level)
    table = contingency.make_contingency_manager(forecast.mean("member"), obs).transform()
    csi = table.critical_success_index().item()
    assert csi == pytest.approx(ours["csi_pooled"].sel(summary="mean").item(), rel=1e-6)


def test_opening_pairs_reads_no_pixel(both) -> None:
    forecast, obs = open_pairs(both[0].isel(x=slice(3)), both[1])
    assert dask.is_dask_collection(forecast) and dask.is_dask_collection(obs)
    assert forecast.chunks[0] == obs.chunks[0] == (1, 1)
    with pytest.raises(InputError, match="another grid"):
        obs.compute()


def test_several_files_are_one_forecast_and_only_what_was_observed_is_paired(both) -> None:
    forecast, store = both
    parts = [
        forecast.isel(case=[0]).assign_coords(y=np.arange(6), x=np.arange(6)),
        forecast.isel(case=[1]).assign_coords(y=np.arange(6), x=np.arange(6) + 6),
    ]
    for ours, expected in zip(open_pairs(parts, store), open_pairs(forecast, store), strict=True):
        assert "y" in ours.coords and "x" not in ours.coords
        xr.testing.assert_equal(ours.drop_vars("y"), expected)
    _, obs = open_pairs(forecast, store.isel(frame=slice(0, 3)))
    assert obs.sizes["lead_time"] == 2


def test_video_keeps_its_channels(both) -> None:
    forecast, store = both
    of_video = [
        xr.concat([given["vil"]] * 3, "channel").transpose(..., "channel", "y", "x").to_dataset(name="video")
        for given in (forecast, store)
    ]
    colours, seen = open_pairs(*of_video)
    assert colours.dims == ("case", "member", "lead_time", "channel", "y", "x")
    assert seen.dims == ("case", "lead_time", "channel", "y", "x")
    grey = open_pairs(forecast, store)[1]
    np.testing.assert_array_equal(seen.isel(channel=2), grey)


def test_a_forecast_without_cases_is_refused(both) -> None:
    with pytest.raises(InputError, match="has no case"):
        open_pairs(both[0].isel(case=[]), both[1])
