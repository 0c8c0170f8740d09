"""The live loop: files that come in order, late, twice, half-written and broken, from this process and from another."""

import errno
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from nowcast.data.forecast_file import open_forecast
from nowcast.forecasting import watch as module
from nowcast.forecasting.forecast import Request, load_forecaster
from nowcast.forecasting.watch import Watch
from nowcast.models.persistence import Persistence
from pipelines.errors import InputError

NAMES = [f"rate_20240701{12 + minute // 60}{minute % 60:02}.nc" for minute in range(0, 75, 5)]
FORECASTS = [f"{name[5:13]}T{name[13:17]}00.nc" for name in NAMES]


@pytest.fixture(scope="module")
def staged(cf_radar, tmp_path_factory):
    """Files of a frame each, every five minutes from noon; their counts."""
    folder = tmp_path_factory.mktemp("staged")
    counts = np.random.default_rng(0).integers(6, 254, (len(NAMES), 8, 9)).astype("float32")
    whole = cf_radar(counts)
    for number, name in enumerate(NAMES):
        whole.isel(time=[number]).to_netcdf(folder / name)
    return folder, counts


@pytest.fixture
def live(staged, tmp_path):
    """A folder of the first ten files, what watches it, and the lines that this says."""
    (tmp_path / "radar").mkdir()
    for name in NAMES[:10]:
        shutil.copy(staged[0] / name, tmp_path / "radar")
    return watching(tmp_path)


def watching(tmp_path, **options):
    told = []
    forecaster, described = load_forecaster("persistence")
    return Watch(
        forecaster, described, tmp_path / "radar", tmp_path / "out", Request(), **options, tell=told.append
    ), told


def last_field(path):
    with open_forecast(path) as made:
        return made["vil"].values[0, 0, -1]


