"""A comparison in sentences and tables, from the scores of each model beside the reference."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from nowcast.verification.headline import FEWEST_EVENTS, each_forecast, headline, interval_text, number
from pipelines.store.amounts import amount_text
from pipelines.store.units import COUNTS

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
        share = reached["counted_fraction_pooled"].isel(forecast=0).item()
        found += _verdict(whole)
        found += [f"Of the {100 * share:.0f} % of pixels that advection reaches: {said}" for said in _verdict(reached)]
    return found


def _verdict(scores: xr.Dataset) -> list[str]:
    """The headline without its caution about few events: the comparison has its own about few spells of rain."""
    return headline(scores.assign_attrs(independent_events=FEWEST_EVENTS))


def grids(pairs: Pairs, reference: str, costs: Sequence[tuple[str, int, float, float]], quantity: str) -> list[Grid]:
    """Tables by lead time and by threshold of each model beside the reference, and one of all models."""
    found = [_models(pairs, reference, costs)]
    for label, (whole, reached) in pairs:
        found += [
            _by_lead(label, reference, whole, reached),
            _by_threshold(
                f"CSI of the mean of {label} and {reference}", label, reference, whole, "csi_pooled", 3, quantity
            ),
            _by_threshold(
                f"Brier score of {label} and {reference}", label, reference, whole, "brier_pooled", 4, quantity
            ),
        ]
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
        "model", "members", "CRPS", "CRPS, reached", "spread / skill", "spread / skill, reached", "s per case",
        "s per member", "GiB",
    ]  # fmt: skip
    return Grid("All lead times; CRPS in counts; spread / skill is 1 when reliable; peak memory", head, rows)


def _by_lead(label: str, reference: str, whole: xr.Dataset, reached: xr.Dataset) -> Grid:
    head = ["lead time", label, reference, "difference", "95 % interval", "where reached", "95 % interval"]
    rows = []
    for place, lead in enumerate(whole["lead_time"].values):
        own, other = each_forecast(whole.isel(lead_time=place))
        _, beyond = each_forecast(reached.isel(lead_time=place))
        name = "crps_fair_difference"
        rows.append([
            f"{lead / np.timedelta64(1, 'm'):g} min", number(own["crps_fair"].item(), 2),
            number(other["crps_fair"].item(), 2), *_difference(other, name), *_difference(beyond, name),
        ])  # fmt: skip
    return Grid(f"CRPS in counts by lead time; difference: {label} minus {reference}", head, rows)


def _by_threshold(
    caption: str, label: str, reference: str, whole: xr.Dataset, name: str, decimals: int, quantity: str
) -> Grid:
    own, other = each_forecast(whole.sel(summary="mean"))
    rows = []
    for threshold in _reached(whole):
        here, there = (one.sel(threshold=threshold) for one in (own, other))
        cells = [number(one[name].item(), decimals) for one in (here, there)]
        limit = ", ".join(dict.fromkeys(amount_text(threshold, each) for each in (COUNTS, quantity)))
        rows.append([limit, *cells, *_difference(there, f"{name}_difference", decimals)])
    return Grid(f"{caption}, all lead times", ["at or above", label, reference, "difference", "95 % interval"], rows)


def _difference(scores: xr.Dataset, name: str, decimals: int = 2) -> list[str]:
    """A difference and its interval."""
    return [number(scores[name].item(), decimals), interval_text(scores, name, decimals)]


def _reached(scores: xr.Dataset) -> Iterator[float]:
    """The thresholds that any pixel reached."""
    for threshold in scores["threshold"].values.tolist():
        if scores["csi_pooled"].sel(threshold=threshold).notnull().any():
            yield threshold
