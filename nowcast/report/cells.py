"""Tables as the templates take them: cells of text, numbers with intervals, or names of models."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from nowcast.verification.headline import number


class Cell(NamedTuple):
    """One cell.

    Attributes:
        text: Its text, or the name of a model.
        value: Its number; None for text.
        interval: The number's interval, in words.
        word: "better" or "worse", before the number.
        style: Style of the model, whose line and marker stand before the name.
    """

    text: str = ""
    value: float | None = None
    interval: str = ""
    word: str = ""
    style: str = ""


class Table(NamedTuple):
    """A table; the first cell of each row is the row's heading.

    Attributes:
        caption: Its caption.
        head: Headings of the columns.
        rows: Its rows.
        kind: A class of style.css: scores, text, or none.
    """

    caption: str
    head: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]
    kind: str = ""


def typeset(value: float) -> str:
    """A number with the signs of print: a minus, and a dash where there is no value."""
    return "–" if math.isnan(value) else number(value).replace("-", "−")
