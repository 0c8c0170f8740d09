"""The files of an archive, in a folder or at any fsspec URL such as s3://sevir/data, read by byte range.

S3 is read anonymously; AWS_ENDPOINT_URL names another server than Amazon's. Requests to a
remote archive that fail are tried again, with pauses that double.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

import fsspec
import h5py
from fsspec.implementations.local import LocalFileSystem

from pipelines.errors import InputError
from pipelines.store.inside import open_hdf5

_OPTIONS = {"s3": {"anon": True}}
_BLOCK_BYTES = 2**18  # of one range request for HDF5's scattered metadata; an event is one request of its own size
_PAUSES_S = (0.5, 1.0, 2.0)  # before each further try

T = TypeVar("T")


@dataclass(frozen=True)
class Archive:
    """The files of an archive.

    Attributes:
        root: Data folder that the names of a catalog start from: a path or a URL.
    """

    root: str

    @cached_property
    def is_local(self) -> bool:
        """Whether the files are on this machine."""
        return not _is_url(self.root)

    def check_name(self, name: str, event: str) -> None:
        """Check that a name, which is untrusted input, stays below the data folder.

        Raises:
            InputError: when it leaves it, by .., as an absolute path or URL, or through a link.
        """
        if self.is_local:
            root = Path(self.root).resolve()
            stays = not _is_url(name) and (root / name).resolve().is_relative_to(root)
        else:
            stays = not (PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or _is_url(name))
        if not stays:
            raise InputError(
                f"event {event}: file_name {name!r} leaves the archive", expected=f"a file below {self.root}"
            )

    def size(self, name: str) -> int:
        """Bytes of a file.

        Raises:
            InputError: when there is no such file.
        """
        path = f"{self.root}/{name}"
        files = _filesystem(path)
        with _reaching(path):
            if files.isfile(path):
                return int(files.size(path))
        raise InputError(f"no file {path}", remedy="fetch it, or take its rows out of the catalog")

    @contextmanager
    def hdf5(self, name: str) -> Iterator[h5py.File]:
        """An open HDF5 file; of a remote one only the bytes that are needed are read.

        Raises:
            OSError: when it cannot be read.
            InputError: when it names other files.
        """
        path = f"{self.root}/{name}"
        if self.is_local:
            with open_hdf5(Path(path)) as file:
                yield file
        else:
            raw = _filesystem(path).open(path, "rb", block_size=_BLOCK_BYTES, cache_type="readahead")
            with raw, open_hdf5(raw) as file:
                yield file

    def trying(self, function: Callable[[], T]) -> T:
        """Call `function`, again where it fails on a remote archive, and return its result.

        Raises:
            OSError: when it fails to the last.
        """
        pauses = () if self.is_local else _PAUSES_S
        for pause in pauses:
            try:
                return function()
            except OSError:
                time.sleep(pause)
        return function()


def locate(archive: str | Path, catalog: str | Path | None) -> tuple[Archive, str]:
    """The files of an archive, and its catalog.

    Args:
        archive: Folder or URL with CATALOG.csv and data/, or that data folder with the catalog in it or beside it.
        catalog: Another catalog, a path or a URL.

    Raises:
        InputError: when there is no such folder, or it cannot be reached.
    """
    root = str(archive).removeprefix("file://").rstrip("/") or "/"
    files = _filesystem(root)
    with _reaching(root):
        if not files.isdir(root):
            raise InputError(f"no archive at {archive}", expected="a folder with CATALOG.csv and data/")
        data = f"{root}/data" if files.isdir(f"{root}/data") else root
        if catalog is not None:
            return Archive(data), str(catalog)
        inside, beside = f"{root}/CATALOG.csv", f"{root.rpartition('/')[0] or '.'}/CATALOG.csv"
        only_beside = data == root and not files.isfile(inside) and files.isfile(beside)
    return Archive(data), beside if only_beside else inside


@contextmanager
def open_text(path: str) -> Iterator[IO[str]]:
    """A text file of a path or URL, without its byte-order mark.

    Raises:
        FileNotFoundError: when there is no such file.
    """
    files = _filesystem(path)
    if not files.isfile(path):
        raise FileNotFoundError(path)
    with files.open(path, "rt", encoding="utf-8-sig", newline="") as text:
        yield text


def _is_url(path: str) -> bool:
    return "://" in path or "::" in path


def _filesystem(path: str) -> fsspec.AbstractFileSystem:
    if not _is_url(path):
        return LocalFileSystem()
    try:
        return fsspec.core.url_to_fs(path, **_OPTIONS.get(path.partition("://")[0], {}))[0]
    except (ImportError, ValueError) as error:
        raise InputError(f"{path} cannot be opened", got=error, remedy="s3:// needs s3fs: pip install s3fs") from error


@contextmanager
def _reaching(path: str) -> Iterator[None]:
    """Turns the many exceptions of a server's libraries into one line that says that it does not answer."""
    try:
        yield
    except (InputError, FileNotFoundError):
        raise
    except Exception as error:
        raise InputError(f"{path} cannot be reached", got=f"{type(error).__name__}: {error}") from error
