"""Events that could not be read: `rejects.jsonl` in the store, one a line, there only while there are any."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "rejects.jsonl"


@dataclass(frozen=True)
class Reject:
    """An event that is in the store, but wholly missing.

    Attributes:
        event: Its id.
        file: Its file, as the catalog names it.
        reason: Why it could not be read.
    """

    event: str
    file: str
    reason: str


def read_rejects(store: Path) -> list[Reject]:
    """The rejects of a store, in the order of its events."""
    path = store / FILE
    return [Reject(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def write_rejects(store: Path, rejects: Sequence[Reject]) -> None:
    """Make these the rejects of a store."""
    path = store / FILE
    if not rejects:
        path.unlink(missing_ok=True)
        return
    unfinished = path.with_suffix(".partial")
    unfinished.write_text("".join(f"{json.dumps(asdict(reject))}\n" for reject in rejects))
    unfinished.rename(path)
