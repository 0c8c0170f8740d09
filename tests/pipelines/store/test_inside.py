"""Files of strangers: whatever they name, no other file is read, nothing is run, and no reader waits for ever."""

import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

from pipelines.errors import InputError
from pipelines.radar.cf_mapping import proj_of
from pipelines.radar.files import read_header
from pipelines.sevir.prepare import plan_archive
from pipelines.store import geo
from pipelines.store.inside import check_inside, check_proj, open_hdf5
from pipelines.store.reading import open_dataset
from pipelines.store.schema import open_store

SECRET = b"a secret of ours"


def external_link(file: h5py.File, name: str, other: Path) -> None:
    file[name] = h5py.ExternalLink(str(other), "data")


def raw_data(file: h5py.File, name: str, other: Path) -> None:
    """Any bytes of any file, as the numbers of a dataset."""
    file.create_dataset(name, (len(SECRET),), "u1", external=[(str(other.with_suffix(".txt")), 0, len(SECRET))])


def virtual(file: h5py.File, name: str, other: Path) -> None:
    layout = h5py.VirtualLayout((len(SECRET),), "u1")
    layout[:] = h5py.VirtualSource(str(other), "data", (len(SECRET),))
    file.create_virtual_dataset(name, layout)


@pytest.fixture
def other(tmp_path) -> Path:
    """A file that the user can read and that no stranger may: HDF5, and the same bytes as text beside it."""
    path = tmp_path / "ours.h5"
    path.with_suffix(".txt").write_bytes(SECRET)
    with h5py.File(path, "w") as file:
        file["data"] = np.frombuffer(SECRET, "u1")
    return path


@pytest.fixture(params=[external_link, raw_data, virtual])
def reaching(request):
    return request.param


@pytest.mark.parametrize("name", ["vil", "a/b/vil"])
def test_hdf5_that_names_another_file_is_refused(tmp_path, other, reaching, name):
    path = tmp_path / "theirs.h5"
    with h5py.File(path, "w") as file:
        reaching(file, name, other)
        file["soft"] = h5py.SoftLink("/" + name)
    with h5py.File(path) as file:
        assert bytes(file["soft"][:]) == SECRET  # without us it is read
    with pytest.raises(InputError, match=f"its {name} lies in another file"), open_hdf5(path):
        pass
    with path.open("rb") as raw, pytest.raises(InputError, match="another file"), open_hdf5(raw):
        pass


def test_hdf5_with_links_within_itself_is_read(tmp_path):
    path = tmp_path / "own.h5"
    with h5py.File(path, "w") as file:
        file["a/data"] = np.arange(3)
        file["hard"], file["soft"], file["a/up"] = file["a"], h5py.SoftLink("/a/data"), h5py.SoftLink("/")
    with open_hdf5(path) as file:
        assert file["soft"][:].tolist() == file["hard/data"][:].tolist() == [0, 1, 2]


def test_no_reader_of_hdf5_follows_it(tmp_path, archive, other, reaching):
    for name in ("theirs.h5", "theirs.nc", "theirs.hdf"):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_group("what")
            reaching(file, "vil", other)
        with pytest.raises(InputError, match="another file"):
            read_header(tmp_path / name)
        with pytest.raises(InputError, match="another file"):
            open_dataset(tmp_path / name)
    with h5py.File(archive.data / "vil/2019/two.h5", "r+") as file:
        del file["vil"]
        reaching(file, "vil", other)
    with pytest.raises(InputError, match="another file"):
        plan_archive(archive.root, protocol=str(archive.protocol))


@pytest.fixture
def store(tmp_path) -> Path:
    """A Zarr store of one array without codecs, so that its chunk is the bytes themselves."""
    path = tmp_path / "theirs.zarr"
    group = zarr.open_group(path, mode="w")
    group.create_array("vil", shape=(len(SECRET),), dtype="u1", compressors=None, dimension_names=["x"])
    (path / "vil/c").mkdir()
    group.attrs["schema"] = "nowcast-archive"
    return path


def test_a_link_that_leaves_a_store_is_refused_and_one_within_it_is_not(store, other):
    chunk = store / "vil/c/0"
    chunk.symlink_to(other.with_suffix(".txt"))
    assert bytes(zarr.open_array(store / "vil")[:]) == SECRET  # without us it is read
    for read in (open_dataset, open_store, read_header):
        with pytest.raises(InputError, match="the link vil/c/0 leaves the store"):
            read(store)
    chunk.unlink()
    (store / "vil/c/1").write_bytes(SECRET)
    chunk.symlink_to("1")
    check_inside(store)


def test_a_linked_folder_that_leaves_a_store_is_refused(store, tmp_path):
    shutil.rmtree(store / "vil")
    (store / "vil").symlink_to(tmp_path)
    with pytest.raises(InputError, match="the link vil leaves the store"):
        open_dataset(store)


def test_a_pipe_in_a_store_is_refused_and_not_waited_for(store):
    os.mkfifo(store / "vil/c/0")
    with pytest.raises(InputError, match="vil/c/0 is neither file nor folder"):
        open_dataset(store)


def test_no_key_of_a_store_climbs_out_of_it(store, tmp_path):
    zarr.create_array(tmp_path / "ours.zarr", data=np.frombuffer(SECRET, "u1"), compressors=None)
    root = json.loads((store / "zarr.json").read_text())
    ours = json.loads((tmp_path / "ours.zarr/zarr.json").read_text())
    names = {"../ours.zarr": ours, "vil/../../ours.zarr": ours}
    root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": names}
    (store / "zarr.json").write_text(json.dumps(root))
    with open_dataset(store) as dataset:
        assert list(dataset.variables) == ["vil"] and not dataset["vil"].values.any()


@pytest.mark.parametrize("place", ["filters", "compressor"])
def test_no_codec_of_a_store_unpickles(tmp_path, place):
    path, mark = tmp_path / "theirs.zarr", tmp_path / "run"
    (path / "vil").mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (path / "vil/.zattrs").write_text('{"_ARRAY_DIMENSIONS": ["x"]}')
    codecs = {"filters": [{"id": "vlen-utf8"}, {"id": "pickle"}], "compressor": None}
    codecs |= {"filters": [{"id": "vlen-utf8"}], "compressor": {"id": "pickle"}} if place == "compressor" else {}
    array = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "fill_value": "", "order": "C", **codecs}
    (path / "vil/.zarray").write_text(json.dumps(array))
    (path / "vil/0").write_bytes(f"cos\nmkdir\n(V{mark}\ntR.".encode())  # a pickle that calls os.mkdir
    with pytest.raises(Exception, match=r"[Pp]ickle"), open_dataset(path) as dataset:
        dataset.load()
    assert not mark.exists()


@pytest.mark.parametrize(
    "proj",
    ["+init=/etc/ours:key", "+proj=merc +nadgrids=/etc/ours", "+proj=pipeline +step +proj=xyzgridshift +grids=ours",
     "+proj=merc +geoidgrids=@null,ours"],
)  # fmt: skip
def test_a_projection_that_names_a_file_is_refused(proj):
    geo.projection.cache_clear()
    field = xr.DataArray(np.zeros((2, 2)), name="vil")
    for read in (check_proj, geo.projection, geo.grid_mapping, lambda text: proj_of(field, {"proj4": text}, (1, 1))):
        with pytest.raises(InputError, match="a projection names a file by"):
            read(proj)


def test_the_grid_that_is_none_is_no_file():
    assert check_proj("+proj=merc +nadgrids=@null +units=m").endswith("+units=m")
