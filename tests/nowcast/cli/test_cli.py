"""The commands as a user types them: exit codes, single lines, and nothing left behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

from nowcast.cli import app as cli
from pipelines.simulation.storms import simulate_archive
from pipelines.store.whole import exclusive


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return simulate_archive(tmp_path_factory.mktemp("sevir") / "archive", events=4, seed=3)


@pytest.fixture(scope="module")
def prepared(archive, tmp_path_factory, nowcast):
    store = tmp_path_factory.mktemp("store") / "sevir.zarr"
    assert nowcast("prepare-sevir", archive, store)[0] == 0
    return store


def refuse(monkeypatch, capsys, *words):
    """The line of a command that is wrong, in this process."""
    monkeypatch.setattr(sys, "argv", ["nowcast", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    captured = capsys.readouterr()
    assert stopped.value.code == 2, captured
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("nowcast: "), captured.err
    return lines[0]


def test_the_chain_on_a_simulated_archive(archive, tmp_path, nowcast):
    store, forecast, scores, picture = (tmp_path / n for n in ("s.zarr", "f.nc", "scores.nc", "map.png"))
    commands = [
        ("prepare-sevir", archive, store),
        ("info", store),
        ("forecast", "advection", store, forecast, "--limit", 1),
        ("info", forecast),
        ("verify", forecast, store, "--out", scores),
        ("info", scores),
        ("plot", forecast, picture, "--store", store),
    ]
    for command in commands:
        code, out, err = nowcast(*command)
        assert code == 0, (command, out, err)
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert np.isfinite(xr.open_dataset(scores)["crps_fair_pooled"])


def test_train_and_forecast_with_predldm(prepared, tmp_path, nowcast):
    out, forecast = tmp_path / "run", tmp_path / "f.nc"
    short = [w for stage in ("autoencoder", "diffusion") for w in ("--set", f"stages.{stage}.steps=2")]
    commands = [
        ("train", "demo", "--store", prepared, "--run", out, *short, "--set", "stages.diffusion.batch=1"),
        ("info", out),
        ("forecast", out, prepared, forecast, "--ensemble", 3, "--sampling-steps", 2, "--limit", 1),
        ("verify", forecast, prepared),
    ]
    for command in commands:
        code, text, err = nowcast(*command)
        assert code == 0, (command, text, err)
    written = xr.open_dataset(forecast)
    assert written.sizes["member"] == 3 and (written["vil"][0, 0] != written["vil"][0, 1]).any()
    assert '"steps": 2' in written.attrs["config"]


def test_prepare_twice_does_nothing_the_second_time(archive, prepared, nowcast):
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*")}
    assert nowcast("prepare-sevir", archive, prepared)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in prepared.rglob("*")} == before


def test_info_counts_the_parameters_of_a_configuration():
    listed = CliRunner().invoke(cli.app, ["info", "demo"]).stdout
    assert "parameters: " in listed and "denoiser: " in listed


def test_no_catalog(monkeypatch, capsys, tmp_path):
    line = refuse(monkeypatch, capsys, "prepare-sevir", tmp_path, tmp_path / "s.zarr")
    assert f"{tmp_path}/CATALOG.csv" in line and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("column", "value", "word"),
    [
        ("file_name", "vil/2018/gone.h5", "gone.h5"),
        ("file_name", "../../outside.h5", "outside.h5"),
        ("file_index", 99, "99"),
    ],
)
def test_a_faulty_catalog_row(monkeypatch, capsys, archive, tmp_path, column, value, word):
    rows = pd.read_csv(archive / "CATALOG.csv", dtype=str, keep_default_na=False)
    rows.loc[0, column] = str(value)
    rows.to_csv(tmp_path / "catalog.csv", index=False)
    store = tmp_path / "s.zarr"
    line = refuse(monkeypatch, capsys, "prepare-sevir", archive, store, "--catalog", tmp_path / "catalog.csv")
    assert word in line and [path.name for path in tmp_path.iterdir()] == ["catalog.csv"]


def test_a_truncated_file(monkeypatch, capsys, archive, tmp_path):
    copy = tmp_path / "archive"
    shutil.copytree(archive, copy)
    file = next(copy.rglob("*.h5"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
    with pytest.raises(OSError):
        h5py.File(file)
    line = refuse(monkeypatch, capsys, "prepare-sevir", copy, tmp_path / "s.zarr")
    assert file.name in line and [path.name for path in tmp_path.iterdir()] == ["archive"]


def test_a_store_of_another_schema(monkeypatch, capsys, tmp_path):
    old = xr.Dataset({"vil": (("a", "b"), np.zeros((2, 2)))}, attrs={"schema": "nowcast-archive", "schema_version": 0})
    old.to_zarr(tmp_path / "s.zarr", consolidated=False)
    line = refuse(monkeypatch, capsys, "forecast", "persistence", tmp_path / "s.zarr", tmp_path / "f.nc")
    assert "another schema" in line and not (tmp_path / "f.nc").exists()


def test_wrong_words_of_every_command(monkeypatch, capsys, prepared, tmp_path):
    cases = [
        (("forecast", "persistence", prepared, tmp_path / "f.nc", "--event", "NOPE"), "NOPE"),
        (("forecast", "persistence", prepared, tmp_path / "f.nc", "--init", "1999-01-01T00:00"), "1999-01-01"),
        (("forecast", "no-such-model", prepared, tmp_path / "f.nc"), "no-such-model"),
        (("forecast", "persistence", tmp_path / "no.zarr", tmp_path / "f.nc"), "no.zarr"),
        (("train", "demo", "--store", prepared, "--run", tmp_path / "run", "--set", "speed=1"), "speed"),
        (("train", "no-such", "--store", prepared, "--run", tmp_path / "run"), "no-such"),
        (("verify", tmp_path / "f.nc", prepared), "f.nc"),
        (("plot", tmp_path / "f.nc", tmp_path / "map.png"), "f.nc"),
        (("info", tmp_path / "nothing"), "nothing"),
        (("info", __file__), "nothing that nowcast made"),
        (
            ("forecast", "steps", prepared, tmp_path / "f.nc", "--sampling-steps", 3),
            "not sampled; got --sampling-steps",
        ),
        (("forecast", "persistence", prepared, tmp_path / "f.nc", "--sampling-steps", 3), "not sampled; got --samp"),
        (("forecast", "predldm", prepared, tmp_path / "f.nc", "--device", "tpu"), "got tpu; expected cpu"),
        (("forecast", "persistence", prepared, tmp_path / "f.nc", "--device", "tpu"), "got tpu; expected cpu"),
        (("merge-sums", tmp_path / "no.nc", "--out", tmp_path / "scores.txt"), "scores.txt"),
        (("train", "demo", "--store", prepared, "--run", tmp_path / "run", "--set", "seed=-1"), "seed"),
        (("forecast", "persistence", prepared, Path(__file__) / "f.nc", "--limit", 1), "exists"),
    ]
    for words, word in cases:
        assert word in refuse(monkeypatch, capsys, *words)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_exists(monkeypatch, capsys, prepared, tmp_path, nowcast):
    for name in ("f.nc", "scores.nc", "map.png"):
        (tmp_path / name).write_text("mine")
    real = tmp_path / "real.nc"
    assert nowcast("forecast", "persistence", prepared, real, "--limit", 1)[0] == 0
    commands = {
        "f.nc": ("forecast", "persistence", prepared, tmp_path / "f.nc"),
        "scores.nc": ("verify", real, prepared, "--out", tmp_path / "scores.nc"),
        "map.png": ("plot", real, tmp_path / "map.png"),
    }
    for name, words in commands.items():
        assert "--overwrite" in refuse(monkeypatch, capsys, *words)
        assert (tmp_path / name).read_text() == "mine"


def test_no_command_replaces_one_of_its_inputs(monkeypatch, capsys, archive, prepared, tmp_path, nowcast):
    forecast, copy, run_folder = tmp_path / "f.nc", tmp_path / "archive", tmp_path / "run"
    assert nowcast("forecast", "persistence", prepared, forecast, "--limit", 1)[0] == 0
    shutil.copytree(archive, copy)
    run_folder.mkdir()
    (run_folder / "model.safetensors").write_text("mine")

    def contents():
        files = [path for folder in (tmp_path, prepared) for path in folder.rglob("*") if path.is_file()]
        return {path: path.read_bytes() for path in files}

    before = contents()
    for words in (
        ("forecast", "persistence", forecast, forecast),
        ("forecast", "persistence", prepared, prepared / "f.nc"),
        ("verify", forecast, prepared, "--out", forecast),
        ("verify", forecast, prepared, "--sums", forecast),
        ("verify", forecast, prepared, "--report", prepared),
        ("verify", tmp_path / "other.nc", prepared, "--reference", forecast, "--out", forecast),
        ("merge-sums", forecast, "--out", forecast),
        ("plot", forecast, forecast),
        ("plot", forecast, prepared / "map.png", "--store", prepared),
        ("animate", forecast, forecast),
        ("train", "demo", "--store", prepared, "--run", prepared),
        ("train", "demo", "--store", prepared, "--run", run_folder, "--init", run_folder),
        ("prepare-sevir", copy, copy),
        ("prepare-radar", forecast, tmp_path),
        ("prepare-kth", copy / "data", copy),
        ("prepare-kitti", tmp_path / "other", copy, "--caltech", copy),
        ("prepare-video", copy, copy),
    ):
        line = refuse(monkeypatch, capsys, *words, "--overwrite")
        assert "the output" in line and "the input" in line, (words, line)
    assert contents() == before


def test_an_output_that_another_command_is_writing(monkeypatch, capsys, archive, prepared, tmp_path, nowcast):
    real = tmp_path / "real.nc"
    assert nowcast("forecast", "persistence", prepared, real, "--limit", 1, "--ensemble", 2)[0] == 0
    commands = {
        "f.nc": ("forecast", "persistence", prepared, "f.nc", "--limit", 1, "--overwrite"),
        "f.zarr": ("forecast", "steps", prepared, "f.zarr", "--limit", 1, "--ensemble", 2, "--summary-only"),
        "s.zarr": ("prepare-sevir", archive, "s.zarr", "--limit", 1),
        "scores.nc": ("verify", real, prepared, "--out", "scores.nc", "--overwrite"),
        "map.png": ("plot", real, "map.png", "--overwrite"),
        "simulated": ("simulate-sevir", "simulated", "--events", 1),
    }
    monkeypatch.chdir(tmp_path)
    for name, words in commands.items():
        with exclusive(Path(name)):
            assert f"{name} is being written by another command" in refuse(monkeypatch, capsys, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["real.nc"]


@pytest.mark.parametrize("name", ["mine.nc", "mine.zarr"])
def test_a_folder_that_is_no_forecast_is_never_replaced(monkeypatch, capsys, prepared, tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.tex").write_text("mine")
    words = ("forecast", "persistence", prepared, tmp_path / name, "--limit", 1, "--overwrite")
    assert "exists and is not a forecast" in refuse(monkeypatch, capsys, *words)
    assert (tmp_path / name / "thesis.tex").read_text() == "mine"


def test_a_store_with_a_damaged_chunk(monkeypatch, capsys, prepared, tmp_path, nowcast):
    store, forecast = tmp_path / "damaged.zarr", tmp_path / "f.nc"
    shutil.copytree(prepared, store)
    assert nowcast("forecast", "persistence", store, forecast, "--limit", 1, "--ensemble", 2)[0] == 0
    for shard in (store / "vil" / "c").rglob("*"):
        if shard.is_file():
            shard.write_bytes(shard.read_bytes()[:1000])
    before = sorted(tmp_path.rglob("*"))
    for words in (
        ("forecast", "persistence", store, tmp_path / "g.nc", "--limit", 1),
        ("verify", forecast, store),
        ("train", "demo", "--store", store, "--run", tmp_path / "run"),
    ):
        line = refuse(monkeypatch, capsys, *words)
        assert "damaged.zarr cannot be read; got" in line and "remove it and make it again" in line
    assert [path for path in sorted(tmp_path.rglob("*")) if "run" not in path.parts] == before


@pytest.mark.parametrize("wrong", [("--limit", "0"), ("--limit", "-1"), ("--seed", "-1"), ("--ensemble", "0")])
def test_numbers_out_of_range(prepared, tmp_path, wrong, nowcast):
    code, _, err = nowcast("forecast", "persistence", prepared, tmp_path / "f.nc", *wrong)
    assert code == 2 and wrong[0] in err and "greater than or equal" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("option", "name"), [("--out", "taken.nc"), ("--sums", "taken.nc"), ("--out", "scores.txt")])
def test_a_score_file_that_cannot_be_is_refused_before_anything_is_scored(
    monkeypatch, capsys, prepared, tmp_path, option, name
):
    (tmp_path / "taken.nc").write_text("mine")
    assert name in refuse(monkeypatch, capsys, "verify", tmp_path / "no.nc", prepared, option, tmp_path / name)


def test_debug_shows_the_traceback(tmp_path):
    words = ("--debug", "info", tmp_path / "nothing")
    command = [sys.executable, "-c", "from nowcast.cli.app import main; main()", *words]
    done = subprocess.run(command, capture_output=True)
    assert done.returncode != 0 and b"Traceback" in done.stderr


def test_an_unforeseen_error_is_one_line_and_exit_code_one(monkeypatch, capsys, prepared, tmp_path):
    from nowcast.models.persistence import Persistence

    monkeypatch.setattr(Persistence, "predict", lambda *args: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["nowcast", "forecast", "persistence", str(prepared), str(tmp_path / "f.nc")])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("nowcast: ZeroDivisionError")


def test_threads_that_wait_leave_their_cores_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.setattr("sys.argv", ["nowcast", "--version"])
    for said, used in ((None, "PASSIVE"), ("ACTIVE", "ACTIVE")):
        monkeypatch.setenv("OMP_WAIT_POLICY", said or "")
        if said is None:
            monkeypatch.delenv("OMP_WAIT_POLICY")
        with pytest.raises(SystemExit):
            cli.main()
        assert os.environ["OMP_WAIT_POLICY"] == used
