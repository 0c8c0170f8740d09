"""`nowcast at` as it is typed: sentences, tables and files, on storms of known motion."""

import io
import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from rich.console import Console

from nowcast.cli.at import tables
from nowcast.forecasting.forecast import Request, load_forecaster, write_forecast
from pipelines.store.units import RAIN_RATE


@pytest.fixture(scope="module")
def forecast(moving_storm, cf_radar, tmp_path_factory):
    """S-PROG's forecast of one storm that moves east by a pixel of 1 km per frame."""
    folder = tmp_path_factory.mktemp("at")
    counts = moving_storm((20, 32), (1, 0), 20)
    cf_radar(counts).to_netcdf(folder / "radar.nc")
    cf_radar(counts[:10]).to_netcdf(folder / "past.nc")
    model, described = load_forecaster("advection")
    return write_forecast(model, folder / "past.nc", folder / "forecast.nc", Request(), described=described)


def place(forecast, row, column):
    with xr.open_dataset(forecast) as file:
        return ",".join(f"{file[name][0, row, column].item():.6f}" for name in ("latitude", "longitude"))


def test_the_storm_arrives_when_it_should(nowcast, forecast):
    ahead = place(forecast, 32, 45)  # 74 counts are 7.1 pixels from the storm's centre, which is at 29 + lead
    code, text, _ = nowcast("at", forecast, "--point", f"Ahead={ahead}", "--threshold", "74counts")
    lines = text.splitlines()
    assert code == 0 and lines[0] == (
        "Ahead: 74 counts or more within 50 min of 2024-07-01 12:45 UTC, from 13:30, and still at 13:35 UTC."
    )
    assert sum(" +" in line for line in lines[1:]) == 11  # ten lead times and the heading
    assert any(line.split() == ["UTC,", "+min", "median", "5", "to", "95", "%", "P(≥", "74)"] for line in lines)


