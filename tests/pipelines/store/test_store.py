import json
import warnings
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from pipelines.errors import InputError
from pipelines.store import schema as store
from pipelines.store.geo import SEVIR_PROJ
from pipelines.store.kind import RADAR, VIDEO, kind_of
from pipelines.store.rejects import Reject, write_rejects

STEREO = "+proj=stere +lat_0=90 +lon_0=25 +lat_ts=60 +a=6371288"


def event(number: int, proj: str = SEVIR_PROJ) -> store.Event:
    return store.Event(
        id=f"E{number:02d}",
        time=datetime(2018, 1, 1, number),
        offsets=(-300, 0, 300),
        proj=proj,
        corner_x=1000.0 * number,
        corner_y=-1000.0,
        split="train",
    )


def make(path: Path, events: list[store.Event], side: int = 6) -> Path:
    attrs = store.attributes(events, protocol="p", reducer="mean", cadence_minutes=5.0, source_files=["a.h5 3 bytes"])
    store.create(path, events, side=side, pixel_m=3000.0, attrs=attrs)
    return path


def test_a_new_store_is_missing_everywhere_and_tells_what_it_is(tmp_path):
    dataset = store.open_store(make(tmp_path / "s.zarr", [event(1), event(2)]))
    assert dataset["vil"].dims == ("event", "frame", "y", "x")
    assert dataset["vil"].dtype == np.float32
    assert np.isnan(dataset["vil"].values).all()
    assert dataset["event"].values.tolist() == ["E01", "E02"]
    assert dataset["valid_time"].values[0, 0] == np.datetime64("2018-01-01T00:55:00")
    assert dataset["y"].values.tolist() == [1500, 4500, 7500, 10500, 13500, 16500]
    assert dataset["corner_x"].sel(event="E02") == 2000
    assert dataset["split"].values.tolist() == ["train", "train"]
    assert dataset.attrs["reducer"] == "mean"
    assert dataset.attrs["source_files"] == ["a.h5 3 bytes"]


def test_counts_come_back_and_255_is_nan(tmp_path):
    path = make(tmp_path / "s.zarr", [event(1)])
    counts = np.arange(3 * 36, dtype="uint8").reshape(1, 3, 6, 6)
    counts[0, 0, 0, :2] = 255, 254
    zarr.open_array(path / "vil", mode="r+")[:] = counts
    vil = store.open_store(path)["vil"].values
    assert np.isnan(vil[0, 0, 0, 0])
    assert np.isnan(vil).sum() == 1
    assert vil[0, 0, 0, 1] == 254
    assert np.array_equal(vil[0, 1:], counts[0, 1:])


def test_encoding_is_one_event_and_tile_a_chunk_and_sixteen_events_a_shard(tmp_path):
    array = zarr.open_array(make(tmp_path / "s.zarr", [event(n) for n in range(20)], side=256) / "vil")
    assert array.dtype == np.uint8
    assert array.chunks == (1, 3, 128, 128)
    assert array.shards == (16, 3, 128, 128)
    assert array.fill_value == array.attrs["_FillValue"] == 255
    assert array.metadata.zarr_format == 3


def test_a_shared_projection_is_a_grid_mapping_and_several_are_not(tmp_path):
    one = store.open_store(make(tmp_path / "one.zarr", [event(1), event(2)]))
    assert one["crs"].attrs["grid_mapping_name"] == "lambert_azimuthal_equal_area"
    assert one["vil"].encoding["grid_mapping"] == "crs"
    two = store.open_store(make(tmp_path / "two.zarr", [event(1), event(2, STEREO)]))
    assert "crs" in one.coords
    assert "crs" not in two.variables
    assert two["proj"].values.tolist() == [SEVIR_PROJ, STEREO]


def test_an_open_store_can_be_written_as_netcdf(tmp_path):
    dataset = store.open_store(make(tmp_path / "s.zarr", [event(1)]))
    dataset.to_netcdf(tmp_path / "s.nc")
    with xr.open_dataset(tmp_path / "s.nc") as again:
        assert again["event"].values.tolist() == ["E01"]


def test_the_event_list_hash_tells_lists_apart():
    events = [event(1), event(2)]
    assert store.event_list_hash(events) == store.event_list_hash([event(1), event(2)])
    assert store.event_list_hash(events) != store.event_list_hash(events[:1])
    assert store.event_list_hash(events) != store.event_list_hash(events[::-1])
    assert store.event_list_hash(events) != store.event_list_hash([event(1), event(2, STEREO)])
    other = {
        "split": "test",
        "time": datetime(2018, 1, 1, 3),
        "offsets": (-300, 0, 301),
        "corner_x": 2001.0,
        "corner_y": -1001.0,
        "event_type": "Hail",
    }
    for name, value in other.items():
        changed = [event(1), replace(event(2), **{name: value})]
        assert store.event_list_hash(events) != store.event_list_hash(changed), name


def test_frame_times_of_a_video_are_rounded_to_the_nearest_microsecond():
    clip = store.Event(id="C", time=datetime(2000, 1, 1), offsets=(0, 1 / 30, 2 / 30), split="test")
    assert (clip.valid_times - clip.valid_times[0]).astype(int).tolist() == [0, 33_333, 66_667]


def test_no_store_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no store at"):
        store.open_store(tmp_path / "absent.zarr")


