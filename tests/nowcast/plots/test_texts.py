"""Texts of pictures: none meets another or leaves the picture, whatever the shape and the place of the domain."""

from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.text import Text

from nowcast.plots.animation import _figure
from nowcast.plots.graticule import draw_graticule
from nowcast.plots.maps import plot_forecast
from nowcast.plots.panels import find_place
from nowcast.plots.rows import Terms, one_case, panel_rows

INIT = np.datetime64("2019-06-01T12:00:00", "ns")
UTRECHT, KANSAS, SVALBARD, EQUATOR, FIJI = (52.1, 5.1), (38, -98), (78, 20), (0.5, -0.5), (-17, 179.9)
DOMAINS = {  # rows, columns, metres along a pixel, latitude and longitude of the middle, lead times, units
    "a tile": (16, 16, 8000, UTRECHT, 2, "counts"),
    "one panel": (16, 16, 8000, UTRECHT, 1, "mm/h"),
    "six lead times": (16, 16, 24_000, KANSAS, 6, "dBZ"),
    "wide": (8, 32, 30_000, KANSAS, 2, "counts"),
    "very wide": (8, 64, 10_000, KANSAS, 2, "kg/m2"),
    "tall": (32, 8, 30_000, EQUATOR, 2, "mm/h"),
    "high latitude": (16, 16, 100_000, SVALBARD, 2, "counts"),
    "at the pole": (16, 16, 50_000, (89, 0), 2, "counts"),
    "a few km": (8, 8, 1000, (46.2, -106.1), 2, "mm/h"),
    "across the antimeridian": (16, 20, 40_000, FIJI, 2, "counts"),
    "a continent": (16, 18, 250_000, KANSAS, 2, "dBZ"),
}


def make_forecast(rows, columns, pixel, place, leads, members=3, **attrs) -> xr.Dataset:
    """A ramp of counts from west to east in every member."""
    lat, lon = place
    steps = (np.arange(1, leads + 1) * 5).astype("timedelta64[m]").astype("timedelta64[ns]")
    counts = np.broadcast_to(np.linspace(0, 254, columns, dtype="float32"), (1, members, leads, rows, columns))
    return xr.Dataset(
        {"vil": (("case", "member", "lead_time", "y", "x"), counts)},
        {
            "event": ("case", ["S1"]),
            "init_time": ("case", [INIT]),
            "valid_time": (("case", "lead_time"), [INIT + steps]),
            "member": np.arange(members),
            "lead_time": steps,
            "proj": ("case", [f"+proj=laea +lat_0={lat} +lon_0={lon} +units=m"]),
            "corner_x": ("case", [-columns * pixel / 2]),
            "corner_y": ("case", [-rows * pixel / 2]),
            "y": (np.arange(rows) + 0.5) * pixel,
            "x": (np.arange(columns) + 0.5) * pixel,
        },
        {"model": "steps", **attrs},
    )


def drawn_texts(figure: Figure, monkeypatch) -> list[tuple[str, np.ndarray]]:
    """Every text that is drawn, and the box of its letters in pixels: x0, y0, x1, y1."""
    found = []
    draw = Text.draw

    def noted(self, renderer, *args, **kwargs):
        if self.get_visible() and self.get_text():
            found.append((self.get_text(), np.array(self.get_window_extent(renderer).extents)))
        return draw(self, renderer, *args, **kwargs)

    monkeypatch.setattr(Text, "draw", noted)
    figure.draw_without_rendering()
    return found


