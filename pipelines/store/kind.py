"""Radar or video: the two kinds of stores, and of forecasts of them."""

from dataclasses import dataclass
from typing import Any, Literal

import xarray as xr
import zarr

from pipelines.store.units import MAX_COUNT


@dataclass(frozen=True)
class Kind:
    """The kind of the pixels of a store or of a forecast.

    Attributes:
        name: As the attribute `kind` of stores and forecasts has it.
        variable: Name of the one variable that holds the pixels.
        dims: Dims of that variable in a store.
        origin: Where row 0 is: "lower" is the south of a map, "upper" the top of a picture.
        data_range: Largest value of a pixel; where it is below 255, a larger one is missing.
    """

    name: str
    variable: str
    dims: tuple[str, ...]
    origin: Literal["lower", "upper"]
    data_range: int

    @property
    def has_channels(self) -> bool:
        """Whether a pixel has a value for each of several channels."""
        return "channel" in self.dims

    @property
    def forecast_dims(self) -> tuple[str, ...]:
        """Dims of the variable in a forecast."""
        return ("case", "member", "lead_time", *self.dims[2:])


RADAR = Kind("radar", "vil", ("event", "frame", "y", "x"), "lower", MAX_COUNT)
VIDEO = Kind("video", "video", ("event", "frame", "channel", "y", "x"), "upper", 255)
KINDS = {kind.name: kind for kind in (RADAR, VIDEO)}


def kind_of(data: xr.Dataset | xr.DataArray | zarr.Group) -> Kind:
    """The kind of a store, of a forecast, or of frames of one.

    Stores and forecasts from before the attribute `kind` was written are told by the name of their variable, and frames
    by their dims.
    """
    if (named := _named(data.attrs.get("kind"))) is not None:
        return named
    if isinstance(data, xr.DataArray):
        return VIDEO if "channel" in data.dims else RADAR
    return VIDEO if VIDEO.variable in data else RADAR


def _named(name: Any) -> Kind | None:
    """The kind of this name; None for what others may write into an attribute of the same name."""
    return KINDS.get(name) if isinstance(name, str) else None
