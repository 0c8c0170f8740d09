"""Coasts, borders, states and lakes: where they should be, as fine as a map shows, and made again from their inputs."""

import io
import json
import tarfile
from importlib.resources import files
from itertools import pairwise

import numpy as np
import pytest
import shapefile

from nowcast.plots.make_outlines import details, make, pieces, shared_arcs
from nowcast.plots.outlines import KINDS, STEPS_PER_DEGREE, TOLERANCES, load_outlines, outlines_within
from pipelines.store.geo import SEVIR_PROJ, projection


def around(lat: float, lon: float, half: float) -> tuple[str, tuple[float, float, float, float]]:
    """A map of a place, `half` metres from its middle to its edges."""
    return f"+proj=laea +lat_0={lat} +lon_0={lon} +units=m", (-half, half, -half, half)


def distance(kind: str, lat: float, lon: float) -> float:
    """Metres from a place to the nearest line of a kind on a map of 128 km."""
    lines = outlines_within(*around(lat, lon, 64_000))[kind]
    one, other = lines[:-1], lines[1:]
    along = other - one
    part = np.clip(-(one * along).sum(axis=1) / np.maximum((along**2).sum(axis=1), 1e-9), 0, 1)
    return float(np.nanmin(np.hypot(*(one + part[:, None] * along).T), initial=np.inf))


@pytest.mark.parametrize(
    ("kind", "lat", "lon", "metres"),
    [
        ("coast", 50.0657, -5.7148, 1000),  # Land's End
        ("coast", 51.979, 4.114, 2000),  # Hook of Holland
        ("coast", 36.001, -5.609, 1500),  # Tarifa
        ("coast", -34.357, 18.474, 1500),  # Cape of Good Hope
        ("coast", 71.171, 25.784, 3000),  # North Cape
        ("coast", -16.78, 179.99, 4000),  # Vanua Levu, on the antimeridian
        ("border", 49.0, -98.0, 1000),  # a parallel, straight for thousands of kilometres
        ("border", 47.6635, 9.1785, 3000),  # Constance, beside Kreuzlingen
        ("state", 36.999, -109.045, 300),  # the corner of four states
        ("state", 39.10, -94.607, 1500),  # Kansas City
        ("lake", 46.208, 6.153, 2000),  # Geneva
        ("lake", 43.637, -79.38, 2500),  # Toronto, which the US Census Bureau does not draw
        ("lake", 41.89, -87.61, 2500),  # Chicago
    ],
)
def test_lines_are_where_they_should_be(kind, lat, lon, metres):
    assert distance(kind, lat, lon) < metres


def test_no_line_is_where_none_should_be():
    assert distance("coast", 38.0, -98.0) == np.inf and distance("state", 50.0, 10.0) == np.inf


def test_a_coast_of_128_km_is_no_zigzag():
    """From The Hague to the delta of the Rhine: today's charts show several hundred kilometres of shore."""
    metres = outlines_within(*around(51.8, 4.2, 64_000))["coast"]
    steps = np.hypot(*np.diff(metres, axis=0).T)
    assert np.isfinite(metres).all(axis=1).sum() > 100 and np.nansum(steps) > 200_000


def test_the_outline_file_is_at_most_two_and_a_half_megabytes():
    assert len((files("nowcast.plots") / "outlines.npz").read_bytes()) <= 2_500_000


def test_pieces_are_short_and_no_edge_crosses_the_world():
    lines = load_outlines()
    assert lines.length.sum() == len(lines.degrees) == len(lines.detail) and lines.length.max() <= 128
    piece = np.repeat(np.arange(len(lines.length)), lines.length)
    edges = np.abs(np.diff(lines.degrees, axis=0))[piece[1:] == piece[:-1]]
    assert edges.max() <= 1 and np.degrees(lines.reach).max() <= np.sqrt(0.5) + 1e-6
    assert set(lines.kind) == set(range(len(KINDS)))


@pytest.mark.parametrize(
    ("lat", "lon", "half"), [(52, 5, 64_000), (60.5, 25, 300_000), (78, 20, 800_000), (-17, 179.9, 200_000)]
)
def test_the_pieces_that_are_left_out_do_not_reach_the_map(lat, lon, half):
    """Against the lines of the whole world, projected: no vertex of its set within the map is lost."""
    proj, (west, east, south, north) = around(lat, lon, half)
    lines = load_outlines()
    coarse = sum(tolerance < 2 * half / 1000 for tolerance in TOLERANCES)
    x, y = projection(proj)(*lines.degrees[lines.detail >= coarse].T)
    within = (x > west) & (x < east) & (y > south) & (y < north)
    expected = {(round(a, 3), round(b, 3)) for a, b in zip(x[within], y[within], strict=True)}
    shown = np.concatenate(list(outlines_within(proj, (west, east, south, north)).values()))
    assert expected and expected <= {(round(a, 3), round(b, 3)) for a, b in shown[np.isfinite(shown[:, 0])].tolist()}


def test_a_line_that_only_crosses_a_map_is_drawn_from_edge_to_edge():
    """20 km of the border along 49 degrees north, whose vertices lie farther apart."""
    border = outlines_within(*around(49.0, -101.5, 10_000))["border"]
    assert np.nanmin(border[:, 0]) <= -10_000 and np.nanmax(border[:, 0]) >= 10_000
    assert np.nanmax(np.abs(border[:, 1])) < 1000


