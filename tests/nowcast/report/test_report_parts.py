"""The parts of the report, on numbers made by hand: axes, curves, colours, pictures, cases, reliability in tenths."""

import base64
import io
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from nowcast.plots.panels import MISSING_COLOUR, VIL_COLOURS, Place
from nowcast.report import figures
from nowcast.report.cases import Drawing, _outlines, choose_cases, coarse
from nowcast.report.cells import Cell, Table, typeset
from nowcast.report.charts import Axis, Plot, Series, spanning
from nowcast.report.models import Model
from nowcast.report.page import TEMPLATES
from nowcast.report.shades import all_shades, photograph
from nowcast.verification.inputs import Case, Forecast

CHARTS = TEMPLATES.get_template("charts.html").module


def picture(uri: str) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))).convert("RGB"))


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))


def test_no_torch_is_imported():
    code = "import sys, nowcast.report; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_text_is_escaped():
    hostile = "</td><script>alert('&\"')</script>"
    written = CHARTS.table(
        Table(hostile, [Cell(hostile)], [[Cell(hostile, style="m0"), Cell(value=1.5, word=hostile)]])
    )
    assert "<script" not in written and written.count("&lt;/td&gt;&lt;script&gt;") == 6


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.1235"),
        (1.2345, "1.2345"),
        (-12.3456, "−12.35"),
        (123.456, "123.46"),
        (2345.6, "2346"),
        (np.nan, "–"),
    ],
)
def test_numbers_as_they_are_read(value, text):
    assert typeset(value) == text
    assert CHARTS.number(value) == f'<data value="{value!r}">{text}</data>'


def test_places_and_ticks_of_axes():
    assert Axis("", 10, 30).place(np.array([10, 15, 30])).tolist() == [0, 0.25, 1]
    assert Axis("", 1, 100, log=True).place(np.array([1, 10, 100])).tolist() == [0, 0.5, 1]
    assert Axis("", 400, 4, log=True).place(np.array([400, 40, 4])).tolist() == pytest.approx([0, 0.5, 1])
    assert Axis("", 0, 50).ticks() == [0, 10, 20, 30, 40, 50]
    assert Axis("", 1e-3, 1, log=True).ticks() == pytest.approx([1e-3, 1e-2, 1e-1, 1])


@example([5e-324], True, None)
@example([5e-324, 1.0], True, None)
@given(st.lists(st.floats(-1e6, 1e6) | st.just(np.nan), max_size=6), st.booleans(), st.sampled_from([None, 0.0]))
def test_an_axis_spans_what_is_finite(values, log, start):
    axis = spanning("", [np.array(values)], start=1.0 if log and start is not None else start, log=log)
    finite = [v for v in values if np.isfinite(v) and (v > 0 or not log)]
    assert axis.low < axis.high and all(axis.low <= v <= axis.high for v in finite)
    assert all(axis.low <= tick <= axis.high + 1e-9 * abs(axis.high) for tick in axis.ticks())


def test_a_curve_is_broken_where_it_has_no_value():
    one = Series("a", "m0", np.arange(5.0), np.array([0, 1, np.nan, 1, 0]), band=(np.zeros(5), np.ones(5)))
    drawing = CHARTS.plot(Plot(Axis("x", 0, 4), Axis("y", 0, 1), [one]), "title")
    line = drawing.split('class="line m0"')[0].rsplit('d="', 1)[1]
    assert line.count("M") == 2 and line.count("L") == 2
    assert drawing.count('class="mark m0"') == 4 and 'aria-label="title. y by x: a"' in drawing
    assert drawing.split('class="band m0"')[0].rsplit('d="', 1)[1].count("Z") == 4


def test_numbers_of_curves_stand_by_their_x():
    curves = [
        Series("a", "m0", np.array([0.0, 1.0]), np.array([5.0, 6.0])),
        Series("b", "m1", np.ones(1), np.array([7.0])),
    ]
    text = CHARTS.table(Plot(Axis("x", 0, 1), Axis("y", 0, 9), curves).numbers())
    assert [cell.split('"')[0] for cell in text.split('<data value="')[1:]] == ["5.0", "nan", "6.0", "7.0"]


def test_a_picture_has_the_north_on_top_and_the_package_colours():
    fields = np.zeros((2, 3, 4))
    fields[0, 0, 0], fields[1, 2, 3], fields[1, 0, 1] = 16, 254, np.nan  # south-west; north-east; missing
    drawn = picture(all_shades()["vil"].picture(fields))
    assert drawn.shape == (6, 4, 3)
    assert tuple(drawn[2, 0]) == rgb(VIL_COLOURS[1]) and tuple(drawn[3, 3]) == rgb(VIL_COLOURS[-1])
    assert tuple(drawn[5, 1]) == rgb(MISSING_COLOUR) and tuple(drawn[0, 0]) == rgb(VIL_COLOURS[0])


def test_steps_begin_at_their_level_and_take_what_is_beyond():
    shades = all_shades()["probability"]
    drawn = picture(shades.picture(np.array([[[0.0, 0.0999, 0.1, 1.0]]])))[0]
    assert [tuple(pixel) for pixel in drawn] == [rgb(shades.colours[step]) for step in (0, 0, 1, 9)]
    spread = all_shades()["spread"]
    assert tuple(picture(spread.picture(np.full((1, 1, 1), 1e3)))[0, 0]) == rgb(spread.colours[-1])
    assert all(len(each.levels) == len(each.ticks) == len(each.colours) + 1 for each in all_shades().values())
    assert all(len(each.second) in (0, len(each.ticks)) for each in all_shades().values())
    assert all_shades()["vil"].second[4] == "74" and all_shades()["vil"].ticks[4] == "0.78"


