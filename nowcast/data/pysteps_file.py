"""Nowcasts in the NetCDF that pysteps writes (`pysteps.io.exporters`), in the shape of a forecast file.

Dims (ens_number, time, y, x), or without members (time, y, x). The unit of the times tells the init time; the global
attribute `projection` and the axes tell the place. What is a sum of each step becomes a rate.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from nowcast.data.conventions import TIME
from pipelines.errors import InputError
from pipelines.radar.cf import is_of_pysteps
from pipelines.store.geo import grid_mapping, in_metres
from pipelines.store.unit_text import metres

_FIELDS = ("precip_intensity", "precip_accum", "reflectivity")


def from_pysteps(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    """A nowcast by pysteps as a forecast of one case, not yet read; any other dataset as it is.

    Returns:
        Its field in its own unit, dims (case, member, lead_time, y, x); the event is the file's name.

    Raises:
        InputError: when its pixels are no lengths in a projection.
    """
    if not is_of_pysteps(dataset):
        return dataset
    name = next(name for name in _FIELDS if name in dataset)
    init = np.datetime64(pd.Timestamp(str(dataset["time"].encoding["units"]).partition(" since ")[2]), "us")
    lead = dataset["time"].values.astype(TIME) - init
    field = (
        dataset[name].chunk({"time": 1}).rename(time="lead_time").drop_vars(["lead_time", "y", "x"], errors="ignore")
    )
    field = field.rename(ens_number="member") if "ens_number" in field.dims else field.expand_dims("member")
    members = np.arange(1, field.sizes["member"] + 1, dtype="int32")
    if name == "precip_accum":
        step = np.diff(lead).min() if len(lead) > 1 else lead[0]
        field.attrs["units"] = f"mm/{step / np.timedelta64(60, 's'):g}min"
    proj, axes = in_metres(str(dataset.attrs["projection"])), {}
    for axis in "yx":
        units = dataset[axis].attrs.get("units")
        if not metres(units):
            raise InputError(f"{path} has pixels in {units}", expected="a length in a projection")
        attrs = {"standard_name": f"projection_{axis}_coordinate", "units": "m", "axis": axis.upper()}
        axes[axis] = (axis, metres(units) * dataset[axis].values.astype("float64"), attrs)
    field = field.expand_dims("case").transpose("case", "member", "lead_time", "y", "x")
    field.attrs["grid_mapping"] = "crs"
    return xr.Dataset(
        {name: field},
        {
            "event": ("case", np.array([path.stem], object)),
            "init_time": ("case", np.array([init])),
            "valid_time": (("case", "lead_time"), (init + lead)[None]),
            "member": members,
            "lead_time": lead,
            **axes,
            "latitude": (("case", "y", "x"), dataset["lat"].values[None].astype("float32")),
            "longitude": (("case", "y", "x"), dataset["lon"].values[None].astype("float32")),
            "proj": ("case", np.array([proj], object)),
            "corner_x": ("case", [0.0]),
            "corner_y": ("case", [0.0]),
            "crs": ((), np.int32(0), grid_mapping(proj)),
        },
        {"model": "pysteps", **dataset.attrs},
    )
