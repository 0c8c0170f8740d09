"""Aggregates to scores: by lead time, pooled over lead times, and averaged over them, each under its own name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nowcast import __version__
from nowcast.conventions import COORDINATE_ATTRS, THRESHOLDS
from nowcast.verification.aggregate import Progress, aggregate
from nowcast.verification.contract import ratio
from nowcast.verification.inputs import Forecast, Observations, Source, open_forecast, open_observations
from nowcast.verification.table import METRICS
from pipelines.errors import InputError
from pipelines.protocol import Protocol, load_protocol

MEANS = {
    "": "at each lead time",
    "_pooled": "of the sums pooled over lead times",
    "_lead_averaged": "averaged over lead times",
}


def verify(
    forecast: Source | Sequence[Source],
    store: Path | xr.Dataset,
    *,
    reference: Source | Sequence[Source] | None = None,
    protocol: Protocol | None = None,
    progress: Progress = iter,
) -> xr.Dataset:
    """Score a forecast against the observations of a store, and beside a reference forecast.

    Args:
        forecast: A forecast file or Dataset, whoever wrote it, or several of the same model (see `open_forecast`).
        store: The store that holds its events.
        reference: A forecast of the same cases. Only pixels that both have count, for both.
        protocol: Gives the thresholds; by default the one that the store names.
        progress: Wraps the cases to show how far it is, such as `rich.progress.track`.

    Returns:
        Every metric of `METRICS` three times: `csi` (at each lead time), `csi_pooled` (from sums pooled over lead
        times) and `csi_lead_averaged` (mean over lead times). Dims lead_time, and threshold and summary where they
        apply. With a reference also dim forecast ("forecast", "reference"), and `..._difference` and `..._skill`.

    Raises:
        InputError: when an input is not what it should be, or they do not fit together.
    """
    observations = open_observations(store)
    if protocol is None:
        protocol = _protocol_of(observations.store)
    else:
        _check_protocol(observations.store, protocol)
    forecasts = [open_forecast(source) for source in (forecast, reference) if source is not None]
    thresholds = protocol.thresholds if protocol else THRESHOLDS
    totals = aggregate(forecasts, observations, thresholds, progress)
    result = scores(totals[0]) if reference is None else compare(scores(totals[0]), scores(totals[1]))
    return result.assign_attrs(_provenance(forecasts, observations, protocol))


def scores(totals: xr.Dataset) -> xr.Dataset:
    """Every metric of the table from an aggregate, with the number of events and cases that it was taken from."""
    by_lead = totals.sum("event", skipna=False)
    pooled = by_lead.sum("lead_time", skipna=False)
    result = xr.Dataset(coords={"model": totals.attrs["model"], "members": totals.attrs["members"]})
    for name, metric in METRICS.items():
        at_lead = metric.score(by_lead)
        variants = (at_lead, metric.score(pooled), at_lead.mean("lead_time", skipna=False))
        for (suffix, how), score in zip(MEANS.items(), variants, strict=True):
            result[name + suffix] = score.assign_attrs(
                long_name=f"{metric.long_name}, {how}", units="1", members=totals.attrs["members"]
            )
    result["cases"] = by_lead["cases"].assign_attrs(long_name="number of cases", units="1")
    return _describe(result).assign_attrs(events=totals.sizes["event"])


def compare(forecast: xr.Dataset, reference: xr.Dataset) -> xr.Dataset:
    """Scores of both along `forecast`, their difference, and the skill score (s - reference) / (best - reference)."""
    both = xr.concat(
        [forecast, reference],
        dim="forecast",
        data_vars="all",
        coords=["model", "members"],
        combine_attrs="drop_conflicts",
    ).assign_coords(forecast=["forecast", "reference"])
    for name, metric in METRICS.items():
        for suffix in MEANS:
            score, base = (both[name + suffix].sel(forecast=label, drop=True) for label in ("forecast", "reference"))
            words = both[name + suffix].attrs["long_name"]
            compared = {"difference": (score - base, "forecast minus reference")}
            if metric.best is not None:
                compared["skill"] = (ratio(score - base, metric.best - base), "skill against the reference")
            for kind, (value, how) in compared.items():
                both[f"{name}{suffix}_{kind}"] = value.assign_attrs(long_name=f"{words}: {how}", units="1")
    return both


def _describe(result: xr.Dataset) -> xr.Dataset:
    attrs: Mapping[str, dict[str, str]] = {
        "lead_time": COORDINATE_ATTRS["lead_time"],
        "threshold": {"long_name": "event threshold on the count scale, >=", "units": "1"},
        "summary": {"long_name": "what of the ensemble is compared with the threshold: its mean, or each member"},
        "model": {"long_name": "model that made the forecast"},
        "members": {"long_name": "ensemble size", "units": "1"},
    }
    for name, described in attrs.items():
        result[name].attrs.update(described)
    return result


def _protocol_of(store: xr.Dataset) -> Protocol | None:
    return load_protocol(store.attrs["protocol"]) if store.attrs.get("protocol") else None


def _check_protocol(store: xr.Dataset, protocol: Protocol) -> None:
    reducer = store.attrs.get("reducer", protocol.reducer)
    if reducer != protocol.reducer or store.sizes["y"] != protocol.grid:
        raise InputError(
            f"the store does not fit the protocol {protocol.name}",
            got=f"{store.sizes['y']} pixels a side by {reducer}",
            expected=f"{protocol.grid} by {protocol.reducer}",
        )


def _provenance(forecasts: list[Forecast], observations: Observations, protocol: Protocol | None) -> dict[str, Any]:
    attrs: dict[str, Any] = {
        "Conventions": "CF-1.10",
        "title": f"Scores of the forecast of {forecasts[0].model}",
        "model": forecasts[0].model,
        "members": forecasts[0].members,
        "protocol": protocol.name if protocol else "none",
        "event_list_hash": observations.store.attrs.get("event_list_hash", "unknown"),
        "code_version": __version__,
    }
    for role, forecast in zip(("forecast", "reference"), forecasts, strict=False):
        attrs |= {f"{role}_{key}": _attribute(value) for key, value in forecast.attrs.items()}
    return attrs


def _attribute(value: object) -> str | int | float | np.number:
    """NetCDF has numbers and text; the rest goes in as text."""
    return value if isinstance(value, str | int | float | np.number) and not isinstance(value, bool) else str(value)
