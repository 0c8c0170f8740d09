"""The one call: a forecast file and a store in, scores out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nowcast.verification.aggregate import Progress, aggregate
from nowcast.verification.bootstrap import SAMPLES
from nowcast.verification.inputs import (
    Forecast,
    Source,
    observed_part,
    open_forecast,
    open_observations,
    open_references,
)
from nowcast.verification.metrics.perceptual import Perception
from nowcast.verification.scores import scores_of
from nowcast.verification.terms import agree
from pipelines.store.protocol import Protocol


def verify(
    forecast: Source | Sequence[Source],
    store: Path | xr.Dataset,
    *,
    reference: Source | Sequence[Source] = (),
    protocol: Protocol | None = None,
    samples: int = SAMPLES,
    progress: Progress = iter,
    perception: Perception | None = None,
    only_reached: bool = False,
    thresholds: Sequence[float | str] = (),
) -> xr.Dataset:
    """Score a forecast against the observations of a store, and beside reference forecasts.

    Args:
        forecast: A forecast file or Dataset, whoever wrote it, or several of the same model (see `open_forecast`).
        store: The store that holds its events.
        reference: Forecasts of the same cases. Only pixels that all have count, for all.
        protocol: Gives the thresholds; by default the one that the store names.
        samples: Bootstrap samples of events, for the intervals; 0 for none.
        progress: Wraps the cases to show progress, such as `rich.progress.track`.
        perception: Networks for LPIPS, FVD and KVD (see `nowcast.perception.networks`).
        only_reached: Score only pixels that advection reaches from inside of what the history saw.
        thresholds: Replace the protocol's: numbers in the forecast's own unit, or with a unit, such as "2.5mm/h".

    Returns:
        Every metric of `METRICS` three times: `csi` (at each lead time), `csi_pooled` (from sums pooled over lead
        times) and `csi_lead_averaged` (mean over lead times). Dims lead_time, and those of the metric. With two events
        or more also `..._interval`, dim bound ("lower", "upper"). With references also dim forecast ("forecast",
        "reference", "reference 2", ...), and `..._difference` and `..._skill`: of the forecast against each. FVD and
        KVD are of whole forecasts: `fvd`, `kvd`.

    Raises:
        InputError: when an input is not what it should be, or they do not fit together.
    """
    sums = states(
        forecast,
        store,
        reference=reference,
        protocol=protocol,
        progress=progress,
        perception=perception,
        only_reached=only_reached,
        thresholds=thresholds,
    )
    return scores_of(sums, samples)


def states(
    forecast: Source | Sequence[Source],
    store: Path | xr.Dataset,
    *,
    reference: Source | Sequence[Source] = (),
    protocol: Protocol | None = None,
    progress: Progress = iter,
    perception: Perception | None = None,
    only_reached: bool = False,
    thresholds: Sequence[float | str] = (),
) -> list[xr.Dataset]:
    """The sums that the scores are taken from: for `save_states`, and `merge_states` with those of other cases.

    Args and errors are those of `verify`.

    Returns:
        The forecast's, then those of the references. Dims event, lead_time and those of the statistics; coordinate
        `case` names what was summed.
    """
    forecasts = [open_forecast(forecast), *open_references(reference)]
    observations = open_observations(store, only_reached=only_reached)
    terms = agree(observations.store, forecasts, protocol, thresholds)
    forecasts[0], words = observed_part(forecasts[0], observations)
    totals = aggregate(forecasts, observations, terms.thresholds, progress, perception, terms.data_range)
    looked: dict[str, Any] = {"region": "reached by advection" if only_reached else "whole"}
    looked |= {"scored": words} if words else {}
    looked |= perception.attrs if perception else {}
    cases = [str(case) for case in forecasts[0].cases]
    coords: dict[str, Any] = {"case": cases}
    if terms.windows is not None:
        coords["in_protocol"] = ("case", [case in terms.windows for case in cases])
    return [
        total.assign_coords(coords).assign_attrs({**terms.attrs, **looked, **_origin(forecast)})
        for total, forecast in zip(totals, forecasts, strict=True)
    ]


def _origin(forecast: Forecast) -> dict[str, Any]:
    return {f"forecast_{key}": _attribute(value) for key, value in forecast.attrs.items()}


def _attribute(value: object) -> str | int | float | np.number:
    """NetCDF has numbers and text; the rest goes in as text."""
    return value if isinstance(value, str | int | float | np.number) and not isinstance(value, bool) else str(value)
