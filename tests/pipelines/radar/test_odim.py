"""ODIM HDF5 read from small files written here by its specification, numbers by hand."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from pipelines.errors import InputError
from pipelines.radar.files import find_files, product, read_counts, read_header, read_values
from pipelines.store.geo import projection
from pipelines.store.units import RAIN_RATE, REFLECTIVITY, VIL

PROJ = "+proj=laea +lat_0=55 +lon_0=10 +x_0=1950000 +y_0=-2100000 +ellps=WGS84 +units=m"


def write_odim(path: Path, raw: np.ndarray, what: dict, place: dict | None = None, quantity: str = "RATE") -> Path:
    lon, lat = projection(PROJ)(1_000_000, -3_000_000, inverse=True)
    where = {"projdef": PROJ, "LL_lon": lon, "LL_lat": lat, "xscale": 2000.0, "yscale": 2000.0} | (place or {})
    with h5py.File(path, "w") as file:
        file.create_group("what").attrs.update({"date": "20210704", "time": "155000", "object": "COMP"})
        file.create_group("where").attrs.update(where)
        file.create_dataset("dataset1/data1/data", data=raw)
        file.create_group("dataset1/data1/what").attrs["quantity"] = np.bytes_(quantity)
        file.create_group("dataset1/what").attrs.update(what)
    return path


def test_odim_by_hand(tmp_path):
    raw = np.array([[0, 255, 1], [2, 3, 4]], np.uint8)
    what = {"gain": 0.5, "offset": -1.0, "nodata": 255.0, "undetect": 0.0}
    path = write_odim(tmp_path / "c.h5", raw, what, quantity="DBZH")
    header = read_header(path)
    assert header.quantity == REFLECTIVITY
    assert header.times == (datetime(2021, 7, 4, 15, 50),)
    grid = header.grid
    assert (grid.proj, grid.rows, grid.columns, grid.width_m, grid.height_m) == (PROJ, 2, 3, 2000, 2000)
    assert (grid.west, grid.south) == pytest.approx((1_000_000, -3_000_000), abs=1e-3)
    np.testing.assert_array_equal(read_values(path, 0), [[0, 0.5, 1], [-np.inf, np.nan, -0.5]])


def test_odim_accumulation_is_a_rate_and_its_place_may_stand_with_the_data_set(tmp_path):
    what = {"startdate": "20210704", "starttime": "154500", "enddate": "20210704", "endtime": "155000"}
    path = write_odim(tmp_path / "c.h5", np.array([[0.5]]), what, quantity="ACRR")
    with h5py.File(path, "a") as file:
        for name in ("xscale", "yscale"):
            file.require_group("dataset1/where").attrs[name] = file["where"].attrs[name]
            del file["where"].attrs[name]
    assert read_header(path).quantity == RAIN_RATE
    assert read_values(path, 0)[0, 0] == pytest.approx(6)  # 0.5 mm in five minutes


@pytest.mark.parametrize("quantity", ["DBZ", "DBZH", "TH"])
def test_names_of_reflectivity_and_dwds_suffix(tmp_path, quantity):
    path = write_odim(tmp_path / "composite_hx_20210704_1550-hd5", np.array([[30.0]]), {}, quantity=quantity)
    assert (read_header(path).quantity, product(path)) == (REFLECTIVITY, "composite_hx")
    assert find_files([tmp_path]) == [path]
    assert read_values(path, 0).tolist() == [[30]]


def test_an_odim_forecast_is_refused(tmp_path):
    """As DWD's composite RV: each file has a sum of five minutes after the time of its name."""
    what = {"startdate": "20210704", "starttime": "155005", "enddate": "20210704", "endtime": "155500"}
    begun_late = write_odim(tmp_path / "composite_20210704_1550.h5", np.array([[0.5]]), what)
    assert read_header(begun_late).times == (datetime(2021, 7, 4, 15, 50),)
    what = {"startdate": "20210704", "starttime": "155500", "enddate": "20210704", "endtime": "160000"}
    path = write_odim(tmp_path / "composite_rv_20210704_1550_010-hd5", np.array([[0.5]]), what, quantity="ACRR")
    with pytest.raises(InputError, match="it is a forecast, for 2021-07-04 15:55:00 from 2021-07-04 15:50:00 on"):
        read_header(path)


