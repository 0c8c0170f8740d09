"""The map of a nowcast's page, on a projection whose metres are degrees times a constant."""

import re

import numpy as np
import pytest

from nowcast.plots.panels import Place
from nowcast.report.geography import degree_text, drawing, nodes, outline_path

DEGREE = 6_371_000 * np.pi / 180  # metres


def place(west: float, east: float, south: float, north: float, lon_0: float = 0) -> Place:
    extent = tuple(DEGREE * degrees for degrees in (west - lon_0, east - lon_0, south, north))
    return Place(f"+proj=eqc +lon_0={lon_0} +R=6371000 +units=m", extent)


def test_nodes_begin_in_the_north_west():
    found = nodes(place(2, 4, 48, 52))
    lat, lon = (np.reshape(found[name], (33, 33)) for name in ("latitude", "longitude"))
    assert np.allclose(lat[:, 0], np.linspace(52, 48, 33), atol=1e-5)
    assert np.allclose(lon[5], np.linspace(2, 4, 33), atol=1e-5)


def test_lines_and_labels_stand_at_round_degrees():
    """48 to 52 N and 2 to 4 E: at 50 N half way down, at 3 E half way across, whatever other lines there are."""
    drawn = drawing(place(2, 4, 48, 52), 200, 400)
    labels = {label["text"]: (label["side"], label["at"]) for label in drawn["labels"]}
    assert labels["50° N"] == ("west", pytest.approx(0.5, abs=1e-3))
    assert labels["3° E"] == ("south", pytest.approx(0.5, abs=1e-3))
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", drawn["graticule"])]
    assert {200.0, 100.0} <= set(numbers) and min(numbers) > -30 and max(numbers) < 430


def test_across_the_date_line_longitudes_go_on():
    crossing = place(178, 182, -20, -16, lon_0=180)
    lon = np.reshape(nodes(crossing)["longitude"], (33, 33))
    assert np.allclose(np.diff(lon, axis=1), 4 / 32, atol=1e-4)
    texts = {label["text"] for label in drawing(crossing, 100, 100)["labels"]}
    assert {"179° E", "179° W"} <= texts


@pytest.mark.parametrize(
    ("proj", "extent"),
    [("+proj=laea +lat_0=37.5 +lon_0=-95", (-3.6e6, 3.6e6, -1.9e6, 2.4e6)),
     ("+proj=stere +lat_0=90 +lat_ts=60", (-1e6, 1e6, -1e6, 1e6)),
     ("+proj=laea +lat_0=52 +lon_0=5", (-64e3, 64e3, -64e3, 64e3))],
)  # fmt: skip
def test_a_large_map_one_of_the_pole_and_a_small_one_have_labels_that_keep_apart(proj, extent):
    labels = drawing(Place(proj, extent), 100, 100)["labels"]
    for side in ("west", "south"):
        places = sorted(label["at"] for label in labels if label["side"] == side)
        assert len(places) >= 3 and places[0] > 0 and places[-1] < 1 and min(np.diff(places)) > 0.05


def test_degrees_as_text():
    assert [degree_text(value, "NS") for value in (2.5, -50.0, 0.0)] == ["2.5° N", "50° S", "0°"]


def test_a_path_begins_anew_after_a_gap_and_drops_points_that_do_not_move():
    metres = DEGREE * np.array([[2, 52], [2, 52], [4, 48], [np.nan, np.nan], [3, 50], [3, 49]])
    assert outline_path(metres, place(2, 4, 48, 52), 20, 40) == "M0.0 0.0L20.0 40.0M10.0 20.0L10.0 30.0"
