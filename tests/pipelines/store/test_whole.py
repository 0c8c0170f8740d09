"""An output is there whole or not at all, whatever happens to the command that writes it or beside it."""

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from pipelines.errors import InputError
from pipelines.store import whole as module
from pipelines.store.whole import exclusive, whole


def write(path: Path, text: str, *, folder: bool = False) -> None:
    if folder:
        path.mkdir()
    ((path / "inside") if folder else path).write_text(text)


def content(path: Path) -> str:
    return ((path / "inside") if path.is_dir() else path).read_text()


@pytest.mark.parametrize("folder", [False, True])
def test_the_output_appears_when_all_is_written_and_replaces_what_was_there(tmp_path, folder):
    out = tmp_path / "new" / "out.nc"
    for text in ("first", "second"):
        with whole(out) as growing:
            assert (growing.parent, growing.suffix, growing.exists()) == (out.parent, ".nc", False)
            write(growing, text, folder=folder)
            assert not out.exists() or content(out) == "first"
        assert content(out) == text
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path, folder, error):
    out = tmp_path / "out.zarr"
    write(out, "old", folder=folder)
    with pytest.raises(error), whole(out) as growing:
        write(growing, "new", folder=folder)
        raise error
    assert content(out) == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_an_output_that_is_there_is_refused_unless_it_may_be_replaced(tmp_path):
    out = tmp_path / "out.nc"
    out.write_text("old")
    with pytest.raises(InputError, match=r"out\.nc exists; say --overwrite"), whole(out, overwrite=False):
        pytest.fail("must not begin")
    assert out.read_text() == "old"


def test_a_file_is_not_exchanged_for_a_folder_nor_a_folder_for_a_file(tmp_path):
    for folder in (False, True):
        out = tmp_path / f"{folder}"
        write(out, "old", folder=folder)
        with pytest.raises((IsADirectoryError, NotADirectoryError)), whole(out) as growing:
            write(growing, "new", folder=not folder)
        assert content(out) == "old"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_second_command_is_refused_until_the_first_one_ends(tmp_path):
    out = tmp_path / "out.nc"
    with whole(out) as growing:
        growing.write_text("first")
        with pytest.raises(InputError, match=r"out\.nc is being written by another command; wait"), whole(out):
            pytest.fail("must not begin")
        code = "import sys, pathlib; from pipelines.store.whole import whole; whole(pathlib.Path('out.nc')).__enter__()"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env(), capture_output=True, text=True)
        assert "InputError: out.nc is being written by another command" in done.stderr
    assert out.read_text() == "first"
    with whole(out) as growing:
        growing.write_text("second")
    assert out.read_text() == "second"


def env() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}


KILLED = """
import os, pathlib, signal, sys
from pipelines.store import whole
out, moment = pathlib.Path(sys.argv[1]), sys.argv[2]

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

with whole.whole(out) as growing:
    growing.mkdir()
    (growing / "inside").write_text("new")
    if moment == "writing":
        kill()
    pathlib.Path.replace = kill  # between the moves of the old folder and of the new one
"""


@pytest.mark.parametrize("moment", ["writing", "exchanging"])
def test_a_killed_command_costs_neither_the_old_output_nor_a_leftover(tmp_path, moment):
    out = tmp_path / "out.zarr"
    write(out, "old", folder=True)
    done = subprocess.run([sys.executable, "-c", KILLED, out, moment], env=env(), check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) >= 3 - (moment == "exchanging")
    with pytest.raises(RuntimeError), whole(out):
        raise RuntimeError("the next command fails")
    assert content(out) == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_modes_are_those_of_the_file_before_or_of_any_new_file(tmp_path):
    out, other = tmp_path / "out.nc", tmp_path / "other"
    other.touch()
    for expected in (stat.S_IMODE(other.stat().st_mode), 0o640):
        with whole(out) as growing:
            growing.touch(0o600)  # as safetensors does
        assert stat.S_IMODE(out.stat().st_mode) == expected
        out.chmod(0o640)


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    target, link = tmp_path / "far" / "target.nc", tmp_path / "link.nc"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to(target)
    with whole(link) as growing:
        growing.write_text("new")
    assert link.is_symlink() and target.read_text() == "new"


def test_the_folder_that_one_stands_in_can_be_written(tmp_path, monkeypatch):
    inside = tmp_path / "here"
    inside.mkdir()
    monkeypatch.chdir(inside)
    with whole(Path(), overwrite=True) as growing:
        write(growing, "new", folder=True)
    assert content(inside) == "new"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line(tmp_path, number):
    with (
        pytest.raises(InputError, match=r"no space is left on the disk of .*out\.nc; free some and run again"),
        whole(tmp_path / "out.nc"),
    ):
        raise OSError(number, "no space")
    assert list(tmp_path.iterdir()) == []


def test_other_faults_of_the_system_are_not_hidden(tmp_path):
    with pytest.raises(PermissionError), whole(tmp_path / "out.nc"):
        raise PermissionError(errno.EACCES, "no")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_still_keeps_two_commands_apart(tmp_path, monkeypatch, number):
    def no_locks(*_, **__):
        raise OSError(number, "no locks available")

    monkeypatch.setattr(FileLock, "acquire", no_locks)
    out = tmp_path / "out.nc"
    with whole(out) as growing:
        growing.write_text("new")
        with pytest.raises(InputError, match="is being written by another command"), exclusive(out):
            pytest.fail("must not begin")
    assert [path.name for path in tmp_path.iterdir()] == ["out.nc"]


def test_a_killed_command_leaves_no_lock_that_holds(tmp_path):
    code = """
import os, pathlib, signal, sys
from pipelines.store.whole import exclusive
with exclusive(pathlib.Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "s.zarr"], check=False, env=env())
    assert (tmp_path / ".s.zarr.lock").exists()
    with exclusive(tmp_path / "s.zarr"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_output_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    out, written = tmp_path / "out.zarr", []
    monkeypatch.setattr(module, "to_disk", lambda path: written.append((path.name, out.exists())))
    with whole(out) as growing:
        write(growing, "new", folder=True)
    assert written == [(".out.partial.zarr", False), ("inside", False)] and content(out) == "new"
