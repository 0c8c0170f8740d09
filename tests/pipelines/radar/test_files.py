"""Finding files of radar, their names and times, and readers beside pysteps'."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import InputError
from pipelines.radar.files import commonest_step, find_files, product, read_header, read_values, time_in_name


@pytest.mark.parametrize(
    ("name", "what", "time"),
    [
        ("20210704155000.rad.best.comp.rate.nog.hdf", "rad.best.comp.rate.nog", datetime(2021, 7, 4, 15, 50)),
        ("RAD_NL25_RAP_5min_201008260005.h5", "RAD_NL25_RAP_5min", datetime(2010, 8, 26, 0, 5)),
        ("MRMS_PrecipRate_00.00_20190610-000236.grib2.gz", "MRMS_PrecipRate_00.00", datetime(2019, 6, 10, 0, 2, 36)),
        ("obs_2020-05-01T12:05Z.nc", "obs_Z", datetime(2020, 5, 1, 12, 5)),
        ("obs-2020_05_01-1205.nc", "obs", datetime(2020, 5, 1, 12, 5)),
        ("obs2020050112.nc", "obs", datetime(2020, 5, 1, 12)),
        ("obs_20201301_1205.nc", "obs", None),
        ("fmi_20160928.nc", "fmi", None),
        ("20210704.nc", "radar", None),
        ("RZC241551200VL.001.h5", "RZCVL.001", datetime(2024, 6, 3, 12)),
        ("CPC2415512050_00060.801.h5", "CPC_00060.801", datetime(2024, 6, 3, 12, 5)),
        ("raa01-ry_10000-2407011205-dwd---bin", "raa01-ry_10000--dwd", datetime(2024, 7, 1, 12, 5)),
        ("raa01-rw_10000-2007041510-dwd---bin", "raa01-rw_10000--dwd", datetime(2020, 7, 4, 15, 10)),
        ("raa01-rw_10000-1907041550-dwd---bin", "raa01-rw_10000--dwd", datetime(2019, 7, 4, 15, 50)),
        ("WN2407011205.nc", "WN", datetime(2024, 7, 1, 12, 5)),
    ],
)
def test_products_and_times_in_names(name, what, time):
    assert product(Path(name)) == what
    assert time_in_name(Path(name)) == time


def test_folders_give_their_radar_files_and_files_are_taken_once(tmp_path):
    for name in ("b.h5", "a.nc", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in find_files([tmp_path / "b.h5", tmp_path])] == ["b.h5", "a.nc"]
    with pytest.raises(InputError, match=r"no radar file at .*nowhere"):
        find_files([tmp_path / "nowhere"])


def test_hidden_files_and_folders_are_left_out(tmp_path):
    (tmp_path / ".cache").mkdir()
    for name in ("a.nc", ".b.nc", ".cache/c.nc"):
        (tmp_path / name).touch()
    for source in (tmp_path, tmp_path / "*"):
        assert find_files([source]) == [tmp_path / "a.nc"]


def test_files_of_no_known_format_are_refused(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(InputError, match=r"its format is not known; got \.txt"):
        read_header(tmp_path / "a.txt")


@pytest.mark.parametrize("kind", ["odim", "knmi"])
def test_as_pysteps_reads_it(shared_data, kind):
    importers = pytest.importorskip("pysteps.io.importers")
    path = sorted((shared_data / "raw" / kind).iterdir())[3]
    if kind == "odim":
        theirs, _, place = importers.import_odim_hdf5(str(path), qty="RATE")
        metres = 1
    else:
        theirs, _, place = importers.import_knmi_hdf5(str(path), qty="ACRR", accutime=5.0, pixelsize=1.0)
        theirs, metres = theirs * 12, 1000
    grid = read_header(path).grid
    assert (grid.west, grid.south) == pytest.approx((metres * place["x1"], metres * place["y1"]), abs=1)
    np.testing.assert_allclose(read_values(path, 0), theirs[::-1], rtol=1e-5)


@pytest.mark.parametrize(
    ("seconds", "step"),
    [
        ([0, 150, 300, 450], 150),
        ([0, 100, 200, 400], 100),  # exact, one frame lacking
        ([0, 30, 60], 30),
        ([0, 10, 20], 10),
        ([0, 3600], 3600),
        ([0, 126, 234, 480, 600], 120),  # off by seconds: steps of 126, 108, 246 and 120
        ([0, 152, 297, 451, 600], 150),  # off by seconds
        ([0, 300, 600, 600, 900], 300),  # one time twice
        ([0, 600, 1200, 1500], 600),  # a frame between the steps
        ([0, 7, 15], 7),  # off by seconds, and all of them less than half a minute apart
        ([5, 5], None),
    ],
)
def test_the_commonest_step_is_exact_or_in_half_minutes(seconds, step):
    times = [datetime(2024, 7, 1) + timedelta(seconds=second) for second in reversed(seconds)]
    assert commonest_step(times) == (step and timedelta(seconds=step))


def test_of_equally_common_steps_the_shortest_is_the_cadence():
    times = [datetime(2024, 7, 1, 12, minute) for minute in (0, 5, 10, 20, 30)]
    assert commonest_step(times) == timedelta(minutes=5)
