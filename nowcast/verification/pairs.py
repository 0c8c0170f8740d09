"""Pairs of forecast and observation as xarray, for scores that other libraries have.

The dims and names are those that xskillscore and scores expect, so nothing needs renaming:

    forecast, obs = open_pairs("forecast.nc", Path("store.zarr"))
    xskillscore.crps_ensemble(obs, forecast)
    scores.probability.crps_for_ensemble(forecast, obs, "member", method="fair")
"""

from collections.abc import Sequence
from pathlib import Path

import dask
import dask.array
import numpy as np
import xarray as xr

from nowcast.data.conventions import COORDINATE_ATTRS
from nowcast.data.observations import Observations
from nowcast.verification.inputs import Case, Forecast, Source, check_grid, observed_part, open_forecast
from pipelines.errors import InputError


def open_pairs(forecast: Source | Sequence[Source], store: Path | xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """A forecast and what was observed of it, on the same coordinates, read case by case when computed.

    Args:
        forecast: See `verify`.
        store: See `verify`.

    Returns:
        The forecast, dims (case, member, lead_time, y, x), and the observations, without member; of video with channel
        before y. Counts, float32, dask arrays with one chunk per case: `compute()` them for functions that need all
        cases at once. Only cases and lead times that were observed. A pixel that is not observed, or missing in one
        member, is NaN in both, as `verify` leaves it out.

    Raises:
        InputError: when an input cannot be read or they do not fit together; on computing, when the grids differ.
    """
    observations = Observations.open(store)
    return paired(observed_part(open_forecast(forecast), observations)[0], observations)


def paired(forecast: Forecast, observations: Observations) -> tuple[xr.DataArray, xr.DataArray]:
    """See `open_pairs`; of a forecast whose cases were all observed."""

    def read(case: Case) -> tuple[np.ndarray, np.ndarray]:
        members, obs = forecast.fields(case, forecast.lead_times), observations.fields(case)
        check_grid(forecast, members, obs)
        counted = np.isfinite(obs) & np.isfinite(members).all(axis=0)
        return np.where(counted, members, np.nan), np.where(counted, obs, np.nan)

    if not forecast.cases:
        raise InputError("the forecast has no case")
    first = forecast.parts[0].isel(case=0)
    one = first.isel(member=0)
    pairs = [dask.delayed(read, nout=2, traverse=False)(case) for case in forecast.cases]
    blocks = [
        [dask.array.from_delayed(pair[k], like.shape, "float32") for pair in pairs]
        for k, like in enumerate((first, one))
    ]
    values = {
        "forecast": (("case", *first.dims), dask.array.stack(blocks[0])),
        "observation": (("case", *one.dims), dask.array.stack(blocks[1])),
    }
    both = xr.Dataset(values, _coords(forecast))
    return both["forecast"].assign_attrs(units="1"), both["observation"].assign_attrs(units="1")


def _coords(forecast: Forecast) -> dict[str, xr.Variable]:
    """Event and times of each case, and of the other dims what all files say alike."""
    first, *others = forecast.parts
    shared = {"member", "channel", "y", "x"} & set(first.coords)
    alike = [name for name in shared if all(name in part.coords and first[name].equals(part[name]) for part in others)]
    cases = forecast.cases
    own = {
        "event": ("case", [case.event for case in cases]),
        "init_time": ("case", [case.init_time for case in cases]),
        "valid_time": (("case", "lead_time"), [case.valid_times for case in cases]),
        "lead_time": ("lead_time", forecast.lead_times),
    }
    made = {name: xr.Variable(dims, values, COORDINATE_ATTRS.get(name)) for name, (dims, values) in own.items()}
    return {name: first[name].variable for name in alike} | made