def test_something_else_is_an_input_error(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.zarr").write_text("not a store")
    for name in ("folder", "file.zarr"):
        with pytest.raises(InputError, match="is not a Zarr store"):
            store.open_store(tmp_path / name)


def test_a_store_of_another_schema_is_an_input_error(tmp_path):
    path = make(tmp_path / "s.zarr", [event(1)])
    zarr.open_group(path).attrs["schema_version"] = 99
    with pytest.raises(InputError, match="another schema; got nowcast-archive 99; expected nowcast-archive 1; prepare"):
        store.open_store(path)
    xr.Dataset({"t": ("x", [1.0])}).to_zarr(tmp_path / "other.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(InputError, match="another schema; got no schema"):
        store.open_store(tmp_path / "other.zarr")


def test_validate_names_what_is_absent_or_transposed(tmp_path):
    dataset = store.open_store(make(tmp_path / "s.zarr", [event(1)]))
    with pytest.raises(InputError, match="no split"):
        store.validate(dataset.drop_vars("split"))
    with pytest.raises(InputError, match="vil has the wrong dimensions"):
        store.validate(dataset.transpose("event", "y", "x", "frame"))


def test_a_store_says_its_kind_and_old_ones_are_told_by_their_variable(tmp_path):
    clip = store.Event(id="C", time=datetime(2000, 1, 1), offsets=(0, 0.1), split="test")
    attrs = store.attributes(
        [clip], protocol="p", reducer="square-grey", cadence_minutes=1 / 600, source_files=[], kind=VIDEO
    )
    store.create(tmp_path / "video.zarr", [clip], side=6, channels=("grey",), attrs=attrs)
    make(tmp_path / "radar.zarr", [event(1)])
    for kind in (RADAR, VIDEO):
        dataset = store.open_store(tmp_path / f"{kind.name}.zarr")
        assert dataset.attrs["kind"] == kind.name and dataset.attrs["data_range"] == kind.data_range
        for attribute in ({"kind": kind.name}, {}, {"kind": "of somebody else's"}, {"kind": [1]}):
            old = dataset.copy()
            old.attrs = attribute
            assert kind_of(old) is kind
            assert kind_of(old[kind.variable]) is kind
            assert store.pixels(old).dims == kind.dims
        assert kind_of(zarr.open_group(tmp_path / f"{kind.name}.zarr")) is kind


def test_anybody_opens_a_store_without_a_warning_also_after_it_was_mended(tmp_path):
    path = make(tmp_path / "s.zarr", [event(1)])
    write_rejects(path, [Reject("E01", "a.h5", "no such file")])
    group = zarr.open_group(path, mode="r+")
    group["vil"][:] = 7
    group.attrs["source_files"] = ["a.h5 4 bytes"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = xr.open_zarr(path)
        assert dataset.attrs["source_files"] == ["a.h5 4 bytes"]
        assert (dataset["vil"] == 7).all() and dataset["event"].values.tolist() == ["E01"]
        assert store.open_store(path).attrs["source_files"] == ["a.h5 4 bytes"]


def garbage(path: Path) -> None:
    path.write_bytes(b"{" + path.read_bytes()[:20])


def other_codec(path: Path) -> None:
    metadata = json.loads(path.read_text())
    metadata["codecs"] = [{"name": "of-the-future"}]
    path.write_text(json.dumps(metadata))


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("zarr.json", garbage),
        ("vil/zarr.json", garbage),
        ("vil/zarr.json", other_codec),
        ("split/zarr.json", garbage),
        ("vil/c/0/0/0/0", garbage),
        ("split/c/0", garbage),
        ("missing_fraction/c/0/0", garbage),
        ("valid_time/c/0/0", garbage),
    ],
)
def test_a_damaged_store_is_an_input_error_that_names_it(tmp_path, file, damage):
    path = make(tmp_path / "s.zarr", [event(1)])
    group = zarr.open_group(path, mode="r+")
    group["vil"][:], group["missing_fraction"][:] = 7, 0.5
    damage(path / file)
    with pytest.raises(InputError, match=r"s\.zarr.* (cannot be read; got \w+:|an incomplete store).*again"):
        store.open_store(path)["vil"].isel(event=0, frame=slice(1, 3)).load()
    if file in ("zarr.json", "vil/c/0/0/0/0"):  # the root tells all else that is needed
        with pytest.raises(InputError, match=r"s\.zarr cannot be read; got \w+:.*remove it and make it again"):
            store.open_pixels(path)[0, 1:3]


def test_pixels_of_a_sound_store_are_read_in_part_by_any_index(tmp_path):
    path = make(tmp_path / "s.zarr", [event(1), event(2)])
    counts = np.random.default_rng(0).integers(0, 255, (2, 3, 6, 6), dtype="uint8")
    zarr.open_group(path, mode="r+")["vil"][:] = counts
    vil = store.open_store(path)["vil"]
    for part in (np.s_[0], np.s_[:, 1:, ::2], np.s_[1, 2, 3, 4], np.s_[[1, 0], :, [0, 2, 5]]):
        assert np.array_equal(vil[part].values, xr.DataArray(counts)[part].values)
    assert np.array_equal(vil.isel(event=xr.DataArray([0, 1], dims="n"), frame=xr.DataArray([1, 2], dims="n")).values,
                          counts[[0, 1], [1, 2]])  # fmt: skip
    assert store.open_pixels(path).shape == counts.shape
    assert np.array_equal(store.open_pixels(path)[1, :2], counts[1, :2])
