"""The page of a nowcast as a file: what it holds, in whose units, whole, alone and escaped."""

import base64
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nowcast.cli.app import app
from nowcast.report.layers import averaging, codes, ensemble_layers, pack, percents
from nowcast.report.nowcast_page import _notes, write_page
from pipelines.errors import InputError
from pipelines.store.schema import open_store
from pipelines.store.units import COUNTS, QUANTITIES, RAIN_RATE, REFLECTIVITY, from_counts


def unpack(text: str, rows: int, columns: int) -> np.ndarray:
    """What the page's script makes of a layer, row 0 in the north."""
    down = np.frombuffer(zlib.decompress(base64.b64decode(text)), "uint8").reshape(-1, rows, columns)
    return np.cumsum(down, axis=1, dtype="uint8")


def data_of(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8").split('id="data">')[1].split("</script>")[0])


def layer_of(path: Path, name: str) -> np.ndarray:
    data = data_of(path)
    text = re.search(rf'id="layer-{name}">([^<]*)<', path.read_text(encoding="utf-8"))[1]
    return unpack(text, data["height"], data["width"])


def test_a_layer_comes_back_as_it_was():
    fields = np.random.default_rng(0).integers(0, 256, (3, 5, 7), dtype="uint8")
    assert (unpack(pack(list(fields)), 5, 7) == fields[:, ::-1]).all()


def test_codes_are_rounded_and_cut_and_missing_is_255():
    assert codes(np.array([0.4, 0.6, -3, 300, np.nan])).tolist() == [0, 1, 0, 254, 255]


def test_percents_are_none_or_all_only_where_the_members_are():
    shares = np.array([0, 1 / 300, 0.25, 299 / 300, 1, np.nan], "float32")
    assert percents(shares).tolist() == [0, 1, 25, 99, 100, 255]


def test_layers_worked_out_by_hand():
    """Two members, two lead times, one pixel: 10 then 80, and 30 then 30, against 20 counts."""
    ensemble = ensemble_layers(np.array([[10.0, 80.0], [30.0, 30.0]], "float32").reshape(2, 2, 1, 1), [20.0], COUNTS)
    values = {name: unpack(text, 1, 1).ravel().tolist() for name, text in ensemble.layers.items()}
    assert values["mean"] == [20, 55] and values["median"] == [20, 55] and values["q90"] == [28, 75]
    assert values["p0"] == [50, 100] and values["m0"] == [10, 80] and values["m1"] == [30, 30]
    assert unpack(ensemble.onsets[0], 1, 1).ravel().tolist() == [100, 0, 0, 1] and ensemble.held == 2


def test_as_many_members_are_held_as_fit_and_always_one(forecast, tmp_path, monkeypatch):
    members = forecast["vil"].values[0]
    size = [len(pack(list(codes(member)))) for member in members]
    whole = ensemble_layers(members, [74.0], COUNTS)
    for most, held in ((sum(size), 3), (sum(size) - 1, 2), (size[0] + size[1], 2), (size[0] + size[1] - 1, 1), (1, 1)):
        monkeypatch.setattr("nowcast.report.layers._MEMBER_BYTES", most)
        part = ensemble_layers(members, [74.0], COUNTS)
        assert part.held == held and part.onsets == whole.onsets
        kept = {name for name in whole.layers if name not in {"m0", "m1", "m2"}} | {f"m{n}" for n in range(held)}
        assert part.layers == {name: whole.layers[name] for name in kept}
    monkeypatch.setattr("nowcast.report.layers._MEMBER_BYTES", size[0] + size[1])
    page = write_page(forecast, tmp_path / "page.html", case=0)
    assert data_of(page)["members"] == [0, 1] and data_of(page)["size"] == 3
    text = page.read_text(encoding="utf-8")
    assert "The first 2 members can be looked at; all other numbers are of all 3." in text
    assert 'id="layer-m1"' in text and 'id="layer-m2"' not in text


def test_the_mean_of_rain_rates_is_taken_in_mm_per_hour():
    """1 and 9 mm h-1 are 39.5 and 118 counts: their mean of 5 mm h-1 is 97 counts, not 79."""
    members = np.array([39.53, 117.68], "float32").reshape(2, 1, 1, 1)
    means = {q: unpack(ensemble_layers(members, [], q).layers["mean"], 1, 1).item() for q in (RAIN_RATE, COUNTS)}
    assert means == {RAIN_RATE: 97, COUNTS: 79}


@pytest.mark.parametrize(("unit", "said"), [("dBZ", True), ("mm h⁻¹", False)])
def test_the_mean_of_reflectivities_is_one_of_z_and_says_so(unit, said):
    """Half of the Z of 40 dBZ is 36.99 dBZ."""
    known = QUANTITIES[REFLECTIVITY]
    counts = known.to_counts(np.array([-32.0, 40]))[:, None, None, None]
    mean = unpack(ensemble_layers(counts, [], REFLECTIVITY).layers["mean"], 1, 1).item()
    assert mean == np.rint(known.to_counts(np.array([36.99]))[0])
    notes = _notes({"size": 2, "members": [0, 1], "averaged": 1, "unit": unit})
    assert any("mean of Z" in note for note in notes) == said


def test_large_grids_are_averaged():
    assert averaging((20, 10, 710, 640), 3) == 1 and averaging((1, 10, 2000, 2000), 3) == 1
    assert averaging((20, 10, 2000, 2000), 3) == 2  # 9 layers of 40 million pixels, of which a quarter fits


def test_the_wettest_pixel_is_shown_first_and_the_middle_of_a_dry_forecast(forecast, tmp_path):
    dry = forecast.isel(case=[0]).copy(deep=True)
    dry["vil"].values[:] = 0
    assert data_of(write_page(dry, tmp_path / "dry.html"))["place"] == [8, 7]
    dry["vil"].values[0, 1, 2, 3, 12] = 90
    assert data_of(write_page(dry, tmp_path / "wet.html"))["place"] == [12, 12]


def test_an_averaged_page_says_so_and_keeps_its_place(forecast, small_store, tmp_path, monkeypatch):
    """9 layers of 5 lead times of 16 x 16 pixels, of which a ninth fits: 5 x 5 blocks of 3 x 3 pixels."""
    whole = data_of(write_page(forecast, tmp_path / "whole.html", case=0))
    monkeypatch.setattr("nowcast.report.layers._LARGEST", 9 * 5 * 16 * 16 / 9)
    path = write_page(forecast, tmp_path / "page.html", case=0, store=small_store)
    data = data_of(path)
    assert (data["width"], data["height"], data["averaged"]) == (5, 5, 3)
    assert "averaged over 3 × 3 pixels" in path.read_text(encoding="utf-8")
    observed = open_store(small_store)["vil"].values[4, 10, 12:15, 12:15].mean()
    assert layer_of(path, "observed")[5, 0, 4] == np.rint(observed)
    south_west = -data["nodes"]["side"]
    assert data["nodes"]["latitude"][south_west] == whole["nodes"]["latitude"][south_west]
    east = np.array([each["nodes"]["longitude"][-1] - each["nodes"]["longitude"][south_west] for each in (data, whole)])
    assert east[0] / east[1] == pytest.approx(15 / 16, rel=1e-3)


def test_the_past_and_what_was_observed_later_are_there(forecast, small_store, tmp_path):
    page = write_page(forecast, tmp_path / "page.html", store=small_store, case=0, units="counts")
    data = data_of(page)
    assert data["past"] == 5 and data["minutes"] == [-20, -15, -10, -5, 0, 5, 10, 15, 20, 25]
    observed = layer_of(page, "observed")
    truth = open_store(small_store)["vil"].values[4, 5:15]
    assert (observed == codes(truth)[:, ::-1]).all() and (observed[:, -2:, :2] == 255).all()
    assert [threshold["text"] for threshold in data["thresholds"]] == ["≥ 16 counts", "≥ 74 counts", "≥ 133 counts"]


def test_the_page_runs_its_own_script_and_loads_nothing(forecast, tmp_path, check_policy):
    check_policy(write_page(forecast, tmp_path / "page.html", case=1).read_text(encoding="utf-8"))


def test_text_of_files_is_escaped_and_nothing_outside_is_referred_to(forecast, tmp_path, hostile):
    text = write_page(forecast, tmp_path / "page.html", case=1).read_text(encoding="utf-8")
    assert hostile not in text and "<script>alert" not in text and "&lt;/script&gt;" in text
    assert not re.search(r"https?://(?!www.w3.org/2000/svg)|@import|url\(", text) and "default-src 'none'" in text


def test_units_and_thresholds_are_the_forecasts_own_or_those_that_are_asked_for(forecast, tmp_path):
    rates = from_counts(forecast["vil"].assign_attrs(units="1"), RAIN_RATE)
    rated = forecast.drop_vars("vil").assign(rainfall_rate=rates)
    data = data_of(write_page(rated, tmp_path / "a.html", thresholds=["2.5", "35dBZ"]))
    assert data["unit"] == "mm h⁻¹"
    assert [threshold["text"] for threshold in data["thresholds"]] == ["≥ 2.5 mm h⁻¹", "≥ 5.62 mm h⁻¹"]
    same = layer_of(write_page(forecast, tmp_path / "counts.html"), "m1")
    assert np.abs(layer_of(tmp_path / "a.html", "m1").astype(int) - np.where(same <= 5, 0, same)).max() <= 1
    data = data_of(write_page(rated, tmp_path / "b.html", units="dBZ"))
    assert data["unit"] == "dBZ" and data["amounts"][0] == -32


@pytest.mark.parametrize(
    ("options", "said"),
    [({"units": "furlongs"}, "no such units"), ({"thresholds": ["a lot"]}, "no threshold"), ({"case": 7}, "no case 7"),
     ({"thresholds": range(20, 100, 10)}, "too many thresholds")],
)  # fmt: skip
def test_wrong_wishes_are_refused(forecast, tmp_path, options, said):
    with pytest.raises(InputError, match=said):
        write_page(forecast, tmp_path / "page.html", **options)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_one_file_and_does_not_replace_it(forecast, small_store, tmp_path):
    forecast.to_netcdf(tmp_path / "forecast.nc")
    words = ["page", tmp_path / "forecast.nc", "--out", tmp_path / "page.html", "--store", small_store, "--case", "0"]
    words = [*map(str, words), "--threshold", "74"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0 and result.stdout.strip().endswith("page.html")
    again = CliRunner().invoke(app, words)
    assert isinstance(again.exception, InputError) and "--overwrite" in str(again.exception)