def test_blocks_are_averaged():
    fields = np.arange(15.0).reshape(1, 3, 5)
    assert coarse(fields, 2).tolist() == [[[3.0, 5.0]]]
    assert coarse(fields, 1) is fields


def test_outlines_run_from_the_north_west_corner():
    """A tile over the Gulf of Finland, whose northern coast lies in its upper half."""
    proj = "+proj=laea +lat_0=60 +lon_0=25 +a=6370997 +units=m"
    path = _outlines(Place(proj, (-100e3, 100e3, -100e3, 100e3)))
    points = np.array([pair.split() for pair in path.replace("L", "M").split("M")[1:]], float)
    inside = points[((points >= 0) & (points <= 100)).all(axis=1)]
    assert len(inside) > 50 and path.count("M") < len(points)
    assert (inside[:, 1] < 50).any() and (inside[:, 1] > 50).any()


def test_cases_with_most_echo_and_by_crps():
    """Five cases of five events in two files; the fourth has most echo."""
    times = np.array(["2019-01-01T00:00"], "datetime64[s]")
    cases = tuple(Case(event, times[0], times) for event in "abcde")
    echo = xr.DataArray([0, 0, 0, 90, 10], dims="case") * xr.DataArray(
        np.ones((1, 1, 2, 2)), dims=("member", "lead_time", "y", "x")
    )
    forecast = Forecast((echo[:2], echo[2:]), cases, {})
    crps = {"a": 5.0, "b": 1.0, "c": 3.0, "d": 2.0, "e": 4.0}
    state = xr.Dataset(
        {"crps_fair": (("event", "lead_time"), [[value * 5, value * 5] for value in crps.values()]),
         "pixels": (("event", "lead_time"), np.full((5, 2), 5.0))},
        {"event": list(crps)},
    )  # fmt: skip
    chosen = [(case.event, reason) for case, reason in choose_cases(state, forecast)]
    assert chosen == [("d", "most echo"), ("b", "lowest CRPS"), ("a", "highest CRPS"), ("c", "median CRPS")]
    assert [case.event for case, _ in choose_cases(state * np.nan, forecast)] == ["d"]


def test_thresholds_that_hardly_any_pixel_reached_have_no_chart():
    """The first is reached by one pixel in fifty thousand, the second by one in two hundred thousand."""
    scores = xr.Dataset(
        {"forecast_share_pooled": (("threshold", "probability"), np.ones((3, 1))),
         "observed_frequency_pooled": (("threshold", "probability"), [[2e-5], [5e-6], [0.0]])},
        {"threshold": [16.0, 74.0, 133.0], "probability": [0.0]},
    )  # fmt: skip
    assert figures._reached([Model("forecast", "a", 1, "m0", scores)]) == [16.0]


def test_reliability_is_taken_together_by_tenths():
    """Of 40 members: 0 and 1/40 are the class 0; 2/40, half-way, and 5/40 the class 1; others are in none."""
    probability = np.arange(41) / 40
    share, frequency = np.full(41, 0.0), np.full(41, np.nan)
    share[[0, 1, 2, 5]], frequency[[0, 1, 2, 5]] = [0.5, 0.1, 0.3, 0.1], [0.0, 0.2, 0.1, 0.5]
    scores = xr.Dataset(
        {"forecast_share_pooled": (("threshold", "probability"), share[None]),
         "observed_frequency_pooled": (("threshold", "probability"), frequency[None])},
        {"threshold": [16.0], "probability": probability},
    )  # fmt: skip
    model = Model("forecast", "a", 40, "m0", scores)
    of_probability, of_event, total = figures._reliability(model, 16.0)
    assert total == pytest.approx([0.6, 0.4])
    assert of_event == pytest.approx([0.02 / 0.6, (0.03 + 0.05) / 0.4])
    assert of_probability == pytest.approx([0.0025 / 0.6, (0.015 + 0.0125) / 0.4])
    assert (total * of_event).sum() == pytest.approx(np.nansum(share * frequency))


def test_pictures_of_video_are_upright_in_grey_or_colour():
    fields = np.zeros((2, 3, 2, 2))
    fields[1, 0, 0, 1], fields[0, 2, 1, 0] = 1, 0.5  # red at the top right of the second, blue at the bottom left
    drawn = picture(photograph(fields))
    assert drawn.shape == (4, 2, 3) and drawn.astype(int).sum() == 255 + 128
    assert drawn[2, 1].tolist() == [255, 0, 0] and drawn[1, 0].tolist() == [0, 0, 128]
    assert picture(photograph(fields[:, :1]))[2, 1].tolist() == [255, 255, 255]


def test_a_video_is_drawn_without_probabilities():
    """Two members of one frame of two pixels: 0 and 100 above, 50 and 50 below; the spread is at the top."""
    values = np.array([[0.0, 50.0], [100.0, 50.0]])[:, None, None, :, None]
    drawn = Drawing(all_shades(), 1, 200.0).forecast(values, [])
    assert drawn["probability"] == []
    assert [picture(uri)[:, 0, 0].tolist() for uri in (*drawn["members"], drawn["mean"])] == [
        [0, 64],
        [128, 64],
        [64, 64],
    ]
    colours = all_shades()["spread"].colours
    assert [tuple(pixel) for pixel in picture(drawn["spread"])[:, 0]] == [rgb(colours[-1]), rgb(colours[0])]
