"""`nowcast forecast` and `nowcast models` as they are typed: what is said, what is refused, what is left out."""

import subprocess
import sys
from datetime import datetime

import numpy as np
import pytest
import xarray as xr
import zarr

from nowcast.data.forecast_file import open_forecast
from nowcast.forecasting import forecast as forecast_module
from nowcast.forecasting.forecast import load_forecaster
from nowcast.forecasting.trained_on import day_warning, range_warning, shipped_card
from nowcast.models.checkpoint import SHIPPED, file_hash
from nowcast.models.persistence import Persistence
from nowcast.training.loop import StageRun
from nowcast.training.run import train
from pipelines.errors import InputError
from pipelines.store import schema


def make_store(path, frames, *, empty=(), events=3):
    """A store of tiles of one radar from 2010-08-26T00:00 on; the events of numbers `empty` were never observed."""
    tiles = [
        schema.Event(
            id=f"T{number}",
            time=datetime(2010, 8, 26),
            offsets=tuple(300 * frame for frame in range(frames)),
            proj="+proj=laea +lat_0=52 +lon_0=5 +R=6370997 +units=m",
            corner_x=16_000.0 * number,
            corner_y=0.0,
            split="test",
        )
        for number in range(events)
    ]
    attrs = schema.attributes(
        tiles, protocol="radar-128-10-10", reducer="none", cadence_minutes=5, source_files=["made.h5 1"]
    )
    schema.create(path, tiles, side=16, pixel_m=1000.0, attrs=attrs)
    group = zarr.open_group(path, mode="r+")
    counts = np.random.default_rng(0).integers(0, 255, (events, frames, 16, 16), dtype="uint8")
    counts[list(empty)] = 255
    group["vil"][:] = counts
    group["missing_fraction"][:] = (counts == 255).mean((2, 3))
    return path


def test_a_forecast_ends_with_a_summary_on_standard_error_and_its_path_on_standard_output(
    small_store, tmp_path, nowcast
):
    out = tmp_path / ("a-name-so-long-that-it-does-not-fit-into-one-line-of-eighty-columns" * 2 + ".nc")
    code, text, notes = nowcast("forecast", "persistence", small_store, out)
    assert (code, text) == (0, f"{out}\n")
    assert notes == ("3 cases, init time 2019-06-30 23:45 to 2019-08-01 00:35 UTC, 10 lead times to 50 min, 1 member\n")


def test_a_model_that_is_deterministic_says_that_it_makes_one_member(small_store, tmp_path, nowcast):
    for number, words in enumerate((("--ensemble", 100), ("--ensemble", 1), ())):
        code, _, notes = nowcast("forecast", "advection", small_store, tmp_path / f"{number}.nc", "--limit", 1, *words)
        assert code == 0
        said = "advection is deterministic: one member instead of 100" in notes
        assert said == (number == 0) and open_forecast(tmp_path / f"{number}.nc").sizes["member"] == 1


def test_a_name_of_the_table_wins_over_a_folder_of_that_name(toy_config, small_store, tmp_path, monkeypatch, nowcast):
    monkeypatch.chdir(tmp_path)
    trained = train(toy_config, [small_store], tmp_path / "run", device="cpu").parent
    trained.rename("persistence")
    (tmp_path / "predldm").mkdir()
    assert isinstance(load_forecaster("persistence")[0], Persistence)
    assert load_forecaster("predldm")[1]["checkpoint_sha256"] == file_hash(SHIPPED / "predldm.safetensors")
    for model in ("./persistence", tmp_path / "persistence", (tmp_path / "persistence").relative_to(tmp_path)):
        assert load_forecaster(model)[1]["model"] == "toy"
    code, _, _ = nowcast("forecast", "./persistence", small_store, "toy.nc", "--limit", 1, "--ensemble", 2)
    assert code == 0 and xr.open_dataset("toy.nc").attrs["model"] == "toy"


def test_sampling_options_of_a_model_that_is_not_sampled_are_refused_in_one_place(
    toy_config, small_store, tmp_path, nowcast
):
    run = train(toy_config, [small_store], tmp_path / "run", device="cpu").parent
    for model, options, line in (
        ("persistence", ("--sampling-steps", 3), "the model persistence is not sampled; got --sampling-steps"),
        ("steps", ("--sampler", "ddim"), "the model steps is not sampled; got --sampler"),
        (run, ("--sampler", "ddim", "--sampling-steps", 3),
         "the sampling of toy has no such setting; got --sampler and --sampling-steps; expected one of member_batch, "
         "gain"),
    ):  # fmt: skip
        assert nowcast("forecast", model, small_store, tmp_path / "f.nc", *options) == (2, "", f"nowcast: {line}\n")
    with pytest.raises(InputError, match="the model advection is not sampled; got temperature"):
        load_forecaster("advection", sampling={"temperature": 1.0})