def test_all_outputs_of_a_folder(nowcast, forecast, tmp_path):
    points, areas = tmp_path / "points.csv", tmp_path / "areas.geojson"
    lat, lon = map(float, place(forecast, 32, 40).split(","))
    points.write_text(f"LON,lat,Name\n{lon},{lat},Weir\n")
    ring = [[lon - 0.05, lat - 0.03], [lon + 0.05, lat - 0.03], [lon + 0.05, lat + 0.03], [lon - 0.05, lat - 0.03]]
    areas.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    words = ["--points", points, "--areas", areas, "--units", "mm/h", "--threshold", "1", "--threshold", "10dBZ"]
    code, text, _ = nowcast("at", forecast, *words, "--store", forecast.parent / "radar.nc", "--out", tmp_path / "out")
    names = ["leads.csv", "places.nc", "plume.png", "thresholds.csv"]
    assert code == 0 and sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert text.splitlines()[-4:] == [str(tmp_path / "out" / name) for name in names]
    leads = pd.read_csv(tmp_path / "out" / "leads.csv")
    assert len(leads) == 30 and leads["name"].unique().tolist() == ["Weir", "area 1"]
    assert np.abs(leads["q50"] - leads["observed"]).max() < 0.5 and leads["observed"].max() > 1
    assert "Weir: 1 mm h⁻¹ or more within" in pd.read_csv(tmp_path / "out" / "thresholds.csv")["sentence"][0]
    with xr.open_dataset(tmp_path / "out" / "places.nc") as file:
        assert file["amount"].dims == ("place", "member", "lead_time") and file["onset"].dtype.kind == "M"
    assert nowcast("at", forecast, *words, "--out", tmp_path / "thresholds.csv")[0] == 0  # a name decides nothing
    assert "lead_minutes" in pd.read_csv(tmp_path / "thresholds.csv")
    code, _, line = nowcast("at", forecast, *words, "--out", tmp_path / "out")
    assert code == 2 and "leads.csv exists; say --overwrite to replace it" in line
    assert nowcast("at", forecast, *words, "--out", tmp_path / "out" / "plume.png", "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no place; expected --point LATITUDE,LONGITUDE, --points CSV or --areas GEOJSON"),
        (["--point", "Bern=46.9,7.4"], "Bern (46.9 N 7.4 E) lies outside of the forecast; got"),
        (["--point", "52.2,10.2", "--out", "a.txt"], "cannot write a.txt; expected a name ending in .csv, .nc or .png"),
        (["--point", "52.2,10.2", "--threshold", "5 furlongs"], "no such units of radar; got 'furlongs'"),
        (["--point", "52.2,10.2", "--case", "1"], "no case 1 in the forecast"),
    ],
)
def test_wrong_use_is_one_line(nowcast, forecast, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    code, text, line = nowcast("at", forecast, *words)
    assert (code, text, line.count("\n")) == (2, "", 1) and said in line
    assert not list(tmp_path.iterdir())


def test_more_answers_than_a_plume_can_show_are_written_without_it(nowcast, forecast, tmp_path):
    points = [word for column in range(20, 33) for word in ("--point", place(forecast, 30, column))]
    code, _, notes = nowcast("at", forecast, *points, "--out", tmp_path / "out")
    assert code == 0 and "no plume of 13 answers; at most 12 can be drawn" in notes
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["leads.csv", "places.nc", "thresholds.csv"]


def test_places_outside_are_left_out_and_the_others_answered(nowcast, forecast, tmp_path):
    points = tmp_path / "points.csv"
    inside = place(forecast, 32, 45).replace(",", ";")
    points.write_text(f"name;lat;lon\nBern;46.9;7.4\nAhead;{inside}\n")
    code, text, notes = nowcast("at", forecast, "--points", points, "--threshold", "74counts")
    assert code == 0 and text.startswith("Ahead: 74 counts or more within")
    left = [line for line in notes.splitlines() if line.startswith("left out: ")]
    assert len(left) == 1 and left[0].startswith("left out: Bern (46.9 N 7.4 E) lies outside of the forecast; got ")


@pytest.fixture
def answered():
    """A place with up to 112.4 mm h-1, answered for many thresholds."""
    rates = np.array([0.00001, 0.0423, 3.456, 28.4, 112.4])
    lead = np.arange(1, 3) * np.timedelta64(5, "m")
    init = np.datetime64("2021-07-04T23:55", "ns")
    levels = [1.0, 2.51234, 5.0, 10.0, 20.0, 40.0]
    return xr.Dataset(
        {
            "amount_quantile": (("quantile", "lead_time"), np.stack([rates, rates[::-1]], 1)),
            "accumulation_quantile": (("quantile", "lead_time"), np.stack([rates, rates * np.nan], 1)),
            "probability": (("threshold", "lead_time"), np.full((6, 2), [0.5, np.nan])),
        },
        {
            "name": "Weir",
            "series": "pixel",
            "init_time": init,
            "lead_time": lead,
            "valid_time": ("lead_time", init + lead),
            "quantile": [0.05, 0.25, 0.5, 0.75, 0.95],
            "threshold": levels,
            "member": range(20),
        },
        {"quantity": RAIN_RATE},
    )


def test_tables_are_as_wide_as_the_screen_and_cut_no_heading(answered):
    lines = []
    for table in tables(answered, 60):
        screen = Console(file=io.StringIO(), width=60)
        screen.print(table)
        lines += screen.file.getvalue().splitlines()
    text = "\n".join(lines)
    assert "…" not in text and max(map(len, lines)) <= 60 and "e+" not in text and "e-" not in text
    for heading in ("median", "5 to 95 %", "mm", "P(≥ 1)", "P(≥ 2.51)", "P(≥ 40)"):
        assert heading in text
    assert sum(line.startswith("2021-07-05 00:00 +5 ") for line in lines) == len(tables(answered, 60)) > 1
    assert len(tables(answered, 200)) == 1
    assert " ".join(text.split()).startswith("Weir, pixel: mm h⁻¹, and mm since 23:55; P: share of 20 members")
    assert "3.5 0 to 112" in " ".join(text.split()) and "nan" not in text and "–" in text