def test_a_large_map_has_coarser_lines():
    def vertices(half: float) -> int:
        return sum(len(lines) for lines in outlines_within(*around(60, 12, half)).values())

    assert 20_000 < vertices(1_500_000) < 60_000  # of the 200,000 within


def test_degrees_are_a_projection_too():
    states = outlines_within("+proj=longlat", (-110.0, -108.0, 36.0, 38.0))["state"]
    assert np.nanmin(np.hypot(*(states - (-109.045, 36.999)).T)) < 0.01


def test_outlines_within_a_tile_hold_their_kinds():
    within = outlines_within(SEVIR_PROJ, (0.0, 384_000.0, 0.0, 384_000.0))
    assert tuple(within) == KINDS and np.isfinite(within["state"]).any() and np.isnan(within["state"]).any()
    assert not np.isfinite(within["coast"]).any()  # Kansas has none


def test_a_long_line_is_cut_and_its_pieces_meet():
    line = np.column_stack([np.linspace(0, 10, 1001), np.zeros(1001)])
    cut = pieces([line[:500], line[499:]])  # merged first
    assert all(len(piece) <= 128 and np.ptp(piece, axis=0).max() <= STEPS_PER_DEGREE for piece in cut)
    assert all((one[-1] == other[0]).all() for one, other in pairwise(cut))
    assert sum(len(piece) - 1 for piece in cut) == 1000


def test_a_long_edge_gets_vertices_and_one_across_the_antimeridian_is_cut():
    (piece, *others) = pieces([np.array([[0.0, 50.0], [2.5, 50.0]])])
    assert [tuple(piece[0]), *[tuple(end[-1]) for end in (piece, *others)]] == [
        (0, 50_000), (833, 50_000), (1667, 50_000), (2500, 50_000)
    ]  # fmt: skip
    across = np.array([[179.5, 0.0], [179.9, 0.0], [-179.9, 0.0], [-179.5, 0.0]])
    assert [piece[:, 0].tolist() for piece in pieces([across])] == [[179_500, 179_900], [-179_900, -179_500]]


@pytest.mark.parametrize(("steps", "sets"), [(2, 0), (5, 1), (18, 2), (45, 3)])
def test_the_detail_of_a_vertex_says_in_which_sets_it_remains(steps, sets):
    """A vertex 0.2, 0.6, 2 and 5 km off a line along the equator; a step is 111 m. The ends always remain."""
    assert details(np.array([[0, 0], [500, steps], [1000, 0]])).tolist() == [3, sets, 3]


def test_a_small_island_leaves_as_a_whole():
    """1.1 km across: four tolerances of the set of 250 m, but not of that of 1 km."""
    island = np.array([[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]])
    assert details(island).tolist() == [1, 1, 1, 1, 1]


def package(path, name, layer, areas, arcs):
    """An npm package with one TopoJSON file, whose positions are in thousandths of a degree."""
    topology = {
        "transform": {"scale": [0.001, 0.001], "translate": [0, 0]},
        "objects": {layer: {"geometries": [{"arcs": area} for area in areas]}},
        "arcs": arcs,
    }
    data = json.dumps(topology).encode()
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo(f"package/{name}")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))


def test_arcs_of_two_areas_are_told_from_those_of_one(tmp_path):
    """Two squares of a degree, side by side; the arc between them is walked backwards by the second."""
    between, west, east = (
        [[1000, 0], [0, 1000]],
        [[1000, 1000], [-1000, 0], [0, -1000], [1000, 0]],
        [[1000, 0], [1000, 0]],
    )
    package(tmp_path / "a.tgz", "a.json", "areas", [[[1, 0]], [[[2, ~0]]]], [between, west, east])
    one, several = shared_arcs(tmp_path / "a.tgz", "a.json", "areas")
    assert [line.tolist() for line in several] == [[[1, 0], [1, 1]]]
    assert [line[-1].tolist() for line in one] == [[1, 0], [2, 0]]


def test_the_file_is_made_of_its_inputs_and_read_again(tmp_path, monkeypatch):
    square = [[0, 0], [0, 1000], [1000, 0], [0, -1000], [-1000, 0]]
    between = [[0, 0], [500, 500], [500, 500]]
    for name, layer in (("countries-10m.json", "countries"), ("counties-10m.json", "states")):
        package(tmp_path / f"{layer}.tgz", name, layer, [[[0, 1]], [[~1]]], [square, between])
    with shapefile.Writer(tmp_path / "lakes.shp", shapeType=shapefile.POLYGON) as writer:
        writer.field("name", "C")
        writer.poly([[[0.2, 0.2], [0.2, 0.4], [0.4, 0.4], [0.2, 0.2]]])
        writer.record("lake")
    make(tmp_path / "countries.tgz", tmp_path / "states.tgz", tmp_path / "lakes.shp", tmp_path / "outlines.npz")
    monkeypatch.setattr("nowcast.plots.outlines.files", lambda _: tmp_path)
    load_outlines.cache_clear()
    try:
        within = outlines_within("+proj=longlat", (-1.0, 2.0, -1.0, 2.0))
    finally:
        load_outlines.cache_clear()
    ends = {name: lines[:-1].tolist() for name, lines in within.items()}
    assert ends["coast"] == [[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]]
    assert ends["border"] == ends["state"] == [[0, 0], [0.5, 0.5], [1, 1]]
    assert sorted(ends["lake"]) == sorted([[0.2, 0.2], [0.2, 0.4], [0.4, 0.4], [0.2, 0.2]])
