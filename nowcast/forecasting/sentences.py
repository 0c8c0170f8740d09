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
    init: Any = one["init_time"].values[()]
    subject = _subject(one, with_case)
    if one["inside"] == 0:
        return f"{subject}: the radar never observed it, so there is no forecast."
    said = _reached(one.isel(threshold=threshold), init)
    if "accumulation_quantile" in one and (sums := one["accumulation_quantile"].isel(lead_time=-1)).notnull().all():
        low, middle, high = sums.sel(quantile=[0.05, 0.5, 0.95]).values
        among = f" ({depth(low)} to {depth(high)})" if one.sizes["member"] > 1 else ""
        said += f"; {depth(middle)} mm{among} by {clock(one['valid_time'].values[-1], init)}"
    return f"{subject}: {said}.{_limits(one, init)}"


def _subject(one: xr.Dataset, with_case: bool) -> str:
    """The place, and of which pixels and which case."""
    subject = str(one["name"].item()) + ("" if one["series"] == "pixel" else f" ({one['series'].item()})")
    return subject + (f", case {one['case'].item()} of event {one['event'].item()}" if with_case else "")


def _reached(at: xr.Dataset, init: np.datetime64) -> str:
    """When one threshold is reached and left, and how surely; all members have it is as little certain as none has."""
    text, chance, members = at["threshold_text"].item(), at["probability_any"].item(), at.sizes["member"]
    span = f"within {lead_label(at['lead_time'].values[-1])} of {minute_text(init)} UTC"
    already = "already" in at and bool(at["already"])
    if not chance:
        none = f"unlikely {span} (none of {members} members)" if members > 1 else f"not forecast {span}"
        return f"{text} or more is {none}" + f", though observed at {clock(init, init)}" * already
    if members == 1:
        said = f"{text} or more {span}, "
    elif chance == 1:
        said = f"{text} or more is likely {span} (all of {members} members); "
    else:
        said = f"{percent(chance)} chance of {text} or more {span}; "
    return said + _begins(at, init, already) + _ends(at, init) + _break(at, init)


def _begins(at: xr.Dataset, init: np.datetime64, already: bool) -> str:
    """When most of the members that reach the threshold first have it."""
    onset = at["onset"].values
    first, about = onset[1] == at["valid_time"].values[0], "most likely about " * (at.sizes["member"] > 1)
    if already:
        again = "" if first else f", again {about or 'from '}{_times(onset, init)}"
        return f"observed already at {clock(init, init)}{again}"
    if first:
        return f"from the first lead time on, {_times(onset, init)}"
    return f"{f'begins {about}' if about else 'from '}{_times(onset, init)}"


def _ends(at: xr.Dataset, init: np.datetime64) -> str:
    """When most of the members that reach the threshold have it no more."""
    end, last = at["end"].values, at["valid_time"].values[-1]
    if np.isnat(end[1]):
        return f"{f', and still at {clock(last, init)}' * bool(at['onset'].values[1] < last)} UTC"
    return f", {'last ends about' if at.sizes['member'] > 1 else 'until'} {_times(end, init)} UTC"


def _break(at: xr.Dataset, init: np.datetime64) -> str:
    """That the threshold is hardly reached at a time between its median begin and end, where that is so."""
    valid, (start, end) = at["valid_time"].values, (at[name].values[1] for name in ("onset", "end"))
    during = (valid >= start) & (np.isnat(end) | (valid < end))
    shares = at["probability"].values[during]
    lowest = shares.argmin()
    if shares[lowest] >= at["probability_any"].item() / 2:
        return ""
    if at.sizes["member"] == 1:
        return ", with breaks"
    return f", though only {percent(shares[lowest])} at {clock(valid[during][lowest], init)}"


def _times(times: np.ndarray, init: np.datetime64) -> str:
    """The median of three times, and the first and last of them in brackets where they differ."""
    first, median, last = (clock(time, init) or "later" for time in times)
    return median + (f" (10 to 90 %: {first} to {last})" if first != last else "")


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
    """A share as a whole number of percent, never 0 or 100 where it is not; a dash where it is not known."""
    if np.isnan(share):
        return "–"
    if 0 < share < 0.005 or 0.995 <= share < 1:
        return "under 1 %" if share < 0.5 else "over 99 %"
    return f"{100 * share:.0f} %"


def depth(millimetres: float) -> str:
    """Rain in mm to a tenth, from 100 mm on in whole ones; a dash where it is not known."""
    if np.isnan(millimetres):
        return "–"
    return f"{millimetres:.1f}" if millimetres < 99.95 else f"{millimetres:.0f}"


def clock(time: np.datetime64, init: np.datetime64) -> str:
    """Hours and minutes of a time, with its date where that is not the init time's; empty where there is none."""
    if np.isnat(time):
        return ""
    moment = pd.Timestamp(time)
    return f"{moment:%H:%M}" if moment.date() == pd.Timestamp(init).date() else f"{moment:%Y-%m-%d %H:%M}"


def sentences(answered: xr.Dataset) -> list[str]:
    """The sentence of each place about the first threshold, and a shorter one about each other.

    Thresholds above one that no member reaches are left out.
    """
    with_case = len(np.unique(answered["case"])) > 1
    lines = []
    for number in range(answered.sizes["place"]):
        one = answered.isel(place=number)
        lines.append(sentence(one, with_case=with_case))
        init: Any = one["init_time"].values[()]
        levels, none = one["threshold"].values, one["probability_any"].values == 0
        others = [other for other in range(1, len(levels)) if not none[levels < levels[other]].any()]
        for other in others if one["inside"] > 0 else []:
            lines.append(f"{_subject(one, with_case)}: {_reached(one.isel(threshold=other), init)}.")
    return lines