def test_netcdf_with_the_suffix_of_hdf5_is_read_as_such(tmp_path):
    coords = {"time": [np.datetime64("2021-07-04T15:50", "ns")], "lat": [1.0, 2.0], "lon": [1.0, 2.0]}
    field = xr.DataArray([[[0.0, 1], [2, 3]]], coords, ("time", "lat", "lon"), "rr", {"units": "mm/h"})
    field.to_netcdf(tmp_path / "a.h5", engine="netcdf4")
    assert read_values(tmp_path / "a.h5", 0).tolist() == [[0, 1], [2, 3]]


def test_odim_of_several_quantities_gives_the_best(tmp_path):
    path = write_odim(tmp_path / "c.h5", np.array([[30.0]]), {}, quantity="DBZH")
    with h5py.File(path, "a") as file:
        file["dataset2/data1/data"] = np.array([[7.0]])
        file.create_group("dataset2/data1/what").attrs["quantity"] = "VIL"
    assert read_header(path).quantity == VIL
    assert read_values(path, 0).tolist() == [[7]]


def test_odim_without_rain_is_refused(tmp_path):
    path = write_odim(tmp_path / "c.h5", np.array([[1.0]]), {}, quantity="VRADH")
    with pytest.raises(InputError, match=r"c\.h5 cannot be read.*no VIL, RATE.*but VRADH"):
        read_header(path)


def test_undetect_equal_to_nodata_is_no_echo(tmp_path):
    """Not missing, as most of the map is then; which pixels are out of reach, the file does not say."""
    path = write_odim(tmp_path / "c.h5", np.array([[0, 10]], np.uint16), {"gain": 0.1, "nodata": 0.0, "undetect": 0.0})
    np.testing.assert_array_equal(read_values(path, 0), np.float32([[-np.inf, 1]]))
    assert read_counts(path, 0, RAIN_RATE).tolist() == [[0, 40]]


@pytest.mark.parametrize(
    ("quantity", "code"), [("RATE", -9999), ("RATE", 65535), ("ACRR", -1), ("DBZH", -999), ("VIL", -1)]
)
def test_codes_that_nothing_marks_are_never_dry(tmp_path, quantity, code):
    what = {"startdate": "20210704", "starttime": "154500", "enddate": "20210704", "endtime": "155000"}
    path = write_odim(tmp_path / "c.h5", np.array([[code, 1, 2, 0]], "float32"), what, quantity=quantity)
    with pytest.raises(InputError, match=r"c\.h5: .* cannot be .*; got 25\.0% of pixels"):
        read_counts(path, 0, read_header(path).quantity)


@pytest.mark.parametrize("kind", ["PVOL", "SCAN"])
def test_polar_data_is_named(tmp_path, kind):
    path = write_odim(tmp_path / "c.h5", np.array([[1.0]]), {}, quantity="DBZH")
    with h5py.File(path, "a") as file:
        file["what"].attrs["object"] = np.bytes_(kind)
        del file["where"].attrs["projdef"]
    with pytest.raises(InputError, match=f"c.h5 cannot be read: it is an ODIM {kind}, not on a map; .*; grid it first"):
        read_header(path)


def test_several_fields_of_the_quantity_are_refused(tmp_path):
    """One for each lead time of a forecast, or one for each height of a volume."""
    path = write_odim(tmp_path / "c.h5", np.array([[1.0]]), {})
    with h5py.File(path, "a") as file:
        file.copy("dataset1", "dataset2")
    with pytest.raises(InputError, match=r"several fields of RATE, .*; got dataset1/data1, dataset2/data1"):
        read_header(path)


def test_a_group_without_quantity_is_passed_over(tmp_path):
    path = write_odim(tmp_path / "c.h5", np.array([[7.0]]), {})
    with h5py.File(path, "a") as file:
        file["dataset1/data0/data"] = np.array([[9.0]])
    assert read_values(path, 0).tolist() == [[7]]


@pytest.mark.parametrize("unit", ["+units=km", "+to_meter=1000"])
def test_a_projection_in_kilometres_has_its_corner_in_metres(tmp_path, unit):
    in_km = PROJ.replace("+units=m", unit)
    grid = read_header(write_odim(tmp_path / "c.h5", np.zeros((2, 3)), {}, {"projdef": in_km})).grid
    assert (grid.west, grid.south, grid.width_m) == pytest.approx((1_000_000, -3_000_000, 2000), abs=1e-3)
    assert grid.proj == PROJ


