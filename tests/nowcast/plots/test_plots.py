import socket
import time
from collections import Counter

import matplotlib
import numpy as np
import pytest
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from typer.testing import CliRunner

from nowcast.cli import app as cli
from nowcast.data.radar_file import open_radar
from nowcast.plots.animation import animate_forecast
from nowcast.plots.curves import plot_scores
from nowcast.plots.maps import plot_forecast, plot_samples, save_forecast_map
from nowcast.plots.panels import (
    MISSING_COLOUR,
    VIL_COLOURS,
    VIL_LEVELS,
    Place,
    draw_panel,
    find_place,
    probability_look,
    spread_look,
    vil_look,
)
from pipelines.errors import InputError
from pipelines.store.geo import SEVIR_PROJ, grid_mapping, lat_lon

INIT = np.datetime64("2019-06-01T12:00:00", "ns")
LEADS = (np.arange(1, 11) * 5).astype("timedelta64[m]").astype("timedelta64[ns]")
CORNER_X, CORNER_Y, PIXEL, SIDE = 100_000.0, -200_000.0, 12_000.0, 32  # a tile of 384 km over Oklahoma and Arkansas


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a picture asked for the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def make_forecast(members: int = 4) -> xr.Dataset:
    centres = (np.arange(SIDE) + 0.5) * PIXEL
    lat, lon = lat_lon(SEVIR_PROJ, CORNER_X, CORNER_Y, centres, centres)
    counts = np.random.default_rng(0).uniform(0, 254, (1, members, 10, SIDE, SIDE)).astype("float32")
    counts[..., :3, :3] = np.nan
    return xr.Dataset(
        {"vil": (("case", "member", "lead_time", "y", "x"), counts)},
        {
            "event": ("case", ["S1"]),
            "init_time": ("case", [INIT]),
            "valid_time": (("case", "lead_time"), [INIT + LEADS]),
            "member": np.arange(members),
            "lead_time": LEADS,
            "latitude": (("case", "y", "x"), lat[None]),
            "longitude": (("case", "y", "x"), lon[None]),
            "proj": ("case", [SEVIR_PROJ]),
        },
        {"model": "steps"},
    )


def make_store(frames: int = 13) -> xr.Dataset:
    """Frames every five minutes from the init time on, the k-th full of the count 10 k."""
    counts = np.broadcast_to(10 * np.arange(frames, dtype="float32")[:, None, None], (1, frames, SIDE, SIDE))
    times = INIT + np.arange(frames) * np.timedelta64(5, "m")
    return xr.Dataset(
        {"vil": (("event", "frame", "y", "x"), counts)},
        {"event": ["S1"], "valid_time": (("event", "frame"), [times])},
    )


def maps(figure: Figure) -> list[GeoAxes]:
    return [ax for ax in figure.axes if isinstance(ax, GeoAxes)]


def notes(ax) -> list[str]:
    """Texts on a panel but the labels of its lines of latitude and longitude."""
    return [text.get_text() for text in ax.texts if "°" not in text.get_text()]


def shown(ax) -> np.ma.MaskedArray:
    return ax.get_images()[0].get_array()


@pytest.mark.parametrize(("count", "colour"), list(zip(VIL_LEVELS[:-1], VIL_COLOURS, strict=True)))
def test_a_level_begins_its_colour(count, colour):
    look = vil_look()
    assert to_hex(look.cmap(look.norm(count))) == colour
    if count:
        assert to_hex(look.cmap(look.norm(count - 0.01))) == VIL_COLOURS[VIL_COLOURS.index(colour) - 1]


def luminance(colour) -> float:
    """Relative luminance of a colour, as WCAG 2 defines it."""
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("green", VIL_COLOURS[1:5])
def test_light_rain_is_seen_on_the_ground(green):
    """The contrast is at least 2; that of the two darkest greens on the dark grey of SEVIR's display is 1.2."""
    low, high = sorted(luminance(colour) + 0.05 for colour in (green, VIL_COLOURS[0]))
    assert high / low >= 2


@pytest.mark.parametrize("colour", VIL_COLOURS[1:])
def test_every_echo_is_seen_on_the_ground_and_on_missing_pixels(colour):
    """In red, green or blue it is at least 0.3 away from either."""
    for other in (VIL_COLOURS[0], MISSING_COLOUR):
        assert np.abs(np.subtract(to_rgb(colour), to_rgb(other))).max() >= 0.3


