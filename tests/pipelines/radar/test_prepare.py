"""Radar files to stores, end to end."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from pipelines.errors import InputError
from pipelines.radar.loops import read_events
from pipelines.radar.prepare import plan_radar, prepare
from pipelines.store import geo
from pipelines.store.protocol import load_protocol
from pipelines.store.rejects import PartlyReadError
from pipelines.store.schema import open_store

PROJ = "+proj=lcc +lat_1=49 +lat_2=51 +lat_0=50 +lon_0=4 +ellps=GRS80 +units=m"
SIDE, FRAMES = 258, 4


@pytest.fixture
def folder(tmp_path) -> Path:
    """Four ODIM files, five minutes apart, of 258 x 258 rain rates, a part of them outside of the radar's reach."""
    root = tmp_path / "odim"
    root.mkdir()
    rng = np.random.default_rng(0)
    lon, lat = geo.projection(PROJ)(100_000, 200_000, inverse=True)
    for frame in range(FRAMES):
        rate = rng.gamma(0.3, 8, (SIDE, SIDE)).astype("float32")
        rate[:20] = -1  # the north
        with h5py.File(root / f"2021070415{5 * frame:02}00.rate.h5", "w") as file:
            file.create_group("what").attrs.update({"date": "20210704", "time": f"15{5 * frame:02}00"})
            file.create_group("where").attrs.update(
                {"projdef": PROJ, "LL_lon": lon, "LL_lat": lat, "xscale": 1000.0, "yscale": 1000.0}
            )
            file.create_dataset("dataset1/data1/data", data=rate, chunks=(SIDE, SIDE), compression="gzip")
            file.create_group("dataset1/data1/what").attrs.update({"quantity": "RATE", "nodata": -1.0})
    return root


def counts(path: Path) -> np.ndarray:
    return open_store(path)["vil"].values


def rate_by_hand(file: Path) -> np.ndarray:
    """Counts with row 0 in the south, by the relations written out."""
    with h5py.File(file) as h5:
        rate = h5["dataset1/data1/data"][::1][::-1].astype("float64")
    vil = 3.44e-6 * (200 * np.maximum(rate, 0) ** 1.6) ** (4 / 7) * 4500
    linear, exponential = 90.66 * vil + 2, 83.9 + 38.9 * np.log(np.maximum(vil, 1e-9))
    scale = np.where(exponential > 18, np.minimum(exponential, 254), np.where(linear > 5, np.minimum(linear, 18), 0))
    return np.where(rate == -1, np.nan, np.rint(scale))


def test_a_store_of_radar(folder, tmp_path):
    told = []
    summary = prepare([folder], tmp_path / "s.zarr", tell=told.append)
    assert str(summary) == f"{tmp_path / 's.zarr'}: 4 events (4 test); 4 written now; 0 files left out"
    title, protocol, *_ = told[0].splitlines()
    assert title.startswith("plan: 4 tiles, 128 x 128 pixels (1 km), ") and title.endswith("; no gaps")
    assert protocol == "  protocol radar-128-10-10: none to 128 x 128 pixels"
    store = open_store(tmp_path / "s.zarr")
    assert store.sizes == {"event": 4, "frame": 4, "y": 128, "x": 128}
    assert store["event"].values.tolist() == [
        f"rate-20210704T150000-{tile}" for tile in ("00-00", "00-01", "01-00", "01-01")
    ]
    assert str(store["valid_time"].values[0, -1]) == "2021-07-04T15:15:00.000000000"
    assert store.attrs["protocol"] == "radar-128-10-10"
    assert store.attrs["counts_from"][0].startswith("rain rate in mm h-1: Z = 200 R^1.6 mm6 m-3; VIL = 3.44e-6 Z^(4/7)")
    assert store.attrs["source_files"][0].startswith("20210704150000.rate.h5 ")
    whole = rate_by_hand(sorted(folder.iterdir())[2])[1:257, 1:257]
    np.testing.assert_array_equal(store["vil"][3, 2], whole[128:, 128:])
    np.testing.assert_array_equal(store["vil"][1, 2], whole[:128, 128:])
    assert np.isnan(store["vil"][3, 2, -19:]).all()
    assert store["missing_fraction"].values[3, 2] == pytest.approx(19 / 128)
    lat, lon = geo.lat_lon(PROJ, *(float(store[name][3]) for name in ("corner_x", "corner_y")), [500.0], [500.0])
    assert geo.projection(PROJ)(lon[0, 0], lat[0, 0]) == pytest.approx((100_000 + 129_500, 200_000 + 129_500), abs=0.01)


def test_run_again_and_coarsened(folder, tmp_path):
    prepare([folder], tmp_path / "s.zarr")
    assert prepare([folder], tmp_path / "s.zarr").written == 0
    with pytest.raises(InputError, match="say --overwrite"):
        prepare([folder], tmp_path / "s.zarr", coarsen=2)
    prepare([folder], tmp_path / "s.zarr", coarsen=2, overwrite=True)
    store = open_store(tmp_path / "s.zarr")
    assert store.sizes["event"] == 1
    assert store.attrs["protocol"] == "radar-128-10-10@5min,mean2"
    assert load_protocol(store.attrs["protocol"]).reducer == store.attrs["reducer"] == "mean2"
    assert float(store["x"][1] - store["x"][0]) == 2000


