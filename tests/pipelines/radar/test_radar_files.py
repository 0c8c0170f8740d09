"""Each format read from a small file written here by its specification, numbers by hand."""

import gzip
import struct
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import xarray as xr
from pyproj import CRS

from pipelines.errors import InputError
from pipelines.radar.files import commonest_step, find_files, product, read_header, read_values, time_in_name
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


def grib2(raw: np.ndarray, *, parameter=(209, 6, 1), scan: int = 0, packing: int = 41) -> bytes:
    """One message of values (raw - 30) / 10 on a grid of 0.01 degree whose first pixel is at 54.995 N, 230.005 E."""
    rows, columns = raw.shape
    first, last = 54_995_000, 54_995_000 - 10_000 * (rows - 1)
    first, last = (first, last) if scan == 0 else (last, first)
    grid = struct.pack(">HBBIBIBIIIII", 0, 2, 0, 0, 0, 0, 0, 0, columns, rows, 0, 0)
    grid += struct.pack(
        ">IIBIIIIB", first, 230_005_000, 48, last, 230_005_000 + 10_000 * (columns - 1), 10_000, 10_000, scan
    )
    data = cv2.imencode(".png", raw)[1].tobytes() if packing == 41 else raw.astype(">u2").tobytes()
    bodies = {
        1: struct.pack(">HHBBBH5BBB", 161, 0, 255, 1, 3, 2019, 6, 10, 0, 2, 36, 0, 7),
        3: struct.pack(">BIBBH", 0, raw.size, 0, 0, 0)[:7] + grid,
        4: struct.pack(">HHBB", 0, 0, *parameter[1:]) + bytes(23),
        5: struct.pack(">IHfHHBB", raw.size, packing, -30.0, 0, 1, 16, 0),
        6: bytes([255]),
        7: data,
    }
    sections = b"".join(struct.pack(">IB", len(body) + 5, number) + body for number, body in bodies.items())
    return b"GRIB\0\0" + bytes([parameter[0], 2]) + struct.pack(">Q", len(sections) + 20) + sections + b"7777"


def write_cf(path: Path, field: xr.DataArray, crs: str | None = PROJ) -> Path:
    dataset = field.to_dataset(name=field.name)
    if crs:
        dataset["crs"] = xr.DataArray(0, attrs=CRS.from_string(crs).to_cf())
        dataset[field.name].attrs["grid_mapping"] = "crs"
    dataset.to_netcdf(path)
    return path


def cf_field(values: np.ndarray, attrs: dict, name: str = "rain") -> xr.DataArray:
    """A field every ten minutes whose rows run southwards, in kilometres."""
    km = {"units": "km"}
    times = np.datetime64("2020-10-31", "ns") + np.arange(len(values)) * np.timedelta64(10, "m")
    y, x = (
        first + step * np.arange(size) for first, step, size in zip((-9, 1), (-2, 2), values.shape[1:], strict=True)
    )
    coords = {
        "time": times,
        "y": ("y", y, {**km, "standard_name": "projection_y_coordinate"}),
        "x": ("x", x, {**km, "standard_name": "projection_x_coordinate"}),
    }
    return xr.DataArray(values, coords, ("time", "y", "x"), name, attrs)


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


def test_knmi_reflectivity(tmp_path):
    raw = np.array([[0, 80, 255]], np.uint8)
    path = write_knmi(tmp_path / "k.h5", raw, "GEO = 0.500000 * PV + -32.000000", "REFLECTIVITY_[DBZ]", 255)
    assert read_header(path).quantity == REFLECTIVITY
    np.testing.assert_array_equal(read_values(path, 0), [[-32, 8, np.nan]])


@pytest.mark.parametrize("packing", [41, 0])
def test_mrms_by_hand(tmp_path, packing):
    raw = np.array([[0, 30], [31, 1030], [40, 29]], np.uint16)
    path = tmp_path / "m.grib2"
    path.write_bytes(grib2(raw, packing=packing))
    header = read_header(path)
    assert header.quantity == RAIN_RATE
    assert header.times == (datetime(2019, 6, 10, 0, 2, 36),)
    grid = header.grid
    assert (grid.proj, grid.rows, grid.columns) == ("+proj=longlat", 3, 2)
    assert (grid.west, grid.south, grid.width_m) == pytest.approx((-130, 54.97, 0.01))
    np.testing.assert_allclose(read_values(path, 0), [[1, -0.1], [0.1, 100], [np.nan, 0]], atol=1e-5)


def test_mrms_gzipped_and_from_the_south(tmp_path):
    raw = np.array([[31, 32], [33, 34]], np.uint16)
    path = tmp_path / "MRMS_PrecipRate_00.00_20190610-000236.grib2.gz"
    path.write_bytes(gzip.compress(grib2(raw, scan=64)))
    assert read_header(path).grid.south == pytest.approx(54.98)
    np.testing.assert_allclose(read_values(path, 0), [[0.1, 0.2], [0.3, 0.4]], atol=1e-5)


