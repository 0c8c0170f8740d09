"""`nowcast info` of files of radar: what was understood, by hand, and what would be refused."""

import numpy as np
import pytest
import xarray as xr
from pyproj import Proj

from nowcast.cli.info import describe
from pipelines.errors import InputError
from pipelines.store.units import counts_to_rain_rate

PROJ = "+proj=laea +lat_0=52 +lon_0=10 +R=6371000 +units=m"  # of cf_radar


@pytest.fixture
def folder(cf_radar, tmp_path):
    """Files of a frame each, 20 x 30 pixels: number 4 lacking, 8 broken, a quarter of number 2 missing."""
    counts = np.full((14, 20, 30), 20.0)
    counts[13, 7, 8], counts[2, :10, :15] = 121.0, np.nan
    whole = cf_radar(counts)
    for number in set(range(14)) - {4}:
        whole.isel(time=[number]).to_netcdf(tmp_path / f"echo_2024070112{number:02}.nc")
    (tmp_path / "echo_202407011208.nc").write_text("")
    return tmp_path


def test_a_folder_in_words(folder):
    west, south, east, north = 4000, -2000, 34000, 18000
    corners = [
        "{} {:.3f} N {:.3f} E".format(name, *reversed(Proj(PROJ)(x, y, inverse=True)))
        for name, x, y in (("south-west", west, south), ("south-east", east, south), ("north-east", east, north),
                           ("north-west", west, north))
    ]  # fmt: skip
    lines = describe(folder).splitlines()
    assert lines[:3] == [
        "radar echo: 12 frames in 12 files",
        "quantity: SEVIR counts",
        "grid: 20 x 30 pixels (rows x columns) of 1000 x 1000 m",
    ]
    assert lines[3].startswith("projection: +proj=laea +lat_0=52 +lon_0=10")
    assert lines[4] == f"corners: {', '.join(corners)}"
    assert lines[5:9] == [
        "refused by prepare-radar and by the models that come trained: 20 x 30 pixels, 128 x 128 are needed",
        "times: 2024-07-01 12:00 to 2024-07-01 13:05 UTC, every 5 minutes",
        "gaps: 2 frames lacking: 1 after 2024-07-01 12:15, 1 after 2024-07-01 12:35",
        "values of the newest 10 frames: largest 121 counts, 2.5% of pixels missing",
    ]
    assert lines[9] == "cannot be used, missing: 1" and "echo_202407011208.nc cannot be read" in lines[10]
    assert lines[11] == "forecast: starts from 2024-07-01 13:05 UTC"
    assert lines[12:14] == [
        lines[10],
        "  2 of the newest 10 frames of echo are missing: 2024-07-01 12:20, 2024-07-01 12:40 UTC",
    ]
    assert "values of the 12 frames: largest 121 counts, 2.1% of pixels missing" in describe(folder, everything=True)
    assert describe(folder / "echo*.nc") == describe(folder)


def test_a_file_in_its_unit(cf_radar, tmp_path):
    counts = np.full((2, 130, 140), 74.0)
    rate = cf_radar(counts_to_rain_rate(counts), units="mm h-1", standard_name="rainfall_rate").rename(vil="rr")
    rate.to_netcdf(tmp_path / "now.nc")
    said = describe(tmp_path / "now.nc")
    most = counts_to_rain_rate(np.array([74.0]))[0]
    assert said.startswith("radar now.nc: 2 frames in 1 file\nquantity: rain rate in mm h-1\n")
    assert f"values of the 2 frames: largest {most:.4g} mm h⁻¹ (74 counts), 0.0% of pixels missing\n" in said
    assert "refused by prepare-radar" not in said
    assert said.splitlines()[-1].startswith("forecast: refused: now.nc holds 2 frames up to 2024-07-01 12:05 UTC")
    (rate * 0 - 32).assign(crs=rate["crs"]).map(lambda v: v.assign_attrs(rate[v.name].attrs)).to_netcdf(
        tmp_path / "dbz.nc"
    )
    said = describe(tmp_path / "dbz.nc")
    assert "values of the 2 frames: refused by all commands: " in said and "expected 0 to 5000" in said


def test_latitudes_and_longitudes_and_pixels_that_are_not_square(cf_radar, tmp_path):
    whole = cf_radar(np.zeros((10, 30, 40)))
    degrees = {"lat": ("y", 50 + 0.02 * np.arange(30), {"units": "degrees_north"}),
               "lon": ("x", 5 + 0.03 * np.arange(40), {"units": "degrees_east"})}  # fmt: skip
    flat = whole.drop_vars(["x", "y", "crs"]).assign_coords(degrees).swap_dims(y="lat", x="lon")
    flat["vil"].attrs.pop("grid_mapping")
    flat.to_netcdf(tmp_path / "degrees.nc")
    said = describe(tmp_path / "degrees.nc")
    assert "grid: 30 x 40 pixels (rows x columns) of 0.02 x 0.03 degrees\nprojection: +proj=longlat\n" in said
    assert "corners: south-west 49.990 N 4.985 E, south-east 49.990 N 6.185 E, north-east 50.590 N 6.185 E" in said
    assert " square pixels of 2 km\n" in said and ": largest 0 counts, 0.0% of pixels missing" in said
    whole.assign_coords(y=("y", 500 * np.arange(30.0), whole["y"].attrs)).to_netcdf(tmp_path / "tall.nc")
    said = describe(tmp_path / "tall.nc")
    assert "refused by all commands: pixels are not square; got 1000 x 500 m" in said
    assert said.splitlines()[-1].startswith("forecast: refused: pixels are not square")


def test_several_products_and_what_is_no_radar(cf_radar, tmp_path):
    for name in ("rate", "echo"):
        cf_radar(np.zeros((1, 20, 30))).to_netcdf(tmp_path / f"{name}_202407011200.nc")
    said = describe(tmp_path)
    assert "radar echo: 1 frame in 1 file" in said and "radar rate: 1 frame in 1 file" in said
    assert "time: 2024-07-01 12:00 UTC" in said
    assert said.splitlines()[-1].startswith("forecast: refused: the files are of several products; got echo, rate")
    cf_radar(np.zeros((1, 20, 30)), units="K").rename(vil="t2m").to_netcdf(tmp_path / "warm.nc")
    assert "\nnot read as radar: warm.nc cannot be read: 0 of its variables t2m" in describe(tmp_path / "warm.nc")
    for path, words in ((tmp_path / "*.h5", "no radar file at"), (tmp_path / "empty", "no radar file at")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=words):
            describe(path)


def test_a_zarr_of_radar(cf_radar, tmp_path):
    cf_radar(np.zeros((2, 20, 30))).to_zarr(tmp_path / "archive.zarr", consolidated=False)
    assert describe(tmp_path / "archive.zarr").startswith("radar archive.zarr: 2 frames in 1 file\n")
    xr.Dataset({"a": 1}).to_zarr(tmp_path / "other.zarr", consolidated=False)
    with pytest.raises(InputError, match=r"other\.zarr cannot be read: 0 of its variables a are radar"):
        describe(tmp_path / "other.zarr")


def test_several_files_are_described_as_one_series(folder, nowcast):
    code, said, _ = nowcast("info", *sorted(folder.glob("echo*.nc")))
    assert code == 0 and said.rstrip("\n") == describe(folder)
