"""The pixels of points and areas, by either rule."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from nowcast.data.footprint import Footprint
from nowcast.forecasting.domains import Domain, located
from nowcast.forecasting.places import Place, read_areas
from pipelines.errors import InputError
from pipelines.store.geo import lat_lon

SQUARE = {"type": "Polygon", "coordinates": [[[5, 51], [6, 51], [6, 52], [5, 52], [5, 51]]]}
PROJECTIONS = [
    "+proj=laea +lat_0=52 +lon_0=5 +R=6370997 +units=m",
    "+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +a=6378137 +b=6356752 +units=m",
    "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=50 +lon_0=179.9 +units=m",
]


@given(st.sampled_from(PROJECTIONS), st.integers(0, 29), st.integers(0, 39), *[st.floats(0.01, 0.99)] * 2)
def test_both_rules_find_the_pixel_of_any_point_in_the_domain(proj, south, west, north, east):
    row, column = south + north, west + east
    footprint = Footprint(proj, -40_000.0, -3_030_000.0 if "stere" in proj else -30_000.0, 2000.0, 30, 40)
    lat, lon = lat_lon(proj, footprint.west, footprint.south, np.array([column * 2000]), np.array([row * 2000]))
    place = Place("p", lat.item(), lon.item())
    exact = Domain(footprint)
    cells = exact.cells(place)
    assert cells is not None and (cells.rows[0], cells.columns[0]) == (south, west)
    near = Domain(None, [xr.DataArray(array, dims=("y", "x")) for array in exact.degrees]).cells(place)
    assert near is not None and abs(near.rows[0] + 0.5 - row) < 0.51 and abs(near.columns[0] + 0.5 - column) < 0.51


def test_an_area_without_a_pixel_centre_is_refused_and_one_across_the_date_line_is_found():
    footprint = Footprint(PROJECTIONS[2], -40_000.0, -30_000.0, 2000.0, 30, 40)
    small = read_areas({"type": "Polygon", "coordinates": [[[179.9, 50], [179.901, 50], [179.9, 50.001], [179.9, 50]]]})
    with pytest.raises(InputError, match="area 1 contains no pixel's centre; give it as a point"):
        Domain(footprint).cells(small[0])
    east = [[179.8, 49.9], [180, 49.9], [180, 50.1], [179.8, 50.1], [179.8, 49.9]]
    west = [[-180, 49.9], [-179.9, 49.9], [-179.9, 50.1], [-180, 50.1], [-180, 49.9]]
    (both,) = read_areas({"type": "MultiPolygon", "coordinates": [[east], [west]]})
    (part,) = read_areas({"type": "Polygon", "coordinates": [east]})
    cells, less = Domain(footprint).cells(both), Domain(footprint).cells(part)
    assert cells is not None and less is not None and len(cells.rows) > 1.3 * len(less.rows)
    assert Domain(footprint).cells(read_areas(SQUARE)[0]) is None


@pytest.fixture
def grid() -> xr.Dataset:
    """A case of 30 x 40 pixels of 2 km about 50 N, 179.9 E."""
    sizes, corner = (
        {"case": 1, "y": 30, "x": 40},
        {"proj": PROJECTIONS[2], "corner_x": -40_000.0, "corner_y": -30_000.0},
    )
    axes = {name: 1000.0 + 2000 * np.arange(sizes[name]) for name in ("y", "x")}
    coords = {name: ("case", [value]) for name, value in corner.items()}
    return xr.Dataset({"vil": (list(sizes), np.zeros(list(sizes.values()), "float32"))}, axes | coords)


def test_places_outside_and_areas_between_the_centres_are_left_out_by_name(grid):
    ring = [[179.9, 50], [179.901, 50], [179.9, 50.001], [179.9, 50]]
    pond = read_areas({"type": "Feature", "properties": {"name": "Pond"},
                       "geometry": {"type": "Polygon", "coordinates": [ring]}})  # fmt: skip
    found, left_out = located(grid, [Place("Bern", 46.9, 7.4), Place("here", 50, 179.9), *pond])
    assert [place.name for place, _, _ in found] == ["here"]
    assert left_out[0].startswith("Bern (46.9 N 7.4 E) lies outside of the forecast; got ")
    assert left_out[1] == "Pond contains no pixel's centre; give it as a point"
    with pytest.raises(InputError, match=r"Bern .* lies outside of the forecast"):
        located(grid, [Place("Bern", 46.9, 7.4), *pond])


def test_latitude_and_longitude_that_are_swapped_are_named(grid):
    west = grid.assign_coords(proj=("case", [PROJECTIONS[2].replace("179.9", "-78.6")]))
    line = r"x \(78.6 S 50 E\) lies outside of the forecast; .*; with latitude and longitude swapped it lies inside$"
    with pytest.raises(InputError, match=line):
        located(west, [Place("x", -78.6, 50)])
    for place in (Place("x", 50, -70), Place("x", 50, 179.9), Place("x", -78.6, 40)):
        with pytest.raises(InputError) as told:
            located(west, [place])
        assert "swapped" not in str(told.value)