def assert_legible(figure: Figure, monkeypatch) -> list[str]:
    texts = drawn_texts(figure, monkeypatch)
    width, height = figure.bbox.size
    outside = [text for text, (x0, y0, x1, y1) in texts if min(x0, y0) < -1 or x1 > width + 1 or y1 > height + 1]
    assert not outside
    meeting = [
        (one, other)
        for (one, a), (other, b) in combinations(texts, 2)
        if min(a[2], b[2]) - max(a[0], b[0]) > 0.5 and min(a[3], b[3]) - max(a[1], b[1]) > 0.5
    ]
    assert not meeting
    return [text for text, _ in texts]


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_two_texts_of_a_map_meet(domain, monkeypatch):
    *shape, units = DOMAINS[domain]
    forecast = make_forecast(*shape)
    leads = forecast["lead_time"].values
    texts = assert_legible(plot_forecast(forecast, lead_times=leads, units=units), monkeypatch)
    degrees = [text for text in texts if "°" in text]
    assert len({text for text in degrees if text[-1] in "NS"} | {"0°"} & set(degrees)) >= 2
    assert sum(text[-1] in "EW" or text in ("0°", "180°") for text in degrees) >= len(leads)


@pytest.mark.parametrize("domain", ["a tile", "wide", "tall", "high latitude"])
def test_no_two_texts_of_an_animation_meet(domain, monkeypatch):
    *shape, units = DOMAINS[domain]
    shown = one_case(make_forecast(*shape))
    figure, _ = _figure(panel_rows(shown, None, [0, 1], Terms.of(shown, units=units)), find_place(shown))
    assert_legible(figure, monkeypatch)


def graticule(lat: float, lon: float, half: float, inches: float = 2.0) -> dict[str, tuple[float, float]]:
    """Where each label of a square panel stands, as parts of the panel."""
    figure = Figure(figsize=(inches, inches))
    ax = figure.add_axes((0, 0, 1, 1), xlim=(-half, half), ylim=(-half, half))
    draw_graticule(ax, f"+proj=laea +lat_0={lat} +lon_0={lon}", (-half, half, -half, half), "black", ["left", "bottom"])
    return {text.get_text(): text.xy for text in ax.texts}


def test_labels_stand_where_their_lines_cross_the_edges():
    """About the equator a degree is 111.3 km east and 110.6 km north, nearly."""
    labels = graticule(0.0, 0.0, 250_000.0)
    assert set(labels) == {"2°W", "1°W", "0°", "1°E", "2°E", "2°S", "1°S", "1°N", "2°N"}
    assert labels["1°E"] == (pytest.approx(0.5 + 111.3 / 500, abs=0.002), 0)
    assert labels["2°S"] == (0, pytest.approx(0.5 - 2 * 110.6 / 500, abs=0.002))


def test_longitudes_are_counted_on_across_the_antimeridian():
    labels = [label for label in graticule(-17.0, 180.0, 400_000.0) if label[-1] not in "NS"]
    assert labels == ["178°E", "180°", "178°W"]


def test_a_narrow_panel_has_fewer_labels():
    assert len(graticule(52.0, 5.0, 64_000.0, 0.5)) < len(graticule(52.0, 5.0, 64_000.0, 2.0))


def test_a_line_that_crosses_an_edge_near_its_end_has_its_label_inside_the_panel():
    """Half of 223 km are 2.003 degrees of longitude, so that 2 degrees lie 0.1 pt from the end of 144 pt."""
    labels = graticule(0.0, 0.0, 223_000.0)
    assert {"2°W", "1°W", "0°", "1°E", "2°E"} <= set(labels)
    for east, west in (labels["2°E"], labels["2°W"]), (labels["1°E"], labels["1°W"]):
        assert east[0] == pytest.approx(1 - west[0], abs=0.01)
    assert 0.02 < labels["2°W"][0] < 0.06 and labels["1°W"][0] == pytest.approx(0.25, abs=0.002)


@pytest.mark.parametrize("domain", ["one panel", "tall"])
def test_a_title_of_two_lines_keeps_the_time_together(domain, monkeypatch):
    forecast = make_forecast(*DOMAINS[domain][:-1]).assign_coords(event=("case", ["knmi_20100826"]))
    figure = plot_forecast(forecast)
    (title,) = (text.get_text() for text in figure.texts if "event" in text.get_text())
    assert_legible(figure, monkeypatch)
    assert title.splitlines() == ["steps, 3 members: event knmi_20100826,", "from 2019-06-01 12:00 UTC"]
