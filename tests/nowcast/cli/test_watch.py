"""`nowcast watch` as it is typed: one look for cron, its page, and what is refused."""

import re

import numpy as np
import pytest
import xarray as xr

from nowcast.forecasting import watch as loop


@pytest.fixture
def folder(cf_radar, tmp_path):
    """Ten files of a frame each."""
    (tmp_path / "radar").mkdir()
    whole = cf_radar(np.random.default_rng(0).integers(6, 254, (10, 24, 32)).astype("float32"))
    for number in range(10):
        whole.isel(time=[number]).to_netcdf(tmp_path / "radar" / f"rate_2024070112{5 * number:02}.nc")
    return tmp_path / "radar"


def test_one_look_makes_a_forecast_its_page_and_the_links(folder, tmp_path, nowcast):
    out = tmp_path / "out"
    words = ("watch", folder, "--out", out, "--once", "--model", "persistence")
    code, text, notes = nowcast(*words)
    assert (code, text) == (0, f"{out}/forecasts/20240701T124500.nc\n")
    line = "1 case, init time 2024-07-01 12:45 UTC, 10 lead times to 50 min, 1 member"
    assert re.fullmatch(rf"\d\d:\d\d:\d\d {line}\n", notes)
    assert (out / "latest.nc").resolve().name == "20240701T124500.nc"
    assert (out / "latest.html").read_text().startswith("<!DOCTYPE html>")
    code, text, notes = nowcast(*words)
    assert (code, text) == (0, "")
    assert re.fullmatch(r"\d\d:\d\d:\d\d nothing new since 2024-07-01 12:45 UTC\n", notes)


def test_a_square_about_a_place_is_watched(folder, tmp_path, nowcast):
    assert nowcast("forecast", "persistence", folder, tmp_path / "whole.nc")[0] == 0
    with xr.open_dataset(tmp_path / "whole.nc") as whole:
        place = [float(whole[name][0, 12, 16]) for name in ("latitude", "longitude")]
        km = 10 * float(whole["x"].diff("x")[0]) / 1000
    words = ("watch", folder, "--out", tmp_path / "out", "--once", "--model", "persistence", "--around")
    assert nowcast(*words, ",".join(map(str, [*place, km])))[0] == 0
    with xr.open_dataset(tmp_path / "out" / "latest.nc") as part:
        assert (part.sizes["y"], part.sizes["x"]) == (10, 10)
    assert nowcast(*words, "here")[0] == 2


def test_what_is_refused(folder, tmp_path, nowcast):
    for words, line in (
        (("--out", folder / "out"), f"the output {folder}/out lies inside the input {folder}"),
        (("--out", folder), f"the output {folder} is the input {folder}"),
        (("--out", tmp_path / "out", "--every", 0), "Invalid value for '--every'"),
    ):
        code, out, said = nowcast("watch", folder, "--model", "persistence", "--once", *words)
        assert code == 2 and not out and line in said
    code, _, said = nowcast("watch", folder / "*", "--out", folder / "out", "--once")
    assert code == 2 and f"the output {folder}/out lies inside the input {folder}" in said
    for path in sorted(folder.iterdir())[:-2]:
        path.unlink()
    code, out, said = nowcast("watch", folder, "--out", tmp_path / "out", "--model", "persistence", "--once")
    assert code == 2 and "rate holds 2 frames up to 2024-07-01 12:45 UTC; expected 3 frames or more" in said
    for path in folder.iterdir():
        path.unlink()
    code, out, said = nowcast("watch", folder, "--out", tmp_path / "out", "--model", "persistence", "--once")
    assert code == 2 and not out and said.startswith(f"nowcast: no radar file at {folder}; expected a folder, wildcard")


def test_a_loop_that_is_interrupted_says_goodbye(folder, tmp_path, monkeypatch, nowcast):
    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.time, "sleep", interrupted)
    words = ("watch", folder, "--out", tmp_path / "out", "--model", "persistence")
    code, out, said = nowcast(*words)
    assert (code, out, said.strip()) == (130, "", "nowcast: stopped")