@pytest.mark.parametrize(("scale", "fits"), [(2000.0, True), (2.0, False), (1000.0, False)])
def test_a_pixel_is_as_large_as_its_corners_say(tmp_path, scale, fits):
    lon, lat = projection(PROJ)(1_000_000 + 3 * 2000, -3_000_000 + 2 * 2000, inverse=True)
    place = {"xscale": scale, "yscale": scale, "UR_lon": lon, "UR_lat": lat}
    path = write_odim(tmp_path / "c.h5", np.zeros((2, 3)), {}, place)
    if fits:
        assert read_header(path).grid.width_m == 2000
    else:
        sizes = f"{scale:g} x {scale:g} m by xscale and yscale, 2000 x 2000 m by its corners"
        with pytest.raises(InputError, match=f"its pixels have two sizes; got {sizes}"):
            read_header(path)


def test_rain_accumulated_over_no_time_is_refused(tmp_path):
    what = {"startdate": "20210704", "starttime": "155000", "enddate": "20210704", "endtime": "155000"}
    path = write_odim(tmp_path / "c.h5", np.array([[0.5]]), what, quantity="ACRR")
    with pytest.raises(InputError, match="accumulated over no time"):
        read_values(path, 0)
    with pytest.raises(InputError, match=r"d\.h5 cannot be read: it has no what/startdate"):
        read_values(write_odim(tmp_path / "d.h5", np.array([[0.5]]), {}, quantity="ACRR"), 0)


def test_damaged_values_are_one_line(tmp_path):
    path = tmp_path / "c.h5"
    write_odim(path, np.zeros((64, 64)), {})
    with h5py.File(path, "a") as file:
        del file["dataset1/data1/data"]
        rate = np.random.default_rng(0).random((64, 64))
        file.create_dataset("dataset1/data1/data", data=rate, chunks=(64, 64), compression="gzip")
        at = file["dataset1/data1/data"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[at : at + 1000] = bytes(1000)
    path.write_bytes(content)
    assert read_header(path).grid.rows == 64
    with pytest.raises(InputError, match=r"^c\.h5 cannot be read: it is damaged, or open for writing elsewhere"):
        read_values(path, 0)


def test_a_file_that_is_being_written_is_one_line(tmp_path):
    path = write_odim(tmp_path / "c.h5", np.zeros((2, 2)), {})
    code = f"import h5py; file = h5py.File({str(path)!r}, 'a'); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(InputError, match=r"c\.h5 cannot be read: it is damaged, or open for writing elsewhere"):
            read_header(path)
        other.communicate("\n")
    assert len(read_header(path).times) == 1


SWISS = (
    "+proj=somerc +lat_0=46.9524055555556 +lon_0=7.43958333333333 +k_0=1 +x_0=2600000 +y_0=1200000 +ellps=bessel "
    "+towgs84=674.374,15.056,405.346,0,0,0,0 +units=m +no_defs"
)


def test_meteoswiss_as_it_publishes(tmp_path):
    """Names with the day of the year and a digit of quality, NaN outside, and CPC's sums of the hour before."""
    lon, lat = projection(SWISS)(2_555_000, 1_100_000, inverse=True)
    place = {"projdef": SWISS, "LL_lon": lon, "LL_lat": lat, "xscale": 1000.0, "yscale": 1000.0}
    raw = np.array([[np.nan, 0.0, 2.5]], "float32")
    named = {"RZC2418515502VL.001.h5": "RATE", "CPC2418515500_00060.001.h5": "ACRR"}
    hour = {"startdate": "20210704", "starttime": "145000", "enddate": "20210704", "endtime": "155000"}
    for name, quantity in named.items():
        path = write_odim(tmp_path / name, raw, {"nodata": np.nan, "undetect": 0.0, **hour}, place, quantity)
        header = read_header(path)
        assert header.quantity == RAIN_RATE and header.times == (datetime(2021, 7, 4, 15, 50),)  # not of the name
        assert (header.grid.west, header.grid.south) == pytest.approx((2_555_000, 1_100_000), abs=1)
        np.testing.assert_array_equal(read_values(path, 0), [[np.nan, -np.inf, 2.5]])
    assert [product(tmp_path / name) for name in named] == ["RZCVL.001", "CPC_00060.001"]
