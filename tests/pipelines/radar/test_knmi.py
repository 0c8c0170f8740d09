"""KNMI HDF5 read from small files written here by its specification, numbers by hand."""

from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipelines.errors import InputError
from pipelines.radar.files import read_counts, read_header, read_values
from pipelines.store.units import RAIN_RATE, REFLECTIVITY


def write_knmi(path: Path, raw: np.ndarray, formula: str, parameter: str, missing: int) -> Path:
    with h5py.File(path, "w") as file:
        file.create_group("overview").attrs.update(
            {
                "product_datetime_start": np.array([b"25-AUG-2010;23:55:00.000"]),
                "product_datetime_end": np.array([b"26-AUG-2010;00:00:00.000"]),
            }
        )
        file.create_group("geographic").attrs.update(
            {
                "geo_dim_pixel": "KM,KM",
                "geo_pixel_size_x": np.array([1.0]),
                "geo_pixel_size_y": np.array([-1.0]),
                "geo_number_rows": np.array([raw.shape[0]]),
                "geo_number_columns": np.array([raw.shape[1]]),
                "geo_row_offset": np.array([3650.0]),
                "geo_column_offset": np.array([10.0]),
            }
        )
        proj = "+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +a=6378.14 +b=6356.75 +x_0=0 y_0=0"
        file.create_group("geographic/map_projection").attrs["projection_proj4_params"] = proj
        file.create_group("image1").attrs["image_geo_parameter"] = parameter
        file["image1/image_data"] = raw
        file.create_group("image1/calibration").attrs.update(
            {
                "calibration_formulas": formula,
                "calibration_missing_data": np.array([missing]),
                "calibration_out_of_image": np.array([missing]),
            }
        )
    return path


def test_knmi_by_hand(tmp_path):
    raw = np.array([[0, 65535], [10, 200]], np.uint16)
    path = write_knmi(tmp_path / "k.h5", raw, "GEO=0.01*PV+0.0", "ACCUMULATED_PRECIPITATION_[MM]", 65535)
    header = read_header(path)
    assert header.quantity == RAIN_RATE
    assert header.times == (datetime(2010, 8, 26),)
    grid = header.grid
    assert (grid.west, grid.south, grid.width_m, grid.height_m) == (10_000, -3_652_000, 1000, 1000)
    assert {"+a=6378140", "+b=6356750", "+y_0=0", "+units=m"} <= set(grid.proj.split())
    np.testing.assert_allclose(read_values(path, 0), [[1.2, 24], [0, np.nan]], rtol=1e-6)  # 0.1 mm in five minutes


def test_knmi_pixels_out_of_the_image_are_missing_too(tmp_path):
    raw = np.array([[254, 80, 255]], np.uint8)
    path = write_knmi(tmp_path / "k.h5", raw, "GEO = 0.5 * PV + -32.0", "REFLECTIVITY_[DBZ]", 255)
    with h5py.File(path, "a") as file:
        file["image1/calibration"].attrs["calibration_out_of_image"] = np.array([254])
    np.testing.assert_array_equal(read_values(path, 0), [[np.nan, 8, np.nan]])


def test_knmi_reflectivity(tmp_path):
    raw = np.array([[0, 80, 255]], np.uint8)
    path = write_knmi(tmp_path / "k.h5", raw, "GEO = 0.500000 * PV + -32.000000", "REFLECTIVITY_[DBZ]", 255)
    assert read_header(path).quantity == REFLECTIVITY
    np.testing.assert_array_equal(read_values(path, 0), [[-32, 8, np.nan]])


def test_a_forecast_of_several_images_is_refused(tmp_path):
    raw = np.array([[0, 10]], np.uint16)
    path = write_knmi(tmp_path / "k.h5", raw, "GEO=0.01*PV+0.0", "PRECIP_[MM]", 65535)
    with h5py.File(path, "a") as file:
        file.copy("image1", "image2")
        file["image2"].attrs["image_geo_parameter"] = "QUALITY_[-]"
    assert read_values(path, 0)[0, 1] == pytest.approx(1.2)  # an image of something else is no forecast
    with h5py.File(path, "a") as file:
        for number in range(3, 27):
            file.copy("image1", f"image{number}")
    for read in (read_header, lambda path: read_values(path, 0)):
        with pytest.raises(InputError, match=r"k\.h5 cannot be read: it holds 25 images of PRECIP_\[MM\]"):
            read(path)


def test_units_in_small_letters_are_read_and_others_are_named(tmp_path):
    raw = np.array([[10]], np.uint16)
    path = write_knmi(tmp_path / "k.h5", raw, "GEO=0.01*PV+0.0", "precip [mm]", 65535)
    assert read_values(path, 0)[0, 0] == pytest.approx(1.2)
    path = write_knmi(tmp_path / "h.h5", raw, "GEO=0.01*PV+0.0", "ECHOTOP_[KM]", 65535)
    with pytest.raises(InputError, match=r"its parameter 'ECHOTOP_\[KM\]' is not read; expected one in \[MM\]"):
        read_header(path)


def test_codes_that_nothing_marks_are_never_dry(tmp_path):
    raw = np.array([[-999, 0, 10, 20]], np.int16)
    path = write_knmi(tmp_path / "k.h5", raw, "GEO=0.01*PV+0.0", "PRECIP_[MM/H]", 65535)
    with pytest.raises(InputError, match=r"k\.h5: rain rate in mm h-1 cannot be -9\.99; got 25\.0% of pixels"):
        read_counts(path, 0, RAIN_RATE)


@pytest.mark.parametrize(("axes", "shift"), [("+a=6378.14 +b=6356.75", "543"), ("+a=6378140 +b=6356750", "543000")])
def test_lengths_of_the_projection_in_either_unit(tmp_path, axes, shift):
    """The earth tells which: pixels are counted in kilometres in both."""
    path = write_knmi(tmp_path / "k.h5", np.zeros((2, 2), np.uint16), "GEO=0.01*PV+0.0", "PRECIP_[MM]", 65535)
    with h5py.File(path, "a") as file:
        proj = f"+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 {axes} +x_0={shift} +y_0=0"
        file["geographic/map_projection"].attrs["projection_proj4_params"] = proj
    grid = read_header(path).grid
    assert {"+a=6378140", "+b=6356750", "+x_0=543000", "+units=m"} <= set(grid.proj.split())
    assert (grid.west, grid.width_m) == (10_000, 1000)
