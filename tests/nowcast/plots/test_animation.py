"""Animations: what is shown when, frames that equal a whole drawing, and files that open again."""

from itertools import pairwise

import av
import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image, ImageSequence
from typer.testing import CliRunner

from nowcast.cli import app as cli
from nowcast.plots.animation import _redraw, animate_forecast, save_animation
from nowcast.plots.panels import MISSING_COLOUR, VIL_COLOURS
from pipelines.errors import InputError
from pipelines.store.geo import SEVIR_PROJ, lat_lon
from pipelines.store.schema import open_store

INIT, STEP = np.datetime64("2019-06-01T12:00:00", "ns"), np.timedelta64(300, "s").astype("timedelta64[ns]")
SIDE, PIXEL, LEADS = 16, 24_000.0, 3
ECHO, QUIET = 100.0, 0.0  # counts: "edac00" and "4d4d4d" begin at or below them


def make_forecast(members: int = 3, place: bool = True) -> xr.Dataset:
    """An echo in every member, everywhere."""
    centres = (np.arange(SIDE) + 0.5) * PIXEL
    lat, lon = lat_lon(SEVIR_PROJ, 0.0, 0.0, centres, centres)
    leads = np.arange(1, LEADS + 1) * STEP
    where = {
        "latitude": (("case", "y", "x"), lat[None]),
        "longitude": (("case", "y", "x"), lon[None]),
        "proj": ("case", [SEVIR_PROJ]),
    }
    return xr.Dataset(
        {"vil": (("case", "member", "lead_time", "y", "x"), np.full((1, members, LEADS, SIDE, SIDE), ECHO, "float32"))},
        {
            "event": ("case", ["S1"]),
            "init_time": ("case", [INIT]),
            "valid_time": (("case", "lead_time"), [INIT + leads]),
            "member": np.arange(members),
            "lead_time": leads,
            **(where if place else {}),
        },
        {"model": "steps"},
    )


def make_store(first: int = -5) -> xr.Dataset:
    """Frames from number `first` on, the init time being number 0, without any echo."""
    times = INIT + np.arange(first, LEADS + 1) * STEP
    counts = np.full((1, len(times), SIDE, SIDE), QUIET, "float32")
    return xr.Dataset(
        {"vil": (("event", "frame", "y", "x"), counts)},
        {"event": ["S1"], "valid_time": (("event", "frame"), [times])},
    )


def share(frame: np.ndarray, count: float) -> float:
    """How much of a picture has the colour of a count."""
    colour = np.array(to_rgb(VIL_COLOURS[0 if count == QUIET else 5])) * 255
    return float((frame == np.rint(colour)).all(axis=-1).mean())


def test_quiet_past_then_an_echo_in_the_forecast():
    frames = list(animate_forecast(make_forecast(), make_store()))
    assert len(frames) == 6  # -10, -5 and 0 minutes, then 5, 10 and 15
    height, width, colours = frames[0].shape
    assert colours == 3 and frames[0].dtype == np.uint8 and height % 2 == width % 2 == 0
    bar = share(frames[0], ECHO)  # the colour bar has it always
    assert bar < 0.01 and all(share(frame, ECHO) == bar for frame in frames[:3])
    assert all(share(frame, ECHO) > 0.15 for frame in frames[3:])  # mean and member
    assert share(frames[3], QUIET) == pytest.approx(share(frames[0], QUIET), rel=0.1)  # in the observed panel only
    assert all((one != other).any() for one, other in pairwise(frames))  # the time, if no more