def test_a_damaged_file_costs_its_frames_only_and_mended_they_are_read(folder, tmp_path):
    prepare([folder], tmp_path / "whole.zarr")
    damaged, absent = sorted(folder.iterdir())[1:3]
    sound = {path: path.read_bytes() for path in (damaged, absent)}
    place = sound[damaged].index(b"\x78", 3000)  # of compressed numbers: the header can be read
    damaged.write_bytes(sound[damaged][: place + 9000] + bytes(100) + sound[damaged][place + 9100 :])
    absent.write_bytes(b"no HDF5")
    summary = prepare([folder], tmp_path / "s.zarr")
    assert summary.written == 0
    assert {(r.file, r.partly) for r in summary.rejects} == {(damaged.name, True), (absent.name, True)}
    assert "4 events could not be read and are missing" in str(summary)
    whole, part = counts(tmp_path / "whole.zarr"), counts(tmp_path / "s.zarr")
    assert np.isnan(part[:, 1:3]).all()
    np.testing.assert_array_equal(part[:, [0, 3]], whole[:, [0, 3]])
    assert open_store(tmp_path / "s.zarr")["missing_fraction"][0].values.tolist() == [0, 1, 1, 0]
    for path, content in sound.items():
        path.write_bytes(content)
    summary = prepare([folder], tmp_path / "s.zarr")
    assert (summary.written, summary.rejects) == (4, ())
    xr.testing.assert_identical(open_store(tmp_path / "s.zarr").load(), open_store(tmp_path / "whole.zarr").load())


def test_a_reader_gives_what_it_could_read(folder):
    sorted(folder.iterdir())[0].write_bytes(b"no HDF5")
    events = plan_radar([folder]).events
    with pytest.raises(PartlyReadError, match=r"20210704150000\.rate\.h5 cannot be read") as caught:
        read_events(events[:1])
    assert (caught.value.pixels[0] == 255).all()
    assert (caught.value.pixels[1] != 255).all()


def test_lost_and_absent_files_are_missing_frames(folder, tmp_path):
    sorted(folder.iterdir())[1].unlink()
    summary = prepare([folder], tmp_path / "s.zarr")
    assert summary.rejects == ()
    assert open_store(tmp_path / "s.zarr")["missing_fraction"][0].values.tolist() == [0, 1, 0, 0]


def test_workers_are_sent_all_that_they_need(folder, tmp_path):
    prepare([folder], tmp_path / "s.zarr", workers=2)
    prepare([folder], tmp_path / "alone.zarr", workers=1)
    stores = [open_store(tmp_path / name)["vil"].values for name in ("s.zarr", "alone.zarr")]
    np.testing.assert_array_equal(*stores)


def test_a_protocol_of_another_grid_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="protocol sevir-384-13-12 has a grid of 384; expected 128"):
        prepare([folder], tmp_path / "s.zarr", protocol="sevir-384-13-12")


def test_a_protocol_of_means_averages_by_itself(folder):
    with pytest.raises(InputError, match="rate does not fill a tile; got 86 x 86 pixels"):
        plan_radar([folder], protocol="europe-128-10-10")


REAL = ["bom_r2_20180616", "bom_r66_20201031", "fmi_20160928", "fmi_20170509", "knmi_20100826", "mrms_20190610",
        "opera_20180824", "rmi_nomfb_20210704"]  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_radar_goes_through(shared_data, tmp_path, name):
    source = shared_data / "radar" / f"{name}.nc"
    summary = prepare([source], tmp_path / "s.zarr", limit=60, frames=2)
    assert summary.rejects == ()
    assert summary.left_out == 0
    store = open_store(tmp_path / "s.zarr")
    vil = store["vil"].values
    assert np.nanmax(vil) > 16
    with xr.open_dataset(source) as raw:
        times = raw["time"].values
        assert store.attrs["cadence_minutes"] == (times[1] - times[0]) / np.timedelta64(1, "m")
        if name.startswith("mrms"):
            return
        y, x = (raw[axis].values for axis in ("y", "x"))
        seen = int(np.argmax(np.nansum(vil > 16, axis=(1, 2, 3))))
        rows = np.searchsorted(y, float(store["corner_y"][seen])) + np.arange(128)
        columns = np.searchsorted(x, float(store["corner_x"][seen])) + np.arange(128)
        frame = raw["vil"].sel(time=store["valid_time"].values[seen, 0]).values
        np.testing.assert_array_equal(vil[seen, 0], frame[np.ix_(rows, columns)])


@pytest.mark.parametrize(("raw", "known"), [("odim", "rmi_nomfb_20210704"), ("knmi", "knmi_20100826")])
def test_published_files_give_the_known_counts(shared_data, tmp_path, raw, known):
    """The same radar, converted by somebody else."""
    prepare([shared_data / "raw" / raw], tmp_path / "raw.zarr", frames=4, limit=25)
    prepare([shared_data / "radar" / f"{known}.nc"], tmp_path / "known.zarr", frames=4, limit=25)
    ours, theirs = counts(tmp_path / "raw.zarr"), counts(tmp_path / "known.zarr")
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    assert np.nanmax(np.abs(ours - theirs)) <= 1  # a half rounded the other way
    assert np.mean(np.abs(ours - theirs) > 0) < 1e-4


def test_published_mrms_gives_the_known_counts(shared_data):
    """At its own pixels: both then become square kilometres in the same way."""
    from pipelines.radar.files import read_header, read_values
    from pipelines.store.units import RAIN_RATE, quantise

    path = sorted((shared_data / "raw" / "mrms").iterdir())[2]
    grid = read_header(path).grid
    ours = quantise(read_values(path, 0), RAIN_RATE)
    with xr.open_dataset(shared_data / "radar" / "mrms_20190610.nc", mask_and_scale=False) as known:
        theirs = known["vil"].sel(time=read_header(path).times[0])
        rows = np.floor((theirs["lat"].values - grid.south) / grid.height_m).astype(int)
        columns = np.floor((theirs["lon"].values - grid.west) / grid.width_m).astype(int)
        difference = ours[np.ix_(rows, columns)].astype(int) - theirs.values
    assert np.abs(difference).max() <= 1
    assert np.mean(difference != 0) < 1e-5
