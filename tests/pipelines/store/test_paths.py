"""Outputs that would destroy an input, and names that are nearly right."""

from pathlib import Path

import pytest
import zarr

from pipelines.errors import InputError
from pipelines.store.paths import near, refuse_inputs, refuse_inside


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "radar.nc").write_text("mine")
    zarr.open_group(tmp_path / "store.zarr", mode="w")
    (tmp_path / "link.nc").symlink_to(tmp_path / "raw" / "radar.nc")
    return tmp_path


@pytest.mark.parametrize(
    ("out", "given", "verb"),
    [
        ("raw/radar.nc", "raw/radar.nc", "is"),
        ("./raw/../raw/radar.nc", "raw/radar.nc", "is"),
        ("link.nc", "raw/radar.nc", "is"),
        ("raw/radar.nc", "link.nc", "is"),
        ("raw", "raw/radar.nc", "holds"),
        (".", "raw/radar.nc", "holds"),
        ("store.zarr", "store.zarr", "is"),
        ("store.zarr/forecast.nc", "store.zarr", "lies inside"),
    ],
)
def test_an_output_that_would_destroy_an_input_is_refused(here, out, given, verb):
    with pytest.raises(InputError, match=rf"the output \S+ {verb} the input {given}; write to another path"):
        refuse_inputs(out, [None, Path(given)])


@pytest.mark.parametrize(
    ("out", "given"),
    [
        ("raw/new.zarr", "raw"),
        ("raw/radar.nc.new", "raw/radar.nc"),
        ("store.zarr.new", "store.zarr"),
        (None, "store.zarr"),
        ("data", "s3://bucket/data"),
        ("new.nc", "absent.nc"),
    ],
)
def test_other_outputs_pass(here, out, given):
    refuse_inputs(out, [given])


@pytest.mark.parametrize(
    ("out", "given", "verb"),
    [("raw", "raw", "is"), ("raw/out", "raw", "lies inside"), ("raw/../raw/a/b", "raw", "lies inside")],
)
def test_a_folder_of_outputs_inside_a_folder_of_inputs_is_refused(here, out, given, verb):
    with pytest.raises(InputError, match=rf"the output \S+ {verb} the input {given}; write to another path"):
        refuse_inside(out, ["store.zarr", given])


@pytest.mark.parametrize(("out", "given"), [("raw", "raw/radar.nc"), (".", "raw"), ("raw2", "raw"), ("out", "s3://b")])
def test_a_folder_of_outputs_elsewhere_passes(here, out, given):
    refuse_inside(out, [given])


def test_names_near_one_that_is_not_there(here):
    assert near(Path("raw/radra.nc")) == ", near it: radar.nc"
    assert near(Path("demmo"), ["demo", "predldm"]) == ", near it: demo"
    assert near(Path("nowhere/radar.nc")) == "" and near(Path("zzz")) == ""
    for name in (".knmi.nc.lock", ".knmi.partial.nc"):
        Path("raw", name).write_text("")
    assert near(Path("raw/knmi.nc")) == ""