def test_nothing_but_the_observed_panel_shows_the_past():
    """Of observed, mean, member 0, probability and spread the last four have words on the colour of missing pixels."""
    missing = np.rint(np.array(to_rgb(MISSING_COLOUR)) * 255)
    frames = list(animate_forecast(make_forecast(place=False), make_store()))
    for frame, panels in zip(frames, [4, 4, 4, 0, 0, 0], strict=True):
        middle = frame[frame.shape[0] // 3 : frame.shape[0] // 2, 55:-25]
        empty = [(part == missing).all(axis=-1).mean() > 0.5 for part in np.array_split(middle, 5, axis=1)]
        assert empty == [False] + [panels == 4] * 4
        letters = [(part.sum(axis=-1) < 100).mean() > 0.002 for part in np.array_split(middle, 5, axis=1)]
        assert not panels or letters[1:] == [True] * 4


def test_past_only_as_far_as_the_store_has_it():
    assert len(list(animate_forecast(make_forecast(), make_store(first=-1)))) == 5
    assert len(list(animate_forecast(make_forecast()))) == 3


def test_the_observed_panel_says_when_there_is_no_observation_yet():
    """A store that ends at the init time: the panel has the colour of missing pixels, and words on it."""
    store = make_store().isel(frame=slice(0, 6))
    frames = list(animate_forecast(make_forecast(1, place=False), store))
    past, after = (frame[:, : frame.shape[1] // 2] for frame in (frames[2], frames[3]))
    missing = np.rint(np.array(to_rgb(MISSING_COLOUR)) * 255)
    assert (past == missing).all(axis=-1).mean() < 0.01 < 0.5 < (after == missing).all(axis=-1).mean()
    column = after[after.shape[0] // 3 : 2 * after.shape[0] // 3]
    assert (column.sum(axis=-1) < 100).mean() > 0.002  # black letters


def test_progress_counts_the_frames():
    counted = []

    def count(items):
        for item in items:
            counted.append(item)
            yield item

    assert len(list(animate_forecast(make_forecast(1, place=False), make_store(), progress=count))) == 6
    assert len(counted) == 6


def test_one_member_has_two_panels_with_or_without_a_map():
    for place in (True, False):
        last = list(animate_forecast(make_forecast(1, place), make_store()))[-1]
        assert share(last, ECHO) == pytest.approx(share(last, QUIET), rel=0.1) and share(last, ECHO) > 0.25


def test_frames_equal_a_whole_drawing():
    figure, fields = Figure(figsize=(2, 2)), np.random.default_rng(0).random((3, 8, 8))
    ax = figure.add_axes((0.1, 0.1, 0.8, 0.7), xlabel="x")
    image = ax.imshow(fields[0], vmin=0, vmax=1)
    ax.plot([0, 7], [0, 5], color="#ff8800", linewidth=3, alpha=0.5)
    ax.grid(color="white", linewidth=0.7)
    clock = figure.text(0.1, 0.9, "")
    draw = _redraw(figure, [image], [clock])
    quick = []
    for number, field in enumerate(fields):
        image.set_data(field)
        clock.set_text(f"{number} min")
        quick.append(draw())
    clock.set_animated(False)
    for number, field in enumerate(fields):
        image.set_data(field)
        clock.set_text(f"{number} min")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        whole = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
        assert np.abs(whole - quick[number]).max() <= 3


def test_a_gif_has_every_frame_and_holds_the_last(tmp_path):
    make_forecast(place=False).to_netcdf(tmp_path / "forecast.nc")
    out = save_animation(tmp_path / "forecast.nc", tmp_path / "made" / "forecast.gif")
    with Image.open(out) as gif:
        frames = [(np.asarray(page.convert("RGB")), page.info["duration"]) for page in ImageSequence.Iterator(gif)]
    assert [duration for _, duration in frames] == [200, 200, 1600]
    expected = list(animate_forecast(make_forecast(place=False)))
    for (read, _), frame in zip(frames, expected, strict=True):
        assert np.abs(read.astype(int) - frame).mean() < 3
        assert share(read, ECHO) == pytest.approx(share(frame, ECHO), rel=0.05)
    assert list(out.parent.iterdir()) == [out]


def test_a_film_has_every_frame_and_holds_the_last(tmp_path):
    make_forecast(place=False).to_netcdf(tmp_path / "forecast.nc")
    out = save_animation(tmp_path / "forecast.nc", tmp_path / "forecast.mp4")
    with av.open(str(out)) as film:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in film.decode(video=0)]
    assert len(frames) == 3 + 7
    for read, frame in zip(frames, animate_forecast(make_forecast(place=False)), strict=False):
        assert np.abs(read - frame).mean() < 6


def test_wrong_names_are_refused(tmp_path):
    (tmp_path / "taken.gif").touch()
    for name, message in {"film.avi": "ending in .gif or .mp4", "taken.gif": "--overwrite"}.items():
        with pytest.raises(InputError, match=message):
            save_animation(tmp_path / "forecast.nc", tmp_path / name)


def test_the_command(tmp_path, small_store):
    store = open_store(small_store)
    event, frames = store.isel(event=4), slice(10, 10 + LEADS)
    times = event["valid_time"].values
    forecast = make_forecast(1, place=False).assign_coords(
        event=("case", event["event"].values[None]),
        init_time=("case", times[[9]]),
        valid_time=(("case", "lead_time"), times[None, frames]),
    )
    forecast.to_netcdf(tmp_path / "forecast.nc")
    words = ["animate", tmp_path / "forecast.nc", tmp_path / "a.gif", "--store", small_store]
    done = CliRunner().invoke(cli.app, [*map(str, words)])
    assert done.exit_code == 0 and done.stdout.split() == [str(tmp_path / "a.gif")]
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 6


def test_lead_times_and_members_may_be_chosen():
    """Two panels of members, one of the mean, of probability and of spread; one frame."""
    asked = {"lead_times": [2 * STEP], "members": [2, 1]}
    assert len(list(animate_forecast(make_forecast(place=False), **asked))) == 1
    with pytest.raises(InputError, match="no such lead time in the forecast; got 7 min"):
        list(animate_forecast(make_forecast(place=False), lead_times=[np.timedelta64(7, "m")]))
