import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import InputError
from pipelines.store import geo

RADIUS = 6370997.0


def test_centre_of_the_map_is_its_origin():
    assert geo.corner(geo.SEVIR_PROJ, 38, -98) == pytest.approx((0, 0), abs=1e-6)


def test_a_place_north_of_the_centre_by_hand():
    # On the central meridian of LAEA, y = 2 R sin(c / 2), with c the angle from the centre.
    x, y = geo.corner(geo.SEVIR_PROJ, 48, -98)
    assert x == pytest.approx(0, abs=1e-6)
    assert y == pytest.approx(2 * RADIUS * np.sin(np.radians(5)), abs=0.01)


def test_pixel_centres_are_half_a_pixel_in():
    assert geo.pixel_centres(3, 3000.0).tolist() == [1500, 4500, 7500]


def test_rows_go_north_and_columns_go_east():
    centres = geo.pixel_centres(4, 3000.0)
    lat, lon = geo.lat_lon(geo.SEVIR_PROJ, 100e3, -50e3, centres[:3], centres)
    assert lat.shape == lon.shape == (4, 3)
    assert (np.diff(lat, axis=0) > 0).all()
    assert (np.diff(lon, axis=1) > 0).all()


@given(st.floats(25, 50), st.floats(-120, -70))
def test_a_corner_comes_back(lat, lon):
    x, y = geo.corner(geo.SEVIR_PROJ, lat, lon)
    back_lat, back_lon = geo.lat_lon(geo.SEVIR_PROJ, x, y, np.zeros(1), np.zeros(1))
    assert (back_lat[0, 0], back_lon[0, 0]) == pytest.approx((lat, lon), abs=1e-8)


def test_grid_mapping_of_sevir_is_cf():
    attrs = geo.grid_mapping(geo.SEVIR_PROJ)
    assert attrs["grid_mapping_name"] == "lambert_azimuthal_equal_area"
    assert attrs["latitude_of_projection_origin"] == 38
    assert attrs["longitude_of_projection_origin"] == -98
    assert attrs["semi_major_axis"] == attrs["semi_minor_axis"] == RADIUS
    assert "(Spherical)" in attrs["crs_wkt"]


def test_grid_mapping_of_another_projection():
    attrs = geo.grid_mapping("+proj=stere +lat_0=90 +lon_0=25 +lat_ts=60 +a=6371288 +x_0=380886.310 +y_0=3395677.920")
    assert attrs["grid_mapping_name"] == "polar_stereographic"
    assert attrs["straight_vertical_longitude_from_pole"] == 25


def test_an_unreadable_projection_is_an_input_error():
    with pytest.raises(InputError, match="no map projection '\\+proj=nonsense'"):
        geo.corner("+proj=nonsense", 0, 0)


@pytest.mark.parametrize("unit", ["+units=km", "+to_meter=1000", "units=us-ft"])
def test_any_unit_of_length_is_metres(unit):
    proj = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +x_0=543000 +y_0=4650000 +ellps=WGS84"
    assert geo.in_metres(f"{proj} {unit} +no_defs") == f"{proj} +units=m +no_defs"
    there = geo.corner(f"{proj} {unit}", 57.0, 10.4)
    assert there == geo.corner(proj, 57.0, 10.4)
    assert there == pytest.approx((567_669.66, 1_116_389.07), abs=0.01)
    assert geo.grid_mapping(f"{proj} {unit}") == geo.grid_mapping(f"{proj} +units=m")


def test_degrees_stay():
    assert geo.in_metres("+proj=longlat +ellps=WGS84") == "+proj=longlat +ellps=WGS84"
