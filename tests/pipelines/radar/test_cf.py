"""CF NetCDF and Zarr read from small files written here by the conventions, numbers by hand."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pyproj import CRS, Transformer

from pipelines.errors import InputError
from pipelines.radar.files import find_files, read_counts, read_header, read_values
from pipelines.store.geo import projection
from pipelines.store.units import RAIN_RATE

PROJ = "+proj=laea +lat_0=55 +lon_0=10 +x_0=1950000 +y_0=-2100000 +ellps=WGS84 +units=m"


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


def test_threads_read_a_file_at_once(tmp_path):
    frames = np.arange(20 * 40 * 40, dtype="float32").reshape(20, 40, 40) / 1000
    path = write_cf(tmp_path / "c.nc", cf_field(frames, {"units": "mm h-1"}))
    numbers = list(range(20)) * 10
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda number: read_values(path, number), numbers))
    for number, values in zip(numbers, read, strict=True):
        np.testing.assert_array_equal(values, frames[number][::-1])


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
        (
            {"standard_name": "rainfall_rate", "units": "inch h-1"},
            "r",
            PROJ,
            "r is taken as rain rate in mm h-1; got units 'inch h-1'",
        ),
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
        with pytest.raises(InputError, match=f"has the units {units!r}; expected one of m, metre"):
            read_header(path)


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


STEREOGRAPHIC = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +x_0=543000 +y_0=4650000 +ellps=WGS84"
BY_PARAMETERS = {
    "grid_mapping_name": "polar_stereographic",
    "straight_vertical_longitude_from_pole": 10.0,
    "latitude_of_projection_origin": 90.0,
    "standard_parallel": 60.0,
    "semi_major_axis": 6378137.0,
    "inverse_flattening": 298.257223563,
}
IN_M, IN_KM = CRS(f"{STEREOGRAPHIC} +units=m"), CRS(f"{STEREOGRAPHIC} +units=km")


@pytest.mark.parametrize(
    ("mapping", "units"),
    [
        (IN_M.to_cf(), "km"),
        (IN_M.to_cf(), "m"),
        ({"spatial_ref": IN_M.to_wkt()}, "km"),
        ({"crs_wkt": IN_KM.to_wkt()}, "km"),
        ({"spatial_ref": IN_KM.to_wkt()}, "m"),
        (BY_PARAMETERS | {"false_easting": 543.0, "false_northing": 4650.0}, "km"),
        (BY_PARAMETERS | {"false_easting": 543e3, "false_northing": 4650e3}, "m"),
    ],
)
def test_kilometres_of_axes_of_false_eastings_and_of_the_projection(tmp_path, mapping, units):
    """The same place by pyproj, however it is written: the south-west pixel centre is at 420, 980 km."""
    scale = {"km": 1, "m": 1000}[units]
    field = cf_field(np.zeros((1, 3, 3)), {"units": "1"}, "vil")
    for axis, first in (("y", 980.0), ("x", 420.0)):
        field[axis] = (axis, scale * (first + 2 * np.arange(3)), field[axis].attrs | {"units": units})
    dataset = field.assign_attrs(grid_mapping="crs").to_dataset(name="vil")
    dataset.assign(crs=xr.DataArray(0, attrs=mapping)).to_netcdf(tmp_path / "a.nc")
    grid = read_header(tmp_path / "a.nc").grid
    assert (grid.west, grid.south, grid.width_m, grid.height_m) == pytest.approx((419_000, 979_000, 2000, 2000))
    lon, lat = Transformer.from_crs(IN_M, IN_M.geodetic_crs, always_xy=True).transform(420_000, 980_000)
    assert projection(grid.proj)(lon, lat) == pytest.approx((420_000, 980_000), abs=0.01)
    assert (lat, lon) == pytest.approx((55.78, 8.08), abs=0.01)


def test_a_false_easting_in_metres_of_axes_in_kilometres_is_refused(tmp_path):
    field = cf_field(np.zeros((1, 2, 2)), {"units": "1"}, "vil").assign_attrs(grid_mapping="crs").to_dataset(name="vil")
    mapping = BY_PARAMETERS | {"false_easting": 543e3, "false_northing": 4650e3}
    field.assign(crs=xr.DataArray(0, attrs=mapping)).to_netcdf(tmp_path / "a.nc")
    with pytest.raises(InputError, match=r"its false_northing is 4\.65e\+06 km; expected a length in"):
        read_header(tmp_path / "a.nc")


@pytest.mark.parametrize("code", [-3, -32, -99, -999, 9999])
def test_codes_that_nothing_marks_are_never_dry(tmp_path, code):
    rate = {"standard_name": "rainfall_rate", "units": "mm h-1"}
    path = write_cf(tmp_path / "a.nc", cf_field(np.array([[[0, 1, code]] * 2], "float32"), rate))
    with pytest.raises(InputError, match=rf"a\.nc: rain rate in mm h-1 cannot be {code}; got 33\.3% .*_FillValue"):
        read_counts(path, 0, read_header(path).quantity)


@pytest.mark.parametrize(
    ("units", "codes", "counts"),
    [
        ("dBZ", {"_FillValue": -999.0, "missing_value": -99.0}, [255, 0, 126]),  # MRMS: no coverage, no echo
        ("mm h-1", {"_FillValue": -3.0, "missing_value": -1.0}, [255, 0, 171]),
        ("dBZ", {"_FillValue": -999.0, "missing_value": -999.0}, [255, 255, 126]),
        ("dBZ", {"_FillValue": -999.0, "missing_value": -98.5}, [255, 255, 126]),  # two codes of missing, as in CF
    ],
)
def test_codes_of_missing_and_of_no_echo(tmp_path, units, codes, counts):
    values = np.array([[[codes["_FillValue"], codes["missing_value"], 40]] * 2], "float32")
    field = cf_field(values, {"units": units} | {name: np.float32(code) for name, code in codes.items()})
    path = write_cf(tmp_path / "a.nc", field)
    assert read_counts(path, 0, read_header(path).quantity).tolist() == [counts, counts]


def test_forecasts_are_refused_and_observations_with_a_reference_time_are_not(tmp_path):
    field = cf_field(np.zeros((2, 2, 2)), {"units": "1"}, "vil")
    minutes = {"standard_name": "forecast_period", "units": "minutes"}
    path = write_cf(tmp_path / "a.nc", field.assign_coords(lead=("time", [10, 20], minutes)))
    with pytest.raises(
        InputError, match=r"a\.nc cannot be read: it is a forecast, by its lead; expected observed radar"
    ):
        read_header(path)
    reference = {"standard_name": "forecast_reference_time", "units": "hours since 2020-10-31"}
    observed = field.assign_coords(lead=("time", [0, 0], minutes), reference=((), 0.0, reference))
    assert len(read_header(write_cf(tmp_path / "b.nc", observed)).times) == 2


@pytest.mark.parametrize("calendar", ["noleap", "360_day"])
def test_other_calendars_are_named(tmp_path, calendar):
    field = cf_field(np.zeros((2, 2, 2)), {"units": "1"}, "vil")
    field["time"] = (
        "time",
        [0, 10],
        {"units": "minutes since 2020-10-31", "calendar": calendar, "standard_name": "time"},
    )
    with pytest.raises(InputError, match=f"the calendar of time is not read; got {calendar}; expected standard"):
        read_header(write_cf(tmp_path / "a.nc", field))


def test_a_rotated_pole_is_named(tmp_path):
    field = cf_field(np.zeros((2, 2, 2)), {"units": "1"}, "vil")
    for axis, name in (("y", "grid_latitude"), ("x", "grid_longitude")):
        field[axis].attrs.update(standard_name=name, units="degrees")
    with pytest.raises(InputError, match="vil is on a rotated pole, which is not read; project it first"):
        read_header(write_cf(tmp_path / "a.nc", field))


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_damaged_values_are_one_line(tmp_path, suffix):
    """The header can be read; the compressed values cannot."""
    rng = np.random.default_rng(0)
    dataset = xr.open_dataset(write_cf(tmp_path / "whole.nc", cf_field(rng.random((2, 64, 64)), {"units": "mm h-1"})))
    if suffix == ".nc":
        damaged = tmp_path / "a.nc"
        dataset.drop_encoding().to_netcdf(damaged, encoding={"rain": {"zlib": True, "chunksizes": (1, 64, 64)}})
        content = damaged.read_bytes()
        damaged.write_bytes(content[: len(content) // 2] + bytes(500) + content[len(content) // 2 + 500 :])
    else:
        dataset.drop_encoding().to_zarr(tmp_path / "a.zarr", consolidated=False)
        chunks = [
            path for path in (tmp_path / "a.zarr" / "rain").rglob("*") if path.is_file() and path.suffix != ".json"
        ]
        for damaged in chunks:
            damaged.write_bytes(damaged.read_bytes()[:50])
    path = tmp_path / f"a{suffix}"
    assert len(read_header(path).times) == 2
    with pytest.raises(InputError, match=rf"^a\{suffix} cannot be read: ") as caught:
        for number in range(2):
            read_counts(path, number, RAIN_RATE)
    assert "\n" not in str(caught.value)


def test_a_file_cut_off_or_open_for_writing_is_one_line(tmp_path):
    whole = write_cf(tmp_path / "whole.nc", cf_field(np.zeros((2, 64, 64)), {"units": "mm h-1"}))
    (tmp_path / "cut.nc").write_bytes(whole.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"cut\.nc cannot be read: it is damaged, or open for writing elsewhere"):
        read_header(tmp_path / "cut.nc")
