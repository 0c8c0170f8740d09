"""Maps and animations in the units of radar: colours, probabilities of any threshold, and spread."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex
from typer.testing import CliRunner

from nowcast.cli import app as cli
from nowcast.data.conventions import DEFAULT_THRESHOLDS
from nowcast.plots.maps import plot_forecast
from nowcast.plots.panels import VIL_COLOURS, probability_look, threshold_text, vil_look
from nowcast.plots.rows import Row, Terms, one_case, panel_rows
from pipelines.errors import InputError
from pipelines.store.amounts import amount_text, threshold_in_counts
from pipelines.store.units import COUNTS, QUANTITIES, RAIN_RATE, REFLECTIVITY, VIL

INIT = np.datetime64("2019-06-01T12:00:00", "ns")
LEADS = (np.arange(1, 3) * 5).astype("timedelta64[m]").astype("timedelta64[ns]")


def make_forecast(counts: list[float], **attrs) -> xr.Dataset:
    """A member full of each of some counts, two lead times of 4 x 4 pixels, without a place."""
    fields = np.broadcast_to(np.array(counts, "float32")[:, None, None, None], (len(counts), 2, 4, 4))
    return xr.Dataset(
        {"vil": (("case", "member", "lead_time", "y", "x"), fields[None])},
        {
            "event": ("case", ["S1"]),
            "init_time": ("case", [INIT]),
            "valid_time": (("case", "lead_time"), [INIT + LEADS]),
            "member": np.arange(len(counts)),
            "lead_time": LEADS,
        },
        attrs,
    )


def rows_of(forecast: xr.Dataset, **asked) -> dict[str, Row]:
    shown = one_case(forecast)
    return {row.name: row for row in panel_rows(shown, None, terms=Terms.of(forecast, **asked))}


def counts_of(amount: float, quantity: str) -> float:
    return float(QUANTITIES[quantity].to_counts(np.array([amount]))[0])


@pytest.mark.parametrize(
    ("quantity", "label", "amount", "colour"),
    [
        (RAIN_RATE, "rain rate (mm h⁻¹)", 10, 6),
        (REFLECTIVITY, "reflectivity (dBZ)", 35, 6),
        (VIL, "VIL (kg m⁻²)", 0.5, 3),
    ],
)
def test_colours_begin_at_round_amounts_of_the_unit(quantity, label, amount, colour):
    look = vil_look(quantity)
    counts = counts_of(amount, quantity)
    assert look.label == label and look.second is None
    assert look.ticks[counts] == f"{amount:g}"
    assert to_hex(look.cmap(look.norm(counts + 0.01))) == VIL_COLOURS[colour]
    assert to_hex(look.cmap(look.norm(counts - 0.01))) == VIL_COLOURS[colour - 1]
    assert (
        to_hex(look.cmap(look.norm(0.0))) == VIL_COLOURS[0] and to_hex(look.cmap(look.norm(254.0))) == VIL_COLOURS[-1]
    )


def test_labels_say_the_unit_of_the_forecast():
    labels = [row.look.label for row in rows_of(make_forecast([0, 100], quantity=VIL)).values()]
    assert labels == ["VIL (kg m⁻²)", "VIL (kg m⁻²)", "P(≥ 0.8 kg m⁻²)", "spread (kg m⁻²)"]
    labels = [row.look.label for row in rows_of(make_forecast([0, 100])).values()]
    assert labels == ["VIL (kg m⁻²)", "VIL (kg m⁻²)", "P(≥ 74 counts = 0.78 kg m⁻²)", "spread (counts)"]


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_the_probability_is_of_the_moderate_one_of_the_thresholds_of_pages_and_answers(quantity):
    """Also where counts are shown in another unit."""
    label = f"P(≥ {amount_text(threshold_in_counts(DEFAULT_THRESHOLDS[quantity][1], quantity), quantity)}"
    assert rows_of(make_forecast([0, 100], quantity=quantity))["probability"].look.label.startswith(label)
    shown = rows_of(make_forecast([0, 100]), units=QUANTITIES[quantity].attrs["units"])
    assert shown["probability"].look.label.startswith(label)


def test_units_that_are_asked_for_replace_those_of_the_forecast():
    rows = rows_of(make_forecast([0, 100], quantity=VIL), units="mm/h")
    assert [row.look.label for row in rows.values()][-1] == "spread (mm h⁻¹)"
    assert rows_of(make_forecast([0, 100], quantity=VIL), units="counts")["spread"].look.label == "spread (counts)"


def test_spread_is_that_of_converted_members():
    """1 and 3 mm/h have a standard deviation of sqrt(2), whatever their counts; the fields stay in counts."""
    counts = [counts_of(1, RAIN_RATE), counts_of(3, RAIN_RATE)]
    rows = rows_of(make_forecast(counts, quantity=RAIN_RATE))
    np.testing.assert_allclose(rows["spread"].fields, np.sqrt(2), rtol=1e-4)


@pytest.mark.parametrize(
    ("quantity", "amounts", "mean"),
    [(COUNTS, (10, 90), 50), (RAIN_RATE, (0, 6), 3), (VIL, (1, 3), 2), (REFLECTIVITY, (-32, 40), 36.99)],
)
def test_the_mean_is_that_of_converted_members(quantity, amounts, mean):
    """The mean of 0 and 6 mm/h is 3 mm/h; half of the Z of 40 dBZ is 3.01 dB less. The fields stay in counts."""
    forecast = make_forecast([counts_of(amount, quantity) for amount in amounts], quantity=quantity)
    fields = rows_of(forecast)["ensemble mean"].fields
    np.testing.assert_allclose(QUANTITIES[quantity].from_counts(fields.astype("float64")), mean, atol=0.01)


def test_there_is_no_spread_in_decibels():
    """It would say little more than how many members are dry."""
    names = list(rows_of(make_forecast([0, 100], quantity=REFLECTIVITY)))
    assert names == ["ensemble mean", "member 0", "probability"]


@pytest.mark.parametrize("threshold", ["2mm/h", "2", 2, f"{counts_of(2, RAIN_RATE)}counts"])
def test_the_probability_is_of_the_threshold_that_is_asked_for(threshold):
    forecast = make_forecast([counts_of(rate, RAIN_RATE) for rate in (1, 1.9, 2.1, 3)], quantity=RAIN_RATE)
    rows = rows_of(forecast, threshold=threshold)
    assert (rows["probability"].fields == 0.5).all() and rows["probability"].look.label == "P(≥ 2 mm h⁻¹)"
    assert (rows_of(forecast, threshold="2.5mm/h")["probability"].fields == 0.25).all()


def test_a_threshold_in_one_unit_is_said_in_the_other():
    """Z = 200 R^1.6: 35 dBZ are (10^3.5 / 200)^(1 / 1.6) = 5.62 mm/h."""
    assert rows_of(make_forecast([0, 9], quantity=RAIN_RATE), threshold="35dBZ")["probability"].look.label == (
        "P(≥ 5.62 mm h⁻¹)"
    )
    assert threshold_text(counts_of(35, REFLECTIVITY), REFLECTIVITY) == "≥ 35 dBZ"
    assert probability_look(133).label == "P(≥ 133 counts = 3.5 kg m⁻²)"


def test_every_member_that_is_asked_for_has_a_row():
    figure = plot_forecast(make_forecast([10, 20, 30]), members=[2, 0])
    assert [text.get_text() for text in figure.texts][:3] == ["ensemble mean", "member 2", "member 0"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"units": "furlongs"}, "no such units of radar; got 'furlongs'"),
        ({"threshold": "2.5 furlongs"}, "no such units of radar"),
        ({"threshold": "heavy"}, "no threshold; got 'heavy'"),
        ({"threshold": 300}, "no threshold of 300"),
        ({"members": [5]}, "no member 5 in the forecast"),
    ],
)
def test_what_radar_cannot_have_is_refused(asked, message):
    with pytest.raises(InputError, match=message):
        plot_forecast(make_forecast([0, 100]), **asked)


def test_a_video_has_no_units():
    video = make_forecast([0, 100]).rename(vil="video").expand_dims(channel=1)
    video = video.transpose("case", "member", "lead_time", "channel", "y", "x")
    for asked in ({"units": "mm/h"}, {"threshold": "74"}):
        with pytest.raises(InputError, match="a video has neither units nor thresholds"):
            Terms.of(video, **asked)
    assert Terms.of(video) == Terms.of(make_forecast([0, 100])) == (COUNTS, 74.0)


@pytest.mark.parametrize("command", ["plot", "animate"])
def test_the_commands_take_units_thresholds_members_and_lead_times(command, tmp_path, monkeypatch):
    """Of what `nowcast.plots` is given, since pictures cannot be read."""
    given = {}
    room, name = ("maps", "save_forecast_map") if command == "plot" else ("animation", "save_animation")
    monkeypatch.setattr(f"nowcast.plots.{room}.{name}", lambda forecast, out, **options: given.update(options) or out)
    some = ["--member", "2", "--member", "0", "--lead-time", "10", "--lead-time", "2.5"]
    for which in (some, ["--members", "2,0", "--lead-times", "10, 2.5"]):
        done = CliRunner().invoke(
            cli.app, [command, "f.nc", "map.png", *which, "--threshold", "2mm/h", "--units", "mm/h"]
        )
        assert done.exit_code == 0, done.output
        assert (given["members"], given["threshold"], given["units"]) == ([2, 0], "2mm/h", "mm/h")
        assert given["lead_times"] == [np.timedelta64(10, "m"), np.timedelta64(150, "s")]
    CliRunner().invoke(cli.app, [command, "f.nc", "map.png"])
    assert [given[name] for name in ("members", "threshold", "units", "lead_times")] == [None] * 4


@pytest.mark.parametrize("command", ["plot", "animate"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lead-times", "10;60"], "no lead times in minutes; got '10;60'; expected such as 10 or 10,30,60"),
        (["--lead-times", "nan"], "no lead times in minutes; got 'nan'"),
        (["--members", "0,first"], "no numbers of members; got '0,first'; expected such as 0 or 0,1,2"),
        (["--member", ","], "no numbers of members; got ','"),
    ],
)
def test_what_is_no_list_of_numbers_is_refused(command, words, message):
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(cli.app, [command, "f.nc", "map.png", *words], catch_exceptions=False)
