"""`nowcast info`: what is said of a forecast, of names that are nearly right, and of damaged files."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nowcast.cli.info import describe
from nowcast.forecasting.forecast import Request, load_forecaster, write_forecast
from pipelines.errors import InputError


@pytest.fixture(scope="module")
def forecasts(small_store, tmp_path_factory):
    """A forecast of persistence, as NetCDF and as Zarr."""
    model, described = load_forecaster("persistence")
    folder = tmp_path_factory.mktemp("forecasts")
    for name in ("forecast.nc", "forecast.zarr"):
        write_forecast(model, small_store, folder / name, Request(), described=described)
    return folder


@pytest.mark.parametrize("name", ["forecast.nc", "forecast.zarr"])
def test_the_cases_of_a_forecast_are_listed_with_place_and_echo(forecasts, name):
    said = describe(forecasts / name)
    assert said.startswith("nowcast by persistence: case: 3, member: 1, lead_time: 10, y: 16, x: 16\n")
    with xr.open_dataset(forecasts / "forecast.nc") as forecast:
        lat, lon = (forecast[name].values[0, 8, 8] for name in ("latitude", "longitude"))
        first = forecast["vil"].values[0, 0, 0]
    echo = round(100 * (first > 5.5).sum() / np.isfinite(first).sum())
    lines = said.splitlines()
    cases = lines.index("cases: 3")
    assert lines[cases + 1] == f"  0  E4  init 2019-06-30 23:45 UTC  {lat:.2f} N {-lon:.2f} W  echo {echo}%"
    assert [line.split()[:2] for line in lines[cases + 1 : cases + 4]] == [["0", "E4"], ["1", "E5"], ["2", "E5"]]


def test_many_cases_are_cut_unless_all_are_asked_for(forecasts, tmp_path):
    with xr.open_dataset(forecasts / "forecast.nc") as forecast:
        many = forecast.isel(case=[0, 1, 2] * 4)
        many["vil"] = many["vil"].copy(data=np.where(np.arange(12).reshape(-1, 1, 1, 1, 1) == 1, np.nan, many["vil"]))
        many.drop_encoding().to_netcdf(tmp_path / "many.nc")
    said, everything = (describe(tmp_path / "many.nc", everything=all_) for all_ in (False, True))
    assert "cases: 12\n" in said and "\n  9  E4" in said and "\n  10  E5" not in said
    assert "\n  and 2 more: say --all\n" in said
    assert "\n  11  E5" in everything and "say --all" not in everything
    assert said.splitlines()[4].endswith("  no pixel observed")


def test_a_path_that_is_not_there_is_told_with_what_is_near(forecasts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(forecasts / "forecast.nc", tmp_path / "forecast.nc")
    for name, line in (
        ("forcast.nc", "no such file or folder: forcast.nc, near it: forecast.nc"),
        ("./forcast.nc", "no such file or folder: forcast.nc, near it: forecast.nc"),
        ("missing/forecast.nc", "no such file or folder: missing/forecast.nc"),
        ("kht.yaml", "no such file or folder: kht.yaml"),
        ("predlm", "no such file or folder, and no configuration: predlm, near it: predldm"),
    ):
        with pytest.raises(InputError) as refused:
            describe(Path(name))
        assert str(refused.value).startswith(line) and "\n" not in str(refused.value)
    assert describe(Path("demo")).startswith("configuration demo: ")


def damaged(data: bytes, number: int) -> bytes:
    """The bytes of a file, cut or with a block of noise, each number in another way."""
    random = np.random.default_rng(number)
    if number % 3 == 0:
        return data[: random.integers(1, len(data))]
    start = int(random.integers(0, len(data) if number % 3 == 1 else 2000))
    noise = random.integers(0, 256, int(random.integers(1, 300)), dtype="uint8").tobytes()
    return data[:start] + noise + data[start + len(noise) :]


def test_damaged_files_are_described_or_refused_in_one_line(forecasts, tmp_path):
    whole, refused = (forecasts / "forecast.nc").read_bytes(), 0
    for number in range(60):
        (tmp_path / "damaged.nc").write_bytes(damaged(whole, number))
        try:
            describe(tmp_path / "damaged.nc")
        except InputError as error:
            refused += 1
            assert "damaged.nc is damaged, or nothing that nowcast made; got " in str(error)
    assert refused > 20


def test_a_damaged_zarr_is_refused_in_one_line(forecasts, small_store, tmp_path):
    for source, variable in ((forecasts / "forecast.zarr", "vil"), (small_store, "missing_fraction")):
        for number, (pattern, content) in enumerate(
            (("zarr.json", b"{"), (f"{variable}/zarr.json", b"[]"), (f"{variable}/c/**/*", b"noise"))
        ):
            copy = tmp_path / f"{source.stem}-{number}.zarr"
            shutil.copytree(source, copy)
            for file in copy.glob(pattern):
                if file.is_file():
                    file.write_bytes(content)
            with pytest.raises(InputError) as error:
                describe(copy)
            assert "\n" not in str(error.value), (copy, error.value)
