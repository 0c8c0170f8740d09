"""A comparison in sentences and tables, from the scores of each model beside the reference."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from nowcast.verification.headline import each_forecast, headline, interval_text, number
from pipelines.store.amounts import amount_text
from pipelines.store.units import RAIN_RATE

Pairs = Sequence[tuple[str, Sequence[xr.Dataset]]]  # of each model: its label, and the scores whole and reached


class Grid(NamedTuple):
    """A table of text; the first cell of each row is its heading."""

    caption: str
    head: list[str]
    rows: list[list[str]]


def words(pairs: Pairs) -> list[str]:
    """The verdict of each model, on whole fields and where advection reaches."""
    found = []
    for _, (whole, reached) in pairs:
        found += headline(whole)
        share = reached["counted_fraction_pooled"].isel(forecast=0).item()
        found += [f"Of the {100 * share:.0f} % of pixels that advection reaches: {said}" for said in headline(reached)]
    return found


def grids(pairs: Pairs, reference: str, costs: Sequence[tuple[str, int, float, float]]) -> list[Grid]:
    """Tables by lead time and by threshold of each model beside the reference, and one of all models."""
    found = [_models(pairs, reference, costs)]
    for label, (whole, reached) in pairs:
        found.append(_by_lead(label, reference, whole, reached))
        found.append(_by_threshold(label, reference, whole))
    return found


def _models(pairs: Pairs, reference: str, costs: Sequence[tuple[str, int, float, float]]) -> Grid:
    scored = {label: [next(iter(each_forecast(scores))) for scores in both] for label, both in pairs}
    scored[reference] = [list(each_forecast(scores))[1] for scores in pairs[0][1]]
    rows = []
    for label, members, seconds, memory in costs:
        cells = [
            number(one[f"{name}_pooled"].item(), 2) for name in ("crps_fair", "spread_skill") for one in scored[label]
        ]
        rows.append([label, str(members), *cells, number(seconds, 2), number(seconds / members, 2), number(memory, 1)])
    head = [
        "model",
        "members",
        "CRPS",
        "CRPS reached",
        "spread / skill",
        "the same, reached",
        "s a case",
        "s a member",
        "GiB",
    ]
    caption = (
        "All lead times; fair CRPS in counts; spread / skill is 1 for a reliable ensemble; seconds with reading and "
        "writing; peak memory"
    )
    return Grid(caption, head, rows)


def _by_lead(label: str, reference: str, whole: xr.Dataset, reached: xr.Dataset) -> Grid:
    head = ["lead time", label, reference, "difference", "95 % interval", "reached", "95 % interval"]
    rows = []
    for place, lead in enumerate(whole["lead_time"].values):
        own, other = each_forecast(whole.isel(lead_time=place))
        _, beyond = each_forecast(reached.isel(lead_time=place))
        name = "crps_fair_difference"
        rows.append([
            f"{lead / np.timedelta64(1, 'm'):g} min", number(own["crps_fair"].item(), 2),
            number(other["crps_fair"].item(), 2), *_difference(other, name), *_difference(beyond, name),
        ])  # fmt: skip
    return Grid(f"Fair CRPS in counts by lead time; difference: {label} minus {reference}", head, rows)


def _by_threshold(label: str, reference: str, whole: xr.Dataset) -> Grid:
    head = ["at or above", f"CSI {label}", f"CSI {reference}", "difference", "95 % interval",
            f"Brier {label}", f"Brier {reference}", "difference", "95 % interval"]  # fmt: skip
    own, other = each_forecast(whole.sel(summary="mean"))
    rows = []
    for threshold in _reached(whole):
        cells = [f"{threshold:g} counts, {amount_text(threshold, RAIN_RATE)}"]
        for name, decimals in (("csi_pooled", 2), ("brier_pooled", 4)):
            here, there = (one.sel(threshold=threshold) for one in (own, other))
            cells += [number(one[name].item(), decimals) for one in (here, there)]
            cells += _difference(there, f"{name}_difference", decimals)
        rows.append(cells)
    return Grid("All lead times, CSI of the ensemble mean and Brier score by threshold", head, rows)


def _difference(scores: xr.Dataset, name: str, decimals: int = 2) -> list[str]:
    """A difference and its interval."""
    return [number(scores[name].item(), decimals), interval_text(scores, name, decimals)]


def _reached(scores: xr.Dataset) -> Iterator[float]:
    """The thresholds that any pixel reached."""
    for threshold in scores["threshold"].values.tolist():
        if scores["csi_pooled"].sel(threshold=threshold).notnull().any():
            yield threshold
