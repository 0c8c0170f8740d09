"""What the campaign of bad input found: each input ends in one line that says what is wrong."""

import bz2
import gzip
import json
import struct
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

from nowcast.cli.app import main
from nowcast.cli.info import describe
from nowcast.data.forecast_file import open_forecast
from nowcast.forecasting.places import read_areas
from nowcast.models.checkpoint import read_header as read_checkpoint
from nowcast.report.tables import _indented
from nowcast.verification import merge_states
from pipelines.errors import InputError
from pipelines.radar.files import read_header
from pipelines.radar.grid import Grid, square
from pipelines.sevir.rows import _seconds
from pipelines.store.inside import check_inside
from pipelines.store.rejects import read_rejects
from pipelines.store.settings import parse_yaml, read_yaml

DEEP = "[" * 100_000
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))


@pytest.mark.parametrize(
    "text",
    [DEEP, "a: " + DEEP, "a: 2020-13-45", "a: !!int x", "a: !!timestamp x", "%YAML 9", "a: [",
     "a: " + "9" * 5000, "a: !!python/object/apply:os.system [ls]", BOMB, "a: &a [*a]", "a: &a {b: *a}", "? [a]\n: b"],
)  # fmt: skip
def test_yaml_that_is_none_or_explodes(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(InputError, match=r"not valid YAML|too many values"):
        read_yaml(tmp_path / "a.yaml")


def test_yaml_whose_keys_are_no_text(tmp_path):
    (tmp_path / "a.yaml").write_text("1: 2\n~: 3\n")
    with pytest.raises(InputError, match="a key that is no text; got 1"):
        read_yaml(tmp_path / "a.yaml")


def test_values_that_are_shared_a_few_times_are_read():
    assert parse_yaml("a: &a {b: 1}\nc: [*a, *a]", "text") == {"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}]}


def test_json_that_nests_without_end(tmp_path):
    (tmp_path / "a.json").write_text(DEEP)
    with pytest.raises(InputError, match="no GeoJSON"):
        read_areas(tmp_path / "a.json")
    header = json.dumps({"__metadata__": {"config": DEEP}}).encode()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(InputError, match="not a checkpoint"):
        read_checkpoint(tmp_path / "m.safetensors")
    (tmp_path / "rejects.jsonl").write_text(DEEP)
    with pytest.raises(InputError, match="is damaged"):
        read_rejects(tmp_path)
    assert _indented(DEEP) == DEEP


@pytest.mark.parametrize("text", ["{", '{"event": 1}', '{"events": "A", "file": "f", "reason": "r"}', "3", "\udcff"])
def test_rejects_that_are_none(tmp_path, text):
    (tmp_path / "rejects.jsonl").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match="is damaged"):
        read_rejects(tmp_path)


def test_offsets_of_a_catalog_that_are_no_times():
    assert _seconds("inf:5") == _seconds("nan:5") == _seconds("x") == () and _seconds("0:5") == (0, 300)


def test_hdf5_of_absurd_dimensions(tmp_path):
    path = tmp_path / "a.nc"
    with h5py.File(path, "w") as file:
        file.create_dataset("vil", (2, 2**15, 2**15, 6), "u1", chunks=(1, 16, 16, 6), compression="gzip")
    for read in (check_inside, read_header, open_forecast, lambda path: merge_states([path])):
        with pytest.raises(InputError, match="its vil has 12 GiB"):
            read(path)


def test_hdf5_whose_links_cannot_be_listed(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["group/vil"] = np.zeros(3)
    content = bytearray(path.read_bytes())
    at = content.rindex(b"HEAP")
    content[at : at + 4] = b"XXXX"
    path.write_bytes(content)
    with pytest.raises(OSError, match="cannot be listed"):
        check_inside(path)
    for read in (read_header, lambda path: merge_states([path])):
        with pytest.raises(InputError, match="read"):
            read(path)


def test_a_link_in_a_circle_leaves_no_store(tmp_path):
    group = zarr.open_group(tmp_path / "s.zarr", mode="w")
    group.create_array("vil", data=np.zeros(3))
    (tmp_path / "s.zarr/vil/c/0").unlink(missing_ok=True)
    (tmp_path / "s.zarr/vil/c").mkdir(exist_ok=True)
    (tmp_path / "s.zarr/vil/c/0").symlink_to("0")
    check_inside(tmp_path / "s.zarr")


def forecast(**changes) -> xr.Dataset:
    init, leads = np.array(["2019-07-01T10:00"], "datetime64[ns]"), np.array([300, 600], "timedelta64[s]")
    coords = {
        "event": ("case", ["A"]),
        "init_time": ("case", init),
        "lead_time": leads.astype("timedelta64[ns]"),
        "valid_time": (("case", "lead_time"), init[:, None] + leads),
    }
    field = np.zeros((1, 2, 2, 4, 4), "float32")
    return xr.Dataset({"vil": (("case", "member", "lead_time", "y", "x"), field, {"units": "1"})}, coords | changes)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (forecast().isel(case=slice(0)), "an empty forecast; got no case"),
        (forecast().isel(lead_time=slice(0)), "an empty forecast; got no lead_time"),
        (forecast(init_time=("case", ["x"])), "init_time is not that of a forecast"),
        (forecast(init_time=("case", [np.nan])), "init_time is not that of a forecast; got float64"),
        (forecast(valid_time=("case", forecast()["init_time"].values)), "valid_time is not that of a forecast"),
        (forecast(event=(("case", "y"), [["A"] * 4])), "event is not that of a forecast"),
    ],
)
def test_a_forecast_that_is_empty_or_whose_times_are_none(tmp_path, made, said):
    made.to_netcdf(tmp_path / "f.nc")
    with pytest.raises(InputError, match=said):
        open_forecast(tmp_path / "f.nc")


