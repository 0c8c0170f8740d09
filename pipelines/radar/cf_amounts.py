"""Amounts of rain by CF, as rain rates: each is divided by the time over which it was summed.

That time is what the bounds of the coordinate of time say, else the step from time to time, because by CF an amount is
a sum over the step where nothing else is said.
"""

import numpy as np
import xarray as xr

from pipelines.errors import InputError
from pipelines.radar.cf_axes import coordinate, utc
from pipelines.radar.files import commonest_step
from pipelines.store.unit_text import millimetres
from pipelines.store.units import known_name, says_rain


def is_amount(field: xr.DataArray) -> bool:
    """Whether a field is an amount of rain by its name and units; a length in metres could be a height as well."""
    units, name = str(field.attrs.get("units")), str(field.attrs.get("standard_name"))
    if known_name(field) or not says_rain(field) or not millimetres(units):
        return False
    return "amount" in name or "mm" in units.lower() or "kg" in units.lower()


def per_hour(dataset: xr.Dataset, field: xr.DataArray) -> np.ndarray:
    """The factor from the unit of a field of amounts to mm h-1, one per time.

    Raises:
        InputError: when neither bounds nor steps of time say over which time it was summed.
    """
    time = coordinate(field, "time")
    bounds = None if time is None else time.attrs.get("bounds", time.encoding.get("bounds"))
    if bounds in dataset.variables:
        ends = utc(dataset[bounds].values.ravel()).values.reshape(-1, 2)
        hours = (ends[:, 1] - ends[:, 0]) / np.timedelta64(1, "h")
    else:
        step = None if time is None else commonest_step(utc(time.values).to_pydatetime())
        hours = np.full(1 if time is None else time.size, step.total_seconds() / 3600 if step else 0)
    if not (hours > 0).all():
        raise InputError(
            f"{field.name} is an amount of rain, and nothing says over which time",
            remedy="add bounds to its time, or units such as mm/5min",
        )
    return millimetres(field.attrs["units"]) / hours
