"""Axes of CF fields: found by standard names, axis, units and names; places by hand and by pyproj."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pyproj import CRS, Transformer

from pipelines.errors import InputError
from pipelines.radar.cf_axes import coordinate, dims, pixels, utc, with_coordinates

LAEA = CRS.from_epsg(3035)
X, Y = 4100e3 + 1000 * np.arange(6.0), 2700e3 + 1000 * np.arange(4.0)
PX, PY = ({"standard_name": f"projection_{axis}_coordinate", "units": "m"} for axis in "xy")
TIMES = np.datetime64("2024-07-01T12:00", "ns") + np.arange(3) * np.timedelta64(5, "m")


def dataset(y=(Y, PY), x=(X, PX), *, names=("time", "y", "x"), mapping=LAEA, **attrs) -> xr.Dataset:
    """Rain rates whose values differ everywhere, with a grid mapping where there is one."""
    shape = (len(TIMES), len(y[0]), len(x[0]))
    attrs = {"standard_name": "rainfall_rate", "units": "mm h-1"} | attrs
    made = xr.Dataset(
        {"rr": (names, np.arange(np.prod(shape), dtype="float32").reshape(shape), attrs)},
        {names[0]: (names[0], TIMES), names[1]: (names[1], *y), names[2]: (names[2], *x)},
    )
    if mapping:
        made["crs"] = ((), 0, mapping.to_cf())
        made["rr"].attrs["grid_mapping"] = "crs"
    return made


def found(made: xr.Dataset):
    return pixels(made, with_coordinates(made)["rr"])


@pytest.mark.parametrize(
    ("y", "x", "names"),
    [
        (PY, PX, ("time", "a", "b")),
        ({"axis": "Y", "units": "m"}, {"axis": "X", "units": "m"}, ("time", "a", "b")),
        ({"units": "m"}, {"units": "m"}, ("time", "y", "x")),
        ({"units": "metre"}, {"units": "metre"}, ("time", "northing", "easting")),
        ({"units": "m"}, {"units": "m"}, ("valid_time", "yc", "xc")),
        ({"units": "m"}, {"units": "m"}, ("time", "projection_y_coordinate", "projection_x_coordinate")),
    ],
)
def test_axes_by_standard_name_by_axis_and_by_name(y, x, names):
    made = dataset((Y, y), (X, x), names=names)
    assert dims(made["rr"]) == dict(zip(("time", "y", "x"), names, strict=True))
    places = found(made)
    assert places.dims == names[1:] and (places.y == Y).all() and (places.x == X).all()
    lat, lon = places.lat_lon()
    wanted = Transformer.from_crs(LAEA, LAEA.geodetic_crs, always_xy=True).transform(*np.meshgrid(X, Y))
    np.testing.assert_allclose((lon, lat), wanted, atol=1e-7)


@pytest.mark.parametrize(
    ("units", "metres"), [("m", 1), ("km", 1000), ("1000 m", 1000), ("1000 meters", 1000), ("10^3 m", 1000)]
)
def test_lengths_of_any_unit(units, metres):
    places = found(dataset((Y / metres, PY | {"units": units}), (X / metres, PX | {"units": units})))
    np.testing.assert_allclose(places.y, Y)
    np.testing.assert_allclose(places.x, X)


@pytest.mark.parametrize(
    ("lat", "lon", "names"),
    [
        ({"standard_name": "latitude"}, {"standard_name": "longitude"}, ("time", "a", "b")),
        ({"units": "degrees_north"}, {"units": "degrees_east"}, ("time", "y", "x")),
        ({"units": "degrees_N"}, {"units": "degree_E"}, ("time", "a", "b")),
        ({}, {}, ("time", "lat", "lon")),
        ({"units": "degrees"}, {"units": "degrees"}, ("time", "latitude", "longitude")),
    ],
)
def test_latitudes_and_longitudes(lat, lon, names):
    made = dataset((50.5 - np.arange(4.0), lat), (1.0 + 2 * np.arange(6), lon), names=names, mapping=None)
    places = found(made)
    assert (places.proj, places.dims) == ("+proj=longlat", names[1:])
    assert places.y.tolist() == [50.5, 49.5, 48.5, 47.5] and places.x.tolist() == [1, 3, 5, 7, 9, 11]
    assert places.lat_lon()[0][:, 0].tolist() == [50.5, 49.5, 48.5, 47.5]


def test_axes_without_units_are_degrees_where_the_mapping_says_so():
    made = dataset((50.0 + np.arange(4), {}), (5.0 + np.arange(6), {}), mapping=CRS.from_epsg(4326))
    assert found(made).proj == "+proj=longlat"
    with pytest.raises(InputError, match="y has the units None; expected a length, such as m or km"):
        found(dataset((Y, {}), (X, {})))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([262.25, 262.75, 263.25], [-97.75, -97.25, -96.75]),
        ([179.25, 179.75, -179.75], [179.25, 179.75, 180.25]),
        ([179.25, 179.75, 180.25], [179.25, 179.75, 180.25]),
        ([359.25, 359.75, 0.25], [-0.75, -0.25, 0.25]),
        ([-179.75, 179.25, 179.75], [180.25, 179.25, 179.75]),  # sorted, with a hole
        ([-0.5, 0.0, 0.5], [-0.5, 0.0, 0.5]),
    ],
)
def test_longitudes_go_on_across_the_date_line_and_from_0_to_360(given, wanted):
    made = dataset(
        (Y[:3] * 0 + [1, 2, 3], {"units": "degrees_north"}), (given, {"units": "degrees_east"}), mapping=None
    )
    x = found(made).x
    np.testing.assert_allclose((np.diff(x) + 180) % 360, (np.diff(wanted) + 180) % 360)
    assert np.ptp(x) == pytest.approx(1)
    assert ((x - given) % 360 == 0).all()


def flat(made: xr.Dataset, lat: np.ndarray, lon: np.ndarray, order=("y", "x")) -> xr.Dataset:
    """Two-dimensional latitudes and longitudes in place of the axes."""
    made = made.drop_vars(["y", "x"])
    made["lat"] = (order, lat, {"standard_name": "latitude", "units": "degrees_north"})
    made["lon"] = (order, lon, {"standard_name": "longitude", "units": "degrees_east"})
    return made


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("transposed", [False, True])
def test_two_dimensional_ones_of_a_known_projection(kind, transposed):
    lon, lat = Transformer.from_crs(LAEA, LAEA.geodetic_crs, always_xy=True).transform(*np.meshgrid(X, Y))
    made = flat(dataset(), lat.astype(kind), lon.astype(kind))
    made = made.transpose("x", "y", ...) if transposed else made
    places = found(made)
    assert places.dims == ("y", "x")
    np.testing.assert_allclose(places.y, Y, atol=1)
    np.testing.assert_allclose(places.x, X, atol=1)
    assert dims(with_coordinates(made)["rr"]) == {"time": "time", "y": "y", "x": "x"}


def test_two_dimensional_ones_of_a_regular_grid_in_degrees():
    lon, lat = np.meshgrid(179.0 + np.arange(6) / 2, 50 - np.arange(4) / 2)
    places = found(flat(dataset(mapping=None), lat, (lon + 180) % 360 - 180))
    assert places.proj == "+proj=longlat" and places.y.tolist() == [50, 49.5, 49, 48.5]
    np.testing.assert_allclose(np.diff(places.x), 0.5)


def test_two_dimensional_ones_of_no_known_grid_are_refused():
    lon, lat = Transformer.from_crs(LAEA, LAEA.geodetic_crs, always_xy=True).transform(*np.meshgrid(X, Y))
    with pytest.raises(
        InputError, match=r"rr has latitudes and longitudes in two dimensions, of no regular grid; name"
    ):
        found(flat(dataset(mapping=None), lat, lon))
    with pytest.raises(InputError, match=r"of no regular grid$"):
        found(flat(dataset(mapping=CRS.from_epsg(2056)), lat, lon))
    with pytest.raises(InputError, match="of no regular grid"):
        found(flat(dataset(), np.where(lat == lat[0, 0], np.nan, lat), lon))


def test_axes_in_a_projection_count_for_more_than_two_dimensional_ones():
    made = dataset()
    made["lat"] = (("y", "x"), np.zeros((4, 6)), {"standard_name": "latitude"})
    made["lon"] = (("y", "x"), np.zeros((4, 6)), {"standard_name": "longitude"})
    assert (found(made).y == Y).all()


def test_a_rotated_pole_is_named():
    pole = {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 39.25}
    made = dataset((Y, {"units": "degrees"}), (X, {"units": "degrees"}), names=("time", "rlat", "rlon"))
    made["crs"] = ((), 0, pole)
    with pytest.raises(InputError, match="rr is on a rotated pole, which is not read; project it first"):
        found(made)


@pytest.mark.parametrize(
    ("lacking", "reason"),
    [("x", "rr has no coordinate of x; expected one with standard name"), ("y", "rr has no coordinate of y")],
)
def test_a_lacking_axis_is_named(lacking, reason):
    with pytest.raises(InputError, match=reason):
        found(dataset().drop_vars(lacking))


def test_the_time_of_a_field_is_not_its_reference_time():
    made = dataset(names=("t", "y", "x"))
    made = made.assign_coords(
        reftime=((), TIMES[0], {"standard_name": "forecast_reference_time"}), processed=((), TIMES[0])
    )
    assert coordinate(made["rr"], "time").name == "t"
    assert coordinate(made["rr"].isel(t=0), "time").name == "t"
    assert coordinate(made["rr"].drop_vars("t"), "time").name == "processed"


def test_times_by_hand():
    wanted = pd.DatetimeIndex(["2024-07-01 12:00", "2024-07-01 12:05"])
    for given in (
        np.array(["2024-07-01T12:00:00Z", "2024-07-01T12:05:00Z"]),
        np.array(["2024-07-01T14:00:00+02:00", "2024-07-01T14:05:00+02:00"], object),
        TIMES[:2] + np.timedelta64(400, "ms"),
        xr.date_range("2024-07-01 12:00", periods=2, freq="5min", calendar="noleap", use_cftime=True).values,
    ):
        assert utc(given).equals(wanted)
    assert utc(TIMES[0])[0] == wanted[0]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (np.array([0, 5, 10]), "its times have no unit; got 0; expected minutes since"),
        (np.array(["noon"]), "its times cannot be read; got .*noon"),
        (
            xr.date_range("2024-02-30", periods=2, freq="5min", calendar="360_day", use_cftime=True).values,
            "its calendar 360_day has other days than UTC",
        ),
    ],
)
def test_times_that_cannot_be_read_say_why(given, reason):
    with pytest.raises(InputError, match=reason):
        utc(given)
