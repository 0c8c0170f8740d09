"""The result of a verification in sentences."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

FEWEST_EVENTS = 10  # below which nobody should trust an interval from resampled events
_SMALL = 0.1  # counts, below which two decimals hide the difference of two scores


def headline(scores: xr.Dataset) -> list[str]:
    """The fair CRPS of the forecast and, a sentence each, how it compares with every reference.

    Args:
        scores: See `verify`. Taken is the mean over lead times that the protocol says.
    """
    name = f"crps_fair_{scores.attrs.get('mean', 'pooled')}"
    forecast, *references = each_forecast(scores)
    if not references:
        model, own = forecast["model"].item(), forecast[name].item()
        interval = interval_text(forecast, name, 2)
        said = f", 95 % interval {interval}" if interval != "-" else ""
        return [f"{model}: CRPS {number(own, 2)} counts{said}.{caution(scores)}"]
    return [_against(forecast, reference, name, caution(scores)) for reference in references]


def _against(forecast: xr.Dataset, reference: xr.Dataset, name: str, warned: str) -> str:
    (model, other), (own, theirs) = ([part[key].item() for part in (forecast, reference)] for key in ("model", name))
    skill = reference[f"{name}_skill"].item()
    decimals = 4 if max(own, theirs) < _SMALL else 2
    values = f"CRPS {number(own, decimals)} against {number(theirs, decimals)} counts"
    if np.isnan([own, theirs]).any():
        return f"{model} and {other} cannot be compared ({values})."
    interval = interval_text(reference, f"{name}_difference", decimals)
    difference = f"difference {number(own - theirs, decimals)}"
    if interval != "-":
        low, high = reference[f"{name}_difference_interval"].values
        difference += f", 95 % interval {interval}"
        if low <= 0 <= high:
            return f"{model} and {other} cannot be told apart ({values}; {difference}, which includes zero).{warned}"
    share = "" if np.isnan(skill) else f" by {100 * abs(skill):.0f} %"
    verdict = f"as good as {other}" if own == theirs else f"{'better' if own < theirs else 'worse'} than {other}{share}"
    return f"{model} is {verdict} ({values}; {difference}).{warned}"


def caution(scores: xr.Dataset) -> str:
    """A sentence that warns of few events, or of the interval from them; empty where there are enough."""
    events = scores.attrs.get("events", FEWEST_EVENTS)
    apart = scores.attrs.get("independent_events", events)
    if apart >= FEWEST_EVENTS:
        return ""
    if "crps_fair_pooled_interval" not in scores or np.isnan(scores["crps_fair_pooled_interval"]).all():
        one = " One event, so no interval: it shows how to read the score, not which model is better."
        return one if events == 1 else ""
    times = "" if apart == events else " at one time" if apart == 1 else f" at {apart} times"
    return f" Only {events} events{times}: do not trust the interval."


def each_forecast(scores: xr.Dataset) -> Iterator[xr.Dataset]:
    """The scores of the forecast, then of each reference."""
    if "forecast" not in scores.dims:
        yield scores
        return
    for label in scores["forecast"].values:
        yield scores.sel(forecast=label)


def number(value: float, decimals: int = 4) -> str:
    """A score in a few digits, fewer decimals the larger it is; a dash where there is none."""
    if np.isnan(value):
        return "-"
    return f"{value:.{decimals}f}" if abs(value) < 10 else f"{value:.2f}" if abs(value) < 1000 else f"{value:.0f}"


def interval_text(scores: xr.Dataset, name: str, decimals: int = 4) -> str:
    """The interval of a score; a dash where there is none."""
    bounds = scores[f"{name}_interval"].values if f"{name}_interval" in scores else np.array([np.nan])
    return "-" if np.isnan(bounds).any() else " to ".join(number(bound, decimals) for bound in bounds)
