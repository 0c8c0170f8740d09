"""Forecasts of the newest frames of a file of radar: what is read, from which formats, and what is made of it."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyproj import CRS, Proj
from typer.testing import CliRunner

from nowcast.cli import app as cli
from nowcast.data import radar_file
from nowcast.data.forecast_file import open_forecast
from nowcast.forecasting.forecast import (
    Request,
    load_forecaster,
    member_batches,
    parse_around,
    parse_lead,
    write_forecast,
)
from nowcast.forecasting.live import _slots, is_store, read_history
from nowcast.models import build_network
from nowcast.models.checkpoint import save_tensors
from nowcast.models.layers.tiles import blend
from nowcast.plots.panels import find_place
from nowcast.training.config import load_config
from nowcast.verification import verify
from pipelines.errors import InputError
from pipelines.radar.files import commonest_step
from pipelines.radar.prepare import prepare
from pipelines.store.geo import lat_lon
from pipelines.store.units import counts_to_rain_rate

PROJ = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=25 +R=6371288 +units=m"
WEST, SOUTH = 50_000.0, -3_000_000.0
FIVE_MINUTES = np.timedelta64(5, "m")


def storms(rows: int, columns: int, frames: int) -> np.ndarray:
    """Counts with shape (frame, y, x) of cells that move east, a corner missing."""
    y, x = np.mgrid[:rows, :columns]
    places = np.random.default_rng(0).uniform(0, (rows, columns), (rows * columns // 300, 2))
    counts = np.stack(
        [
            sum(140 * np.exp(-((y - row) ** 2 + (x - column - frame) ** 2) / 30) for row, column in places)
            for frame in range(frames)
        ]
    )
    counts = np.where(counts < 6, 0, np.rint(counts.clip(0, 254)))
    counts[:, :3, :4] = np.nan
    return counts


def radar(counts: np.ndarray, *, name="vil", attrs=None, values=None, step=FIVE_MINUTES) -> xr.Dataset:
    """A CF dataset of pixels of 2 km whose rows run southwards, as files of radar often do."""
    frames, rows, columns = counts.shape
    field = counts if values is None else values(counts)
    centres = {"y": SOUTH / 1000 + 1 + 2.0 * np.arange(rows)[::-1], "x": WEST / 1000 + 1 + 2.0 * np.arange(columns)}
    return xr.Dataset(
        {
            name: (("time", "y", "x"), field[:, ::-1], {**(attrs or {"units": "1"}), "grid_mapping": "crs"}),
            "crs": ((), 0, CRS.from_string(PROJ).to_cf()),
        },
        {
            "time": np.datetime64("2021-07-04T12:00", "ns") + np.arange(frames) * step,
            **{
                axis: (axis, km, {"units": "km", "standard_name": f"projection_{axis}_coordinate"})
                for axis, km in centres.items()
            },
        },
    )


def forecast(model, source, out, **request):
    forecaster, described = load_forecaster(str(model), device="cpu")
    return write_forecast(forecaster, source, out, Request(**{"members": 2, **request}), described=described)


def test_the_newest_frames_by_hand(tmp_path):
    counts = storms(20, 30, 13)
    radar(counts).to_netcdf(tmp_path / "now.nc")
    store = read_history(tmp_path / "now.nc", 10)
    np.testing.assert_array_equal(store["vil"].values[0], counts[3:])
    assert store["event"].values.tolist() == ["now"]
    assert (store["corner_x"].item(), store["corner_y"].item()) == pytest.approx((WEST, SOUTH))
    np.testing.assert_allclose(store["y"], 1000 + 2000 * np.arange(20))
    np.testing.assert_allclose(store["x"], 1000 + 2000 * np.arange(30))
    assert store["valid_time"].values[0, -1] == np.datetime64("2021-07-04T13:00")
    assert store.attrs["cadence_minutes"] == 5
    np.testing.assert_allclose(store["missing_fraction"], 12 / 600)


@pytest.mark.parametrize(
    ("name", "attrs", "values"),
    [
        ("rain", {"standard_name": "rainfall_rate", "units": "mm h-1"}, counts_to_rain_rate),
        ("rain", {"units": "mm/h"}, counts_to_rain_rate),
        ("z", {"units": "dBZ"}, lambda counts: 10 * np.log10(200 * counts_to_rain_rate(counts).clip(1e-4) ** 1.6)),
    ],
)
@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_any_quantity_in_netcdf_and_zarr(tmp_path, name, attrs, values, suffix):
    counts = storms(20, 30, 10)
    dataset = radar(counts, name=name, attrs=attrs, values=values)
    if suffix == ".nc":
        dataset.to_netcdf(tmp_path / "now.nc")
    else:
        dataset.to_zarr(tmp_path / "now.zarr", consolidated=False)
    store = read_history(tmp_path / f"now{suffix}", 10)
    np.testing.assert_allclose(store["vil"].values[0], counts, atol=1)  # 18 counts are where SEVIR's rule jumps
    assert store.attrs["counts_from"].startswith(("rain rate in mm h-1 of now", "reflectivity in dBZ of now"))
    assert not is_store(tmp_path / f"now{suffix}")


def test_latitudes_and_longitudes_become_square_pixels(tmp_path):
    lat, lon = 50 + 0.02 * np.arange(40), 5 + 0.03 * np.arange(50)
    counts = np.broadcast_to(40.0 + np.arange(40)[:, None] + 3 * np.arange(50), (10, 40, 50))
    coords = {
        "time": np.datetime64("2021-07-04T12:00", "ns") + np.arange(10) * FIVE_MINUTES,
        "lat": ("lat", lat, {"standard_name": "latitude", "units": "degrees_north"}),
        "lon": ("lon", lon, {"standard_name": "longitude", "units": "degrees_east"}),
    }
    xr.Dataset({"vil": (("time", "lat", "lon"), counts, {"units": "1"})}, coords).to_netcdf(tmp_path / "now.nc")
    store = read_history(tmp_path / "now.nc", 10)
    field = store["vil"].values[0, 0]
    there = lat_lon(*(store[name].item() for name in ("proj", "corner_x", "corner_y")), store["x"], store["y"])
    row, column = np.rint((there[0] - 50) / 0.02), np.rint((there[1] - 5) / 0.03)
    inside = (row >= 0) & (row < 40) & (column >= 0) & (column < 50)
    np.testing.assert_array_equal(field, np.where(inside, 40 + row + 3 * column, np.nan))
    assert np.diff(store["x"])[0] == np.diff(store["y"])[0] == 2000


def test_times_off_by_seconds_are_half_minutes_and_other_cadences_stay(tmp_path):
    dataset = radar(storms(20, 30, 10))
    seconds = np.array([3, -4, 0, 5, -2, 1, 0, -6, 2, 4]) * np.timedelta64(1, "s")
    dataset.assign_coords(time=dataset["time"] + seconds).to_netcdf(tmp_path / "a.nc")
    store = read_history(tmp_path / "a.nc", 10)
    assert store.attrs["cadence_minutes"] == 5
    assert store["valid_time"].values[0, 0] == np.datetime64("2021-07-04T12:00:04")  # counted from the newest
    radar(storms(20, 30, 10), step=np.timedelta64(150, "s")).to_netcdf(tmp_path / "b.nc")
    late = radar(storms(20, 30, 10), step=np.timedelta64(150, "s"))
    late.assign_coords(time=late["time"] + seconds).to_netcdf(tmp_path / "c.nc")
    assert read_history(tmp_path / "c.nc", 10).attrs["cadence_minutes"] == 2.5
    made = open_forecast(forecast("persistence", tmp_path / "b.nc", tmp_path / "f.nc"))
    np.testing.assert_array_equal(made["lead_time"], np.arange(1, 11) * np.timedelta64(150, "s"))


def test_frames_in_any_order_give_the_same_history(tmp_path):
    dataset = radar(storms(20, 30, 13))
    dataset.to_netcdf(tmp_path / "sorted.nc")
    dataset.isel(time=np.random.default_rng(0).permutation(13)).to_netcdf(tmp_path / "shuffled.nc")
    for init in (None, np.datetime64("2021-07-04T12:50")):
        ordered, shuffled = (read_history(tmp_path / f"{name}.nc", 10, init) for name in ("sorted", "shuffled"))
        np.testing.assert_array_equal(shuffled["vil"], ordered["vil"])
        np.testing.assert_array_equal(shuffled["valid_time"], ordered["valid_time"])


@pytest.mark.parametrize("place", [0, 4, 9])
@pytest.mark.parametrize(("off", "taken"), [(0.2, True), (-0.2, True), (0.3, False), (-0.3, False)])
def test_a_frame_may_miss_its_time_by_a_quarter_of_a_step(tmp_path, place, off, taken):
    dataset = radar(storms(20, 30, 10))
    times = dataset["time"].values.copy()
    times[place] += np.timedelta64(round(300 * off), "s")
    dataset.assign_coords(time=times).to_netcdf(tmp_path / "now.nc")
    if taken:
        assert read_history(tmp_path / "now.nc", 10).attrs["cadence_minutes"] == 5
        return
    with pytest.raises(InputError, match="not evenly spaced"):
        read_history(tmp_path / "now.nc", 10)


@pytest.mark.parametrize(("places", "taken"), [((0, 4), True), ((4, 9), False)])
def test_how_far_a_frame_misses_its_time_is_counted_from_the_newest(tmp_path, places, taken):
    """Two frames are off by a fifth of a step, in opposite directions: together by two fifths."""
    dataset = radar(storms(20, 30, 10))
    times = dataset["time"].values.copy()
    times[list(places)] += np.array([60, -60]) * np.timedelta64(1, "s")
    dataset.assign_coords(time=times).to_netcdf(tmp_path / "now.nc")
    if taken:
        assert read_history(tmp_path / "now.nc", 10).attrs["cadence_minutes"] == 5
        return
    with pytest.raises(InputError, match="not evenly spaced"):
        read_history(tmp_path / "now.nc", 10)


def test_frames_every_two_and_a_half_minutes_keep_that_cadence(tmp_path):
    dataset = radar(storms(20, 30, 10), step=np.timedelta64(150, "s"))
    for name, seconds in (("even", np.zeros(10, int)), ("off", np.array([1, -2, 0, 3, -1, 2, 0, -3, 1, 2]))):
        dataset.assign_coords(time=dataset["time"] + seconds * np.timedelta64(1, "s")).to_netcdf(
            tmp_path / f"{name}.nc"
        )
        store = read_history(tmp_path / f"{name}.nc", 10)
        assert store.attrs["cadence_minutes"] == 2.5
        assert (np.diff(store["valid_time"].values[0]) == np.timedelta64(150, "s")).all()


def without(dataset: xr.Dataset, *frames: int) -> xr.Dataset:
    """The dataset with nothing but missing pixels in some frames."""
    seen = ~np.isin(np.arange(dataset.sizes["time"]), frames)
    return dataset.assign(vil=dataset["vil"].where(xr.DataArray(seen, dims="time")).assign_attrs(dataset["vil"].attrs))


@pytest.mark.parametrize("make", [lambda whole: whole.drop_isel(time=[5, 9]), lambda whole: without(whole, 5, 9)])
def test_frames_lost_among_the_newest_are_missing_and_told(tmp_path, make):
    counts = storms(20, 30, 13)
    make(radar(counts)).to_netcdf(tmp_path / "now.nc")
    told = []
    store = read_history(tmp_path / "now.nc", 10, tell=told.append)
    expected = counts[3:].copy()
    expected[[2, 6]] = np.nan
    np.testing.assert_array_equal(store["vil"].values[0], expected)
    np.testing.assert_array_equal(store["missing_fraction"].values[0] == 1, np.isin(range(10), [2, 6]))
    assert (np.diff(store["valid_time"].values[0]) == FIVE_MINUTES).all()
    assert told == ["2 of the newest 10 frames of now.nc are missing: 2021-07-04 12:25, 2021-07-04 12:45 UTC"]
    made = open_forecast(forecast("advection", tmp_path / "now.nc", tmp_path / "f.nc"))
    assert made["init_time"].values[0] == np.datetime64("2021-07-04T13:00")
    np.testing.assert_array_equal(np.isnan(made["vil"].values[0, 0, 0]), np.isnan(counts[0]))


def test_a_future_of_missing_pixels_is_skipped_with_a_word_and_never_where_a_time_is_asked_for(tmp_path):
    counts = storms(20, 30, 15)
    without(radar(counts), 12, 13, 14).to_netcdf(tmp_path / "now.nc")
    told = []
    store = read_history(tmp_path / "now.nc", 10, tell=told.append)
    np.testing.assert_array_equal(store["vil"].values[0], counts[2:12])
    assert told == ["now.nc has nothing but missing pixels after 2021-07-04 12:55 UTC: the forecast starts from then"]
    with pytest.raises(InputError, match="nothing but missing pixels at 2021-07-04 13:05"):
        read_history(tmp_path / "now.nc", 10, np.datetime64("2021-07-04T13:05"))


@pytest.mark.parametrize("future", [9, 11, 185])
def test_a_long_future_of_missing_pixels_is_not_read_frame_by_frame(tmp_path, monkeypatch, future):
    counts = storms(20, 30, 15 + future)
    without(radar(counts), 13, *range(15, 15 + future)).to_netcdf(tmp_path / "now.nc")
    read, numbers = radar_file.read_counts, []

    def counted(path, number, quantity):
        numbers.append(number)
        return read(path, number, quantity)

    monkeypatch.setattr(radar_file, "read_counts", counted)
    store = read_history(tmp_path / "now.nc", 10)
    assert store["valid_time"].values[0, -1] == np.datetime64("2021-07-04T13:10")
    np.testing.assert_array_equal(store["vil"].values[0, -1], counts[14])
    assert len(numbers) < 70


@settings(max_examples=100)
@given(
    lost=st.sets(st.integers(0, 16), max_size=8),
    off=st.lists(st.floats(-0.24, 0.24), min_size=18, max_size=18),
)
def test_frames_stand_at_their_steps_whatever_is_lost(lost, off):
    steps = [number for number in range(18) if number not in lost]
    times = np.datetime64("2021-07-04T12:00", "us") + np.array(
        [300 * step + round(300 * off[step] * (step < 17)) for step in steps]
    ) * np.timedelta64(1, "s")
    assume(commonest_step(times.tolist()[-10:]) == timedelta(minutes=5))
    gaps = np.diff([step for step in steps if step >= max(step for step in steps if step < 8 or step == steps[0])])
    if sum(step >= 8 for step in steps) < 3 or ((gaps[1:] == gaps[:-1]) & (gaps[1:] > 1)).any():
        with pytest.raises(InputError, match=r"expected 3 frames or more|not evenly spaced"):
            _slots("now.nc", times, 10)
        return
    step, numbers = _slots("now.nc", times, 10)
    assert step == FIVE_MINUTES
    assert numbers == {own - 8: number for number, own in enumerate(steps) if own >= 8}


def test_a_frame_that_is_there_twice_is_told_and_taken_once(tmp_path):
    whole = radar(storms(20, 30, 13))
    again = whole.isel(time=[12]) + 1
    again["vil"].attrs, again["crs"] = whole["vil"].attrs, whole["crs"]
    after = again.assign_coords(time=again["time"] + np.timedelta64(50, "s"))
    for name, more, line in (
        ("same", again, "same.nc: a second field of 2021-07-04 13:00:00"),
        ("near", after, None),  # the newest one counts, and the one before it is not nearer to its step
    ):
        xr.concat([whole, more], "time", data_vars="minimal").drop_encoding().to_netcdf(tmp_path / f"{name}.nc")
        told = []
        store = read_history(tmp_path / f"{name}.nc", 10, tell=told.append)
        np.testing.assert_array_equal(store["vil"].values[0, -1], (whole if line else more)["vil"].values[-1, ::-1])
        np.testing.assert_array_equal(store["vil"].values[0, :-1], whole["vil"].values[3:12, ::-1])
        assert told == [line] * bool(line)


def test_files_that_begin_within_the_history_are_missing_before(tmp_path, tiny):
    counts = storms(20, 30, 6)
    radar(counts).to_netcdf(tmp_path / "now.nc")
    told = []
    store = read_history(tmp_path / "now.nc", 10, tell=told.append)
    assert np.isnan(store["vil"].values[0, :4]).all()
    np.testing.assert_array_equal(store["vil"].values[0, 4:], counts)
    assert store["valid_time"].values[0, 0] == np.datetime64("2021-07-04T11:40")
    assert told == ["now.nc begins at 2021-07-04 12:00 UTC: 4 of 10 frames of the history are missing"]
    later = radar(storms(20, 30, 40)).isel(time=[0, 1, 2, *range(36, 40)])
    later.to_netcdf(tmp_path / "gap.nc")
    told.clear()
    assert np.isnan(read_history(tmp_path / "gap.nc", 10, tell=told.append)["vil"].values[0, :6]).all()
    (line,) = told
    assert line.startswith("gap.nc has a long gap before it begins again at 2021-07-04 15:00 UTC: 6 of 10 frames")
    for model in ("sprog", tiny):
        made = open_forecast(forecast(model, tmp_path / "now.nc", tmp_path / f"{Path(model).stem}.nc"))
        np.testing.assert_array_equal(np.isnan(made["vil"].values[0, 0, 0]), np.isnan(counts).all(0))


def test_a_square_about_a_place_is_that_part_of_the_file(tmp_path):
    counts = storms(60, 80, 12)
    radar(counts).to_netcdf(tmp_path / "now.nc")
    lon, lat = Proj(PROJ)(WEST + 2000 * 50, SOUTH + 2000 * 20, inverse=True)
    init = np.datetime64("2021-07-04T12:45")
    made = open_forecast(
        forecast("persistence", tmp_path / "now.nc", tmp_path / "f.nc", around=(lat, lon, 48.0), init=init)
    )
    np.testing.assert_array_equal(made["vil"].values[0, 0, 0], counts[9, 8:32, 38:62])
    whole = open_forecast(forecast("persistence", tmp_path / "now.nc", tmp_path / "whole.nc", init=init))
    for name in ("latitude", "longitude", "x", "y"):
        part = whole[name].isel(y=slice(8, 32), x=slice(38, 62), missing_dims="ignore")
        np.testing.assert_allclose(made[name].values, part.values, atol=1e-4)
    score = verify(tmp_path / "f.nc", tmp_path / "now.nc")["mae"].isel(lead_time=0).item()
    assert score == pytest.approx(np.nanmean(np.abs(counts[10] - counts[9])[8:32, 38:62]), rel=1e-4)
    with pytest.raises(InputError, match="lies outside of the radar's grid"):
        forecast("persistence", tmp_path / "now.nc", tmp_path / "far.nc", around=(-lat, lon, 48.0))


@pytest.mark.parametrize(("text", "square"), [("52.1,5.2", (52.1, 5.2, 256)), ("-3, 170 ,300", (-3, 170, 300))])
def test_squares_in_words(text, square):
    assert parse_around(text) == square


@pytest.mark.parametrize("text", ["52.1", "here", "95,5", "52,5,0", "52,5,nan"])
def test_wrong_squares_are_refused(text):
    with pytest.raises(InputError, match="no square; got"):
        parse_around(text)


def test_an_init_time_is_the_last_frame_seen(tmp_path):
    counts = storms(20, 30, 13)
    radar(counts).to_netcdf(tmp_path / "now.nc")
    made = open_forecast(
        forecast("persistence", tmp_path / "now.nc", tmp_path / "f.nc", init=np.datetime64("2021-07-04T12:50"))
    )
    np.testing.assert_array_equal(made["vil"].values[0, 0, 9], counts[10])
    assert made["init_time"].values[0] == np.datetime64("2021-07-04T12:50")


def test_wrong_histories_are_one_line_and_write_nothing(tmp_path):
    whole = radar(storms(20, 30, 13))
    files = {
        "short": (
            whole.isel(time=slice(2)),
            "short.nc holds 2 frames up to 2021-07-04 12:05 UTC; expected 3 frames or more; where each file",
        ),
        "gaps": (
            whole.drop_isel(time=[5, 6, 9]),
            "3 of the newest 10 frames of gaps.nc are missing; got none at .*12:25",
        ),
        "slow": (whole.drop_isel(time=[4, 6]), "not evenly spaced; got 5, 10, 10, 5"),
        "empty": (
            whole.assign(vil=whole["vil"].where(False).assign_attrs(whole["vil"].attrs)),
            "empty.nc has nothing but missing pixels",
        ),
        "kelvin": (whole.assign(vil=whole["vil"].assign_attrs(units="K")), "kelvin.nc cannot be read"),
        "odd": (whole.rename(vil="temperature"), "0 of its variables temperature"),
        "flat": (whole.assign_coords(y=whole["y"] / 2), "pixels are not square"),
    }
    for name, (dataset, _) in files.items():
        dataset.drop_encoding().to_netcdf(tmp_path / f"{name}.nc")
    before = sorted(path.name for path in tmp_path.iterdir())
    for name, (_, words) in files.items():
        with pytest.raises(InputError, match=words):
            forecast("persistence", tmp_path / f"{name}.nc", tmp_path / "f.nc")
    whole.to_netcdf(tmp_path / "whole.nc")
    forecast("persistence", tmp_path / "whole.nc", tmp_path / "f.nc")
    with pytest.raises(InputError, match=r"f.nc is a forecast; expected a store, or a file of radar"):
        forecast("persistence", tmp_path / "f.nc", tmp_path / "g.nc")
    (tmp_path / "f.nc").unlink()
    for request, words in (
        ({"events": ("other",)}, "no event other; expected whole"),
        (
            {"init": np.datetime64("2021-07-04T12:51", "us")},
            "whole.nc has no frame at 2021-07-04 12:51 UTC; got frames from 2021-07-04 12:00 to 2021-07-04 13:00 UTC, "
            "every 5 minutes; expected the time of one; the nearest to it: 2021-07-04 12:50 and 2021-07-04 12:55$",
        ),
    ):
        with pytest.raises(InputError, match=words):
            forecast("persistence", tmp_path / "whole.nc", tmp_path / "f.nc", **request)
    with pytest.raises(InputError, match=r"no store and no file of radar at .*absent\.nc"):
        forecast("persistence", tmp_path / "absent.nc", tmp_path / "f.nc")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "whole.nc"])


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same ten frames of 128 x 128 as a file and as a store of prepare-radar, which has ten more."""
    folder = tmp_path_factory.mktemp("both")
    dataset = radar(storms(128, 128, 20), name="rain", attrs={"units": "mm h-1"}, values=counts_to_rain_rate)
    dataset.to_netcdf(folder / "whole.nc")
    dataset.isel(time=slice(10)).to_netcdf(folder / "now.nc")
    prepare([folder / "whole.nc"], folder / "store.zarr", tell=str)
    return folder


@pytest.mark.parametrize("model", ["persistence", "advection", "sprog", "steps", "pysteps"])
def test_a_history_is_forecast_as_the_store_that_is_prepared_from_it(both, tmp_path, model):
    if model == "pysteps":
        pytest.importorskip("pysteps")
    live = open_forecast(forecast(model, both / "now.nc", tmp_path / "live.nc"))
    stored = open_forecast(forecast(model, both / "store.zarr", tmp_path / "stored.nc", limit=1))
    if model not in ("steps", "pysteps"):  # whose seed has the event's name in it
        np.testing.assert_array_equal(live["vil"], stored["vil"])
    assert live["vil"].shape == stored["vil"].shape and live["vil"].max() > 74
    for name in ("init_time", "valid_time", "lead_time", "latitude", "longitude", "y", "x", "corner_x", "corner_y"):
        np.testing.assert_array_equal(live[name], stored[name])
    assert live["event"].values.tolist() == ["now"]


def test_the_file_lies_where_the_radar_does(both, tmp_path):
    made = open_forecast(forecast("persistence", both / "now.nc", tmp_path / "f.nc"))
    with xr.open_dataset(both / "now.nc") as source:
        north, east = (1000 * np.sort(source[axis]) for axis in "yx")
    np.testing.assert_allclose(made["y"], north, atol=1e-3)
    np.testing.assert_allclose(made["x"], east, atol=1e-3)
    assert made["y"].attrs["standard_name"] == "projection_y_coordinate"
    crs = CRS.from_cf(made[made["vil"].encoding["grid_mapping"]].attrs)
    x, y = Proj(crs)(made["longitude"].values[0, 5, 9], made["latitude"].values[0, 5, 9])
    assert (x, y) == pytest.approx((east[9], north[5]), abs=30)  # of float32 degrees
    place = find_place(made.isel(case=0))
    assert place.extent == pytest.approx((WEST, WEST + 256_000, SOUTH, SOUTH + 256_000), abs=60)


