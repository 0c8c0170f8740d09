"""Files of radar in folders, by wildcards and by names of many kinds, as one store of one event."""

from datetime import datetime, timedelta

import numpy as np
import pytest
import xarray as xr

from nowcast.data.observations import Observations
from nowcast.data.radar_file import open_radar
from pipelines.errors import InputError
from pipelines.radar import series

START = datetime(2024, 7, 1, 12)
NAMES = {  # of the time of a file
    "full": lambda time: f"rate_{time:%Y%m%d%H%M}.nc",
    "day folders": lambda time: f"{time:%Y/%m/%d}/{time:%H%M}.nc",
    "day of the year": lambda time: f"RZC{time:%y%j%H%M}VL.001.nc",
    "two digits of the year": lambda time: f"raa01_10000-{time:%y%m%d%H%M}-dwd.nc",
    "no time": lambda time: f"frame{(time - START) // timedelta(minutes=5)}.nc",
}


@pytest.fixture
def write(cf_radar, tmp_path):
    """Writes frame n of five-minute counts, all of them 10 + n, as a file of one frame."""

    def write(number, name, *, size=(20, 30), **attrs):
        path = tmp_path / "radar" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        time = np.array([np.datetime64(START + number * timedelta(minutes=5))])
        cf_radar(np.full((1, *size), 10.0 + number), time, **attrs).to_netcdf(path)
        return path

    return write


def minutes(store: xr.Dataset) -> list[float]:
    return ((store["valid_time"].values[0] - np.datetime64(START)) / np.timedelta64(1, "m")).tolist()


@pytest.mark.parametrize("kind", NAMES)
def test_a_folder_of_frames_is_one_event_in_order_of_time(write, tmp_path, kind):
    for number in (3, 0, 14, 2):
        write(number, NAMES[kind](START + number * timedelta(minutes=5)))
    (tmp_path / "radar" / "readme.txt").touch()
    (tmp_path / "radar" / ".growing.nc").touch()
    told = []
    store = open_radar(tmp_path / "radar", tell=told.append)
    assert minutes(store) == [0, 10, 15, 70] and store.sizes == {"event": 1, "frame": 4, "y": 20, "x": 30}
    np.testing.assert_array_equal(store["vil"].values[0, :, 0, 0], [10, 12, 13, 24])
    assert told == []


def test_files_folders_and_wildcards_are_the_same(write, tmp_path, monkeypatch):
    paths = [write(number, f"rate_20240701{12 + number // 12}{number % 12 * 5:02}.nc") for number in range(3)]
    monkeypatch.chdir(tmp_path)
    whole = open_radar("radar")
    assert whole["event"].item() == "rate"
    for sources in (paths, list(reversed(paths)), "radar/*.nc", tmp_path / "r*" / "*_2024*.nc", ["radar", *paths]):
        xr.testing.assert_identical(open_radar(sources).load(), whole.load())
    observed = Observations.open("radar/*.nc")
    assert observed.name == "rate" and observed.store.sizes["frame"] == 3
    assert open_radar([paths[0]])["event"].item() == "rate_202407011200"


def test_a_store_of_zarr_needs_no_suffix(cf_radar, tmp_path):
    cf_radar(np.full((3, 20, 30), 7.0)).to_zarr(tmp_path / "archive", consolidated=False)
    assert (open_radar(tmp_path / "archive")["vil"].values == 7).all()


def test_damaged_files_cost_their_frame_and_one_line(write, tmp_path):
    paths = [write(number, f"rate_2024070112{5 * number:02}.nc") for number in range(5)]
    for path in paths[1:3]:
        path.write_bytes(path.read_bytes()[:200])
    write(5, "rate_202407011225.nc", size=(20, 31))
    told = []
    store = open_radar(tmp_path / "radar", tell=told.append)
    assert minutes(store) == [0, 15, 20]
    (line,) = told
    assert line.startswith("3 frames of rate cannot be used and are missing: rate_202407011205.nc cannot be read")


def test_a_frame_found_damaged_when_it_is_read_is_missing_and_told_once(write, tmp_path, monkeypatch):
    for number in range(3):
        write(number, f"rate_2024070112{5 * number:02}.nc")
    told = []
    store = open_radar(tmp_path / "radar", tell=told.append)
    (tmp_path / "radar" / "rate_202407011205.nc").unlink()
    for _ in range(2):
        np.testing.assert_array_equal(store["vil"].values[0, :, 3, 4], [10, np.nan, 12])
    (line,) = told
    assert line.startswith("rate_202407011205.nc cannot be read: ") and line.endswith("; its frame is missing")


def test_impossible_values_are_refused_and_not_missing(cf_radar, tmp_path):
    wrong = cf_radar(np.full((2, 20, 30), -32.0), units="mm h-1", standard_name="rainfall_rate")
    wrong.rename(vil="rr").to_netcdf(tmp_path / "wrong.nc")
    with pytest.raises(InputError, match="-32"):
        open_radar(tmp_path / "wrong.nc")["vil"].load()


