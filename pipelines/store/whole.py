"""Outputs appear whole or not at all, and no two commands write one output at once.

A file or folder grows under a name of its own beside its place, and is moved there when it is complete and on the disk.
The lock and the unfinished output of a killed command are removed by the next command into the same place.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from pipelines.errors import InputError


@contextmanager
def whole(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Write an output that appears at `path` only when the block ends without an error.

    Args:
        path: The file or folder to write; a link is followed.
        overwrite: Replace what is at `path`.

    Yields:
        Where to write it: a path beside `path`, with its suffix, at which nothing exists.

    Raises:
        InputError: when another command is writing `path`; when `path` exists and `overwrite` is false; when the disk
            is full.
    """
    with exclusive(path), clear_when_full(path):
        if path.exists() and not overwrite:
            raise InputError(f"{path} exists", remedy="say --overwrite to replace it")
        with replacing(path) as growing:
            yield growing


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Keep other commands from `path`, by a lock beside it that the system lifts when this process ends, however.

    Raises:
        InputError: when another command holds it.
    """
    place = path.resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = place.with_name(f".{place.name}.lock")
    try:
        held = _acquired(lock)
    except Timeout as error:
        raise InputError(f"{path} is being written by another command", remedy="wait for it or stop it") from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # before it is released, so that nobody else's is removed
        held.release()


def _acquired(lock: Path) -> BaseFileLock:
    held: BaseFileLock = FileLock(lock)
    try:
        held.acquire(blocking=False)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
            raise
        held = SoftFileLock(f"{lock}-soft")  # a lock by its existence, where the file system has no others
        held.acquire(blocking=False)
    return held


@contextmanager
def clear_when_full(path: Path, remedy: str = "free some and run again") -> Iterator[None]:
    """Say in one line that the disk of `path` is full.

    Raises:
        InputError: when it is.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(f"no space is left on the disk of {path}", remedy=remedy) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """As `whole`, for a file or folder that no other process writes."""
    place = path.resolve()
    growing = place.with_name(f".{place.stem}.partial{place.suffix}")
    replaced = place.with_name(f".{place.stem}.replaced{place.suffix}")
    if replaced.exists() and not place.exists():
        replaced.rename(place)  # a command was killed while it exchanged two folders
    for leftover in (growing, replaced):
        _remove(leftover)
    growing.touch()
    mode = (place if place.is_file() else growing).stat().st_mode  # some libraries let nobody else read what they write
    growing.unlink()
    try:
        yield growing
        if growing.is_file():
            growing.chmod(mode)
        for written in (growing, *growing.rglob("*")):
            to_disk(written)
        if growing.is_dir() and place.is_dir():
            place.rename(replaced)
        growing.replace(place)
    finally:
        for leftover in (growing, replaced):
            _remove(leftover)


def to_disk(path: Path) -> None:
    """Have the operating system write a file out, so that no power cut keeps its name and loses its data."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
