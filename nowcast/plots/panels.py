"""One panel of a picture: colours of counts, probabilities and spread, their colour bars, and the map beneath.

Fields are counts; colour bars are in counts and kg m-2, or in the unit of a quantity of `pipelines.store.units`. Maps
are drawn in the event's own projection, so that pixels stay square, with outlines that come with the package: nothing
is downloaded.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import cartopy.crs as ccrs
import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator
from pyproj import CRS

from nowcast.data.footprint import Footprint, footprint_of
from nowcast.plots.graticule import draw_graticule
from nowcast.plots.outlines import outlines_within
from pipelines.store.amounts import amount_text, units_text
from pipelines.store.geo import projection
from pipelines.store.inside import check_proj
from pipelines.store.units import COUNTS, MAX_COUNT, QUANTITIES, RAIN_RATE, REFLECTIVITY, VIL, counts_to_vil

EVENT_THRESHOLD = 74.0  # counts
VIL_LEVELS = (0, 16, 31, 59, 74, 100, 133, 160, 181, 219, 255)  # counts
_LEVELS = {  # in the quantity's unit, where the colours after that of no echo begin
    RAIN_RATE: (0.1, 0.5, 1, 2, 5, 10, 20, 50, 100),
    REFLECTIVITY: (10, 15, 20, 25, 30, 35, 40, 45, 55),
    VIL: (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40),
}
VIL_COLOURS = (  # of SEVIR's own display code (Veillette et al. 2020), but for the ground: its greens fade on dark grey
    "#f5f5f5",
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
MISSING_COLOUR = "#999999"  # told from the grounds, which are nearly white, of no echo, no chance and no spread
_TICK_WIDTH, _TICK_HEIGHT = 0.27, 0.12  # of texts beside a colour bar, inches
_LABEL_SIZE = 8
_SHORTEST = 15  # letters on a line of a label, at least
_OUTLINE_WIDTHS = {"coast": 0.7, "border": 0.6, "state": 0.5, "lake": 0.4}
_THINNER = 500_000  # metres along the longer side of a map, above which outlines are thinner
_OVER_LINES = 3
_INK = "black"  # of outlines; every look has a light ground
_SHARP = 500  # pixels along a side of a field that are drawn as they are


@dataclass(frozen=True)
class Look:
    """How a field is shown.

    Attributes:
        cmap: Colours, with that of missing pixels.
        norm: From values to colours.
        label: Label of the colour bar, with the unit; empty for pictures, which have none.
        ticks: Text of the colour bar's ticks by value; None leaves them to matplotlib.
        second: Label and text of the ticks on the other side of the colour bar: one text per boundary of the norm.
        origin: Where row 0 is: "lower" on maps, "upper" in pictures.
    """

    cmap: Colormap
    norm: Normalize
    label: str
    ticks: Mapping[float, str] | None = None
    second: tuple[str, Sequence[str]] | None = None
    origin: Literal["lower", "upper"] = "lower"


def threshold_text(threshold: float, quantity: str = COUNTS) -> str:
    """A threshold in counts as text in a quantity's unit; that of counts is also said in kg m-2."""
    vil = f" = {counts_to_vil(np.array([threshold]))[0]:.2g} kg m⁻²" if quantity == COUNTS else ""
    return f"≥ {amount_text(threshold, quantity)}{vil}"


def vil_look(quantity: str = COUNTS) -> Look:
    """SEVIR's colours for counts; their colour bar is in a quantity's unit, or for counts in kg m-2 and in counts."""
    cmap = ListedColormap(VIL_COLOURS, "vil").with_extremes(bad=MISSING_COLOUR)
    if quantity == COUNTS:
        vil = counts_to_vil(np.array(VIL_LEVELS, "float32"))
        ticks = {float(level): f"{amount:.2g}" for level, amount in zip(VIL_LEVELS, vil, strict=True)}
        counts = [f"{level:g}" for level in (*VIL_LEVELS[:-1], MAX_COUNT)]
        norm = BoundaryNorm(VIL_LEVELS, cmap.N)
        return Look(cmap, norm, "VIL (kg m⁻²)", ticks, second=("counts", counts))
    levels, known = _LEVELS[quantity], QUANTITIES[quantity]
    begins = [0.0, *known.to_counts(np.array(levels, "float64")).tolist()]
    ticks = dict(zip(begins[1:], map("{:g}".format, levels), strict=True))
    name = "VIL" if quantity == VIL else known.attrs["long_name"]
    return Look(cmap, BoundaryNorm([*begins, VIL_LEVELS[-1]], cmap.N), f"{name} ({units_text(quantity)})", ticks)