@pytest.fixture
def frames(cf_radar, tmp_path, monkeypatch):
    """Fourteen files of a frame each in the working directory's folder radar, the last four of them in later."""
    monkeypatch.chdir(tmp_path)
    counts = np.random.default_rng(0).integers(6, 254, (14, 32, 40)).astype("float32")
    whole = cf_radar(counts)
    for number in range(14):
        folder = tmp_path / ("radar" if number < 10 else "later")
        folder.mkdir(exist_ok=True)
        name = f"rate_2024070112{5 * number:02}.nc" if number < 12 else f"rate_2024070113{5 * number - 60:02}.nc"
        whole.isel(time=[number]).to_netcdf(folder / name)
    return counts


def test_a_folder_a_wildcard_and_several_files_are_forecast_alike_and_verified_by_later_files(
    frames, tmp_path, nowcast
):
    files = sorted((tmp_path / "radar").iterdir())
    made = "1 case, init time 2024-07-01 12:45 UTC, 10 lead times to 50 min, 1 member\n"
    for number, sources in enumerate((["radar"], files, reversed(files), ["radar/*.nc"])):
        out = f"{number}.nc"
        assert nowcast("forecast", "persistence", *sources, out) == (0, f"{out}\n", made)
    same = [xr.open_dataset(f"{number}.nc").load() for number in range(4)]
    for other in same[1:]:
        xr.testing.assert_identical(other, same[0])
    np.testing.assert_array_equal(same[0]["vil"].values[0, 0, 9], frames[9])
    for later in (["later"], ["later/*.nc"], sorted((tmp_path / "later").iterdir())):
        code, text, _ = nowcast("verify", "0.nc", *later, "--out", "scores.nc", "--overwrite")
        assert code == 0 and "Scored 4 of 10 lead times (+5 min to +20 min): rate ends at 2024-07-01 13:05 UTC." in text
        scores = xr.open_dataset("scores.nc", decode_timedelta=True)
        np.testing.assert_allclose(scores["mae"], np.abs(frames[10:] - frames[9]).mean((1, 2)), rtol=1e-5)
        scores.close()


def test_frames_that_are_broken_or_lacking_are_told_and_missing(frames, tmp_path, nowcast):
    (tmp_path / "radar/rate_202407011220.nc").write_text("")
    (tmp_path / "later/rate_202407011250.nc").rename(tmp_path / "radar/rate_202407011250.nc")
    code, _, notes = nowcast("forecast", "persistence", "radar", "f.nc")
    assert code == 0
    broken, missing, made = notes.splitlines()
    assert broken.startswith("rate_202407011220.nc cannot be read")
    assert missing == "1 of the newest 10 frames of rate is missing: 2024-07-01 12:20 UTC"
    assert made.startswith("1 case, init time 2024-07-01 12:50 UTC")


def test_a_large_forecast_says_how_large_before_it_begins(frames, nowcast, monkeypatch):
    monkeypatch.setattr(forecast_module, "LARGE_GB", 1e-6)
    line = "the forecast holds 2.6e-05 GB before compression: --ensemble, --around or --summary-only make it smaller"
    notes = nowcast("forecast", "persistence", "radar", "f.nc")[2]
    assert line in notes.splitlines()


def test_the_last_of_several_files_is_the_one_to_write(frames, tmp_path, nowcast):
    files = sorted((tmp_path / "radar").iterdir())
    before = files[-1].read_bytes()
    code, _, line = nowcast("forecast", "persistence", *files, "--overwrite")
    assert code == 2 and "rate_202407011245.nc is a file of radar; end with the forecast file" in line
    assert nowcast("forecast", "persistence", "radar/*.nc", files[-1], "--overwrite")[0] == 2
    assert files[-1].read_bytes() == before
    code, _, line = nowcast("forecast", "persistence", *files[:2], "f.nc")
    assert code == 2 and "rate holds 2 frames up to 2024-07-01 12:05 UTC; expected 3 frames or more" in line


def test_a_file_that_is_not_there_is_told_with_what_is_near(small_store, tmp_path, nowcast):
    (tmp_path / "radar.nc").write_text("")
    line = f"nowcast: no store and no file of radar at {tmp_path}/radra.nc, near it: radar.nc\n"
    assert nowcast("forecast", "persistence", tmp_path / "radra.nc", tmp_path / "f.nc") == (2, "", line)


