"""One panel of a picture: the looks of counts, probabilities and spread, and the map that lies under them.

Maps are drawn in the event's own projection, so that pixels stay square, with outlines that the package brings:
nothing is downloaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cartopy.crs as ccrs
import matplotlib
import numpy as np
import xarray as xr
from cartopy.mpl.ticker import LatitudeLocator, LongitudeLocator
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize
from pyproj import CRS

from nowcast.plots.outlines import outlines_within
from pipelines.store.geo import projection
from pipelines.store.units import counts_to_vil

EVENT_THRESHOLD = 74.0  # counts
VIL_LEVELS = (0, 16, 31, 59, 74, 100, 133, 160, 181, 219, 255)  # counts
VIL_COLOURS = (  # of SEVIR's own display code (Veillette et al. 2020), where missing pixels are black too
    "#4d4d4d",
    "#28be28",
    "#199619",
    "#0a690a",
    "#0a4b0a",
    "#f5f500",
    "#edac00",
    "#f06e00",
    "#a00000",
    "#e700ff",
)
_MISSING_COLOUR = "black"
_OUTLINE_WIDTHS = {"coast": 0.7, "border": 0.6, "state": 0.5}
_LINES = 4  # of latitude and of longitude, at most


@dataclass(frozen=True)
class Look:
    """How a field is shown.

    Attributes:
        cmap: Colours.
        norm: From values to colours.
        label: What the colour bar says, with its unit.
        ticks: Text of the colour bar's ticks by value; None leaves them to matplotlib.
        ink: Colour of outlines that can be seen on it.
        origin: Where row 0 is: "lower" on maps, "upper" in pictures.
    """

    cmap: Colormap
    norm: Normalize
    label: str
    ticks: Mapping[float, str] | None = None
    ink: str = "black"
    origin: Literal["lower", "upper"] = "lower"


def vil_look() -> Look:
    """SEVIR's colours for counts, with a colour bar in kg m-2."""
    cmap = ListedColormap(VIL_COLOURS, "vil").with_extremes(bad=_MISSING_COLOUR)
    vil = counts_to_vil(np.array(VIL_LEVELS, "float32"))
    ticks = {float(level): f"{amount:.2g}" for level, amount in zip(VIL_LEVELS, vil, strict=True)}
    return Look(cmap, BoundaryNorm(VIL_LEVELS, cmap.N), "VIL (kg m$^{-2}$)", ticks, ink="white")


def probability_look() -> Look:
    """Probabilities of `EVENT_THRESHOLD` in steps of a tenth."""
    cmap = matplotlib.colormaps["Blues"].resampled(10).with_extremes(bad=_MISSING_COLOUR)
    threshold = counts_to_vil(np.array([EVENT_THRESHOLD], "float32"))[0]
    return Look(cmap, BoundaryNorm(np.linspace(0, 1, 11), 10), f"P(VIL ≥ {threshold:.2g} kg m$^{{-2}}$)")


def spread_look(spread: np.ndarray) -> Look:
    """From zero to what only a thousandth of the pixels exceeds."""
    cmap = matplotlib.colormaps["OrRd"].with_extremes(bad=_MISSING_COLOUR)
    highest = np.nanquantile(spread, 0.999) if np.isfinite(spread).any() else 1.0
    return Look(cmap, Normalize(0, max(float(highest), 1.0)), "spread (counts)")


def picture_look() -> Look:
    """Pictures of a video: colours as they are, grey from black to white, and no colour bar."""
    return Look(matplotlib.colormaps["gray"], Normalize(0, 1), "", origin="upper")


@dataclass(frozen=True)
class Place:
    """Where a field lies: a PROJ string or WKT, and its west, east, south and north edge in projected metres."""

    proj: str
    extent: tuple[float, float, float, float]

    def crs(self) -> ccrs.Projection:
        """The projection for cartopy, bounded by the edges."""
        crs = ccrs.Projection(self.proj)
        crs.bounds = self.extent
        crs.threshold = (self.extent[1] - self.extent[0]) / 1000
        return crs


def find_place(forecast: xr.Dataset, case: int) -> Place | None:
    """Where a case lies, from its latitudes and longitudes and its `proj` or CF grid mapping; None if it has none."""
    proj = _find_proj(forecast, case)
    if proj is None or not {"latitude", "longitude"} <= set(forecast.coords):
        return None
    lat, lon = (forecast[name].values.astype("float64") for name in ("latitude", "longitude"))
    lat, lon = (values[case] if values.ndim == 3 else values for values in (lat, lon))
    x, y = projection(proj)(lon, lat)
    half_x, half_y = (x[0, 1] - x[0, 0]) / 2, (y[1, 0] - y[0, 0]) / 2
    return Place(proj, (x[0, 0] - half_x, x[0, -1] + half_x, y[0, 0] - half_y, y[-1, 0] + half_y))


def _find_proj(forecast: xr.Dataset, case: int) -> str | None:
    if "proj" in forecast.variables:
        return str(np.atleast_1d(forecast["proj"].values)[case])
    if "crs" in forecast.variables:
        return CRS.from_cf(forecast["crs"].attrs).to_wkt()
    return None


def draw_panel(ax: Axes, field: np.ndarray, look: Look, place: Place | None = None, labels: Sequence[str] = ()) -> Axes:
    """Draw one field.

    Args:
        ax: Axes; those of a map were made with `projection=place.crs()`.
        field: Values with shape (y, x), NaN missing, or a picture with shape (y, x, 3).
        look: How to show them.
        place: Where they lie; without it there are no outlines and no lines of latitude and longitude.
        labels: Sides ("left", "bottom") at which the lines of latitude and longitude are labelled.

    Returns:
        `ax`.
    """
    extent = place.extent if place else None
    ax.imshow(field, cmap=look.cmap, norm=look.norm, origin=look.origin, extent=extent, interpolation="nearest")
    if place is None:
        ax.set(xticks=[], yticks=[])
        return ax
    for kind, metres in outlines_within(place.proj, place.extent).items():
        ax.plot(*metres.T, color=look.ink, linewidth=_OUTLINE_WIDTHS[kind], scalex=False, scaley=False)
    axis_of_side = {"left": "y", "bottom": "x"}
    ax.gridlines(  # type: ignore[attr-defined]
        draw_labels={side: axis_of_side[side] for side in labels},
        color=look.ink,
        linewidth=0.4,
        linestyle=":",
        x_inline=False,
        y_inline=False,
        rotate_labels=False,
        xlocs=LongitudeLocator(nbins=_LINES),
        ylocs=LatitudeLocator(nbins=_LINES),
        xlabel_style={"size": 6},
        ylabel_style={"size": 6},
    )
    return ax