def probability_look(threshold: float = EVENT_THRESHOLD, quantity: str = COUNTS) -> Look:
    """Probabilities of a threshold in counts, in steps of a tenth, with the threshold in the unit of a quantity."""
    cmap = matplotlib.colormaps["Blues"].resampled(10).with_extremes(bad=MISSING_COLOUR)
    return Look(cmap, BoundaryNorm(np.linspace(0, 1, 11), 10), f"P({threshold_text(threshold, quantity)})")


def spread_look(spread: np.ndarray, quantity: str = COUNTS) -> Look:
    """Spread in the unit of a quantity, from zero to the value that a thousandth of the pixels exceeds."""
    cmap = matplotlib.colormaps["OrRd"].with_extremes(bad=MISSING_COLOUR)
    highest = np.nanquantile(spread, 0.999) if np.isfinite(spread).any() else 1.0
    least = 1.0 if quantity == COUNTS else 0.1
    return Look(cmap, Normalize(0, max(float(highest), least)), f"spread ({units_text(quantity)})")


def picture_look() -> Look:
    """Video frames: colours as they are, grey from black to white, without a colour bar."""
    return Look(matplotlib.colormaps["gray"], Normalize(0, 1), "", origin="upper")


@dataclass(frozen=True)
class Place:
    """Where a field lies: a PROJ string or WKT, and its west, east, south and north edge in projected metres."""

    proj: str
    extent: tuple[float, float, float, float]

    @classmethod
    def of(cls, footprint: Footprint) -> Self:
        """The place of a footprint."""
        west, south = footprint.west, footprint.south
        width, height = footprint.columns * footprint.pixel_m, footprint.rows * footprint.pixel_m
        return cls(footprint.proj, (west, west + width, south, south + height))

    def crs(self) -> ccrs.Projection:
        """The projection for cartopy, bounded by the edges."""
        crs = ccrs.Projection(self.proj)
        crs.bounds = self.extent
        crs.threshold = (self.extent[1] - self.extent[0]) / 1000
        return crs


def find_place(case: xr.Dataset) -> Place | None:
    """Where the fields of one case lie; None if they do not say it.

    Args:
        case: One case of a forecast. Its place is its footprint (see `nowcast.data.footprint`), or else follows from
            `latitude` and `longitude`, dims (y, x), with `proj` or a CF grid mapping `crs`.
    """
    footprint = footprint_of(case)
    if footprint is not None:
        return Place.of(footprint)
    proj = str(case["proj"].values) if "proj" in case.variables else ""
    if not proj and "crs" in case.variables:
        attrs = case["crs"].attrs
        for name in ("crs_wkt", "spatial_ref"):
            check_proj(str(attrs.get(name)))
        proj = CRS.from_cf(attrs).to_wkt()
    if not proj or not {"latitude", "longitude"} <= set(case.variables):
        return None
    lat, lon = (case[name].transpose("y", "x").values.astype("float64") for name in ("latitude", "longitude"))
    x, y = projection(proj)(lon, lat)
    half_x, half_y = (x[0, 1] - x[0, 0]) / 2, (y[1, 0] - y[0, 0]) / 2
    return Place(proj, (x[0, 0] - half_x, x[0, -1] + half_x, y[0, 0] - half_y, y[-1, 0] + half_y))


def draw_panel(
    ax: Axes, field: np.ndarray, look: Look, place: Place | None = None, labels: Sequence[str] = (), note: str = ""
) -> Axes:
    """Draw one field.

    Args:
        ax: Axes; those of a map were made with `projection=place.crs()`.
        field: Values with shape (y, x), NaN missing, or a picture with shape (y, x, 3).
        look: How to show them.
        place: Where they lie; without it there are no outlines and no lines of latitude and longitude.
        labels: Sides ("left", "bottom") at which the lines of latitude and longitude are labelled.
        note: Text in the middle.

    Returns:
        `ax`.
    """
    if note:
        write_note(ax, note)
    ax.imshow(
        field,
        cmap=look.cmap,
        norm=look.norm,
        origin=look.origin,
        extent=place.extent if place else None,
        # Of a large field, every pixel of the picture shows the mean of those that it covers, and not one of them.
        interpolation="antialiased" if max(field.shape[:2]) > _SHARP else "nearest",
        interpolation_stage="data",
    )
    if place is None:
        ax.set(xticks=[], yticks=[])
        return ax
    west, east, south, north = place.extent
    thinner = min(1.0, math.sqrt(_THINNER / max(east - west, north - south)))
    for kind, metres in outlines_within(place.proj, place.extent).items():
        ax.plot(*metres.T, color=_INK, linewidth=thinner * _OUTLINE_WIDTHS[kind], scalex=False, scaley=False)
    draw_graticule(ax, place.proj, place.extent, _INK, labels)
    return ax


def write_note(ax: Axes, note: str) -> Text:
    """Write a text in the middle of a panel, over its lines, as on a missing field."""
    paper = {"facecolor": MISSING_COLOUR, "edgecolor": "none", "pad": 1}
    return ax.text(
        0.5, 0.5, note, transform=ax.transAxes, ha="center", va="center", fontsize=8, bbox=paper, zorder=_OVER_LINES
    )


def draw_colour_bar(figure: Figure, box: tuple[float, float, float, float], look: Look) -> None:
    """Draw the colour bar of a look, standing or lying as its box does, with as many ticks as it has room for.

    Args:
        figure: The figure.
        box: Left, bottom, width and height as parts of the figure.
        look: The look.
    """
    width, height = figure.get_size_inches() * box[2:]
    lying = width > height
    length, room = (width, _TICK_WIDTH) if lying else (height, _TICK_HEIGHT)
    fits = max(1, int(length / room))
    ax = figure.add_axes(box)
    bar = figure.colorbar(
        ScalarMappable(look.norm, look.cmap), cax=ax, orientation="horizontal" if lying else "vertical"
    )
    label, size = _fitted(look.label, length)
    bar.set_label(label, fontsize=size, labelpad=1 if lying else 3)
    if look.ticks:
        bar.set_ticks(list(look.ticks), labels=_thinned(list(look.ticks.values()), fits))
    else:
        bar.locator = MaxNLocator(min(fits, 6))
        bar.update_ticks()
    ax.tick_params(labelsize=7, pad=1 if lying else 2)
    if look.second:
        label, texts = look.second
        places, texts = range(len(texts)), _thinned(texts, fits)
        other = ax.twiny() if lying else ax.twinx()
        if lying:
            other.set(xlim=(0, places[-1]), xticks=places, xticklabels=texts)
        else:
            other.set(ylim=(0, places[-1]), yticks=places, yticklabels=texts)
            other.yaxis.tick_left()
            other.yaxis.set_label_position("left")
            ax.yaxis.tick_right()  # which `twinx` moved to the left
        (other.set_xlabel if lying else other.set_ylabel)(label, fontsize=_LABEL_SIZE, labelpad=3 if lying else 1)
        other.tick_params(labelsize=7, pad=1)


def _fitted(label: str, length: float) -> tuple[str, float]:
    """A label on lines that are no longer than some inches, as far as that can be, and the size of its letters."""

    def inches(text: str) -> float:
        return TextPath((0, 0), text, _LABEL_SIZE).get_extents().width / 72

    letters = int(len(label) * length / inches(label))
    lines = textwrap.wrap(label, max(_SHORTEST, letters))
    return "\n".join(lines), _LABEL_SIZE * min(1, length / max(map(inches, lines)))


def _thinned(texts: Sequence[str], fits: int) -> list[str]:
    """Every text, or every second, ..., so that there is room for those that are left; the others are empty."""
    every = math.ceil(len(texts) / fits)
    return [text if number % every == 0 else "" for number, text in enumerate(texts)]


def draw_legend(figure: Figure) -> None:
    """Say in the lower right corner of a figure which colour missing pixels have."""
    patch = Patch(facecolor=MISSING_COLOUR, edgecolor="black", linewidth=0.4, label="missing")
    figure.legend(
        handles=[patch], loc="lower right", frameon=False, fontsize=7, handlelength=1, handleheight=1, borderaxespad=0.2
    )
