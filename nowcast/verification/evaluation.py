"""The one call: a forecast file and a store in, scores out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nowcast import __version__
from nowcast.verification.aggregate import Progress, aggregate
from nowcast.verification.bootstrap import SAMPLES
from nowcast.verification.inputs import Forecast, Source, open_forecast, open_observations, open_references
from nowcast.verification.protocols import agree
from nowcast.verification.scores import roles, scores
from pipelines.protocol import Protocol


def verify(
    forecast: Source | Sequence[Source],
    store: Path | xr.Dataset,
    *,
    reference: Source | Sequence[Source] = (),
    protocol: Protocol | None = None,
    samples: int = SAMPLES,
    progress: Progress = iter,
) -> xr.Dataset:
    """Score a forecast against the observations of a store, and beside reference forecasts.

    Args:
        forecast: A forecast file or Dataset, whoever wrote it, or several of the same model (see `open_forecast`).
        store: The store that holds its events.
        reference: Forecasts of the same cases. Only pixels that all have count, for all.
        protocol: Gives the thresholds; by default the one that the store names.
        samples: Bootstrap samples of events, for the intervals; 0 for none.
        progress: Wraps the cases to show how far it is, such as `rich.progress.track`.

    Returns:
        Every metric of `METRICS` three times: `csi` (at each lead time), `csi_pooled` (from sums pooled over lead
        times) and `csi_lead_averaged` (mean over lead times). Dims lead_time, and those of the metric. With two events
        or more also `..._interval`, dim bound ("lower", "upper"). With references also dim forecast ("forecast",
        "reference", "reference 2", ...), and `..._difference` and `..._skill`: of the forecast against each.

    Raises:
        InputError: when an input is not what it should be, or they do not fit together.
    """
    observations = open_observations(store)
    forecasts = [open_forecast(forecast), *open_references(reference)]
    terms = agree(observations.store, forecasts, protocol)
    totals = aggregate(forecasts, observations, terms.thresholds, progress)
    return scores(totals, samples).assign_attrs(_origin(forecasts), **terms.attrs)


def _origin(forecasts: list[Forecast]) -> dict[str, Any]:
    attrs: dict[str, Any] = {
        "Conventions": "CF-1.10",
        "title": f"Scores of the forecast of {forecasts[0].model}",
        "model": forecasts[0].model,
        "members": forecasts[0].members,
        "code_version": __version__,
    }
    for role, forecast in zip(roles(len(forecasts)), forecasts, strict=True):
        attrs |= {f"{role.replace(' ', '_')}_{key}": _attribute(value) for key, value in forecast.attrs.items()}
    return attrs


def _attribute(value: object) -> str | int | float | np.number:
    """NetCDF has numbers and text; the rest goes in as text."""
    return value if isinstance(value, str | int | float | np.number) and not isinstance(value, bool) else str(value)
