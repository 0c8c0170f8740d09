"""The door for Python: forecasts from and to xarray, and the shapes that verification and plots take.

`nowcast.load`, `nowcast.verify`, `nowcast.plot` and `nowcast.probability_at` use it. A history is a DataArray with dims
time, y and x, or case, frame, y and x, in any order, whose name or units tell its quantity (see
`pipelines.store.units`); or a Dataset with one such variable. A forecast is in the unit of its history.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from warnings import warn

import numpy as np
import xarray as xr

from nowcast.data.conventions import COORDINATE_ATTRS, DURATION, TIME
from nowcast.data.conventions import lead_times as lead_times_of
from nowcast.data.forecast_template import TRUST, TRUST_DIMS, limits
from nowcast.data.packing import in_unit
from nowcast.forecasting import live
from nowcast.forecasting.forecast import deterministic_note, load_forecaster, member_batches
from nowcast.forecasting.quality import forecaster_of, gap_note, notes, past_of, trust
from nowcast.models.forecaster import Forecaster
from pipelines.errors import InputError
from pipelines.radar import cf
from pipelines.radar.cf_mapping import mapping_of
from pipelines.store.amounts import quantity_of_units
from pipelines.store.unit_text import metres
from pipelines.store.units import COUNTS, MAX_COUNT, MISSING, QUANTITIES, quantise, quantity_of


@dataclass(frozen=True)
class Model:
    """A model that forecasts DataArrays; `nowcast.load` makes it.

    Attributes:
        name: Name of the model.
        forecaster: The model behind the contract of `nowcast.models.forecaster`.
        described: Attributes that its forecasts carry.
    """

    name: str
    forecaster: Forecaster
    described: dict[str, Any]

    def forecast(
        self,
        history: xr.DataArray | xr.Dataset,
        members: int | None = None,
        *,
        lead_times: int | None = None,
        seed: int = 0,
        units: str | None = None,
    ) -> xr.DataArray:
        """Forecast what comes after the newest frames.

        Args:
            history: Radar with dims (time, y, x) or (case, frame, y, x), in any order, NaN missing: counts (units "1"),
                VIL in kg m-2, rain rates (mm h-1 and others) or reflectivity (dBZ), told by `units` and, where it has
                one, `standard_name`. Coordinate time, or valid_time(case, frame). The newest frames are used; three
                are enough, those before the first are missing. Or a Dataset with one variable of radar, such as
                `xarray.open_dataset` reads from CF NetCDF.
            members: Ensemble size; 100 by default. A deterministic model makes one member.
            lead_times: Number of lead times, one per frame; by default as many as the model was trained for, or ten.
            seed: Seed of the random draws.
            units: Units of the forecast: mm/h, dBZ, kg/m2 or counts; by default the history's.

        Returns:
            Rain rate in mm h-1, reflectivity in dBZ, VIL in kg m-2 or counts (0 to 254), as the history has it, NaN
            where no frame was observed. Dims (member, lead_time, y, x), with case in front where the history has it.
            Coordinates event, init_time, valid_time and those of the history's pixels, with latitude and longitude
            where it has them or a CF grid mapping, and `reached` and `observed` (see `nowcast.data.forecast_file`); the
            attribute `quality` has a note a line on what can be trusted. Counts of 254 stand for all that is more:
            416 mm h-1.

        Raises:
            InputError: when the history has other dims, unknown units, impossible values, too few or uneven frames.
        """
        history = _placed(history)
        given, lead = self.forecaster.window or (live.LENGTH, live.LENGTH)
        cases = counted_history(history, given)
        quantity = quantity_of_units(units) if units else cases.attrs["quantity"]
        minutes = float(np.diff(cases["valid_time"].values[0]).astype(DURATION)[0].astype(int)) / 6e7
        leads = lead_times_of(minutes, lead_times or lead)
        numbers, size = member_batches(self.forecaster, members, cases)
        pasts = [past_of(cases.isel(case=[case])) for case in range(cases.sizes["case"])]
        known = notes(self.described, len(numbers), minutes, cases, cases["init_time"].values, pasts)
        known = [note for note in (gap_note(pasts), *known) if note]
        for note in [*deterministic_note(self.forecaster, self.described, members), *known]:
            warn(note, stacklevel=2)
        made = []
        for case, past in enumerate(pasts):
            one = cases.isel(case=[case])
            ensemble = forecaster_of(past, self.forecaster).begin(one, leads, seed)
            batches = (ensemble.members(numbers[first : first + size]) for first in range(0, len(numbers), size))
            parts = [batch.copy(data=in_unit(batch.values, quantity)) for batch in batches]
            flags = trust(one, len(leads))
            coords = {name: (("case", *TRUST_DIMS[name]), flags[name][None], TRUST[name]) for name in TRUST}
            made.append(xr.concat(parts, "member").assign_coords(coords))
        return self._finished(xr.concat(made, "case"), history, seed, quantity, known)

    def _finished(
        self, made: xr.DataArray, history: xr.DataArray, seed: int, quantity: str, known: list[str]
    ) -> xr.DataArray:
        """The forecast with unit, times, attributes, and the pixels in the order and coordinates of the history."""
        made = made.rename(QUANTITIES[quantity].name)
        made = made.assign_coords(valid_time=made["init_time"] + made["lead_time"])
        for name in COORDINATE_ATTRS.keys() & set(made.coords):
            made[name].attrs |= COORDINATE_ATTRS[name]
        if _is_southward(history):
            made = made.isel(y=slice(None, None, -1))
        made = made.assign_coords({axis: history[axis].variable for axis in "yx" if axis in history.coords})
        about: dict[str, Any] = {key: value for key, value in self.described.items() if isinstance(value, str)}
        about |= {"quality": "\n".join(known)} if known else {}
        about |= {"data_range": MAX_COUNT} if quantity == COUNTS else {}
        mapping = {"grid_mapping": "crs"} if "crs" in made.coords else {}
        made.attrs = {**QUANTITIES[quantity].attrs, **mapping, **limits(quantity), "seed": seed, **about}
        return made if "case" in history.dims else made.isel(case=0)


def load(model: str | Path, *, device: str | None = None, sampling: dict[str, Any] | None = None) -> Model:
    """See `nowcast.load`."""
    forecaster, described = load_forecaster(model, device=device, sampling=sampling)
    return Model(described["model"], forecaster, described)


def _placed(history: xr.DataArray | xr.Dataset) -> xr.DataArray:
    """The history as a DataArray with its grid mapping, called crs, and latitude and longitude where it tells them.

    Raises:
        InputError: when it is no object of xarray.
    """
    check_xarray(history, "history")
    beside = history if isinstance(history, xr.Dataset) else history.coords.to_dataset()
    history = radar_array(history) if isinstance(history, xr.Dataset) else history
    if mapping := mapping_of(beside, history, "yx"):
        named = str(history.attrs.get("grid_mapping", history.encoding.get("grid_mapping")))
        history = history.drop_vars(named, errors="ignore").assign_coords(crs=((), 0, mapping))
    if {"latitude", "longitude"} <= set(history.coords) or not {"y", "x"} <= set(history.dims):
        return history
    try:
        lat, lon = cf.places(beside, history)
    except InputError:  # a history without a place is forecast all the same
        return history
    return history.assign_coords(latitude=(("y", "x"), lat), longitude=(("y", "x"), lon))


def check_xarray(radar: object, name: str) -> None:
    """Refuse radar that is given as another thing than an object of xarray, and say how to make one."""
    if not isinstance(radar, xr.DataArray | xr.Dataset):
        raise InputError(
            f"the {name} is no object of xarray",
            got=f"a {type(radar).__name__}",
            expected="a DataArray with dims time, y and x",
            remedy="make one: xarray.DataArray(values, {'time': times}, ('time', 'y', 'x'), attrs={'units': 'mm/h'})",
        )


def radar_array(dataset: xr.Dataset) -> xr.DataArray:
    """The one variable of radar of a Dataset, with dims called time, y and x.

    Raises:
        InputError: for none or several.
    """
    field, dims = cf.radar_field(dataset)
    renamed = {axis: name for name, axis in dims.items() if axis != name}
    return field.drop_vars(renamed.values(), errors="ignore").rename(renamed)


def counted_history(history: xr.DataArray, frames: int) -> xr.DataArray:
    """The newest frames of a history in counts, as a forecaster takes them (see `nowcast.models.forecaster`).

    Raises:
        InputError: see `Model.forecast`.
    """
    field = _with_cases(history)
    held, least = field.sizes["frame"], min(live.LEAST, frames)
    if held < least:
        raise InputError("the history is too short", got=f"{held} frames", expected=f"{least} or more")
    field = field.isel(frame=slice(-frames, None)) if held >= frames else _preceded(field, frames - held)
    if _is_southward(history):
        field = field.isel(y=slice(None, None, -1))
    for axis in "yx":  # models take the size of a pixel from metres
        if axis in field.coords and (scale := metres(field[axis].attrs.get("units"))):
            field = field.assign_coords({axis: (axis, scale * field[axis].values, {"units": "m"})})
    return field.assign_coords(init_time=("case", field["valid_time"].values[:, -1]))


def _preceded(field: xr.DataArray, lacking: int) -> xr.DataArray:
    """A history of too few frames, with missing ones before the first."""
    times = field["valid_time"].transpose("case", "frame").values
    before = times[:, :1] - np.diff(times[:, :2]) * np.arange(lacking, 0, -1)
    padded = field.drop_vars("valid_time").pad(frame=(lacking, 0))
    return padded.assign_coords(valid_time=(("case", "frame"), np.concatenate([before, times], axis=1)))


def _with_cases(history: xr.DataArray) -> xr.DataArray:
    """Counts with dims (case, frame, y, x), frames in order of time."""
    if set(history.dims) == {"time", "y", "x"}:
        times = history["time"].values.astype(TIME) if "time" in history.coords else None
        field = history.rename(time="frame").drop_vars("frame", errors="ignore").expand_dims("case")
        if times is not None:
            field = field.assign_coords(valid_time=(("case", "frame"), times[None]))
    else:
        field = history
    if set(field.dims) != {"case", "frame", "y", "x"}:
        raise InputError(
            "the history has other dims",
            got=", ".join(map(str, history.dims)),
            expected="time, y, x or case, frame, y, x",
        )
    if "valid_time" not in field.coords:
        raise InputError("the history has no times", expected="the coordinate time, or valid_time(case, frame)")
    field = _counts(field).transpose("case", "frame", "y", "x").drop_vars("frame", errors="ignore")
    order = np.argsort(field["valid_time"].transpose("case", "frame").values, axis=1, kind="stable")
    events = field["event"].values if "event" in field.coords else "history"
    names = np.broadcast_to(np.array(events, object), field.sizes["case"])
    places = {
        "case": xr.DataArray(np.arange(len(order)), dims="case"),
        "frame": xr.DataArray(order, dims=("case", "frame")),
    }
    return field.isel(places).assign_coords(event=("case", names))


def _counts(field: xr.DataArray) -> xr.DataArray:
    """The field in whole counts, float32, NaN missing.

    Raises:
        InputError: for units that are absent or not of radar, and values that the quantity cannot have.
    """
    units = field.attrs.get("units")
    if units in QUANTITIES[COUNTS].units and "standard_name" not in field.attrs:
        field = field.rename("vil")
    quantity, factor = quantity_of(field)
    if not quantity:
        raise InputError(
            "the history does not say what it measures",
            got=f"units {units!r}",
            expected="counts ('1'), 'kg m-2' (called vil), 'mm h-1' or 'dBZ'",
            remedy="set history.attrs['units']",
        )
    counts = quantise(factor * np.asarray(field.values, "float32"), quantity)
    values = np.where(counts == MISSING, np.float32(np.nan), counts)
    about = {"units": "1", "data_range": MAX_COUNT, "quantity": quantity}
    return field.copy(data=values.astype("float32")).rename("vil").assign_attrs(about)


def _is_southward(history: xr.DataArray) -> bool:
    """Whether rows run from north to south; models and maps take row 0 in the south."""
    return "y" in history.coords and history.sizes["y"] > 1 and bool(history["y"][0] > history["y"][-1])


def observed_store(obs: xr.DataArray, forecast: xr.Dataset) -> xr.Dataset:
    """Observed radar, dims (time, y, x), as a store in memory of the one event of a forecast.

    Raises:
        InputError: when it has other dims, units or pixels, or the forecast is of several events.
    """
    events = sorted(set(forecast["event"].values.astype(str)))
    if len(events) > 1:
        raise InputError("the forecast is of several events", got=", ".join(events), expected="one, or a store")
    for axis in "yx":
        if axis in obs.coords and axis in forecast.coords:
            if not np.isin(forecast[axis], obs[axis]).all():
                raise InputError(f"the observation has other pixels than the forecast: {axis} differs")
            obs = obs.sel({axis: forecast[axis]})
    field = _with_cases(obs).rename(case="event_number", frame="frame")
    frames = field.isel(event_number=0, drop=True)
    return xr.Dataset(
        {"vil": (("event", "frame", "y", "x"), frames.values[None], {"units": "1"})},
        {
            "event": ("event", np.array(events, object)),
            "valid_time": (("event", "frame"), frames["valid_time"].values[None]),
        },
    )