def test_a_store_too_short_to_be_scored_is_forecast_from_its_newest_frames(tmp_path, nowcast):
    store = make_store(tmp_path / "short.zarr", 12, empty=[1])
    told = (
        "forecasting what comes after 2010-08-26 00:55 UTC: the events have 12 frames, and a window that can be scored "
        "needs 20\n"
    )
    made = (
        "1 of 3 events left out: nothing was observed in them\n"
        "2 cases, init time 2010-08-26 00:55 UTC, 10 lead times to 50 min, 1 member\n"
    )
    for name, words, notes in (("f.nc", (), told + made), ("g.nc", ("--init", "2010-08-26T00:55"), made)):
        code, _, said = nowcast("forecast", "persistence", store, tmp_path / name, *words)
        assert (code, said) == (0, notes)
    xr.testing.assert_identical(*(xr.open_dataset(tmp_path / name).load() for name in ("f.nc", "g.nc")))


def test_events_that_are_left_out_are_counted_with_the_reason(small_store, tmp_path, nowcast):
    store = make_store(tmp_path / "long.zarr", 20, empty=[0, 3], events=5)
    group = zarr.open_group(store, mode="r+")
    missing = group["missing_fraction"][:]
    missing[4, 7] = 1
    group["missing_fraction"][:] = missing
    _, _, notes = nowcast("forecast", "persistence", store, tmp_path / "f.nc")
    assert notes.splitlines()[:2] == [
        "2 of 5 events left out: nothing was observed in them",
        "1 of 5 events left out: too many of their frames are missing",
    ]
    _, _, notes = nowcast("forecast", "persistence", store, tmp_path / "g.nc", "--event", "T1")
    assert len(notes.splitlines()) == 1


def test_frames_unlike_those_of_the_training_are_told_once():
    card = shipped_card("predldm")
    assert list(card.minutes) == [4, 6] and list(card.kilometres) == [1, 3]
    shipped = {"model": "predldm", "checkpoint_sha256": file_hash(SHIPPED / "predldm.safetensors")}
    x = np.array([500.0, 1500.0])
    for minutes, pixels in ((5, x), (4, 3 * x), (6, 2 * x), (6, 1.0001 * x)):
        assert range_warning(shipped, minutes, pixels) is None
    for minutes, pixels in ((10, x), (2.5, x), (5, 4 * x), (5, x / 2)):
        warning = range_warning(shipped, minutes, pixels)
        assert warning.startswith("predldm was trained on frames every 4 to 6 minutes, pixels of 1 to 3 km; here")
    assert "every 10 minutes and pixels are 1 km wide" in range_warning(shipped, 10, x)
    assert range_warning({"model": "predldm", "checkpoint_sha256": "of another run"}, 10, x) is None
    assert range_warning({"model": "persistence"}, 10, x) is None


def test_a_day_of_the_training_is_told():
    shipped = {"model": "predldm", "checkpoint_sha256": file_hash(SHIPPED / "predldm.safetensors")}
    trained, other = (np.array([f"2010-08-{day}T01:00"], "datetime64[us]") for day in (26, 27))
    assert day_warning(shipped, np.concatenate([trained, other])) == (
        "predldm was trained on radar of 2010-08-26 (KNMI): scores of such a forecast are no test of it"
    )
    assert day_warning(shipped, other) is None
    assert day_warning({"model": "predldm", "checkpoint_sha256": "of another run"}, trained) is None


def test_a_run_without_a_finished_stage_says_so(toy_config, small_store, tmp_path, monkeypatch, nowcast):
    def stop(self):
        self.save_state()
        raise KeyboardInterrupt

    monkeypatch.setattr(StageRun, "complete", stop)
    with pytest.raises(KeyboardInterrupt):
        train(toy_config, [small_store], tmp_path / "run", device="cpu")
    line = (
        f"nowcast: the run {tmp_path / 'run'} has not finished a stage; got stage gain, step 0; repeat its `nowcast "
        "train` command to resume it\n"
    )
    assert nowcast("forecast", tmp_path / "run", small_store, tmp_path / "f.nc") == (2, "", line)


def test_version_help_and_surplus_arguments(nowcast):
    assert nowcast("--version") == (0, "nowcast 0.1.0\n", "")
    assert nowcast()[:2] == nowcast("--help")[:2] and nowcast()[0] == 0
    for words in (("page", "a", "b"), ("models", "x"), ("info",), ("plto",), ("info", "--nope", "x")):
        code, out, line = nowcast(*words)
        assert code == 2 and not out and line.startswith("nowcast: ") and line.count("\n") == 1, line
        assert "--help`" in line


def test_two_forecasts_into_one_output_at_once_leave_a_whole_one(small_store, tmp_path):
    for suffix in (".nc", ".zarr"):
        out = tmp_path / f"same{suffix}"
        words = ["forecast", "sprog", str(small_store), str(out), "--overwrite"]
        code = [sys.executable, "-c", "from nowcast.cli.app import main; main()", *words]
        both = [subprocess.Popen(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        said = [process.communicate()[1] for process in both]
        codes = sorted(process.returncode for process in both)
        assert codes in ([0, 0], [0, 2]), said
        assert open_forecast(out)["vil"].load().sizes["case"] == 3
        assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []
