"""A forecast file without its numbers: dims, coordinates, attributes and encoding (see nowcast.data.forecast_file)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import dask.array
import numpy as np
import xarray as xr

from nowcast import __version__
from nowcast.data.conventions import COORDINATE_ATTRS, TIME
from nowcast.data.packing import COUNT_STEP
from nowcast.data.windows import Window
from pipelines.store.geo import grid_mapping, lat_lon
from pipelines.store.kind import kind_of
from pipelines.store.schema import data_range, pixels
from pipelines.store.units import COUNTS, MAX_COUNT, QUANTITIES

_KEPT = ("protocol", "reducer", "event_list_hash", "counts_from")  # of a store's attributes
TRUST: dict[str, dict[str, Any]] = {  # variables that say what can be trusted, and their attributes
    "reached": {
        "long_name": "whether advection reaches the pixel from inside of what the history saw",
        "flag_values": np.array([0, 1], "int8"),
        "flag_meanings": "not_reached reached",
    },
    "observed": {"long_name": "share of the frames of the history in which the pixel was observed", "units": "1"},
}
TRUST_DIMS = {"reached": ("lead_time", "y", "x"), "observed": ("y", "x")}  # after case


def forecast_template(
    store: xr.Dataset,
    windows: Sequence[Window],
    history: int,
    members: Sequence[int],
    lead_times: np.ndarray,
    at_once: int,
    quantity: str = COUNTS,
) -> xr.Dataset:
    """A forecast file without its numbers.

    Args:
        store: The store that is forecast.
        windows: One window per case.
        history: Frames that the model sees; the last one's time is the init time.
        members: Member numbers.
        lead_times: Lead times, timedelta64.
        at_once: Members written at once, which makes the chunks.
        quantity: One of `pipelines.store.units.QUANTITIES`, in whose unit the file is; counts for a video.
    """
    array, kind = pixels(store), kind_of(store)
    events = store.isel(event=[window.event for window in windows])
    last = np.array([window.start + history - 1 for window in windows])
    init_times = store["valid_time"].values.astype(TIME)[[w.event for w in windows], last]
    shape = (len(windows), len(members), len(lead_times), *array.shape[2:])
    zeros = dask.array.zeros(shape, dtype="float32", chunks=(1, at_once, *shape[2:]))
    name, attrs = array.name, {"long_name": array.attrs["long_name"], "units": "1"}
    if quantity != COUNTS:
        name, attrs = QUANTITIES[quantity].name, dict(QUANTITIES[quantity].attrs)
    encoding = {"scale_factor": COUNT_STEP} if quantity == COUNTS else {}
    forecast = xr.Dataset(
        {name: (kind.forecast_dims, zeros, attrs, encoding)},
        coords={
            "event": ("case", events["event"].values.astype(object), {"long_name": "event"}),
            "init_time": ("case", init_times),
            "valid_time": (("case", "lead_time"), init_times[:, None] + lead_times[None]),
            "member": np.array(members, "int32"),
            "lead_time": lead_times,
            "y": store["y"],
            "x": store["x"],
            **({"channel": store["channel"].astype(object)} if kind.has_channels else _geography(events)),
        },
    )
    for coordinate, described in COORDINATE_ATTRS.items():
        if coordinate in forecast.coords:
            forecast[coordinate].attrs |= described
    return forecast if kind.has_channels else _mapped(_with_trust(forecast))


def _with_trust(forecast: xr.Dataset) -> xr.Dataset:
    """The template with the variables of `TRUST`."""
    field = field_of(forecast)
    field.attrs["ancillary_variables"] = " ".join(TRUST)
    shape = field.isel(member=0).shape
    reached = dask.array.zeros(shape, dtype="int8", chunks=(1, *shape[1:]))
    observed = dask.array.zeros((shape[0], *shape[2:]), dtype="float32", chunks=(1, *shape[2:]))
    return forecast.assign(
        reached=(("case", *TRUST_DIMS["reached"]), reached, dict(TRUST["reached"])),
        observed=(("case", *TRUST_DIMS["observed"]), observed, dict(TRUST["observed"])),
    )


def field_of(template: xr.Dataset) -> xr.DataArray:
    """The variable that holds the members in a `forecast_template`."""
    return template[next(iter(template.data_vars))]


def _geography(events: xr.Dataset) -> dict[str, Any]:
    """Coordinates that place the pixels of each event."""
    columns = (events[name].values for name in ("proj", "corner_x", "corner_y"))
    places = [
        lat_lon(str(proj), float(x), float(y), events["x"].values, events["y"].values)
        for proj, x, y in zip(*columns, strict=True)
    ]
    return {
        "latitude": (("case", "y", "x"), np.stack([lat for lat, _ in places]).astype("float32")),
        "longitude": (("case", "y", "x"), np.stack([lon for _, lon in places]).astype("float32")),
        "proj": ("case", events["proj"].values.astype(object), events["proj"].attrs),
        **{name: ("case", events[name].values, events[name].attrs) for name in ("corner_x", "corner_y")},
    }


def _mapped(forecast: xr.Dataset) -> xr.Dataset:
    """Add the grid mapping where all cases share a projection, and projected coordinates where they share a place."""
    if len(set(forecast["proj"].values)) > 1:
        return forecast
    mapping = grid_mapping(forecast["proj"].values[0])
    forecast = forecast.assign_coords(crs=((), np.int32(0), {**mapping, "long_name": "map projection of all cases"}))
    corners = {axis: np.unique(forecast[f"corner_{axis}"]) for axis in "yx"}
    if any(len(corner) > 1 for corner in corners.values()):
        return forecast
    for axis, (corner,) in corners.items():
        attrs = {"standard_name": f"projection_{axis}_coordinate", "units": "m", "axis": axis.upper()}
        forecast = forecast.assign_coords({axis: (axis, corner + forecast[axis].values, attrs)})
    for array in forecast.data_vars.values():
        array.attrs["grid_mapping"] = "crs"
    return forecast


def attributes(store: xr.Dataset, seed: int, described: Mapping[str, Any], quantity: str = COUNTS) -> dict[str, Any]:
    """Attributes that tell the origin of a forecast, with those of the model in `described`; settings become JSON."""
    attrs = {
        "Conventions": "CF-1.9" if "channel" in store.dims else "CF-1.8",  # 1.9 has 64-bit integers: times of video
        "title": f"nowcast by {described['model']}",
        "source": f"nowcast {__version__}",
        "seed": seed,
        **{key: store.attrs[key] for key in _KEPT if key in store.attrs},
        "kind": kind_of(store).name,
        "data_range": data_range(store.attrs),
        **limits(quantity),
        **described,
    }
    return {key: json.dumps(value) if isinstance(value, dict | list) else value for key, value in attrs.items()}


def limits(quantity: str) -> dict[str, str]:
    """The attribute that says where counts saturate, in the unit of a quantity; none for counts."""
    if quantity == COUNTS:
        return {}
    most, none = (f"{QUANTITIES[quantity].from_counts(np.array([count]))[0]:.3g}" for count in (float(MAX_COUNT), 0.0))
    unit = QUANTITIES[quantity].attrs["units"]
    return {"saturation": f"{MAX_COUNT} counts and more = {most} {unit}; 5 counts and less, no echo = {none} {unit}"}