@pytest.mark.parametrize("look", [vil_look(), probability_look(), spread_look(np.zeros(1))])
def test_missing_pixels_are_told_from_those_of_zero(look):
    """The contrast is at least 2.5."""
    missing = look.cmap(look.norm(np.ma.masked_invalid([np.nan])))[0]
    assert to_hex(missing) == MISSING_COLOUR
    low, high = sorted(luminance(colour) + 0.05 for colour in (missing, look.cmap(look.norm(0))))
    assert high / low >= 2.5


def test_the_colour_bar_of_counts_is_in_kilograms_and_in_counts():
    look = vil_look()
    assert look.ticks[16] == "0.15"  # (16 - 2) / 90.66
    assert look.ticks[133] == "3.5"  # exp((133 - 83.9) / 38.9)
    assert "kg m" in look.label
    assert look.second == ("counts", ["0", "16", "31", "59", "74", "100", "133", "160", "181", "219", "254"])
    assert probability_look().label == "P(≥ 74 counts = 0.78 kg m⁻²)"


def test_both_sides_of_the_colour_bar_say_the_same_level_at_the_same_height():
    figure = plot_forecast(make_forecast())
    figure.draw_without_rendering()
    kilograms, counts = (
        next(ax for ax in figure.axes if ax.get_ylabel() == label) for label in ("VIL (kg m⁻²)", "counts")
    )

    def heights(ax) -> dict[str, float]:
        ticks = zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
        return {text.get_text(): ax.transData.transform((0, place))[1] for place, text in ticks}

    assert heights(kilograms)["3.5"] == pytest.approx(heights(counts)["133"])
    assert heights(kilograms)["0.15"] == pytest.approx(heights(counts)["16"])
    assert (kilograms.yaxis.get_ticks_position(), counts.yaxis.get_ticks_position()) == ("right", "left")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["missing"]


def test_the_place_of_a_case_is_its_tile():
    place = find_place(make_forecast().isel(case=0))
    expected = (CORNER_X, CORNER_X + 384_000, CORNER_Y, CORNER_Y + 384_000)
    np.testing.assert_allclose(place.extent, expected, atol=1)


def test_a_corner_is_enough_for_a_place():
    centres = (np.arange(SIDE) + 0.5) * PIXEL
    case = make_forecast().drop_vars(["latitude", "longitude"]).isel(case=0).assign_coords(x=centres, y=centres)
    assert find_place(case) is None
    case = case.assign_coords(corner_x=CORNER_X, corner_y=CORNER_Y)
    assert find_place(case).extent == pytest.approx((CORNER_X, CORNER_X + 384_000, CORNER_Y, CORNER_Y + 384_000))
    assert find_place(case.assign_coords(proj="")) is None and find_place(case.assign_coords(corner_x=np.nan)) is None