@pytest.mark.parametrize("name", ["m.grib2.gz", "ry-2407011200---bin.gz", "ry-2407011200---bin.bz2"])
def test_a_small_file_that_unpacks_to_gigabytes(tmp_path, monkeypatch, name):
    for module in ("mrms", "radolan"):
        monkeypatch.setattr(f"pipelines.radar.{module}._MOST", 10_000)
    pack = bz2.compress if name.endswith("bz2") else gzip.compress
    (tmp_path / name).write_bytes(pack(bytes(1_000_000)))
    with pytest.raises(InputError, match="unpacks to more than 10,000 bytes"):
        read_header(tmp_path / name)


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        (Grid("+proj=longlat", 0.0, 0.0, np.nan, 1.0, 2, 2), "its grid is none"),
        (Grid("+proj=longlat", 0.0, np.inf, 1.0, 1.0, 2, 2), "its grid is none"),
        (Grid("+proj=longlat", 0.0, 0.0, 0.0, 1.0, 2, 2), "its grid is none"),
        (Grid("+proj=longlat", 0.0, 0.0, 1.0, 1.0, 0, 2), "its grid is none"),
        (Grid("+proj=longlat", 0.0, 0.0, 1.0, 1.0, 2**20, 2**20), "its grid is too large"),
    ],
)
def test_a_grid_that_is_none_or_absurd(grid, said):
    with pytest.raises(InputError, match=said):
        grid.check()


def test_a_grid_that_makes_an_absurd_one_or_leaves_the_earth():
    with pytest.raises(InputError, match="too large"):
        square(Grid("+proj=longlat", 0.0, 0.0, 1.0, 1e-6, 10_000, 10))
    with pytest.raises(InputError, match="not on the earth"):
        square(Grid("+proj=longlat", 0.0, 85.0, 1.0, 1.0, 10, 10))


def test_info_of_a_file_at_which_a_library_fails_unforeseen(tmp_path, monkeypatch):
    monkeypatch.setattr("nowcast.cli.info._describe", lambda *said: None.dimensions)
    with pytest.raises(InputError, match="is damaged, or nothing that nowcast made; got AttributeError"):
        describe(Path(tmp_path))


def test_too_little_memory_is_one_line(monkeypatch, capsys):
    def fails(*said, **more):
        raise MemoryError("Unable to allocate 12.0 GiB")

    monkeypatch.setattr("nowcast.cli.info._describe", fails)
    monkeypatch.setattr(sys, "argv", ["nowcast", "info", "x"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err == "nowcast: not enough memory: Unable to allocate 12.0 GiB\n"
