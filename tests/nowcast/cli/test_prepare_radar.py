"""`nowcast prepare-radar`, and what then becomes of its store: forecasts by every kind of model, scores, a picture."""

import numpy as np
import pytest
import xarray as xr
from pyproj import CRS

from nowcast.data.forecast_file import open_forecast
from pipelines.simulation.storms import simulate_archive

PROJ = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=25 +R=6371288 +units=m"
TEN_MINUTES = np.timedelta64(10, "m")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """CF NetCDF of rain rates every ten minutes: three cells that move, and a corner that no radar sees."""
    y, x = np.mgrid[:130, :131]
    rate = np.zeros((22, 130, 131), "float32")
    for frame in range(22):
        for row, column, peak in ((40, 20, 30), (80, 50, 60), (30, 80, 15)):
            rate[frame] += peak * np.exp(-((y - row - frame) ** 2 + (x - column - 2 * frame) ** 2) / 60)
    rate *= np.random.default_rng(0).gamma(4, 0.25, rate.shape)
    rate[:, :20, :20] = np.nan
    metres = {"units": "m"}
    dataset = xr.Dataset(
        {
            "rate": (
                ("time", "y", "x"),
                rate,
                {"standard_name": "rainfall_rate", "units": "mm h-1", "grid_mapping": "crs"},
            )
        },
        {
            "time": np.datetime64("2020-10-31T00:00", "ns") + np.arange(22) * TEN_MINUTES,
            "y": ("y", -3_000_000 + 1000.0 * np.arange(130), {**metres, "standard_name": "projection_y_coordinate"}),
            "x": ("x", 50_000 + 1000.0 * np.arange(131), {**metres, "standard_name": "projection_x_coordinate"}),
            "crs": ((), 0, CRS.from_string(PROJ).to_cf()),
        },
    )
    path = tmp_path_factory.mktemp("radar") / "demo_20201031.nc"
    dataset.to_netcdf(path)
    return path


@pytest.fixture
def store(source, tmp_path, nowcast):
    assert nowcast("prepare-radar", source, tmp_path / "radar.zarr", "--workers", 1)[0] == 0
    return tmp_path / "radar.zarr"


def test_a_dry_run_prints_the_plan_and_writes_nothing(source, tmp_path, nowcast):
    code, out, _ = nowcast("prepare-radar", source, tmp_path / "s.zarr", "--dry-run", "--frames", 11)
    assert code == 0
    assert out.splitlines()[0].startswith(
        "plan: 2 tiles of 2 sequences, 128 x 128 pixels (1 km), 11 frames every 10 minutes, "
        "2020-10-31 00:00 to 03:30 UTC, from 1 file ("
    )
    assert out.splitlines()[0].endswith(" MB) of rain rate in mm h-1; no gaps")
    assert out.splitlines()[-1] == "  too short to score: 11 frames, 20 needed"
    assert list(tmp_path.iterdir()) == []


def test_info_says_how_counts_came_about(store, nowcast):
    code, out, _ = nowcast("info", store)
    assert code == 0
    for text in (
        "1 events, 22 frames, 128 x 128",
        "protocol: radar-128-10-10@10min,none",
        "Z = 200 R^1.6",
        "demo_20201031.nc",
    ):
        assert text in out


@pytest.mark.parametrize("model", ["persistence", "advection", "steps", "pysteps"])
def test_a_forecast_at_the_cadence_of_the_radar_with_its_scores_and_picture(store, tmp_path, nowcast, model):
    forecast, scores, picture = (tmp_path / name for name in ("f.nc", "s.nc", "map.png"))
    if model == "pysteps":
        pytest.importorskip("pysteps")
    assert nowcast("forecast", model, store, forecast, "--ensemble", 2, "--limit", 1)[0] == 0
    with open_forecast(forecast) as made:
        np.testing.assert_array_equal(made["lead_time"].values, np.arange(1, 11) * TEN_MINUTES)
        assert str(made["init_time"].values[0]).startswith("2020-10-31T01:30")
        assert np.isnan(made["vil"].values[0, :, :, :19, :18]).all()
        assert made["vil"].max() > 74
    code, out, _ = nowcast("verify", forecast, store, "--out", scores)
    assert code == 0, out
    with xr.open_dataset(scores) as result:
        assert result.attrs["protocol"] == "radar-128-10-10@10min,none"
        assert result.attrs["coverage"].startswith("1 of 1 windows of split test; 10 of 10 lead times")
    if model == "advection":
        assert nowcast("plot", forecast, picture, "--store", store)[0] == 0


