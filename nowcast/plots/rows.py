"""Rows of a picture: the fields of one case that maps and animations show, with their names, colours and times."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
import xarray as xr

from nowcast.data.conventions import DEFAULT_THRESHOLDS, TIME, lead_label
from nowcast.data.observations import Case, Observations
from nowcast.data.statistics import echo_shares, ensemble_mean, ensemble_probability, ensemble_spread, mean_counts
from nowcast.plots.panels import Look, picture_look, probability_look, spread_look, vil_look
from pipelines.errors import InputError
from pipelines.store.amounts import quantity_of_units, threshold_in_counts
from pipelines.store.kind import VIDEO, kind_of
from pipelines.store.schema import data_range, pixels
from pipelines.store.units import COUNTS, REFLECTIVITY, from_counts


class Row(NamedTuple):
    """One row of a picture.

    Attributes:
        name: Its name.
        fields: Shape (lead_time, y, x), or (lead_time, y, x, 3) for coloured pictures; NaN missing.
        look: How they are shown.
        notes: Text to write on each field; empty where there is none to write on any.
    """

    name: str
    fields: np.ndarray
    look: Look
    notes: Sequence[str] = ()


def one_case(forecast: xr.Dataset, case: int | None = None) -> xr.Dataset:
    """One case of a forecast, not yet read: number `case`, by default the one with the most echo.

    Raises:
        InputError: when the file has no such case, or lacks a coordinate that pictures need.
    """
    lacking = {"event", "init_time", "valid_time", "member"} - set(forecast.coords)
    if lacking:
        raise InputError("the forecast cannot be drawn", got=f"no coordinate {', '.join(sorted(lacking))}")
    if single := {"case", "member", "lead_time"} - set(forecast.dims):
        raise InputError(
            "the forecast cannot be drawn",
            got=f"no dimension {', '.join(sorted(single))}",
            expected="a whole forecast; members and lead_times choose what is shown",
            remedy="draw a single field by its own method: field.plot()",
        )
    if case is None:
        only = kind_of(forecast) is VIDEO or forecast.sizes["case"] == 1
        case = 0 if only else int(echo_shares(pixels(forecast)).argmax())
    if not 0 <= case < forecast.sizes["case"]:
        raise InputError(f"no case {case} in the forecast", expected=f"0 to {forecast.sizes['case'] - 1}")
    return forecast.isel(case=case)


class Terms(NamedTuple):
    """In which terms fields are shown.

    Attributes:
        quantity: A quantity of `pipelines.store.units.QUANTITIES`, in whose unit colour bars, mean and spread are.
        threshold: Threshold of the probability, in counts.
    """

    quantity: str
    threshold: float

    @classmethod
    def of(cls, forecast: xr.Dataset, threshold: str | float | None = None, units: str | None = None) -> Self:
        """Terms that were asked for, by default those of the forecast.

        Args:
            forecast: A forecast file, in counts; its attribute `quantity` says from which quantity it was made.
            threshold: Such as 74 or "2.5mm/h", without a unit in that of the terms; by default the second of
                `DEFAULT_THRESHOLDS`.
            units: Such as "mm/h".

        Raises:
            InputError: for units or a threshold that radar cannot have, or any of a video.
        """
        if kind_of(forecast) is VIDEO and (units is not None or threshold is not None):
            raise InputError("a video has neither units nor thresholds")
        quantity = quantity_of_units(units) if units else str(forecast.attrs.get("quantity", COUNTS))
        asked = DEFAULT_THRESHOLDS[quantity][1] if threshold is None else threshold
        return cls(quantity, threshold_in_counts(asked, quantity))


def chosen_leads(available: np.ndarray, asked: Sequence[np.timedelta64]) -> list[int]:
    """Positions of lead times.

    Raises:
        InputError: when there is no such lead time.
    """
    missing = [lead for lead in asked if lead not in available]
    if missing:
        raise InputError(
            "no such lead time in the forecast",
            got=lead_label(missing[0]),
            expected=f"one of {', '.join(map(lead_label, available))}",
        )
    return [int(np.flatnonzero(available == lead)[0]) for lead in asked]


def panel_rows(
    shown: xr.Dataset, observed: Row | None, members: Sequence[int] | None = None, terms: Terms | None = None
) -> list[Row]:
    """The rows of one case, from top to bottom.

    There is no spread in dBZ, where it would say little more than how many members are dry.

    Args:
        shown: One case (see `one_case`).
        observed: The row of the observations, if any.
        members: Numbers of the members to show; by default the first in the file.
        terms: Units and threshold; by default those of the forecast.

    Raises:
        InputError: when there is no such member.
    """
    numbers = shown["member"].values.tolist()
    members = numbers[:1] if members is None else members
    for member in members:
        if member not in numbers:
            raise InputError(f"no member {member} in the forecast", expected=f"one of {numbers}")
    quantity, threshold = terms or Terms.of(shown)
    array = pixels(shown)
    values = array.transpose("member", "lead_time", ..., "y", "x").values
    is_video = kind_of(shown) is VIDEO
    look = picture_look() if is_video else vil_look(quantity)

    def seen(fields: np.ndarray) -> np.ndarray:
        return pictures(fields, data_range(shown.attrs)) if is_video else fields

    rows = [] if observed is None else [observed]
    if len(values) == 1:
        return [*rows, Row("forecast", seen(values[0]), look)]
    mean = ensemble_mean(values) if is_video else _by_lead(lambda counts: mean_counts(counts, quantity), values)
    rows.append(Row("ensemble mean", seen(mean), look))
    rows += [Row(f"member {member}", seen(values[numbers.index(member)]), look) for member in members]
    if is_video:
        spread = ensemble_spread(values).mean(axis=1)
        return [*rows, Row("spread", spread, replace(spread_look(spread), origin="upper"))]
    rows.append(Row("probability", ensemble_probability(values, threshold), probability_look(threshold, quantity)))
    if quantity == REFLECTIVITY:
        return rows
    spread = _by_lead(lambda counts: ensemble_spread(from_counts(counts, quantity)), values)
    return [*rows, Row("spread", spread, spread_look(spread, quantity))]


def _by_lead(statistic: Callable[[np.ndarray], np.ndarray], members: np.ndarray) -> np.ndarray:
    """A statistic of members with shape (member, lead_time, ...), one lead time after another to save memory."""
    return np.stack([statistic(members[:, lead]) for lead in range(members.shape[1])])


def observed_row(observations: Observations, shown: xr.Dataset, quantity: str = COUNTS) -> Row:
    """The observations at the valid times of a case; missing, and noted, where there is no frame yet.

    Args:
        observations: The observations.
        shown: The case (see `one_case`).
        quantity: The quantity in whose unit the colour bar is.

    Raises:
        InputError: when the observations have neither the event nor its pixels.
    """
    case, times = Case.of(shown), shown["valid_time"].values.astype(TIME)
    values, last = observations.fields(case), observations.times(case)[-1]
    notes = ["not observed yet" if time > last else "" for time in times]
    if kind_of(shown) is VIDEO:
        return Row("observed", pictures(values, data_range(observations.store.attrs)), picture_look(), notes)
    return Row("observed", values, vil_look(quantity), notes)


def pictures(values: np.ndarray, largest: int) -> np.ndarray:
    """Values with shape (..., channel, y, x) as matplotlib draws them, on [0, 1]: (..., y, x), or (..., y, x, 3)."""
    scaled = np.moveaxis(values, -3, -1) / largest
    return scaled[..., 0] if scaled.shape[-1] == 1 else scaled


def clock_text(shown: xr.Dataset, time: np.datetime64, lead: str) -> str:
    """A time and its lead time; of a video, whose times only count, the lead time alone."""
    return lead if kind_of(shown) is VIDEO else f"{pd.Timestamp(time):%H:%M} UTC ({lead})"


def forecast_title(shown: xr.Dataset) -> str:
    """The model, its members, the event and the init time of one case."""
    model, members = shown.attrs.get("model", "forecast"), shown.sizes["member"]
    ensemble = f", {members} members" if members > 1 else ""
    if kind_of(shown) is VIDEO:
        return f"{model}{ensemble}: clip {shown['event'].values}"
    init = pd.Timestamp(shown["init_time"].item())
    return f"{model}{ensemble}: event {shown['event'].values}, from {init:%Y-%m-%d %H:%M} UTC"


def check_picture(out: Path, suffixes: Sequence[str], overwrite: bool) -> None:
    """Refuse a name that is no picture's, or is taken.

    Raises:
        InputError: for an `out` that exists, or has another suffix.
    """
    if out.suffix not in suffixes:
        raise InputError(f"cannot draw {out}", expected=f"a name ending in {' or '.join(suffixes)}")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists", remedy="say --overwrite to replace it")
