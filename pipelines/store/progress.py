"""A progress bar for what may take long: on standard error, and only once it does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any

from rich.console import Console
from rich.text import Text

from pipelines.errors import printable


class PlainConsole(Console):
    """A console that shows texts of files as they are: no markup, nothing that a terminal obeys."""

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """See `rich.console.Console`."""
        return super().render_str(printable(text), **options)


errors = PlainConsole(stderr=True)  # the one console of standard error, on which bars stand one below another

_SHOWN_AFTER_S = 2.0


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar, shown once the work has taken two seconds; gives the function that advances it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=errors)
    task = bar.add_task(label, total=total)
    timer = Timer(_SHOWN_AFTER_S, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda: bar.advance(task)
    finally:
        timer.cancel()
        timer.join()
        if bar.live.is_started:  # else it would print an empty line
            bar.stop()
