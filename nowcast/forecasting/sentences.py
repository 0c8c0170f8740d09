"""The answers for places in sentences: when a threshold is reached, how surely, for how long, and how much."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nowcast.data.conventions import lead_label, minute_text


def sentence(one: xr.Dataset, threshold: int = 0, *, with_case: bool = False) -> str:
    """When a place reaches a threshold, in one sentence, and what limits the answer in further ones.

    Args:
        one: The answer for one place (see `nowcast.forecasting.answers.answer`).
        threshold: Position of the threshold.
        with_case: Whether to name the case.
    """
    at = one.isel(threshold=threshold)
    init: Any = one["init_time"].values[()]
    valid = one["valid_time"].values
    subject = str(one["name"].item()) + ("" if one["series"] == "pixel" else f" ({one['series'].item()})")
    subject += f", case {one['case'].item()} of event {one['event'].item()}" if with_case else ""
    if one["inside"] == 0:
        return f"{subject}: the radar never observed it, so there is no forecast."
    span = f"within {lead_label(one['lead_time'].values[-1])} of {minute_text(init)} UTC"
    text, chance = at["threshold_text"].item(), at["probability_any"].item()
    onset, end = ([clock(time, init) for time in at[name].values] if chance else [] for name in ("onset", "end"))
    many = one.sizes["member"] > 1
    if not chance:
        none = f" (none of {one.sizes['member']} members)" if many else ""
        said = f"{text} or more is {'unlikely' if many else 'not forecast'} {span}{none}"
    elif not many:
        said = f"{text} or more {span}, from {onset[1]}" + (f" to {end[1]} UTC" if end[1] else " UTC, without end")
    else:
        said = f"{percent(chance)} chance of {text} or more {span}, most likely from {onset[1]}{_between(onset)}"
        said += f" until {end[1]}{_between(end)} UTC" if end[1] else f" UTC, and still at {clock(valid[-1], init)}"
    if "accumulation_quantile" in one and (sums := one["accumulation_quantile"].isel(lead_time=-1)).notnull().all():
        low, middle, high = sums.sel(quantile=[0.05, 0.5, 0.95]).values
        said += f"; {middle:.1f} mm{f' ({low:.1f} to {high:.1f})' if many else ''} by {clock(valid[-1], init)}"
    return f"{subject}: {said}.{_limits(one, init)}"


def _between(times: list[str]) -> str:
    """The first and the last of three times in brackets, where they differ."""
    first, last = times[0], times[2] or "later"
    return f" ({first} to {last})" if first != last else ""


def _limits(one: xr.Dataset, init: np.datetime64) -> str:
    """Sentences about a place that lies in part outside, and about times that advection does not reach."""
    inside, said = one["inside"].item(), ""
    if inside < 0.995:
        said += f" Only {percent(inside)} of it lies in the domain and was observed."
    if "reached" in one.coords and (lost := one["reached"].values < 0.5).any():
        first = one["valid_time"].values[lost][0]
        said += f" From {clock(first, init)} UTC on it is beyond what advection reaches."
    return said


def percent(share: float) -> str:
    """A share as a whole number of percent, never 0 or 100 where it is not."""
    if 0 < share < 0.005 or 0.995 <= share < 1:
        return "under 1 %" if share < 0.5 else "over 99 %"
    return f"{100 * share:.0f} %"


def clock(time: np.datetime64, init: np.datetime64) -> str:
    """Hours and minutes of a time, with its date where that is not the init time's; empty where there is none."""
    if np.isnat(time):
        return ""
    moment = pd.Timestamp(time)
    return f"{moment:%H:%M}" if moment.date() == pd.Timestamp(init).date() else f"{moment:%Y-%m-%d %H:%M}"


def sentences(answered: xr.Dataset) -> list[str]:
    """A sentence for each place, about the first threshold."""
    with_case = len(np.unique(answered["case"])) > 1
    return [sentence(answered.isel(place=number), with_case=with_case) for number in range(answered.sizes["place"])]
