"""Files from outside stay within themselves: reading one reads no other file.

An HDF5 file, and so a NetCDF-4 file, can name other files: by external links, as the raw data of a dataset, and as the
sources of a virtual dataset. A Zarr store can hold symbolic links, a PROJ string can name grids and files of
definitions. All of these are refused before anything is read through them.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import h5py

from pipelines.errors import InputError

_LARGE, _DENSEST = 2**30, 2000  # bytes that always are read, and bytes per byte of a file above it: deflate makes 1030
_PROJ_FILES = re.compile(r"(?<!\w)(init|file|catalog|\w*grids)\s*=\s*(?!@null(?!\S))", re.IGNORECASE)


@contextmanager
def open_hdf5(source: Path | BinaryIO) -> Iterator[h5py.File]:
    """An HDF5 file that names no other file, open for reading.

    Args:
        source: Its path, or the open file.

    Raises:
        InputError: when it names another file.
        OSError: when it cannot be read.
    """
    with h5py.File(source) as file:
        try:
            _check_hdf5(file)
        except (InputError, OSError):
            raise
        except Exception as error:  # HDF5 has many exceptions for damaged files
            raise OSError(f"what it holds cannot be listed: {error}") from error
        yield file


def check_inside(path: Path) -> None:
    """Refuse a file or store that has its reader read other files; other files than HDF5 name none.

    Args:
        path: A file, or the folder of a Zarr store.

    Raises:
        InputError: when it does, or when a folder holds what is no file, such as a pipe, whose reading may never end.
        OSError: when an HDF5 file cannot be read.
    """
    if path.is_dir():
        for entry in _entries(path):
            _check_entry(entry, path)
    elif path.is_file() and h5py.is_hdf5(path):
        with open_hdf5(path):
            pass


def check_proj(proj: str) -> str:
    """A PROJ string that names no file.

    Raises:
        InputError: when it does.
    """
    if found := _PROJ_FILES.search(proj):
        raise InputError(f"a projection names a file by {found[1]}", got=repr(proj), expected="one without files")
    return proj


def _check_hdf5(file: h5py.File) -> None:
    names: list[bytes] = []
    file.id.links.visit(names.append)  # `visititems` would read the index of every chunk
    for name in names:
        link = file.get(name, getlink=True)
        one = file[name] if isinstance(link, h5py.HardLink) else None
        elsewhere = isinstance(one, h5py.Dataset) and (one.external or one.is_virtual)
        if elsewhere or isinstance(link, h5py.ExternalLink):
            what = f"its {name.decode(errors='replace')} lies in another file"
            raise InputError(what, expected="a file that holds all its data", remedy="repack it, such as by h5repack")
        if isinstance(one, h5py.Dataset) and one.nbytes > max(_LARGE, _DENSEST * file.id.get_filesize()):
            what = f"its {name.decode(errors='replace')} has {one.nbytes / 2**30:,.0f} GiB"
            raise InputError(what, expected=f"what a file of {file.id.get_filesize():,} bytes can hold")


def _entries(folder: str | Path) -> Iterator[os.DirEntry]:
    """All that is in a folder and its folders; links are not followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path)


def _check_entry(entry: os.DirEntry, store: Path) -> None:
    name = os.path.relpath(entry.path, store)
    if entry.is_symlink():
        if not Path(os.path.realpath(entry.path)).is_relative_to(store.resolve()):  # `resolve` fails for a circle
            remedy = "put the data itself there"
            raise InputError(
                f"{store}: the link {name} leaves the store", got=Path(entry.path).readlink(), remedy=remedy
            )
    elif not (entry.is_file() or entry.is_dir()):
        raise InputError(f"{store}: {name} is neither file nor folder", remedy="remove it")
