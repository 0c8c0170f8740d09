"""Networks of one stage as they are typed: trained, forecast, verified and plotted, of radar and of video."""

import pytest
import xarray as xr
from typer.testing import CliRunner

from nowcast.cli import app as cli

RECURRENT = {"network.hidden": 8, "network.layers": 2, "network.kernel": 3}
TINY = {
    "unet": {"network.widths": "[8, 16]", "network.centre": 32},
    "convlstm": RECURRENT,
    "predrnn": RECURRENT,
    "predrnn_plus": RECURRENT,
    "motionrnn": RECURRENT,
    "mcvd": {
        "network": "{kind: spatin, width: 8, multipliers: [1, 2], depth: 1, spatin_width: 8, sampling: {steps: 2}}",
        "stages": "{diffusion: {steps: 3, batch: 2, validate_every: 3}}",
    },
}
STAGES = "{regression: {steps: 3, batch: 2, validate_every: 3}}"


def run(*words: object) -> str:
    result = CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def train(name, store, folder, **settings):
    chosen = {"stages": STAGES, **TINY[name], "network.side": 16, **settings}
    sets = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
    run("train", name, "--store", store, "--run", folder, "--device", "cpu", *sets)


@pytest.mark.parametrize(("name", "guess"), [("unet", "none"), ("convlstm", "sprog")])
def test_radar_end_to_end(small_store, tmp_path, name, guess):
    train(name, small_store, tmp_path / "run", **{"network.first_guess": guess})
    said = run("forecast", tmp_path / "run", small_store, tmp_path / "f.nc", "--ensemble", 100, "--device", "cpu")
    assert f"{name} is deterministic: one member instead of 100" in " ".join(said.split())
    with xr.open_dataset(tmp_path / "f.nc", decode_timedelta=True) as forecast:
        assert forecast["vil"].sizes["member"] == 1 and forecast["vil"].sizes["lead_time"] == 10
        assert forecast["vil"].max() <= 254
    run("forecast", "persistence", small_store, tmp_path / "p.nc")
    assert "RMSE" in run("verify", tmp_path / "f.nc", small_store, "--reference", tmp_path / "p.nc")
    run("plot", tmp_path / "f.nc", tmp_path / "f.png", "--store", small_store)
    assert (tmp_path / "f.png").stat().st_size > 10_000


def test_an_ensemble_end_to_end(small_store, tmp_path):
    train("mcvd", small_store, tmp_path / "run", **{"network.first_guess": "advection"})
    sampled = ("--ensemble", 3, "--sampler", "ddim", "--sampling-steps", 4, "--device", "cpu")
    run("forecast", tmp_path / "run", small_store, tmp_path / "f.nc", *sampled)
    with xr.open_dataset(tmp_path / "f.nc", decode_timedelta=True) as forecast:
        assert '"sampler": "ddim"' in forecast.attrs["config"] and '"steps": 4' in forecast.attrs["config"]
        assert forecast["vil"].sizes["member"] == 3 and forecast["vil"].sizes["lead_time"] == 10
        assert forecast["vil"].std("member").max() > 0
    assert "fair" in run("verify", tmp_path / "f.nc", small_store)


@pytest.mark.parametrize("name", TINY)
def test_video_end_to_end(footage, tmp_path, name):
    for number, split in enumerate(("train", "test")):
        (tmp_path / "in" / split).mkdir(parents=True)
        footage.video(tmp_path / "in" / split / f"{number}.mkv", footage.frames(20), fps=12)
    store = tmp_path / "v.zarr"
    run("prepare-video", tmp_path / "in", store, "--size", 16, "--split-rule", "folders")
    train(name, store, tmp_path / "run", protocol="kth-128-10-10", **{"network.echo": 0})
    run("forecast", tmp_path / "run", store, tmp_path / "f.nc", "--ensemble", 2, "--device", "cpu")
    members = 2 if name == "mcvd" else 1
    with xr.open_dataset(tmp_path / "f.nc", decode_timedelta=True) as forecast:
        assert forecast["video"].shape == (1, members, 10, 3, 16, 16) and forecast["video"].notnull().all()
    assert "PSNR" in run("verify", tmp_path / "f.nc", store)
