from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.building import resample
from pipelines.errors import InputError
from pipelines.radar.grid import Grid, Tiling, around, on_square, square
from pipelines.store import geo

PROJ = "+proj=laea +lat_0=55 +lon_0=10 +ellps=WGS84 +units=m"


def grid(rows: int, columns: int) -> Grid:
    return Grid(PROJ, 500_000, -700_000, 1000, 1000, rows, columns)


def test_whole_tiles_about_the_middle():
    tiling = Tiling(grid(300, 700), 1)
    assert tiling.shape == (2, 5)
    assert tiling.corner(0, 0) == (500_000 + 30_000, -700_000 + 22_000)  # 700 - 640 and 300 - 256, halved
    assert tiling.corner(1, 2) == (500_000 + 286_000, -700_000 + 150_000)
    counts = np.arange(300 * 700).reshape(300, 700) % 251
    tiles = tiling.average(counts.astype("uint8"))
    assert tiles.shape == (256, 640)
    np.testing.assert_array_equal(tiles, counts[22:278, 30:670])


def test_means_by_hand():
    counts = np.full((257, 256), 255, np.uint8)
    counts[:2, :2] = [[10, 20], [255, 255]]  # half is seen
    counts[:2, 2:4] = [[10, 255], [255, 255]]  # less than half
    counts[:2, 4:6] = [[1, 2], [2, 1]]  # a mean of 1.5
    tiling = Tiling(grid(257, 256), 2)
    assert (tiling.shape, tiling.pixel_m, tiling.corner(0, 0)) == ((1, 1), 2000, (500_000, -700_000))
    assert tiling.average(counts)[0, :4].tolist() == [15, 255, 2, 255]


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_three_by_three_is_the_reducer_of_sevir(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 256, (384, 384), dtype="uint8")
    counts[rng.random(counts.shape) < 0.5] = 255
    np.testing.assert_array_equal(Tiling(grid(384, 384), 3).average(counts), resample.mean(counts[..., None])[0])


def test_latitudes_and_longitudes_become_square_kilometres():
    source = Grid("+proj=longlat", -98.0, 37.0, 0.01, 0.01, 200, 250)
    target = square(source)
    assert (target.width_m, target.height_m) == (1000, 1000)
    assert "+lat_0=38 +lon_0=-96.75" in target.proj
    assert target.rows == pytest.approx(222, abs=3)  # two degrees of latitude
    counts = np.zeros((200, 250), np.uint8)
    row, column = 50, 200  # of the pixel about 37.505 N, 95.995 W
    counts[row, column] = 100
    counts[0] = counts[-1] = counts[:, 0] = counts[:, -1] = 7
    sampled = on_square(counts, source)
    y, x = np.argwhere(sampled == 100).mean(0)
    lat, lon = geo.lat_lon(target.proj, target.west, target.south, [(x + 0.5) * 1000], [(y + 0.5) * 1000])
    assert (lat[0, 0], lon[0, 0]) == pytest.approx((37.505, -95.995), abs=0.006)
    assert sampled[0, 0] == 255  # beyond a corner
    inside = sampled != 255
    assert inside.mean() == pytest.approx(200 * 250 * 1.1119 * 1.1119 * np.cos(np.radians(38)) / sampled.size, rel=0.01)


def test_beyond_each_edge_of_latitudes_all_is_missing():
    """Rows have values of their own: none is repeated beyond an edge, nor comes back at the opposite one."""
    source = Grid("+proj=longlat", -98.0, 37.0, 0.01, 0.01, 200, 250)
    target = square(source)
    sampled = on_square(np.repeat(np.arange(200, dtype="uint8")[:, None], 250, 1), source)
    x, y = (1000 * (np.arange(number) + 0.5) for number in (target.columns, target.rows))
    lat, lon = geo.lat_lon(target.proj, target.west, target.south, x, y)
    row, column = np.floor((lat - 37) / 0.01), np.floor((lon + 98) / 0.01)
    inside = (row >= 0) & (row < 200) & (column >= 0) & (column < 250)
    np.testing.assert_array_equal(sampled, np.where(inside, row, 255))
    for edge in (row < 0, row >= 200, column < 0, column >= 250):
        assert edge.any()