def test_the_case_and_the_member_are_those_that_are_asked_for():
    """By default the case with most echo and the first member; three cases, with echo in 0, 2 and 1 quarters."""
    counts = np.zeros((3, 2, 10, SIDE, SIDE), "float32")
    counts[1, :, :, : SIDE // 2], counts[2, :, :, : SIDE // 4] = 100, 100
    counts[:, 1] += 30
    forecast = xr.concat([make_forecast(2)] * 3, "case").assign(vil=(("case", "member", "lead_time", "y", "x"), counts))
    forecast = forecast.assign_coords(event=("case", ["S0", "S1", "S2"]), member=[4, 7])

    def member_row(**asked) -> tuple[str, str, float]:
        figure = plot_forecast(forecast, lead_times=LEADS[:1], **asked)
        *names, title = [text.get_text() for text in figure.texts]
        return title.split("event ")[1][:2], names[1], float(shown(maps(figure)[1]).mean())

    assert member_row() == ("S1", "member 4", 50)
    assert member_row(case=2, members=[7]) == ("S2", "member 7", 55)
    with pytest.raises(InputError, match=r"no member 5 in the forecast; expected one of \[4, 7\]"):
        member_row(members=[5])


def test_an_ensemble_has_five_rows_of_four_lead_times(no_network):
    figure = plot_forecast(make_forecast(), make_store())
    figure.draw_without_rendering()
    panels = maps(figure)
    assert len(panels) == 20
    assert [ax.get_title() for ax in panels[:4]] == [
        "12:05 UTC (+5 min)",
        "12:20 UTC (+20 min)",
        "12:35 UTC (+35 min)",
        "12:50 UTC (+50 min)",
    ]
    texts = [text.get_text() for text in figure.texts]
    assert texts == [
        "observed",
        "ensemble mean",
        "member 0",
        "probability",
        "spread",
        "steps, 4 members: event S1, from 2019-06-01 12:00 UTC",
    ]


def test_each_panel_shows_what_its_row_says():
    forecast = make_forecast()
    panels = maps(plot_forecast(forecast, make_store(), lead_times=[LEADS[1]]))
    counts = forecast["vil"].values[0, :, 1]
    observed, mean, member, probability, spread = (shown(ax) for ax in panels)
    assert (observed == 20).all()  # frame 2, ten minutes after the init time
    np.testing.assert_allclose(mean.filled(np.nan), counts.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(member.filled(np.nan), counts[0])
    assert probability[10, 10] == np.mean(counts[:, 10, 10] >= 74)
    np.testing.assert_allclose(spread[10, 10], np.std(counts[:, 10, 10], ddof=1), rtol=1e-5)
    for field in (mean, member, probability, spread):
        assert field.mask[:3, :3].all() and field.mask.sum() == 9
    assert panels[0].get_images()[0].origin == "lower"  # row 0 is the south


def test_frames_that_the_store_lacks_are_missing():
    panels = maps(plot_forecast(make_forecast(), make_store(frames=6)))
    assert [bool(np.ma.getmaskarray(shown(ax)).all()) for ax in panels[:4]] == [False, False, True, True]
    assert [notes(ax) for ax in panels[:4]] == [[], [], *[["not observed yet"]] * 2]


def test_a_frame_that_is_lost_within_the_data_is_not_said_to_come_yet():
    store = make_store().isel(frame=[0, 1, 3, 4, 5, 6, 7, 8, 9, 10])  # +10 minutes is lost
    panels = maps(plot_forecast(make_forecast(), store, lead_times=[LEADS[1]]))
    assert np.ma.getmaskarray(shown(panels[0])).all() and not notes(panels[0])


def test_a_deterministic_forecast_has_one_row_and_the_observed_one():
    assert len(maps(plot_forecast(make_forecast(1), make_store()))) == 8
    assert len(maps(plot_forecast(make_forecast(1)))) == 4


def test_the_title_stays_within_a_narrow_picture():
    forecast = make_forecast().assign_coords(event=("case", ["dpc_campania-20250324T083000-00-02"]))
    figure = plot_forecast(forecast, lead_times=LEADS[:1])
    figure.draw_without_rendering()
    box = figure.texts[-1].get_window_extent()
    assert "\n" in figure.texts[-1].get_text() and box.x0 >= 0 and box.x1 <= figure.bbox.x1


@pytest.mark.parametrize("name", [r"$\frac$", "a $5 b $6", r"$\notacommand$"])
def test_names_of_files_are_no_formulas(name, no_network):
    figure = plot_forecast(make_forecast().assign_attrs(model=name).assign_coords(event=("case", [name])))
    figure.draw_without_rendering()
    texts = [text for text in figure.texts if name in text.get_text()]
    assert texts and not any(text.get_parse_math() for text in texts)


def test_without_a_projection_the_axes_are_plain(no_network):
    figure = plot_forecast(make_forecast().drop_vars(["proj", "latitude", "longitude"]))
    figure.draw_without_rendering()
    assert not maps(figure) and len([ax for ax in figure.axes if ax.get_images()]) == 16


def test_a_grid_mapping_is_enough_for_a_map():
    forecast = make_forecast().drop_vars("proj").assign_coords(crs=((), 0, grid_mapping(SEVIR_PROJ)))
    place = find_place(forecast.isel(case=0))
    np.testing.assert_allclose(place.extent, find_place(make_forecast().isel(case=0)).extent, atol=1)
    assert len(maps(plot_forecast(forecast))) == 16


def test_a_panel_is_drawn_on_the_axes_that_are_given(no_network):
    place = Place(SEVIR_PROJ, (CORNER_X, CORNER_X + 384_000, CORNER_Y, CORNER_Y + 384_000))
    ax = Figure().add_subplot(projection=place.crs())
    assert draw_panel(ax, np.zeros((4, 4)), vil_look(), place, ["left", "bottom"]) is ax
    ax.figure.draw_without_rendering()
    assert ax.get_extent() == pytest.approx(place.extent)
    assert {"37°N", "38°N", "96°W"} <= {text.get_text() for text in ax.texts}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"case": 1}, "no case 1 in the forecast; expected 0 to 0"),
        (
            {"lead_times": [np.timedelta64(7, "m")]},
            "no such lead time in the forecast; got 7 min; expected one of 5 min, 10",
        ),
        ({"store": make_store().assign_coords(event=["S2"])}, "the store has no event S1"),
    ],
)
def test_what_is_not_there_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        plot_forecast(make_forecast(), **change)


