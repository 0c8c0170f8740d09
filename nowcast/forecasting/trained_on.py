"""The data that the weights of the package were trained on, and the warning where a forecast leaves their range."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from nowcast.models.checkpoint import SHIPPED, file_hash
from pipelines.store.settings import read_yaml

_TOLERANCE = 0.05  # of either end of a range


@dataclass(frozen=True)
class Card:
    """The training data of the weights of a model.

    Attributes:
        data: The data in words.
        minutes: Least and largest number of minutes between frames.
        kilometres: Least and largest side of a pixel.
        days: Days of the training, and the radar of each; a forecast of them is no test.
    """

    data: str
    minutes: Sequence[float]
    kilometres: Sequence[float]
    days: Mapping[date, str]

    def __str__(self) -> str:
        return f"{self.data}; {_ranges(self.minutes, self.kilometres)}"


def shipped_card(model: str) -> Card | None:
    """The card of the weights that come with the package for a model of the table; None where there are none."""
    path = SHIPPED / f"{model}.yaml"
    return Card(**read_yaml(path)) if path.is_file() else None


def day_warning(described: Mapping[str, Any], init_times: np.ndarray) -> str | None:
    """The warning about days that the shipped weights were trained on; None where there is none."""
    card = _card_of(described)
    days = sorted({time.astype("datetime64[D]").item() for time in init_times.ravel()} & set(card.days)) if card else []
    if not card or not days:
        return None
    known = " and ".join(f"{day} ({card.days[day]})" for day in days)
    return f"{described['model']} was trained on radar of {known}: scores of such a forecast are no test of it"


def range_warning(described: Mapping[str, Any], cadence_minutes: float, x: np.ndarray) -> str | None:
    """The warning about frames or pixels that the shipped weights were not trained on; None where there is none.

    Args:
        described: Description of the forecaster (see `nowcast.forecasting.forecast.load_forecaster`).
        cadence_minutes: Minutes between the frames.
        x: Pixel centres in metres.
    """
    card = _card_of(described)
    if card is None:
        return None
    kilometres = float(np.abs(np.diff(x[:2])).item()) / 1000 if len(x) > 1 else card.kilometres[0]
    if _within(cadence_minutes, card.minutes) and _within(kilometres, card.kilometres):
        return None
    return (
        f"{described['model']} was trained on {_ranges(card.minutes, card.kilometres)}; here frames come every "
        f"{cadence_minutes:g} minutes and pixels are {kilometres:g} km wide: expect larger errors, "
        "or train a model on such data"
    )


def _card_of(described: Mapping[str, Any]) -> Card | None:
    """The card of the weights that a forecaster has, if they came with the package."""
    model = str(described.get("model"))
    card = shipped_card(model)
    return card if card and described.get("checkpoint_sha256") == file_hash(SHIPPED / f"{model}.safetensors") else None


def _ranges(minutes: Sequence[float], kilometres: Sequence[float]) -> str:
    return "frames every {:g} to {:g} minutes, pixels of {:g} to {:g} km".format(*minutes, *kilometres)


def _within(value: float, ends: Sequence[float]) -> bool:
    return ends[0] * (1 - _TOLERANCE) <= value <= ends[1] * (1 + _TOLERANCE)