def test_mrms_reflectivity_has_another_value_of_no_coverage(tmp_path):
    message = bytearray(grib2(np.array([[0, 30]], np.uint16), parameter=(209, 10, 0)))
    at = message.index(struct.pack(">f", -30.0))
    message[at : at + 4] = struct.pack(">f", -9990.0)
    (tmp_path / "m.grib2").write_bytes(message)
    assert read_header(tmp_path / "m.grib2").quantity == REFLECTIVITY
    np.testing.assert_allclose(read_values(tmp_path / "m.grib2", 0), [[np.nan, -996]])


def test_mrms_cut_off_in_its_gzip(tmp_path):
    path = tmp_path / "m.grib2.gz"
    path.write_bytes(gzip.compress(grib2(np.full((2, 2), 30, np.uint16)))[:-20])
    with pytest.raises(InputError, match=r"m\.grib2\.gz cannot be read"):
        read_header(path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda good: b"not GRIB at all" + good, "not GRIB2"),
        (lambda good: good[:-9], "it ends after"),
        (lambda good: good[:12], "cannot be read"),
        (lambda good: good.replace(b"\x89PNG", b"\x89PNX"), "PNG is damaged"),
        (lambda good: grib2(np.zeros((2, 2), np.uint16), parameter=(0, 1, 8)), "none of PrecipRate"),
        (lambda good: grib2(np.zeros((2, 2), np.uint16), packing=40), "packing template 5.40"),
    ],
)
def test_mrms_that_cannot_be_read_says_why(tmp_path, spoil, reason):
    path = tmp_path / "m.grib2"
    path.write_bytes(spoil(grib2(np.full((2, 2), 30, np.uint16))))
    with pytest.raises(InputError, match=reason):
        read_header(path)
        read_values(path, 0)


def test_cf_by_hand(tmp_path):
    field = cf_field(
        np.array([[[0, 1], [2, np.nan]], [[3, 4], [5, 6]]]) / 3600,
        {"standard_name": "rainfall_flux", "units": "kg m-2 s-1"},
    )
    path = write_cf(tmp_path / "c.nc", field)
    header = read_header(path)
    assert header.quantity == RAIN_RATE
    assert header.times == (datetime(2020, 10, 31), datetime(2020, 10, 31, 0, 10))
    grid = header.grid
    assert (grid.west, grid.south, grid.width_m, grid.height_m) == (0, -12_000, 2000, 2000)
    assert projection(grid.proj)(10, 55) == pytest.approx((1_950_000, -2_100_000))
    np.testing.assert_allclose(read_values(path, 0), [[2, np.nan], [0, 1]], rtol=1e-6)
    np.testing.assert_allclose(read_values(path, 1), [[5, 6], [3, 4]], rtol=1e-6)


@pytest.mark.parametrize(
    ("key", "by"),
    [("standard_name", ("latitude", "longitude")), ("units", ("degrees_north", "degree_east"))],
)
def test_cf_of_latitudes_and_of_one_time(tmp_path, key, by):
    attrs = {"standard_name": "equivalent_reflectivity_factor", "units": "dBZ"}
    coords = {"time": np.datetime64("2020-10-31", "ns"), "lat": [50.25, 50.75], "lon": [1.5, 2.5]}
    field = xr.DataArray([[10.0, 20], [30, 40]], coords, ("lat", "lon"), "dbz", attrs)
    for name, meaning in {"lat": by[0], "lon": by[1]}.items():
        field[name].attrs[key] = meaning
    path = write_cf(tmp_path / "c.nc", field, crs=None)
    grid = read_header(path).grid
    assert (grid.proj, grid.west, grid.south, grid.width_m, grid.height_m) == ("+proj=longlat", 1, 50, 1, 0.5)
    assert read_values(path, 0).tolist() == [[10, 20], [30, 40]]


@pytest.mark.parametrize(
    ("attrs", "name", "crs", "reason"),
    [
        ({"standard_name": "air_temperature", "units": "K"}, "t", PROJ, "0 of its variables t, crs are radar"),
        ({"standard_name": "rainfall_rate", "units": "inch h-1"}, "r", PROJ, "r has the units 'inch h-1'"),
        ({"units": "1"}, "vil", None, "vil has no grid mapping"),
    ],
)
def test_cf_that_cannot_be_understood_says_why(tmp_path, attrs, name, crs, reason):
    with pytest.raises(InputError, match=reason):
        read_header(write_cf(tmp_path / "c.nc", cf_field(np.zeros((2, 2, 2)), attrs, name), crs))


def test_cf_of_more_dimensions_says_which(tmp_path):
    field = cf_field(np.zeros((2, 2, 2)), {"units": "1"}, "vil").expand_dims(member=2)
    with pytest.raises(InputError, match="the dimensions member beside time, y and x"):
        read_header(write_cf(tmp_path / "c.nc", field))


@pytest.mark.parametrize(("units", "width"), [("meters", 2), ("kilometers", 2000), ("furlong", None), (None, None)])
def test_cf_of_other_units_of_length(tmp_path, units, width):
    field = cf_field(np.zeros((2, 2, 2)), {"units": "1"}, "vil")
    for axis in ("y", "x"):
        field[axis].attrs = {key: value for key, value in field[axis].attrs.items() if key != "units"}
        field[axis].attrs.update({"units": units} if units else {})
    path = write_cf(tmp_path / "c.nc", field)
    if width:
        assert read_header(path).grid.width_m == width
    else:
        with pytest.raises(InputError, match=f"has the units {units!r}, not one of m, metre"):
            read_header(path)


