from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from pipelines.errors import InputError
from pipelines.store import schema as store
from pipelines.store.geo import SEVIR_PROJ

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
