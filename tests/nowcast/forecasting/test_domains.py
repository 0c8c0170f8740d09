"""The pixels of points and areas, by either rule."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from nowcast.data.footprint import Footprint
from nowcast.forecasting.domains import Domain
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
