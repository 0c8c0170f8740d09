"""CF NetCDF and Zarr read from small files written here by the conventions, numbers by hand."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from pipelines.errors import InputError
from pipelines.radar.cf import header_of, radar_field, values_of
from pipelines.radar.files import find_files, read_counts, read_header, read_values
from pipelines.store.geo import projection
from pipelines.store.units import RAIN_RATE, VIL, to_counts

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
        with pytest.raises(InputError, match=f"has the units {units!r}; expected a length, such as m or km"):
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


@pytest.mark.parametrize(("units", "code"), [("mm h-1", -3), ("mm h-1", -999), ("dBZ", -9999)])
def test_well_known_codes_that_nothing_marks_are_missing_and_said_once(tmp_path, caplog, units, code):
    path = write_cf(tmp_path / "a.nc", cf_field(np.array([[[0, 30, code]] * 2] * 2, "float32"), {"units": units}))
    counts = read_counts(path, 0, read_header(path).quantity)
    assert (counts[:, 0] == 0).all() and (counts[:, 1] > 70).all() and (counts[:, 2] == 255).all()
    read_counts(path, 1, read_header(path).quantity)
    (line,) = caplog.messages
    assert f"{code} as a" in line and "is taken as missing, although no _FillValue says so" in line


@pytest.mark.parametrize("code", [-1, -32, -98, 9999])
def test_other_codes_that_nothing_marks_are_never_dry(tmp_path, code):
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


def at_times(path: Path, minutes: list[int], since: str, calendar: str) -> Path:
    field = cf_field(np.zeros((len(minutes), 2, 2)), {"units": "1"}, "vil")
    attrs = {"units": f"minutes since {since}", "calendar": calendar, "standard_name": "time"}
    field["time"] = ("time", minutes, attrs)
    return write_cf(path, field)


@pytest.mark.parametrize("calendar", ["360_day", "julian", "all_leap"])
def test_other_calendars_are_named(tmp_path, calendar):
    with pytest.raises(InputError, match=f"its calendar {calendar} has other days than UTC; expected standard"):
        read_header(at_times(tmp_path / "a.nc", [0, 10], "2020-10-31", calendar))


@pytest.mark.parametrize("calendar", ["noleap", "365_day", "proleptic_gregorian"])
def test_a_calendar_without_leap_days_is_read_away_from_29_february(tmp_path, calendar):
    header = read_header(at_times(tmp_path / "a.nc", [0, 5], "2024-03-01 00:00", calendar))
    assert header.times == (datetime(2024, 3, 1), datetime(2024, 3, 1, 0, 5))
    assert len(read_header(at_times(tmp_path / "b.nc", [0, 5], "2023-02-28 23:55", calendar)).times) == 2
    across = at_times(tmp_path / "c.nc", [0, 5], "2024-02-28 23:55", calendar)
    if calendar == "proleptic_gregorian":
        assert read_header(across).times[1] == datetime(2024, 2, 29)
    else:
        with pytest.raises(InputError, match="its calendar noleap has no 29 February, which lies among"):
            read_header(across)


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


def of_amounts(values: np.ndarray, **attrs) -> xr.Dataset:
    attrs = {"standard_name": "rainfall_amount", "units": "mm", "grid_mapping": "crs"} | attrs
    made = cf_field(values, attrs).to_dataset(name="rain")
    return made.assign(crs=xr.DataArray(0, attrs=CRS.from_string(PROJ).to_cf()))


@pytest.mark.parametrize(
    ("attrs", "rate"),
    [
        ({}, 6),  # 1 mm in the step of ten minutes
        ({"units": "kg m-2"}, 6),
        ({"units": "m"}, 6000),
        ({"units": "mm/5min", "standard_name": "none", "long_name": "precipitation"}, 12),
        ({"standard_name": "precipitation_amount"}, 6),
    ],
)
def test_amounts_of_a_step(tmp_path, attrs, rate):
    amounts = np.ones((3, 2, 2), "float32")
    attrs = {name: value for name, value in attrs.items() if value != "none"}
    made = of_amounts(amounts, **attrs)
    if "long_name" in attrs:
        del made["rain"].attrs["standard_name"]
    made.to_netcdf(tmp_path / "a.nc")
    assert read_header(tmp_path / "a.nc").quantity == RAIN_RATE
    np.testing.assert_allclose(read_values(tmp_path / "a.nc", 1), rate)
    field, _ = radar_field(xr.open_dataset(tmp_path / "a.nc", decode_coords="all"))
    factor = 1 if field.attrs["units"] == "mm h-1" else 12
    np.testing.assert_allclose(factor * field.values, rate)
    assert to_counts(field).dims == ("time", "y", "x")


@pytest.mark.parametrize("decode", [True, "all"])
def test_amounts_between_bounds_of_time(tmp_path, decode):
    made = of_amounts(np.ones((2, 2, 2)))
    ends = made["time"].values
    lengths = np.array([5, 60]) * np.timedelta64(1, "m")
    made["time_bnds"] = (("time", "two"), np.stack([ends - lengths, ends], 1))
    made["time"].attrs["bounds"] = "time_bnds"
    made["time"].encoding["units"] = "minutes since 2020-10-31"
    made.to_netcdf(tmp_path / "a.nc")
    assert [read_values(tmp_path / "a.nc", number)[0, 0] for number in range(2)] == pytest.approx([12, 1])
    field, _ = radar_field(xr.open_dataset(tmp_path / "a.nc", decode_coords=decode))
    assert field.values[:, 0, 0].tolist() == pytest.approx([12, 1])
    assert (field.name, field.attrs["units"], field.attrs["standard_name"]) == ("rain", "mm h-1", "rainfall_rate")


def test_an_amount_over_no_known_time_is_refused(tmp_path):
    of_amounts(np.ones((1, 2, 2))).to_netcdf(tmp_path / "a.nc")
    with pytest.raises(InputError, match="rain is an amount of rain, and nothing says over which time; add bounds"):
        read_header(tmp_path / "a.nc")


def test_a_flux_of_mass_is_rain_by_its_name_only(tmp_path):
    flux = cf_field(np.ones((1, 2, 2)) / 3600, {"units": "kg m-2 s-1"}, "tprate")
    assert read_values(write_cf(tmp_path / "a.nc", flux), 0) == pytest.approx(np.ones((2, 2)))
    with pytest.raises(InputError, match="0 of its variables evaporation, crs are radar"):
        read_header(write_cf(tmp_path / "b.nc", flux.rename("evaporation")))


def test_of_rate_and_reflectivity_the_rate_is_read_and_that_is_said_once(tmp_path, caplog):
    made = of_amounts(np.full((2, 2, 2), 3.0), standard_name="rainfall_rate", units="mm h-1")
    made["dbz"] = made["rain"].copy(data=np.full((2, 2, 2), 50.0)).assign_attrs(
        standard_name="equivalent_reflectivity_factor", units="dBZ"
    )  # fmt: skip
    made["quality"] = made["rain"].assign_attrs(standard_name="rainfall_rate status_flag", units="1")
    made.to_netcdf(tmp_path / "a.nc")
    for _ in range(2):
        assert read_header(tmp_path / "a.nc").quantity == RAIN_RATE
    assert (read_values(tmp_path / "a.nc", 0) == 3).all()
    assert caplog.messages == ["rain is read, and dbz beside it is left out"]
    made["dbz"].attrs.update(standard_name="rainfall_rate", units="mm h-1")
    made.to_netcdf(tmp_path / "two.nc")
    with pytest.raises(InputError, match="2 of its variables rain, crs, dbz, quality are radar; expected one"):
        read_header(tmp_path / "two.nc")


def test_a_file_without_times_has_that_of_its_name(tmp_path):
    field = cf_field(np.ones((1, 2, 2)), {"units": "mm h-1"}).isel(time=0, drop=True)
    assert read_header(write_cf(tmp_path / "rr_202407011205.nc", field)).times == (datetime(2024, 7, 1, 12, 5),)
    with pytest.raises(InputError, match="rain has no coordinate of time; expected one, or a time in the name"):
        read_header(write_cf(tmp_path / "rr.nc", field))


def test_columns_across_the_date_line_are_in_order(tmp_path):
    coords = {"time": [np.datetime64("2020-10-31", "ns")], "lat": [1.0, 0.5], "lon": [179.75, -179.75, -179.25]}
    field = xr.DataArray([[[0.0, 1, 2], [3, 4, 5]]], coords, ("time", "lat", "lon"), "r", {"units": "mm/h"})
    grid = read_header(write_cf(tmp_path / "a.nc", field, crs=None)).grid
    assert (grid.west % 360, grid.width_m, grid.columns) == (179.5, 0.5, 3)
    assert read_values(tmp_path / "a.nc", 0).tolist() == [[3, 4, 5], [0, 1, 2]]


@pytest.mark.parametrize("attrs", [{"units": "mm h-1"}, {"units": "inch h-1", "standard_name": "rainfall_rate"}])
def test_a_file_is_closed_again_whether_it_is_read_or_refused(tmp_path, attrs):
    path = write_cf(tmp_path / "a.nc", cf_field(np.zeros((2, 2, 2)), attrs))
    with suppress(InputError):
        read_values(path, 0)
    at_times(tmp_path / "a.nc", [0, 5], "2024-03-01", "360_day")  # netCDF refuses to replace a file that is open
    with pytest.raises(InputError, match="its calendar 360_day"):
        read_header(path)
    at_times(tmp_path / "a.nc", [0, 5], "2024-03-01", "standard")
    assert len(read_header(path).times) == 2


def test_any_dataset_by_cf_has_a_header_and_values(tmp_path):
    """As a reader of another format uses them, which opens its files as datasets."""
    field = cf_field(np.array([[[0.0, 1], [2, 3]]]), {"units": "mm h-1"})
    path = write_cf(tmp_path / "a.nc", field)
    with xr.open_dataset(path) as dataset:
        assert header_of(dataset, path) == read_header(path)
        assert values_of(dataset, 0).tolist() == [[2, 3], [0, 1]]


@pytest.mark.parametrize(
    ("name", "attrs", "quantity"),
    [
        ("tp", {"standard_name": "precipitation_amount", "units": "kg m-2"}, RAIN_RATE),
        ("tp", {"standard_name": "lwe_thickness_of_precipitation_amount", "units": "m"}, RAIN_RATE),
        ("rainfall", {"units": "mm"}, RAIN_RATE),
        ("vil", {"long_name": "liquid of rain", "units": "kg m-2"}, VIL),
        ("top", {"long_name": "height of the top of rain", "units": "m"}, None),
        ("snow", {"units": "mm"}, None),
    ],
)
def test_amounts_are_told_from_heights_and_from_liquid(tmp_path, name, attrs, quantity):
    path = write_cf(tmp_path / "a.nc", cf_field(np.ones((2, 2, 2)), attrs, name))
    if quantity:
        assert read_header(path).quantity == quantity
    else:
        with pytest.raises(InputError, match=f"0 of its variables {name}, crs are radar"):
            read_header(path)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_as_mlcast_has_it(tmp_path, zarr_format):
    """Rows from north to south, half precision, a mapping by text alone, two-dimensional degrees beside the axes."""
    field = cf_field(
        np.array([[[0, 1], [2, np.nan]]], "float16"), {"standard_name": "rainfall_flux", "units": "kg m-2 h-1"}
    )
    field = field.assign_attrs(grid_mapping="crs").assign_coords(
        lat=(("y", "x"), np.zeros((2, 2)), {"standard_name": "latitude", "units": "degrees_north"}),
        lon=(("y", "x"), np.zeros((2, 2)), {"standard_name": "longitude", "units": "degrees_east"}),
    )
    made = field.to_dataset(name="rr").assign(crs=xr.DataArray(0, attrs={"crs_wkt": CRS.from_string(PROJ).to_wkt()}))
    made["missing_times"] = ("missing", made["time"].values)
    made.to_zarr(tmp_path / "a.zarr", zarr_format=zarr_format, consolidated=zarr_format == 2)
    header = read_header(tmp_path / "a.zarr")
    assert (header.quantity, header.times) == (RAIN_RATE, (datetime(2020, 10, 31),))
    assert (header.grid.west, header.grid.south, header.grid.width_m) == (0, -12_000, 2000)
    np.testing.assert_array_equal(read_values(tmp_path / "a.zarr", 0), [[2, np.nan], [0, 1]])


@settings(max_examples=40)
@given(
    order=st.permutations(("time", "y", "x")),
    turned=st.lists(st.sampled_from(("y", "x")), unique=True),
    units=st.sampled_from([("m", 1), ("km", 1000), ("1000 m", 1000), ("10^3 m", 1000)]),
    rate=st.sampled_from([("mm h-1", 1), ("kg m-2 s-1", 3600), ("mm/5min", 12), ("m/day", 1000 / 24)]),
    named=st.booleans(),
)
def test_grid_and_values_are_the_same_however_they_are_written(order, turned, units, rate, named):
    field = cf_field(np.arange(12.0).reshape(2, 2, 3) / rate[1], {"standard_name": "rainfall_rate", "units": rate[0]})
    for axis in ("y", "x"):
        metres = 1000 * field[axis].values
        about = {"units": units[0]} | ({} if named else {"standard_name": f"projection_{axis}_coordinate"})
        field = field.assign_coords({axis: (axis, metres / units[1], about)})
    field = field.isel({axis: slice(None, None, -1) for axis in turned}).transpose(*order)
    made = field.assign_attrs(grid_mapping="crs").to_dataset(name="rr")
    made = made.assign(crs=xr.DataArray(0, attrs=CRS.from_string(PROJ).to_cf()))
    grid = header_of(made, Path("a.nc")).grid
    assert (grid.west, grid.south, grid.width_m, grid.height_m) == pytest.approx((0, -12_000, 2000, 2000))
    np.testing.assert_allclose(values_of(made, 1), [[9, 10, 11], [6, 7, 8]], rtol=1e-6)
