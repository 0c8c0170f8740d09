"""A plan to a store, in one way for every reader."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.building import engine
from pipelines.building.plan import Plan, counted, splits
from pipelines.store.rejects import FILE, Reject, read_rejects
from pipelines.store.schema import open_store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Summary:
    """The result of `prepare`; `str` describes it in one line.

    Attributes:
        store: Path of the store.
        events: Events in it, rejects included.
        written: Events written by this run; 0 when the store was up to date.
        splits: Events in each split.
        left_out: Parts of the source that were not taken.
        rejects: Events that could not be read in whole.
        source: Noun for a part of the source, in the singular.
        unobserved: Events without any observed pixel, rejects aside.
    """

    store: Path
    events: int
    written: int
    splits: dict[str, int]
    left_out: int
    rejects: tuple[Reject, ...] = ()
    source: str = "file"
    unobserved: int = 0

    def __str__(self) -> str:
        each = ", ".join(f"{count} {split}" for split, count in self.splits.items())
        parts = [f"{self.store}: {counted(self.events, 'event')} ({each})"]
        if self.written or not self.rejects:
            parts.append(f"{self.written} written now" if self.written else "up to date, nothing to do")
        parts.append(f"{counted(self.left_out, self.source)} left out")
        if self.unobserved:
            parts.append(f"{counted(self.unobserved, 'event')} never observed, which will not be forecast")
        if self.rejects:
            rejected = len({reject.event for reject in self.rejects})
            parts.append(
                f"{counted(rejected, 'event')} could not be read and {'is' if rejected == 1 else 'are'} missing, see "
                f"{self.store / FILE}: mend the files and run again, only those events are read"
            )
        return "; ".join(parts)


def prepare(
    plan: Plan,
    store: str | Path,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    overwrite: bool = False,
    tell: Callable[[str], None] = log.info,
) -> Summary:
    """Make the store of a plan. Run again, it is resumed or mended; a finished one is left as it is.

    Events or frames that cannot be read are missing in the store; they are the rejects of the summary.

    Args:
        plan: Of any reader.
        store: Where the store will appear.
        workers: Processes.
        scheduler: Address of a dask scheduler that does the work instead.
        overwrite: Replace a store of another plan.
        tell: Called with the plan in words before the work begins.

    Raises:
        InputError: when something else is at `store`, another command is writing it, the disk is full, or no event can
            be read.
    """
    tell(str(plan))
    path = Path(store)
    written = engine.build(path, plan, workers=workers, scheduler=scheduler, overwrite=overwrite)
    rejects = tuple(read_rejects(path))
    made = open_store(path)
    missing = set(made["event"].values[(made["missing_fraction"].values >= 1).all(axis=1)])
    return Summary(
        path,
        len(plan.events),
        written,
        splits(plan.events),
        len(plan.left_out),
        rejects,
        plan.source,
        len(missing - {reject.event for reject in rejects}),
    )