def test_a_forecast_is_made_when_the_newest_file_was_the_same_at_two_looks(staged, live, tmp_path):
    watch, told = live
    assert watch.look() is None
    made = watch.look()
    assert made == tmp_path / "out/forecasts" / FORECASTS[9]
    np.testing.assert_array_equal(last_field(made), staged[1][9])
    assert (tmp_path / "out/latest.nc").resolve() == made and told[0].startswith("1 case, init time 2024-07-01 12:45")
    assert watch.look() is None and len(told) == 1
    growing = (staged[0] / NAMES[10]).read_bytes()
    for part in (100, len(growing) // 2, len(growing)):
        (tmp_path / "radar" / NAMES[10]).write_bytes(growing[:part])
        assert watch.look() is None
    assert watch.look().name == FORECASTS[10] and len(told) == 2


def test_frames_that_come_late_lacking_twice_or_broken_cost_a_line_each(staged, live, tmp_path):
    watch, told = live
    assert watch.look(wait=False).name == FORECASTS[9]
    shutil.copy(staged[0] / NAMES[11], tmp_path / "radar")
    assert watch.look(wait=False).name == FORECASTS[11]
    assert "1 of the newest 10 frames of rate is missing: 2024-07-01 12:50 UTC" in told
    shutil.copy(staged[0] / NAMES[10], tmp_path / "radar")  # late
    said = len(told)
    assert watch.look(wait=False) is None and len(told) == said
    (tmp_path / "radar" / NAMES[12]).write_text("broken")
    assert watch.look(wait=False) is None and watch.look(wait=False) is None
    assert len(told) == said + 1 and told[-1].startswith(f"{NAMES[12]} cannot be read")
    shutil.copy(staged[0] / NAMES[13], tmp_path / "radar")
    assert watch.look(wait=False).name == FORECASTS[13]
    shutil.copy(staged[0] / NAMES[14], tmp_path / "radar")
    (tmp_path / "radar/again").mkdir()
    shutil.copy(staged[0] / NAMES[14], tmp_path / "radar/again")
    made = watch.look(wait=False)
    np.testing.assert_array_equal(last_field(made), staged[1][14])
    assert told.count(f"{NAMES[14]}: a second field of 2024-07-01 13:10:00") == 1
    assert len(told) == len(set(told))


def test_a_broken_file_that_is_mended_is_forecast(staged, live, tmp_path):
    watch, _ = live
    (tmp_path / "radar" / NAMES[10]).write_text("broken")
    assert watch.look(wait=False).name == FORECASTS[9]
    shutil.copy(staged[0] / NAMES[10], tmp_path / "radar")
    assert watch.look(wait=False).name == FORECASTS[10]


def test_what_is_forecast_is_not_forecast_again_and_the_newest_are_kept(staged, live, tmp_path):
    pages = []

    def page(forecast, out, history):
        pages.append((forecast.name, history.sizes["frame"]))
        out.write_text(forecast.name)

    watch, _ = watching(tmp_path, keep=2, page=page)
    for number in (9, 10, 11):
        shutil.copy(staged[0] / NAMES[number], tmp_path / "radar")
        assert watch.look(wait=False).name == FORECASTS[number]
    kept = [name for number in (10, 11) for name in (FORECASTS[number].replace(".nc", ".html"), FORECASTS[number])]
    assert sorted(path.name for path in (tmp_path / "out/forecasts").iterdir()) == kept
    assert (tmp_path / "out/latest.html").read_text() == FORECASTS[11]
    assert pages == [(FORECASTS[number], 10) for number in (9, 10, 11)]
    again, told = watching(tmp_path, keep=2, page=page)
    assert again.look(wait=False) is None and told == [] and len(pages) == 3
    (tmp_path / "out/forecasts" / kept[-2]).unlink()  # as when it was stopped between forecast and page
    assert watching(tmp_path, keep=2, page=page)[0].look(wait=False) is None
    assert (tmp_path / "out/forecasts" / kept[-2]).is_file()
    (tmp_path / "radar" / NAMES[11]).unlink()
    again, told = watching(tmp_path)
    assert again.look(wait=False) is None
    (line,) = told
    assert line.startswith("the newest frame, of 2024-07-01 12:50 UTC, is older than the forecast")


class Stopped(BaseException):
    """Ends a loop."""


def test_a_full_disk_is_told_once_and_tried_again(live, tmp_path, monkeypatch):
    watch, told = live
    predict, calls, looks = Persistence.predict, [], []

    def full_at_first(self, *arguments):
        calls.append(1)
        if len(calls) <= 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return predict(self, *arguments)

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 8:
            raise Stopped

    monkeypatch.setattr(Persistence, "predict", full_at_first)
    monkeypatch.setattr(module.time, "sleep", sleep)
    made = []
    with pytest.raises(Stopped):
        watch.run(0.5, made.append)
    assert [path.name for path in made] == [FORECASTS[9]] and len(calls) == 4 and looks == [0.5] * 8
    assert told[0].startswith("no space is left on the disk of") and told[2:] == ["forecasts are written again"]
    assert sorted(path.name for path in (tmp_path / "out/forecasts").iterdir()) == [FORECASTS[9]]


def test_a_folder_that_cannot_be_written_for_long_costs_a_line_when_it_begins_and_one_when_it_ends(
    staged, live, tmp_path, monkeypatch
):
    watch, told = live
    predict, looks = Persistence.predict, []

    def fails_twice(self, *arguments):
        if len(looks) in {1, 2, 3, 6}:
            raise PermissionError(errno.EACCES, "it fails", f"look {len(looks)}")
        return predict(self, *arguments)

    def sleep(seconds):
        looks.append(seconds)
        if frame := {2: 10, 5: 11}.get(len(looks)):
            shutil.copy(staged[0] / NAMES[frame], tmp_path / "radar")
        if len(looks) == 8:
            raise Stopped

    monkeypatch.setattr(Persistence, "predict", fails_twice)
    monkeypatch.setattr(module.time, "sleep", sleep)
    made = []
    with pytest.raises(Stopped):
        watch.run(1, made.append)
    assert [path.name for path in made] == [FORECASTS[10], FORECASTS[11]]
    assert [line for line in told if "1 case" not in line] == [
        "PermissionError: [Errno 13] it fails: 'look 1'",
        "forecasts are written again",
        "PermissionError: [Errno 13] it fails: 'look 6'",
        "forecasts are written again",
    ]


def test_a_page_that_cannot_be_written_is_told_and_so_is_its_end(live, tmp_path, monkeypatch):
    looks = []

    def page(forecast, out, history):
        if len(looks) < 4:
            raise PermissionError(errno.EACCES, "Permission denied", f"{out}.{len(looks)}")
        out.write_text("page")

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 8:
            raise Stopped

    watch, told = watching(tmp_path, page=page)
    monkeypatch.setattr(module.time, "sleep", sleep)
    with pytest.raises(Stopped):
        watch.run(1, print)
    assert [line.split(":")[0] for line in told[1:]] == ["PermissionError", "forecasts are written again"]


def test_an_empty_folder_or_one_that_is_lost_is_told_once(tmp_path, monkeypatch):
    watch, told = watching(tmp_path)
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 4:
            raise Stopped
        if len(looks) == 2:
            (tmp_path / "radar").mkdir()

    monkeypatch.setattr(module.time, "sleep", sleep)
    with pytest.raises(Stopped):
        watch.run(1, print)
    assert len(told) == 1 and told[0].startswith("no radar file at")


def test_two_loops_do_not_write_into_one_folder(live, monkeypatch):
    watch, _ = live

    def other(seconds):
        for start in (lambda: watch.run(1, print), watch.once):
            with pytest.raises(InputError, match="is being written by another command"):
                start()
        raise Stopped

    monkeypatch.setattr(module.time, "sleep", other)
    with pytest.raises(Stopped):
        watch.run(1, print)


DROPPER = """
import os, shutil, sys, time
staged, radar, *names = sys.argv[1:]
def put(number, rename=True):
    target = os.path.join(radar, names[number])
    if rename:
        shutil.copy(os.path.join(staged, names[number]), os.path.join(radar, "." + names[number]))
        os.replace(os.path.join(radar, "." + names[number]), target)
        return
    content = open(os.path.join(staged, names[number]), "rb").read()
    with open(target, "wb") as file:
        for start in range(0, len(content), len(content) // 4):
            file.write(content[start:start + len(content) // 4]); file.flush(); time.sleep(0.07)
for number in (3, 1, 0, 2, 7, 5, 6, 4, 9, 8):
    put(number)
time.sleep(0.6); put(11); put(10, rename=False)
open(os.path.join(radar, names[12]), "w").write("broken")
time.sleep(0.6); put(14, rename=False); time.sleep(0.3); put(13)
"""


def test_files_dropped_by_another_process_out_of_order_half_written_and_broken(staged, tmp_path, monkeypatch):
    (tmp_path / "radar").mkdir()
    watch, told = watching(tmp_path)
    end, sleep, made = time.monotonic() + 60, time.sleep, []

    def until_the_last(path):
        made.append(path.name)
        if path.name == FORECASTS[14]:
            raise Stopped

    def guarded(seconds):
        assert time.monotonic() < end
        sleep(seconds)

    monkeypatch.setattr(module.time, "sleep", guarded)
    dropper = subprocess.Popen([sys.executable, "-S", "-c", DROPPER, staged[0], tmp_path / "radar", *NAMES])
    try:
        with pytest.raises(Stopped):
            watch.run(0.1, until_the_last)
        assert dropper.wait() == 0
    finally:
        dropper.kill()
    assert made == sorted(set(made)) and set(made) <= set(FORECASTS)
    np.testing.assert_array_equal(last_field(tmp_path / "out/latest.nc"), staged[1][14])
    assert len(told) == len(set(told))
    broken = [line for line in told if "cannot be read" in line]
    assert broken and all(line.startswith((NAMES[10], NAMES[12], NAMES[14])) for line in broken)
    assert not [path.name for path in (tmp_path / "out").rglob("*") if "partial" in path.name]


def test_a_page_that_fails_costs_neither_the_forecast_nor_its_link_nor_room(staged, live, tmp_path):
    def page(forecast, out, history):
        if out.stem != FORECASTS[9].removesuffix(".nc"):
            raise ValueError("no page")
        out.write_text("page")

    watch, _ = watching(tmp_path, page=page, keep=1)
    watch.once()
    assert (tmp_path / "out/latest.html").read_text() == "page"
    for number in (10, 11):
        shutil.copy(staged[0] / NAMES[number], tmp_path / "radar")
        with pytest.raises(ValueError, match="no page"):
            watch.once()
    assert (tmp_path / "out/latest.nc").resolve().name == FORECASTS[11]
    assert [path.name for path in (tmp_path / "out/forecasts").glob("2*")] == [FORECASTS[11]]
    assert not (tmp_path / "out/latest.html").is_symlink()


def test_files_of_another_product_are_left_out_while_they_are_the_fewer(staged, live, tmp_path, cf_radar):
    watch, told = live
    others = cf_radar(staged[1][:12, :5, :5])

    def stray(numbers):
        for number in numbers:
            others.isel(time=[number]).to_netcdf(tmp_path / "radar" / f"other_2024070112{5 * number:02}.nc")

    stray(range(9))
    assert watch.look(wait=False).name == FORECASTS[9]
    (line,) = [line for line in told if "other" in line]
    assert line.startswith("files of other are left out, those of rate forecast") and "watch 'radar/RATE*.h5'" in line
    shutil.copy(staged[0] / NAMES[10], tmp_path / "radar")
    assert watch.look(wait=False).name == FORECASTS[10] and told.count(line) == 1
    stray((9, 10))
    with pytest.raises(InputError, match=r"several products; got other, rate; .*; name them by a wildcard in quotes"):
        watch.look(wait=False)
    watch.folder = tmp_path / "radar" / "rate*.nc"
    shutil.copy(staged[0] / NAMES[11], tmp_path / "radar")
    assert watch.look(wait=False).name == FORECASTS[11]


def test_one_look_that_finds_nothing_new_says_so(live, tmp_path):
    assert live[0].once()
    again, told = watching(tmp_path)
    assert again.once() is None and told == ["nothing new since 2024-07-01 12:45 UTC"]
