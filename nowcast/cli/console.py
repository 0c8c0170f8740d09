"""Where commands write: results and paths to standard output, notes and progress bars to standard error."""

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console

Item = TypeVar("Item")

console = Console()
errors = Console(stderr=True)


def tell(text: object) -> None:
    """Print text to standard output as it is."""
    console.print(str(text), markup=False, highlight=False, soft_wrap=True)


def note(text: object) -> None:
    """Print text to standard error as it is."""
    errors.print(str(text), markup=False, highlight=False, soft_wrap=True)


def bar(label: str) -> Callable[[Iterable[Item]], Iterator[Item]]:
    """The function that hands on the items of an iterable and counts them on a bar, which only a terminal shows.

    Args:
        label: Stands beside the bar and names what is counted.
    """

    def counted(items: Iterable[Item]) -> Iterator[Item]:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
            total = len(items) if isinstance(items, Sized) else None
            yield from progress.track(items, total, description=label)

    return counted