def test_a_time_in_two_files_is_taken_once(write, tmp_path):
    for number, name in ((0, "a/rate_202407011200.nc"), (1, "a/rate_202407011205.nc"), (1, "b/rate_202407011205.nc")):
        write(number, name)
    told = []
    assert minutes(open_radar(tmp_path / "radar", tell=told.append)) == [0, 5]
    assert told == ["rate_202407011205.nc: a second field of 2024-07-01 12:05:00"]


def test_several_products_are_refused_by_name(write, tmp_path):
    for number in range(3):
        write(number, f"rate_2024070112{5 * number:02}.nc")
        write(number, f"echo_2024070112{5 * number:02}.nc")
    with pytest.raises(InputError, match=r"several products; got echo, rate; expected one"):
        open_radar(tmp_path / "radar")
    assert open_radar(tmp_path / "radar/rate*.nc").sizes["frame"] == 3


def test_products_that_differ_by_a_digit_stay_apart(write, tmp_path):
    for number in range(3):
        for height in (1, 2):
            write(number, f"echo{height}_2024070112{5 * number:02}.nc")
    with pytest.raises(InputError, match="several products; got echo1, echo2"):
        open_radar(tmp_path / "radar")


def test_nothing_there(tmp_path):
    (tmp_path / "radar").mkdir()
    (tmp_path / "now.nc").touch()
    for sources, words in (
        (tmp_path / "radar", "no radar file at .*radar; expected a folder, wildcard or files of"),
        (str(tmp_path / "*.h5"), r"no radar file at .*\*\.h5"),
        (str(tmp_path / "**.h5"), r"no wildcard .*\*\*\.h5; got"),
        (tmp_path / "nwo.nc", r"no store and no file of radar at .*nwo.nc, near it: now.nc"),
        (tmp_path / "now.nc", "now.nc cannot be read"),
    ):
        with pytest.raises(InputError, match=words):
            open_radar(sources)


@pytest.fixture
def headers(monkeypatch):
    """The files whose headers were read."""
    read, names = series.read_header, []

    def counted(path):
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(series, "read_header", counted)
    return names


@pytest.mark.parametrize(("until", "last"), [(None, 39), (20, 20)])
def test_only_the_headers_of_the_newest_files_are_read_where_names_tell_the_time(write, tmp_path, headers, until, last):
    for number in range(40):
        write(number, NAMES["full"](START + number * timedelta(minutes=5)), size=(4, 4))
    until = until and np.datetime64(START + until * timedelta(minutes=5))
    store = open_radar(tmp_path / "radar", newest=6, until=until)
    assert set(minutes(store)) >= {5.0 * number for number in range(last - 5, last + 1)}
    assert len(headers) == 6 + 39 - last


@pytest.mark.parametrize("kind", ["another order", "another year", "no time"])
def test_all_headers_are_read_where_names_do_not_tell_the_order(write, tmp_path, headers, kind):
    for number in range(12):
        time = START + number * timedelta(minutes=5)
        name = {
            "another order": f"rate_{START + timedelta(minutes=5 * (number * 5 % 12)):%Y%m%d%H%M}.nc",
            "another year": f"rate_{time.replace(year=2007):%Y%m%d%H%M}.nc",
            "no time": f"rate_{number * 5 % 12}.nc",
        }[kind]
        write(number, name, size=(4, 4))
    store = open_radar(tmp_path / "radar", newest=3)
    assert minutes(store)[-3:] == [45, 50, 55] and len(set(headers)) == 12


def test_names_may_be_of_a_local_time_ahead_of_that_in_the_file(write, tmp_path):
    for number in range(12):
        write(number, NAMES["full"](START + timedelta(hours=2, minutes=5 * number)), size=(4, 4))
    store = open_radar(tmp_path / "radar", newest=3, until=np.datetime64(START + timedelta(minutes=40)))
    assert set(minutes(store)) >= {30, 35, 40}


def test_broken_files_do_not_count_among_the_newest(write, tmp_path, headers):
    for number in range(12):
        path = write(number, NAMES["full"](START + number * timedelta(minutes=5)), size=(4, 4))
        if number in (8, 11):
            path.write_text("")
    assert minutes(open_radar(tmp_path / "radar", newest=3, tell=str)) == [35, 45, 50]
    assert len(headers) == 5


def test_real_frames_of_a_service_as_one_event(shared_data):
    store = open_radar(shared_data / "raw" / "knmi", newest=10)
    assert store["event"].item() == "RAD_NL25_RAP_5min" and store.sizes == {"event": 1, "frame": 10, "y": 765, "x": 700}
    one = open_radar(sorted((shared_data / "raw" / "knmi").iterdir())[-1])
    np.testing.assert_array_equal(store["vil"].isel(frame=-1).values, one["vil"].isel(frame=0).values)
    assert store["valid_time"].values[0, -1] == np.datetime64("2010-08-26T00:55")