def test_a_square_grid_ends_with_the_pixel_that_holds_the_farthest_place():
    source = Grid("+proj=longlat", -98.0, 37.0, 0.01, 0.01, 200, 250)
    target = square(source)
    lons, lats = np.meshgrid(np.linspace(-98, -95.5, 101), np.linspace(37, 39, 101))
    x, y = geo.projection(target.proj)(lons, lats)
    assert 0 <= target.west + 1000 * target.columns - x.max() < 1000 and 0 <= x.min() - target.west < 1000
    assert 0 <= target.south + 1000 * target.rows - y.max() < 1000 and 0 <= y.min() - target.south < 1000


def test_the_antimeridian_is_no_edge():
    source = Grid("+proj=longlat", 179.0, -18.0, 0.01, 0.01, 200, 200)
    counts = np.tile(np.arange(200, dtype="uint8"), (200, 1))
    target, sampled = square(source), on_square(counts, source)
    middle = sampled[target.rows // 2]
    assert np.all(np.diff(middle[middle != 255].astype(int)) >= 0)
    assert {0, 100, 199} <= set(middle.tolist())


def test_pixels_that_are_square_within_a_percent_stay_where_they_are():
    """After 500 rows of 1001.5 m the rows of 1000 m would be off by 0.75 pixel, were they not sampled anew."""
    source = Grid(PROJ, 0, -5000, 1000, 1001.5, 500, 3)
    target = square(source)
    assert (target.rows, target.columns, target.width_m, target.height_m) == (501, 3, 1000, 1000)
    counts = (np.arange(500) % 200).astype("uint8")[:, None].repeat(3, 1)
    sampled = on_square(counts, source)
    assert sampled.shape == (501, 3)
    middle = np.arange(501) * 1000 + 500
    np.testing.assert_array_equal(sampled[:, 1], np.minimum(middle // 1001.5, 499) % 200)
    exact = Grid(PROJ, 0, 0, 1000, 1000, 500, 3)
    assert square(exact) == exact and np.shares_memory(on_square(counts, exact), counts)


def test_pixels_must_be_square():
    with pytest.raises(InputError, match=r"pixels are not square; got 1000 x 2000 m"):
        square(Grid(PROJ, 0, 0, 1000, 2000, 200, 200))


def test_grids_are_the_same_except_for_rounding():
    assert grid(200, 200).same_as(Grid(PROJ, 500_000.4, -700_000.4, 1000, 1000, 200, 200))
    assert not grid(200, 200).same_as(Grid(PROJ, 500_002, -700_000, 1000, 1000, 200, 200))
    assert not grid(200, 200).same_as(grid(201, 200))


def test_the_square_about_a_place_by_hand():
    one = Grid(geo.SEVIR_PROJ, -150_000, -50_000, 1000, 1000, 200, 400)  # 38 N 98 W lies at row 50, column 150
    assert around(one, 38, -98, 60) == (slice(20, 80), slice(120, 180))
    assert around(one, 38, -98, 200) == (slice(0, 150), slice(50, 250))
    assert around(one, 38, -98, 5000) == (slice(0, 200), slice(0, 400))
    with pytest.raises(
        InputError, match=r"37, -98 lies outside of the radar's grid; expected a place about 38.4, -97.4"
    ):
        around(one, 37, -98, 60)


def test_a_part_of_the_square_grid_is_that_part_of_the_whole():
    source = Grid("+proj=longlat", -98.0, 37.0, 0.01, 0.01, 200, 250)
    counts = np.random.default_rng(0).integers(0, 255, (200, 250), dtype="uint8")
    rows, columns = around(square(source), 38.2, -96.5, 60)
    part = on_square(counts, source, rows, columns)
    assert part.shape == (60, 60) and (part != 255).all()
    np.testing.assert_array_equal(part, on_square(counts, source)[rows, columns])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"rows": 301, "west": 0}, "301 x 700 pixels (rows x columns), not 300 x 700"),
        ({"width_m": 1000.5}, "pixels of 1000 x 1000.5 m, not 1000 x 1000"),
        ({"proj": "+proj=longlat"}, "the projection +proj=longlat, not " + PROJ),
        ({"south": -700_000.5}, "its south-west corner at 500000, -700000.5 m, not 500000, -700000"),
    ],
)
def test_the_first_difference_between_grids_is_said(change, words):
    assert grid(300, 700).difference(replace(grid(300, 700), **change)) == words
