"""GeoTIFF from files written here by rasterio: numbers by hand, places by its transform."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import InputError
from pipelines.radar.files import product, read_counts, read_header, read_values
from pipelines.store.units import RAIN_RATE, REFLECTIVITY

pytest.importorskip("rasterio", reason="GeoTIFF needs the extra geotiff")


def geotiff(path: Path, raw: np.ndarray, *, crs="EPSG:3035", corner=(4100e3, 2800e3), pixel=1000.0, **about) -> Path:
    """One band, row 0 in the north; `corner` is the north-west one. `affine` places it otherwise."""
    import rasterio
    from rasterio.transform import from_origin

    raw = raw if raw.ndim == 3 else raw[None]
    profile = {"driver": "GTiff", "count": raw.shape[0], "height": raw.shape[1], "width": raw.shape[2]}
    place = {"crs": crs, "transform": about.get("affine", from_origin(*corner, pixel, pixel))}
    with rasterio.open(path, "w", dtype=raw.dtype, nodata=about.get("nodata"), **profile, **place) as file:
        file.write(raw)
        file.update_tags(**about.get("tags", {}))
        if "scale" in about:
            file.scales, file.offsets = [about["scale"]], [about["offset"]]
        if "units" in about:
            file.units = [about["units"]]
    return path


def test_rain_rates_by_hand(tmp_path):
    raw = np.array([[0.0, 1, 2], [3, 4, -9999]], "float32")
    path = geotiff(tmp_path / "sri_202407011205.tif", raw, nodata=-9999.0, units="mm/h")
    header = read_header(path)
    grid = header.grid
    assert (header.quantity, header.times) == (RAIN_RATE, (datetime(2024, 7, 1, 12, 5),))
    assert (grid.west, grid.south, grid.width_m, grid.height_m, grid.rows) == (4100e3, 2798e3, 1000, 1000, 2)
    assert "laea" in grid.proj
    np.testing.assert_array_equal(read_values(path, 0), [[3, 4, np.nan], [0, 1, 2]])
    assert read_counts(path, 0, RAIN_RATE)[0, 2] == 255 and product(path) == "sri"


def test_rows_from_south_to_north_and_a_grid_that_is_turned(tmp_path):
    affine = pytest.importorskip("affine").Affine
    raw = np.array([[3.0, 4, 5], [0, 1, 2]], "float32")
    up = affine(1000, 0, 4100e3, 0, 1000, 2798e3)
    path = geotiff(tmp_path / "sri_202407011205.tif", raw, units="mm/h", affine=up)
    grid = read_header(path).grid
    assert (grid.west, grid.south, grid.height_m) == (4100e3, 2798e3, 1000)
    np.testing.assert_array_equal(read_values(path, 0), raw)
    turned = geotiff(tmp_path / "b_202407011205.tif", raw, units="mm/h", affine=affine(1000, 10, 0, 10, -1000, 0))
    with pytest.raises(InputError, match="its grid is turned"):
        read_header(turned)


def test_packed_reflectivity_known_by_the_name_and_the_time_by_the_tag(tmp_path):
    raw = np.array([[0, 144], [255, 64]], "uint8")
    tags = {"TIFFTAG_DATETIME": "2024:07:01 12:05:00"}
    path = geotiff(tmp_path / "composite_dbz.tiff", raw, nodata=255, scale=0.5, offset=-32.0, tags=tags)
    header = read_header(path)
    assert (header.quantity, header.times) == (REFLECTIVITY, (datetime(2024, 7, 1, 12, 5),))
    np.testing.assert_array_equal(read_values(path, 0), [[np.nan, 0], [-32, 40]])
    assert read_counts(path, 0, REFLECTIVITY).tolist()[0] == [255, 0]


def test_the_name_tells_the_time_better_than_the_tag(tmp_path):
    tags = {"TIFFTAG_DATETIME": "2025:01:01 00:00:00", "units": "mm h-1"}
    path = geotiff(tmp_path / "a_20240701_1205.tif", np.zeros((2, 2), "float32"), tags=tags)
    assert read_header(path).times == (datetime(2024, 7, 1, 12, 5),)


def test_degrees(tmp_path):
    raw = np.zeros((2, 3), "float32")
    path = geotiff(tmp_path / "rate_202407011205.tif", raw, crs="EPSG:4326", corner=(7.0, 46.0), pixel=0.01)
    grid = read_header(path).grid
    assert grid.proj == "+proj=longlat" and (grid.west, grid.south) == pytest.approx((7, 45.98))


def test_feet_and_other_units_of_rain(tmp_path):
    raw = np.full((2, 3), 24, "float32")
    path = geotiff(tmp_path / "a_202407011205.tif", raw, crs="EPSG:2263", corner=(9e5, 2e5), pixel=3000, units="mm/day")
    grid = read_header(path).grid
    assert (grid.width_m, grid.west) == pytest.approx((914.4018, 9e5 * 1200 / 3937))  # of US survey feet
    assert read_values(path, 0) == pytest.approx(np.ones((2, 3)))


@pytest.mark.parametrize(
    ("name", "about", "reason"),
    [
        ("rate_202407011205.tif", {"crs": None}, "it has no projection; set one"),
        ("a_202407011205.tif", {}, "it is not known as radar; got units none; expected mm/h or dBZ; set the unit"),
        ("rate.tif", {}, "it has no time; expected one in its name"),
        (
            "rate_202407011205.tif",
            {"raw": np.zeros((3, 2, 2), "float32")},
            "it has 3 bands; expected one, a frame per file",
        ),
        ("rate_202407011205.tif", {"units": "K"}, "it is not known as radar; got units K"),
    ],
)
def test_others_are_refused(tmp_path, name, about, reason):
    raw = about.pop("raw", np.zeros((2, 2), "float32"))
    with pytest.raises(InputError, match=reason):
        read_header(geotiff(tmp_path / name, raw, **about))


def test_no_tiff_is_one_line(tmp_path):
    path = tmp_path / "rate_202407011205.tif"
    path.write_bytes(b"II*\0 and nothing else")
    with pytest.raises(InputError, match=r"^rate_202407011205\.tif cannot be read: ") as caught:
        read_header(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["RATE", "rainrate", "rain_rate_1km", "precip-rate", "RZC_mmh"])
def test_a_name_tells_a_rate(tmp_path, name):
    path = geotiff(tmp_path / f"{name}_202407011205.tif", np.ones((2, 2), "float32"))
    assert read_header(path).quantity == RAIN_RATE


@pytest.mark.parametrize("name", ["calibrated_QPE", "integrated", "rates"])
def test_a_word_that_holds_another_tells_nothing(tmp_path, name):
    with pytest.raises(InputError, match="it is not known as radar; got units none"):
        read_header(geotiff(tmp_path / f"{name}_202407011205.tif", np.ones((2, 2), "float32")))
