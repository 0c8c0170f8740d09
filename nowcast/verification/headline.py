"""The result of a verification in sentences."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

_FEWEST_EVENTS = 10  # below which nobody should trust an interval from resampled events


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
    return [_against(forecast, reference, name) + caution(scores) for reference in references]


def _against(forecast: xr.Dataset, reference: xr.Dataset, name: str) -> str:
    (model, other), (own, theirs) = ([part[key].item() for part in (forecast, reference)] for key in ("model", name))
    skill, interval = reference[f"{name}_skill"].item(), interval_text(reference, f"{name}_difference", 2)
    values = f"CRPS {number(own, 2)} against {number(theirs, 2)} counts"
    if np.isnan([own, theirs]).any():
        return f"{model} and {other} cannot be compared ({values})."
    difference = f"difference {number(own - theirs, 2)}"
    if interval != "-":
        low, high = reference[f"{name}_difference_interval"].values
        difference += f", 95 % interval {interval}{', which includes zero' if low <= 0 <= high else ''}"
    share = "" if np.isnan(skill) else f" by {100 * abs(skill):.0f} %"
    verdict = f"as good as {other}" if own == theirs else f"{'better' if own < theirs else 'worse'} than {other}{share}"
    return f"{model} is {verdict} ({values}; {difference})."


def caution(scores: xr.Dataset) -> str:
    """A sentence that warns of intervals from few events; empty where there are enough, or no intervals."""
    events = scores.attrs.get("events", _FEWEST_EVENTS)
    apart = scores.attrs.get("independent_events", events)
    if apart >= _FEWEST_EVENTS or "crps_fair_pooled_interval" not in scores:
        return ""
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
