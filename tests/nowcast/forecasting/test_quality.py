"""What can be trusted in a forecast: where advection reaches, what was observed, notes, and dry histories."""

import numpy as np
import pytest
import xarray as xr

import nowcast
from nowcast.data.forecast_file import open_forecast
from nowcast.forecasting.door import Model
from nowcast.forecasting.forecast import Request, write_forecast
from nowcast.models.forecaster import Forecaster
from nowcast.verification.inputs import open_forecast as open_for_scores
from nowcast.verification.inputs import open_observations
from pipelines.store.units import counts_to_rain_rate

DRY = (
    "the history has no echo, and so the forecast has none, made without the model. 0 of 4 members is not never: a "
    "chance of up to 1 in 5 looks the same."
)
GAPS = "2 of the 10 frames of the history are missing: 2024-07-01 12:15, 2024-07-01 12:30 UTC"


class Rain(Forecaster):
    """Rain everywhere, always."""

    def predict(self, cases, leads, members, seed):
        return np.full((len(cases.keys), len(members), leads, *cases.frames.shape[2:]), 100.0)


class Refusing(Forecaster):
    """A model that must not be called."""

    def predict(self, cases, leads, members, seed):
        raise AssertionError("called")


def history(moving_storm, frames=20) -> np.ndarray:
    """A storm that moves 2 pixels east per frame; a corner never seen, a pixel seen in every second frame."""
    counts = moving_storm((20, 32), (2, 0), frames)
    counts[:, :4, :4] = np.nan
    counts[::2, 60, 60] = np.nan
    return np.rint(counts)


def write(model, folder, **request):
    told = []
    out = write_forecast(
        model, folder / "now.nc", folder / "f.nc", Request(members=4, **request), described={"model": "made"},
        overwrite=True, tell=told.append,
    )  # fmt: skip
    return out, told


def test_reached_and_observed_are_those_of_the_verification(cf_radar, moving_storm, tmp_path):
    counts = history(moving_storm)
    cf_radar(counts).to_netcdf(tmp_path / "all.nc")
    cf_radar(counts[:10]).to_netcdf(tmp_path / "now.nc")
    out, told = write(Rain(), tmp_path)
    made = open_forecast(out)
    assert made["reached"].dims == ("case", "lead_time", "y", "x") and made["observed"].dims == ("case", "y", "x")
    (case,) = open_for_scores(out).cases
    scored = open_observations(tmp_path / "all.nc", only_reached=True).fields(case)
    seen = np.isfinite(open_observations(tmp_path / "all.nc").fields(case))
    np.testing.assert_array_equal(np.isfinite(scored), made["reached"].values[0].astype(bool) & seen)
    assert 0 < made["reached"].values.mean() < 1
    assert made["observed"].values[0, 2, 2] == 0 and made["observed"].values[0, 30, 30] == 1
    assert made["observed"].values[0, 60, 60] == pytest.approx(0.5, abs=1e-4)
    assert "quality" not in made.attrs and len(told) == 1


def test_a_summary_has_them_too(cf_radar, moving_storm, tmp_path):
    cf_radar(history(moving_storm, 10)).to_netcdf(tmp_path / "now.nc")
    members = open_forecast(write(Rain(), tmp_path)[0])[["reached", "observed"]].load()
    summary = xr.open_dataset(write(Rain(), tmp_path, summary_only=True)[0])
    for name in ("reached", "observed"):
        np.testing.assert_array_equal(summary[name], members[name])
    assert summary["vil_probability"].attrs["comment"].startswith("0 of 4 members is not never")


@pytest.mark.parametrize("level", [0, 5])
def test_a_dry_history_gives_a_dry_forecast_without_the_model(cf_radar, tmp_path, level):
    counts = np.full((10, 16, 16), float(level))
    counts[:, :2, :2] = np.nan
    cf_radar(counts).to_netcdf(tmp_path / "now.nc")
    out, told = write(Refusing(), tmp_path)
    made = open_forecast(out)
    assert made.attrs["quality"] == DRY and told.count(DRY) == 1
    assert np.isnan(made["vil"].values[..., :2, :2]).all() and np.nanmax(made["vil"].values) == 0
    with pytest.warns(UserWarning, match="the history has no echo") as warned:
        forecast = Model("made", Refusing(), {"model": "made"}).forecast(cf_radar(counts), members=4)
    assert len(warned) == 1 and forecast.attrs["quality"] == DRY and forecast.max() == 0
    share = nowcast.probability_at(forecast, float(forecast["latitude"][8, 8]), float(forecast["longitude"][8, 8]))
    assert (share == 0).all() and share.attrs["comment"] == DRY.split("model. ")[1]


def test_of_several_cases_only_the_dry_ones_are_dry(moving_storm, to_history):
    counts = np.stack([np.zeros((10, 64, 64)), history(moving_storm, 10), np.zeros((10, 64, 64))])
    with pytest.warns(UserWarning, match="the history of 2 of 3 cases has no echo"):
        made = Model("rain", Rain(), {"model": "rain"}).forecast(to_history(counts).assign_attrs(units="1"), members=2)
    assert made.isel(case=[0, 2]).max() == 0 and made.isel(case=1).min() == 100
    assert made["event"].values.tolist() == ["S0", "S1", "S2"] and made["reached"].dims[0] == "case"


def test_frames_that_are_missing_are_told_once_and_noted(cf_radar, moving_storm, tmp_path):
    counts = history(moving_storm, 10)
    counts[[3, 6]] = np.nan
    cf_radar(counts).to_netcdf(tmp_path / "now.nc")
    out, told = write(Rain(), tmp_path)
    assert open_forecast(out).attrs["quality"] == GAPS
    assert len([line for line in told if "missing" in line]) == 1
    with pytest.warns(UserWarning, match=GAPS) as warned:
        made = Model("rain", Rain(), {"model": "rain"}).forecast(cf_radar(counts), members=2)
    assert len(warned) == 1 and made.attrs["quality"] == GAPS


def test_a_forecast_in_python_has_the_flags_of_the_file_in_the_order_of_its_rows(cf_radar, moving_storm, tmp_path):
    counts = history(moving_storm, 10)
    dataset = cf_radar(counts_to_rain_rate(counts), units="mm h-1", standard_name="rainfall_rate")
    dataset = dataset.rename(vil="rain")
    dataset.to_netcdf(tmp_path / "now.nc")
    model = Model("rain", Rain(), {"model": "rain"})
    north, south = model.forecast(dataset, members=2), model.forecast(dataset.isel(y=slice(None, None, -1)), members=2)
    file = open_forecast(write(Rain(), tmp_path)[0])
    for name in ("reached", "observed"):
        np.testing.assert_allclose(north[name], file[name][0], atol=1e-4)
        np.testing.assert_array_equal(south[name], north[name].isel(y=slice(None, None, -1)))
    south.to_netcdf(tmp_path / "saved.nc")
    saved = open_forecast(tmp_path / "saved.nc")
    np.testing.assert_array_equal(saved["reached"], file["reached"])
    np.testing.assert_array_equal(saved["vil"][:, :2], file["vil"][:, :2])
