"""One run at a time into one store."""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipelines.errors import InputError

log = logging.getLogger(__name__)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Keep other runs from `path`, by a lock on a file beside it that the system lifts when this process ends, however.

    Raises:
        InputError: when another run holds it.
    """
    place = path.with_name(f".{path.name}.lock")
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a") as file:
        if not (_locked(file) and _still_there(place, file)):
            raise InputError(f"another run is writing {path}", remedy="wait for it or stop it")
        try:
            yield
        finally:
            place.unlink(missing_ok=True)


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        log.warning("the file system of %s has no locks: start no other run into the same store", file.name)
    return True


def _still_there(place: Path, file: IO[str]) -> bool:
    """Whether the locked file is the one at its place: a run that ends removes it while another may have opened it."""
    return place.exists() and place.stat().st_ino == os.fstat(file.fileno()).st_ino
