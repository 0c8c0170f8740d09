"""Video from the command line: prepared, described, forecast, scored and drawn, in grey and in colour."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.image import imread
from typer.testing import CliRunner

from nowcast.cli import app as cli
from nowcast.cli.info import describe
from nowcast.data.conventions import duration_text, lead_label, time_text
from nowcast.data.windows import find_windows, history_of
from nowcast.models.advection import Advection
from nowcast.models.persistence import Persistence
from nowcast.models.steps import Steps
from nowcast.verification import verify
from pipelines.errors import InputError
from pipelines.store.kind import VIDEO
from pipelines.store.schema import Event, attributes, create, open_pixels, open_store

RED, GREEN, BLUE = range(3)


def run(*words: object) -> str:
    result = CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def kth(footage, tmp_path_factory) -> Path:
    """One clip to train on and one to test, whose frame n is 5 n everywhere, so that persistence is 5 n short."""
    folder = tmp_path_factory.mktemp("kth")
    for person in (1, 17):
        path = folder / "in" / "boxing" / f"person{person:02d}_boxing_d1_uncomp.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        footage.video(path, [np.full((12, 16, 3), 5 * n, np.uint8) for n in range(20)])
    run("prepare-kth", folder / "in", folder / "kth.zarr", "--workers", 1)
    return folder / "kth.zarr"


def made(path: Path, values: np.ndarray, *, fps: float = 10) -> xr.Dataset:
    """A store of one test clip with these values, uint8 with shape (frame, channel, y, x)."""
    names = ("grey",) if values.shape[1] == 1 else ("red", "green", "blue")
    step = round(1e6 / fps)
    offsets = tuple(number * step / 1e6 for number in range(len(values)))
    events = [Event(id="clip/0000", time=datetime(2000, 1, 1), offsets=offsets, split="test")]
    attrs = attributes(
        events,
        protocol="kitti-caltech-128-10-10",
        reducer="square-rgb",
        cadence_minutes=1 / (60 * fps),
        source_files=["clip.avi 1 bytes"],
        kind=VIDEO,
    )
    create(path, events, side=values.shape[-1], channels=names, attrs=attrs)
    open_pixels(path, "r+").array[0] = values
    store = open_store(path)
    return store.assign_coords(missing_fraction=store["missing_fraction"] * 0)


def moving_square() -> np.ndarray:
    """Twenty frames of a red square with texture that moves a pixel a frame to the right, over blue."""
    values = np.zeros((20, 3, 64, 64), np.uint8)
    values[:, BLUE] = 40
    texture = 100 + 150 * np.random.default_rng(0).random((20, 20))
    for frame in range(20):
        values[frame, RED, 20:40, 10 + frame : 30 + frame] = texture
    return values


def test_kth_from_files_to_scores(kth, tmp_path):
    assert "store of 2 clips, 20 frames, 128 x 128 pixels of grey, 0.0% missing\nsplits: test 1, train 1" in run(
        "info", kth
    )
    run("forecast", "persistence", kth, tmp_path / "forecast.nc")
    forecast = xr.open_dataset(tmp_path / "forecast.nc", decode_timedelta=True)
    assert forecast["video"].dims == ("case", "member", "lead_time", "channel", "y", "x")
    assert (forecast["video"] == 45).all()
    assert not {"latitude", "longitude", "proj"} & set(forecast.variables)
    assert forecast["lead_time"].values[0] == np.timedelta64(40, "ms")
    assert forecast["valid_time"].values[0, -1] == np.datetime64("2000-01-01T00:00:00.760")
    printed = run("verify", tmp_path / "forecast.nc", kth, "--out", tmp_path / "scores.nc")
    assert "coverage: 1 of 1 windows of split test; 10 of 10 lead times" in printed
    assert "0.04 s" in printed and "CSI" not in printed
    scores = xr.open_dataset(tmp_path / "scores.nc", decode_timedelta=True)
    errors = 5.0 * np.arange(1, 11)
    np.testing.assert_allclose(scores["mae"], errors)
    np.testing.assert_allclose(scores["mse"], errors**2)
    np.testing.assert_allclose(scores["psnr"], 10 * np.log10(255**2 / errors**2))
    np.testing.assert_allclose(scores["psnr_pooled"], 10 * np.log10(255**2 / (errors**2).mean()))
    truth, constant = 45 + errors, (0.01 * 255) ** 2
    np.testing.assert_allclose(scores["ssim"], (2 * 45 * truth + constant) / (45**2 + truth**2 + constant), rtol=1e-6)
    assert not [name for name in scores if str(name).startswith(("csi", "fss", "brier", "pod"))]
    assert "10 lead times, 0.04 s to 0.4 s" in describe(tmp_path / "scores.nc", everything=True)


def test_a_dry_run_writes_nothing_and_a_video_that_cannot_be_read_ends_with_three(footage, tmp_path):
    (tmp_path / "in").mkdir()
    footage.video(tmp_path / "in" / "good.mkv", footage.frames(20), fps=12)
    (tmp_path / "in" / "bad.mkv").write_bytes(b"no video")
    words = ["prepare-video", str(tmp_path / "in"), str(tmp_path / "v.zarr"), "--size", "16", "--workers", "1"]
    assert "plan: 2 clips of 10 + 10 frames at 12 a second" in run(*words, "--dry-run")
    assert not (tmp_path / "v.zarr").exists()
    result = CliRunner().invoke(cli.app, words, catch_exceptions=False)
    assert (result.exit_code, "1 event could not be read and is missing" in result.output) == (3, True)
    assert "could not be read, missing: 1\n  bad.mkv/0000: " in run("info", tmp_path / "v.zarr")


def test_kitti_in_colour_from_files_to_scores(footage, tmp_path):
    drive = tmp_path / "in" / "2011_09_26" / "2011_09_26_drive_0001_sync" / "image_02" / "data"
    footage.pictures(drive, footage.frames(20))  # red rises by 10 a frame, blue falls, green stays
    run("prepare-kitti", tmp_path / "in", tmp_path / "kitti.zarr")
    assert "128 x 128 pixels of red, green, blue" in run("info", tmp_path / "kitti.zarr")
    run("forecast", "persistence", tmp_path / "kitti.zarr", tmp_path / "f.zarr", "--split", "train")
    run("verify", tmp_path / "f.zarr", tmp_path / "kitti.zarr", "--out", tmp_path / "scores.nc")
    scores = xr.open_dataset(tmp_path / "scores.nc", decode_timedelta=True)
    errors = 10.0 * np.arange(1, 11)
    np.testing.assert_allclose(scores["mae"], errors * 2 / 3)
    np.testing.assert_allclose(scores["mse"], errors**2 * 2 / 3)
    np.testing.assert_allclose(scores["bias"], 0, atol=1e-9)
    run("plot", tmp_path / "f.zarr", tmp_path / "picture.png", "--store", tmp_path / "kitti.zarr")
    picture = np.rint(255 * imread(tmp_path / "picture.png")[..., :3]).astype(int)
    for lead in (1, 4, 7, 10):  # observed above, and the last seen frame in every panel below
        colour = (90 + 10 * lead, 100, 110 - 10 * lead)
        assert (picture == colour).all(axis=2).sum() > 10_000
    assert (picture == (90, 100, 110)).all(axis=2).sum() > 40_000


def test_scores_of_channels_are_those_of_their_pixels_and_ssim_their_mean(tmp_path):
    rng = np.random.default_rng(1)
    values = rng.integers(0, 256, (20, 3, 16, 16), dtype="uint8")
    forecast_values = rng.integers(0, 256, (1, 2, 10, 3, 16, 16)).astype("float32")
    names = ["red", "green", "blue"]
    scores = {}
    for name, pick in {"all": slice(None), **{names[n]: slice(n, n + 1) for n in range(3)}}.items():
        store = made(tmp_path / f"{name}.zarr", values[:, pick])
        times = store["valid_time"].values[0]
        forecast = xr.Dataset(
            {"video": (("case", "member", "lead_time", "channel", "y", "x"), forecast_values[:, :, :, pick])},
            {"event": ("case", ["clip/0000"]), "init_time": ("case", times[[9]]), "lead_time": times[10:] - times[9]},
        )
        scores[name] = verify(forecast, store, samples=0)
    for metric in ("mae", "mse", "crps_fair", "ssim", "bias", "energy"):
        single = np.mean([scores[name][metric].values for name in names], axis=0)
        np.testing.assert_allclose(scores["all"][metric].values, single, rtol=1e-6, err_msg=metric)
    assert not np.allclose(scores["red"]["ssim"], scores["blue"]["ssim"])


def test_the_ranges_of_psnr_and_ssim_are_the_store_s(tmp_path):
    store = made(tmp_path / "v.zarr", np.full((20, 1, 16, 16), 10, np.uint8))
    times = store["valid_time"].values[0]
    forecast = xr.Dataset(
        {"video": (("case", "member", "lead_time", "channel", "y", "x"), np.full((1, 1, 10, 1, 16, 16), 8.0))},
        {"event": ("case", ["clip/0000"]), "init_time": ("case", times[[9]]), "lead_time": times[10:] - times[9]},
    )
    for largest in (255, 100):
        scores = verify(forecast, store.assign_attrs(data_range=largest), samples=0)
        constant = (0.01 * largest) ** 2
        assert scores["psnr_pooled"].item() == pytest.approx(20 * np.log10(largest / 2))
        assert scores["ssim_pooled"].item() == pytest.approx((160 + constant) / (164 + constant))


def test_white_is_seen_and_a_forecast_may_be_white(tmp_path):
    store = made(tmp_path / "v.zarr", np.full((20, 3, 16, 16), 255, np.uint8))
    history = history_of(store, find_windows(store, history=10, lead=10, stride=20), 10)
    leads = np.arange(1, 3) * np.timedelta64(100, "ms")
    assert (Persistence().forecast(history, leads, 1, 0) == 255).all()
    assert (Persistence().forecast(history.assign_attrs(data_range=254), leads, 1, 0) == 254).all()


def test_advection_moves_the_colours_together(tmp_path):
    values = moving_square()
    store = made(tmp_path / "v.zarr", values)
    history = history_of(store, find_windows(store, history=10, lead=10, stride=20), 10)
    leads = np.arange(1, 4) * np.timedelta64(100, "ms")
    moved = Advection().forecast(history, leads, 1, 0).values[0, 0]
    stays = Persistence().forecast(history, leads, 1, 0).values[0, 0]
    error, of_staying = (np.abs(made_of - values[10:13]).mean() for made_of in (moved, stays))
    assert error < of_staying / 2
    np.testing.assert_allclose(moved[:, BLUE], 40)


def test_models_of_radar_refuse_video(tmp_path):
    store = made(tmp_path / "v.zarr", moving_square())
    history = history_of(store, find_windows(store, history=10, lead=10, stride=20), 10)
    with pytest.raises(InputError, match="the model steps forecasts radar, not video"):
        Steps().forecast(history, np.array([np.timedelta64(100, "ms")]), 2, 0)


def test_windows_of_one_second_are_different_cases(tmp_path):
    store = made(tmp_path / "v.zarr", np.zeros((30, 1, 8, 8), np.uint8), fps=30)
    windows = find_windows(store, history=10, lead=10, stride=5)
    keys = [time_text(time) for time in history_of(store, windows, 10)["init_time"].values]
    assert keys == ["2000-01-01T00:00:00.299997", "2000-01-01T00:00:00.466662", "2000-01-01T00:00:00.633327"]


def test_times_in_words():
    assert time_text(np.datetime64("2019-06-01T00:05", "ns")) == "2019-06-01T00:05:00"
    assert [lead_label(np.timedelta64(n, "ms")) for n in (40, 59_999, 300_000)] == ["0.04 s", "59.999 s", "5 min"]
    assert [duration_text(np.timedelta64(n, "ms")) for n in (300_000, 40)] == ["300 seconds", "40000 microseconds"]
