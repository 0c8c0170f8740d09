"""Where commands write: results and paths to standard output, notes and progress bars to standard error."""

from collections.abc import Callable, Iterable, Iterator, Sized
from time import monotonic
from typing import TypeVar

from pipelines.store.progress import PlainConsole, errors

Item = TypeVar("Item")

_LINE_EVERY_S = 30.0

console = PlainConsole()


def tell(text: object) -> None:
    """Print text to standard output as it is."""
    console.print(str(text), highlight=False, soft_wrap=True)


def note(text: object) -> None:
    """Print text to standard error as it is."""
    errors.print(str(text), highlight=False, soft_wrap=True)


def bar(label: str) -> Callable[[Iterable[Item]], Iterator[Item]]:
    """The function that hands on the items of an iterable and counts them: on a bar in a terminal, else in lines.

    Args:
        label: Stands beside the bar and names what is counted.
    """

    def counted(items: Iterable[Item]) -> Iterator[Item]:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        total = len(items) if isinstance(items, Sized) else None
        if not errors.is_terminal:
            yield from _in_lines(items, total, label)
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=errors, transient=True) as progress:
            yield from progress.track(items, total, description=label)

    return counted


def _in_lines(items: Iterable[Item], total: int | None, label: str) -> Iterator[Item]:
    said = monotonic()
    for number, item in enumerate(items):
        if monotonic() - said > _LINE_EVERY_S:
            said = monotonic()
            note(f"{label}: {number}" + (f" of {total}" if total else ""))
        yield item
