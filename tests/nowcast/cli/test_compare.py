"""`nowcast compare` as it is typed: an answer, tables and one page, with each model in a process of its own."""

import json

import pytest

from pipelines.store.units import QUANTITIES, REFLECTIVITY


@pytest.fixture(scope="module")
def folder(moving_storm, cf_radar, tmp_path_factory):
    """Twenty frames of 32 x 32 pixels in dBZ, one to a file; the storm moves east by a pixel a frame."""
    folder = tmp_path_factory.mktemp("radar")
    counts = moving_storm((5, 16), (1, 0), 20, size=32)
    known = QUANTITIES[REFLECTIVITY]
    frames = cf_radar(known.from_counts(counts), **known.attrs)
    for number in range(20):
        frames.isel(time=[number]).to_netcdf(folder / f"frame_{number:02d}.nc")
    return folder


def test_an_answer_and_one_page_from_a_folder_of_frames(nowcast, folder, tmp_path):
    out = tmp_path / "compared"
    words = ["compare", folder, "--models", "advection", "--reference", "persistence", "--out", out, "--members", "3"]
    code, text, notes = nowcast(*words)
    lines = text.splitlines()
    assert code == 0 and lines[-2:] == [str(out / "scores.nc"), str(out / "index.html")], notes
    assert "1 case of 1 spell of rain" in notes and "All lead times; CRPS in counts" in text
    assert any(line.startswith("advection is better than persistence by") for line in lines)
    assert any("is too few to tell: do not trust the interval, give radar of 10 spells" in line for line in lines)
    page = (out / "index.html").read_text()
    assert '<section id="comparison"' in page and "is too few to tell" in page and "CRPS in counts by lead time" in page
    assert '<a href="nowcast.html">' in page and "reflectivity (dBZ)" in (out / "nowcast.html").read_text()
    assert "16 counts, 17.5 dBZ" in " ".join(text.split())
    costs = [json.loads(file.read_text()) for file in out.glob("forecasts/*/*.json")]
    assert len(costs) == 2 and all(seconds > 0 and 0.05 < memory < 50 for seconds, memory in costs)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "--out", "o"], "no store and no file of radar at nowhere"),
        (["FOLDER", "--out", "o", "--models", "magic"], "no model 'magic'"),
        (["FOLDER", "--out", "o", "--models", "sprog,sprog"], "two models are called sprog"),
        (["FOLDER", "--out", "o", "--models", " , "], "no model; expected names separated by commas"),
        (["FOLDER", "--out", "FOLDER/out"], "the output FOLDER/out lies inside the input FOLDER"),
    ],
)
def test_wrong_use_is_one_line(nowcast, folder, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    code, text, line = nowcast("compare", *(word.replace("FOLDER", str(folder)) for word in words))
    assert (code, text, line.count("\n")) == (2, "", 1) and said.replace("FOLDER", str(folder)) in line
    assert not list(tmp_path.iterdir())