def test_a_model_trained_on_sevir_forecasts_on_it(store, tmp_path, nowcast):
    archive = simulate_archive(tmp_path / "archive", events=3, seed=3)
    assert nowcast("prepare-sevir", archive, tmp_path / "sevir.zarr", "--workers", 1)[0] == 0
    small = ["frame_vae={factor: 8, latent_channels: 2, channels: [8], layers: 1}",
             "mtvae={hidden: 8, layers: 1, heads: 2}", "denoiser={hidden: 16, blocks: 1, heads: 1, patch: 2}",
             "sampling.steps=2"]  # fmt: skip
    stages = [f"{stage}={{steps: 2, batch: 1}}" for stage in ("autoencoder", "diffusion")]
    settings = [f"network.{text}" for text in small] + [f"stages.{text}" for text in stages]
    words = [word for text in settings for word in ("--set", text)]
    assert nowcast("train", "demo", "--store", tmp_path / "sevir.zarr", "--run", tmp_path / "run", *words)[0] == 0
    code, _, err = nowcast("forecast", tmp_path / "run", store, tmp_path / "f.nc", "--ensemble", 3)
    assert code == 0, err
    with open_forecast(tmp_path / "f.nc") as made:
        assert made["vil"].sizes == {"case": 1, "member": 3, "lead_time": 10, "y": 128, "x": 128}
        assert np.isfinite(made["vil"].values[..., 20:, 20:]).all()
        assert made["lead_time"].values[0] == TEN_MINUTES


def test_a_file_that_cannot_be_placed_is_said_and_exit_code_three(source, tmp_path, nowcast):
    (tmp_path / "demo_broken.nc").write_text("no NetCDF")
    code, out, _ = nowcast("prepare-radar", source, tmp_path / "demo_broken.nc", tmp_path / "s.zarr", "--workers", 1)
    assert code == 3
    assert out.rstrip().endswith("1 event (1 test); 1 written now; 1 file left out")
    assert "demo_broken.nc cannot be read" in nowcast("info", tmp_path / "s.zarr")[1]


def test_wrong_words(source, tmp_path, nowcast):
    for words, text in [
        ((tmp_path / "absent", tmp_path / "s.zarr"), "no radar file at"),
        ((source, tmp_path / "s.zarr", "--coarsen", 2), "does not fill a tile"),
        ((source, tmp_path / "s.zarr", "--protocol", "nonsense"), "no configuration 'nonsense'"),
    ]:
        code, _, err = nowcast("prepare-radar", *words)
        assert code == 2
        assert err.count("\n") == 1 and text in err


@pytest.mark.parametrize("command", [("prepare-radar",), ("forecast", "persistence")])
def test_reflectivity_called_a_rain_rate_is_one_line_and_makes_nothing(source, tmp_path, nowcast, command):
    """Its -32 dBZ without echo gives it away; so does any code of missing pixels that nothing marks."""
    with xr.open_dataset(source) as dataset:
        rate = dataset["rate"].where(dataset["rate"] > 0.1, -32)
        dataset.assign(rate=rate.assign_attrs(dataset["rate"].attrs)).to_netcdf(tmp_path / "demo_20201031.nc")
    out = tmp_path / "out.zarr"
    code, _, told = nowcast(*command, tmp_path / "demo_20201031.nc", out)
    assert code == 2
    line = told.splitlines()[-1]
    assert line.startswith("nowcast: ") and "demo_20201031.nc: rain rate in mm h-1 cannot be -32; got" in line
    assert not out.exists()