@pytest.mark.parametrize(
    ("name", "what", "time"),
    [
        ("20210704155000.rad.best.comp.rate.nog.hdf", "rad.best.comp.rate.nog", datetime(2021, 7, 4, 15, 50)),
        ("RAD_NL25_RAP_5min_201008260005.h5", "RAD_NL25_RAP_5min", datetime(2010, 8, 26, 0, 5)),
        ("MRMS_PrecipRate_00.00_20190610-000236.grib2.gz", "MRMS_PrecipRate_00.00", datetime(2019, 6, 10, 0, 2, 36)),
        ("obs_2020-05-01T12:05Z.nc", "obs_Z", datetime(2020, 5, 1, 12, 5)),
        ("obs-2020_05_01-1205.nc", "obs", datetime(2020, 5, 1, 12, 5)),
        ("obs2020050112.nc", "obs", datetime(2020, 5, 1, 12)),
        ("obs_20201301_1205.nc", "obs", None),
        ("fmi_20160928.nc", "fmi", None),
        ("20210704.nc", "radar", None),
    ],
)
def test_products_and_times_in_names(name, what, time):
    assert product(Path(name)) == what
    assert time_in_name(Path(name)) == time


def test_folders_give_their_radar_files_and_files_are_taken_once(tmp_path):
    for name in ("b.h5", "a.nc", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in find_files([tmp_path / "b.h5", tmp_path])] == ["b.h5", "a.nc"]
    with pytest.raises(InputError, match=r"no radar file at .*nowhere"):
        find_files([tmp_path / "nowhere"])


def test_a_zarr_store_is_a_file(tmp_path):
    field = cf_field(np.array([[[0.0, 1], [2, 3]]]), {"units": "mm h-1"}, name="anything")
    path = tmp_path / "a.zarr"
    dataset = field.to_dataset()
    dataset["anything"].attrs["grid_mapping"] = "crs"
    dataset.assign(crs=xr.DataArray(0, attrs=CRS.from_string(PROJ).to_cf())).to_zarr(path, consolidated=False)
    assert find_files([tmp_path]) == find_files([path]) == [path]
    assert read_header(path).quantity == RAIN_RATE
    np.testing.assert_array_equal(read_values(path, 0), [[2, 3], [0, 1]])


def test_a_name_counts_for_more_than_units(tmp_path):
    rate = cf_field(np.ones((1, 2, 2)), {"standard_name": "rainfall_rate", "units": "mm h-1"})
    both = rate.to_dataset().assign(error=rate.copy(data=np.zeros((1, 2, 2))).assign_attrs(standard_name="rate_error"))
    both["rain"].attrs["grid_mapping"] = "crs"
    both.assign(crs=xr.DataArray(0, attrs=CRS.from_string(PROJ).to_cf())).to_netcdf(tmp_path / "a.nc")
    assert (read_values(tmp_path / "a.nc", 0) == 1).all()


def test_files_of_no_known_format_are_refused(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(InputError, match="no known format"):
        read_header(tmp_path / "a.txt")


@pytest.mark.parametrize("kind", ["odim", "knmi"])
def test_as_pysteps_reads_it(shared_data, kind):
    importers = pytest.importorskip("pysteps.io.importers")
    path = sorted((shared_data / "raw" / kind).iterdir())[3]
    if kind == "odim":
        theirs, _, place = importers.import_odim_hdf5(str(path), qty="RATE")
        metres = 1
    else:
        theirs, _, place = importers.import_knmi_hdf5(str(path), qty="ACRR", accutime=5.0, pixelsize=1.0)
        theirs, metres = theirs * 12, 1000
    grid = read_header(path).grid
    assert (grid.west, grid.south) == pytest.approx((metres * place["x1"], metres * place["y1"]), abs=1)
    np.testing.assert_allclose(read_values(path, 0), theirs[::-1], rtol=1e-5)


@pytest.mark.parametrize(
    ("seconds", "step"),
    [
        ([0, 150, 300, 450], 150),
        ([0, 100, 200, 400], 100),  # exact, one frame lacking
        ([0, 30, 60], 30),
        ([0, 10, 20], 10),
        ([0, 3600], 3600),
        ([0, 126, 234, 480, 600], 120),  # off by seconds: steps of 126, 108, 246 and 120
        ([0, 152, 297, 451, 600], 150),  # off by seconds
        ([0, 300, 600, 600, 900], 300),  # one time twice
        ([0, 600, 1200, 1500], 600),  # a frame between the steps
        ([0, 7, 15], 7),  # off by seconds, and all of them less than half a minute apart
        ([5, 5], None),
    ],
)
def test_the_commonest_step_is_exact_or_in_half_minutes(seconds, step):
    times = [datetime(2024, 7, 1) + timedelta(seconds=second) for second in reversed(seconds)]
    assert commonest_step(times) == (step and timedelta(seconds=step))