def test_cases_of_several_places_keep_their_own_coordinates(small_store, tmp_path):
    made = open_forecast(forecast("persistence", small_store, tmp_path / "f.nc"))
    assert made["y"].values[0] == 1500 and "grid_mapping" not in made["vil"].encoding
    alone = open_forecast(forecast("persistence", small_store, tmp_path / "g.nc", events=("E5",)))
    assert alone["x"].values[0] == 501_500 and alone["y"].values[0] == -48_500


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A PredLDM of 16 x 16 pixels on S-PROG, its weights random, so that nothing hides what tiles do."""
    small = ["side=16", "first_guess=sprog", "frame_vae={factor: 2, latent_channels: 3, channels: [8], layers: 1}",
             "mtvae={hidden: 16, layers: 1, heads: 2}", "denoiser={hidden: 16, blocks: 2, heads: 2, patch: 1}",
             "objective=flow", "sampling={sampler: euler, steps: 2, member_batch: 20}"]  # fmt: skip
    config = load_config("demo", [f"network.{text}" for text in small])
    torch.manual_seed(0)
    network = build_network(config.model, config.network)
    with torch.no_grad():
        for parameter in network.denoiser.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    save_tensors(path, network.state_dict(), {"config": config.model_dump(mode="json"), "stages": ["diffusion"]})
    return path


def test_a_network_forecasts_a_history_larger_than_it_was_trained_at(tiny, tmp_path):
    counts = storms(36, 58, 10)
    radar(counts).to_netcdf(tmp_path / "now.nc")
    made = open_forecast(forecast(tiny, tmp_path / "now.nc", tmp_path / "f.nc", members=5))["vil"]
    assert dict(made.sizes) == {"case": 1, "member": 5, "lead_time": 10, "y": 36, "x": 58}
    np.testing.assert_array_equal(np.isnan(made.values), np.isnan(np.broadcast_to(counts[0], made.shape)))
    assert (made[0, 0] != made[0, 1]).any()


def test_a_history_smaller_than_the_network_was_trained_at_is_refused(tiny, tmp_path):
    radar(storms(15, 58, 10)).to_netcdf(tmp_path / "now.nc")
    with pytest.raises(InputError, match="got 10 of 15 x 58 pixels; expected 10 of at least 16 x 16"):
        forecast(tiny, tmp_path / "now.nc", tmp_path / "f.nc")
    assert [path.name for path in tmp_path.iterdir()] == ["now.nc"]


def test_the_forecast_of_a_constant_history_has_no_seams(tiny, tmp_path):
    """No step where tiles begin and end is larger than the largest inside a tile that is forecast alone."""
    steps = {}
    for name, columns in (("tile", 16), ("wide", 46)):
        radar(np.full((10, 16, columns), 120.0)).to_netcdf(tmp_path / f"{name}.nc")
        forecaster, described = load_forecaster(str(tiny), device="cpu", sampling={"temperature": 1e-3})
        out = tmp_path / f"of-{name}.nc"
        write_forecast(forecaster, tmp_path / f"{name}.nc", out, Request(members=1), described=described)
        latent = open_forecast(out)["vil"].values[0, 0].reshape(10, 8, 2, -1, 2).mean((2, 4))
        steps[name] = np.abs(np.diff(latent)).mean((0, 1))
    seams = [4, 7, 9, 12, 14, 17]  # tiles of eight latent pixels begin at 0, 5, 10, 15
    assert steps["wide"][seams].max() < 0.9 * steps["tile"].max()  # 1.4 times it where overlaps are plain means
    np.testing.assert_allclose(steps["wide"][:4], steps["tile"][:4], atol=0.2)


def test_overlapping_tiles_are_blended_with_weights_that_fall_to_their_edges(tiny, tmp_path, monkeypatch):
    blended = {}

    def watched(parts, tiles, height, width):
        parts = list(parts)
        blended["parts"], blended["tiles"], blended["field"] = parts, tiles, blend(parts, tiles, height, width)
        return blended["field"]

    monkeypatch.setattr("nowcast.models.predldm.network.blend", watched)
    radar(np.full((10, 16, 46), 120.0)).to_netcdf(tmp_path / "wide.nc")
    forecast(tiny, tmp_path / "wide.nc", tmp_path / "f.nc", members=1)
    assert [tile.column for tile in blended["tiles"]] == [0, 5, 10, 15]
    hat = torch.tensor([1.0, 2, 3, 4, 4, 3, 2, 1])
    first, second = blended["parts"][:2]
    shared = (first[..., 5:] * hat[5:] + second[..., :3] * hat[:3]) / (hat[5:] + hat[:3])
    torch.testing.assert_close(blended["field"][..., 5:8], shared)
    torch.testing.assert_close(blended["field"][..., :5], first[..., :5])
    assert (first[..., 5:] - second[..., :3]).abs().mean() > 0.05  # predictions of one step that are not alike


def test_the_commands_with_the_weights_that_come_along(both, tmp_path):
    made, summary, picture = (tmp_path / name for name in ("f.nc", "summary.zarr", "map.png"))
    for words in (
        ("forecast", "predldm", both / "now.nc", made, "--ensemble", 3),
        ("forecast", "predldm", both / "now.nc", summary, "--ensemble", 3, "--summary-only"),
        ("info", summary),
        ("plot", made, picture),
    ):
        done = CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    mean = xr.open_zarr(summary, consolidated=False)["rainfall_rate_mean"]  # what went in was rain
    members = xr.open_dataset(made)["rainfall_rate"]
    assert mean.attrs["units"] == members.attrs["units"] == "mm h-1"
    np.testing.assert_allclose(mean, members.mean("member", skipna=False), rtol=1e-5, atol=1e-6)
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(("side", "members"), [(128, 20), (256, 20), (512, 5), (2000, 1)])
def test_members_at_once_are_bounded_by_pixels(side, members):
    class Network:
        deterministic = False
        member_batch = 20

    class Whole:
        deterministic = False
        member_batch = None

    frames = xr.DataArray(np.broadcast_to(np.uint8(0), (1, 10, side, side)))
    assert member_batches(Network(), 100, frames) == (list(range(100)), members)
    assert member_batches(Whole(), 100, frames) == (list(range(100)), 100)


@pytest.mark.parametrize(("text", "expected"), [("3h", 180), ("90min", 90), (" 45 ", 45), ("1.5 h", 90)])
def test_a_last_lead_time_is_told_in_hours_or_minutes(text, expected):
    assert parse_lead(text) == np.timedelta64(expected, "m")


@pytest.mark.parametrize("text", ["", "0", "-3h", "3 d", "h", "nan"])
def test_a_lead_time_that_is_none_is_one_line(text):
    with pytest.raises(InputError, match=r"no lead time; got .*; expected hours or minutes, such as 3h or 90min"):
        parse_lead(text)


@pytest.mark.parametrize("source", ["now.nc", "store.zarr"])
def test_a_forecast_goes_as_far_as_it_is_told(both, tmp_path, source):
    more = {} if source == "now.nc" else {"limit": 1}
    made = open_forecast(forecast("steps", both / source, tmp_path / "f.nc", lead=parse_lead("40min"), **more))
    minutes = made["lead_time"].values / np.timedelta64(1, "m")
    np.testing.assert_array_equal(minutes, np.arange(5, 41, 5))
    with pytest.raises(InputError, match=r"no multiple of the cadence; got 7 min; expected N x 5 min"):
        forecast("steps", both / source, tmp_path / "g.nc", lead=parse_lead("7"), **more)


def test_too_few_frames_are_refused_before_one_is_read(tmp_path, monkeypatch):
    radar(storms(20, 30, 2)).to_netcdf(tmp_path / "short.nc")
    monkeypatch.setattr(radar_file, "read_counts", None)
    with pytest.raises(InputError, match=r"short\.nc holds 2 frames up to"):
        read_history(tmp_path / "short.nc", 10)


def test_a_square_of_missing_pixels_is_named(tmp_path):
    counts = storms(20, 30, 12)
    counts[:, 6:14, 11:19] = np.nan
    radar(counts).to_netcdf(tmp_path / "now.nc")
    whole = open_forecast(forecast("persistence", tmp_path / "now.nc", tmp_path / "f.nc"))
    lat, lon = (float(whole[name][0, 10, 15]) for name in ("latitude", "longitude"))
    km = 4 * float(whole["x"].diff("x")[0]) / 1000
    with pytest.raises(
        InputError, match=rf"^the square of {km:g} km about {lat:g}, {lon:g} in now\.nc has nothing but"
    ):
        forecast("persistence", tmp_path / "now.nc", tmp_path / "g.nc", around=(lat, lon, km))
