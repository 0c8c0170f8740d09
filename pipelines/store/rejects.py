"""Events that could not be read in whole: `rejects.jsonl` in the store, there only while there are any."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pipelines.errors import InputError
from pipelines.store.whole import replacing

FILE = "rejects.jsonl"


@dataclass(frozen=True)
class Reject:
    """An event that is in the store, but missing wholly or in part.

    Attributes:
        event: Its id.
        file: Its file, as the source names it; of several an event has a reject each.
        reason: Why it could not be read.
        partly: Whether other frames of the event could be read.
    """

    event: str
    file: str
    reason: str
    partly: bool = False


class PartlyReadError(InputError):
    """Raised by a reader of one event from several files, some of which could not be read.

    Args:
        pixels: The pixels that could be read, with shape (frame, ...).
        faults: Why a file could not be read, by its name.
    """

    def __init__(self, pixels: np.ndarray, faults: Mapping[str, str]):
        super().__init__(next(iter(faults.values())))
        self.pixels, self.faults = pixels, faults


def read_rejects(store: Path) -> list[Reject]:
    """The rejects of a store, in the order of its events.

    Raises:
        InputError: when their file is damaged.
    """
    path = store / FILE
    try:
        return [Reject(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is damaged", got=error, remedy="prepare the store again") from error


def write_rejects(store: Path, rejects: Sequence[Reject]) -> None:
    """Make these the rejects of a store."""
    path = store / FILE
    if not rejects:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as growing:
        growing.write_text("".join(f"{json.dumps(asdict(reject))}\n" for reject in rejects))