def test_a_file_without_events_is_refused():
    with pytest.raises(InputError, match="no coordinate event"):
        plot_forecast(make_forecast().drop_vars("event"))


def test_a_map_is_saved_at_once_and_whole(tmp_path, no_network):
    file, picture = tmp_path / "forecast.nc", tmp_path / "pictures" / "map.png"
    make_forecast().to_netcdf(file)
    start = time.monotonic()
    assert save_forecast_map(file, picture) == picture
    assert time.monotonic() - start < 20
    assert picture.read_bytes().startswith(b"\x89PNG") and list(picture.parent.iterdir()) == [picture]
    with pytest.raises(InputError, match="exists; say --overwrite"):
        save_forecast_map(file, picture)
    with pytest.raises(InputError, match="cannot draw"):
        save_forecast_map(file, tmp_path / "map.txt")


def test_a_failed_map_leaves_the_old_one(tmp_path, monkeypatch):
    file, picture = tmp_path / "forecast.nc", tmp_path / "map.png"
    make_forecast(1).to_netcdf(file)
    picture.write_bytes(b"old")

    def fail(self, path, **kwargs):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        save_forecast_map(file, picture, overwrite=True)
    assert picture.read_bytes() == b"old" and sorted(tmp_path.iterdir()) == [file, picture]


def test_samples_are_rows_of_frames():
    frames = np.full((6, 8, 8), 100.0)
    figure = plot_samples(frames[:4], frames, np.stack([frames, frames]))
    figure.draw_without_rendering()
    (ax,) = figure.axes
    boxes = [image.get_extent() for image in ax.get_images()]
    assert Counter(round(bottom, 6) for _, _, bottom, _ in boxes) == {3.03: 4, 2.03: 6, 1.03: 6, 0.03: 6}
    names = {text.get_text(): height for height, text in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)}
    assert names == {"history": 3.5, "observed": 2.5, "sample 0": 1.5, "sample 1": 0.5}


@pytest.mark.parametrize(("video_range", "origin"), [(None, "lower"), (255, "upper")])
def test_samples_of_radar_have_south_below_and_those_of_video_the_first_row_above(video_range, origin):
    frames = np.zeros((2, 4, 8))
    frames[:, 0] = 200
    figure = plot_samples(frames, frames, frames[None], video_range=video_range)
    image = figure.axes[0].get_images()[0]
    assert image.origin == origin and np.asarray(image.get_array())[0].min() > np.asarray(image.get_array())[1].max()
    left, right, bottom, top = image.get_extent()
    assert (right - left) / (top - bottom) == pytest.approx(2) and top > bottom


def test_scores_are_a_curve_a_model():
    def scores(offset: float) -> xr.Dataset:
        lead = ("lead_time", np.linspace(2, 3, 10) + offset)
        csi = (("lead_time", "summary", "threshold"), np.full((10, 2, 2), 0.5))
        return xr.Dataset(
            {"crps_fair": lead, "spread_skill": lead, "csi": csi},
            {"lead_time": LEADS, "summary": ["mean", "member"], "threshold": [16.0, 74.0]},
        )

    figure = plot_scores({"steps": scores(0), "predldm": scores(-1)})
    crps, csi, calibration = figure.axes
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["steps", "predldm"]
    np.testing.assert_allclose(crps.lines[1].get_xdata(), np.arange(5, 55, 5))
    np.testing.assert_allclose(crps.lines[1].get_ydata()[[0, -1]], [1, 2])
    assert (csi.lines[0].get_ydata() == 0.5).all()
    assert len(calibration.lines) == 3  # with the line at 1
    assert csi.get_title() == "CSI, ≥ 74 counts\nensembles: of the ensemble mean"


def test_the_command_draws_the_member_and_the_lead_times_that_are_asked_for(tmp_path, monkeypatch):
    file, out = tmp_path / "forecast.nc", tmp_path / "map.svg"
    make_forecast().to_netcdf(file)
    words = ["plot", file, out, "--member", 2, "--lead-time", 30, "--lead-time", 45, "--case", 0]
    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")  # text as text
    done = CliRunner().invoke(cli.app, [*map(str, words)])
    assert done.exit_code == 0 and done.stdout.split() == [str(out)]
    drawn = out.read_text()
    assert "member 2" in drawn and "(+30 min)" in drawn and "(+45 min)" in drawn and "(+50 min)" not in drawn


def test_a_forecast_of_a_whole_file_is_drawn_beside_that_file_and_a_store_of_its_tiles(tmp_path, cf_radar):
    """Frame k of the file is full of the count 10 k, over 40 x 40 km; the forecast begins after frame 5 of 8."""
    counts = np.broadcast_to(10 * np.arange(8, dtype="float32")[:, None, None], (8, 40, 40))
    cf_radar(counts).to_netcdf(tmp_path / "radar.nc")
    tile = open_radar(tmp_path / "radar.nc").isel(y=slice(0, 20)).assign_coords(event=["tile"])
    whole = open_radar(tmp_path / "radar.nc")
    times = whole["valid_time"].values[0]
    leads = np.arange(1, 5) * np.timedelta64(300, "s")
    forecast = xr.Dataset(
        {"vil": (("case", "member", "lead_time", "y", "x"), np.full((1, 1, 4, 40, 40), 50, "float32"))},
        {
            "event": ("case", ["radar"]),
            "init_time": ("case", times[[5]]),
            "valid_time": (("case", "lead_time"), [times[5] + leads]),
            "member": [0],
            "lead_time": leads,
            **{name: ("case", whole[name].values) for name in ("proj", "corner_x", "corner_y")},
            "y": whole["y"],
            "x": whole["x"],
        },
    )
    for store in (tmp_path / "radar.nc", tile):
        panels = maps(plot_forecast(forecast, store))[:4]
        assert [float(shown(ax)[0, 0]) for ax in panels[:2]] == [60, 70]
        assert [notes(ax) for ax in panels] == [[], [], *[["not observed yet"]] * 2]
        assert bool(np.ma.getmaskarray(shown(panels[0]))[-1, 0]) == (store is tile)
    assert len(list(animate_forecast(forecast, tmp_path / "radar.nc"))) == 4 + 4


def test_pixels_of_a_large_field_are_averaged_and_those_of_a_tile_are_not():
    """Rows of 0 and 200 counts, four to a pixel of the picture, are 100 counts: yellow; the edge of a tile is sharp."""
    figure = Figure(figsize=(2, 2), dpi=100)
    ax = figure.add_axes((0, 0, 1, 1))
    draw_panel(ax, np.resize([0.0, 0.0, 202.0, 202.0], (800, 800)).T, vil_look())
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    middle = np.asarray(canvas.buffer_rgba())[50:150, 50:150, :3]
    assert {to_hex(colour / 255) for colour in np.unique(middle.reshape(-1, 3), axis=0)} == {"#f5f500"}
    assert draw_panel(ax, np.zeros((128, 128)), vil_look()).get_images()[-1].get_interpolation() == "nearest"


def test_a_note_is_written_over_the_lines():
    panel = maps(plot_forecast(make_forecast(), make_store(frames=6)))[2]
    (note,) = (text for text in panel.texts if text.get_text() == "not observed yet")
    assert note.get_zorder() > max(line.get_zorder() for line in panel.lines) and note.get_bbox_patch() is not None


def test_outlines_are_thinner_on_a_large_map():
    def widest(half: float) -> float:
        place = Place(SEVIR_PROJ, (-half, half, -half, half))
        ax = draw_panel(Figure().add_subplot(projection=place.crs()), np.zeros((4, 4)), vil_look(), place)
        return max(line.get_linewidth() for line in ax.lines if line.get_linestyle() == "-")

    assert widest(200_000.0) == 0.7 and widest(1_000_000.0) == pytest.approx(0.35)
