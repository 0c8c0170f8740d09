"""Forecasts on maps, and training samples. Figures are made without pyplot and its state."""

import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from nowcast.data.conventions import lead_label
from nowcast.data.forecast_file import open_forecast
from nowcast.data.observations import Observations
from nowcast.plots.panels import (
    Place,
    draw_colour_bar,
    draw_legend,
    draw_panel,
    find_place,
    picture_look,
    vil_look,
)
from nowcast.plots.rows import (
    Row,
    Terms,
    check_picture,
    chosen_leads,
    clock_text,
    forecast_title,
    observed_row,
    one_case,
    panel_rows,
    pictures,
)
from pipelines.store.kind import RADAR, kind_of
from pipelines.store.whole import whole

_SUFFIXES = (".png", ".pdf", ".svg")
_PANEL, _NARROWEST, _WIDEST, _GAP = 1.8, 0.9, 5.0, 0.07  # inches, as all sizes here; a panel has the area of a square
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.65, 1.25, 0.75, 0.3
_BAR_OFFSET, _BAR, _BAR_MARGIN = 0.42, 0.1, 0.05
_COLUMNS = 4
_THUMBNAIL, _THUMBNAIL_GAP, _THUMBNAIL_LEFT = 1.0, 0.06, 0.3
_LETTER = 0.085  # width of a letter of the title
_ROW_NAME, _COLUMN_NAME = 1.0, 1.4  # that the longest names need


def save_forecast_map(
    forecast: Path,
    out: Path,
    *,
    store: Path | None = None,
    case: int | None = None,
    members: Sequence[int] | None = None,
    lead_times: Sequence[np.timedelta64] | None = None,
    threshold: str | float | None = None,
    units: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the picture of `plot_forecast` for a forecast file; it appears whole or not at all.

    Raises:
        InputError: for an `out` that exists or has no suffix of a picture, or inputs that `plot_forecast` refuses.
    """
    check_picture(out, _SUFFIXES, overwrite)
    figure = plot_forecast(open_forecast(forecast), store, case, lead_times, members, threshold, units)
    with whole(out, overwrite=overwrite) as growing:
        figure.savefig(growing, dpi=200)
    return out


def plot_forecast(
    forecast: xr.Dataset,
    store: Path | xr.Dataset | None = None,
    case: int | None = None,
    lead_times: Sequence[np.timedelta64] | None = None,
    members: Sequence[int] | None = None,
    threshold: str | float | None = None,
    units: str | None = None,
) -> Figure:
    """One case on maps, one column per lead time: observed, ensemble mean, members, probability and spread.

    A video is shown as pictures: observed, ensemble mean, members, spread.

    Args:
        forecast: A forecast file: `vil` in counts, dims (case, member, lead_time, y, x), or `video`, with channel too.
        store: The observed frames: a store or a file of radar, by path or open; without it their row is left out.
        case: Number of the case in the file; by default the case with the most echo.
        lead_times: Lead times to show; by default four, evenly spread from the first to the last.
        members: Numbers of the members to show, a row each; by default the first in the file.
        threshold: Threshold of the probability, such as 74 or "2.5mm/h", without a unit in `units`; by default
            5 mm h-1, 35 dBZ, 0.8 kg m-2 or 74 counts.
        units: Units of colour bars and spread, such as "mm/h"; by default those of the forecast.

    Raises:
        InputError: when the file has no such case, lead time or member, or lacks a coordinate, or the store has neither
            the event nor its pixels, or for a threshold or units that radar cannot have.
    """
    terms = Terms.of(forecast, threshold, units)
    shown = one_case(forecast, case)
    available = shown["lead_time"].values
    shown = shown.isel(
        lead_time=evenly_spread(len(available)) if lead_times is None else chosen_leads(available, lead_times)
    )
    observed = None if store is None else observed_row(Observations.open(store), shown, terms.quantity)
    return plot_rows(panel_rows(shown, observed, members, terms), shown)


def plot_rows(rows: Sequence[Row], shown: xr.Dataset) -> Figure:
    """Rows of panels, one column per lead time of `shown`, which is one case (see `one_case`)."""
    place = find_place(shown)
    figure, panels = _grid(len(rows), shown.sizes["lead_time"], shown.sizes["y"] / shown.sizes["x"], place)
    for number, row in enumerate(rows):
        for column, field in enumerate(row.fields):
            labels = ["left"] * (column == 0) + ["bottom"] * (number == len(rows) - 1)
            draw_panel(panels[number, column], field, row.look, place, labels, row.notes[column] if row.notes else "")
    _annotate(figure, panels, rows, shown)
    return figure


def _grid(rows: int, columns: int, tallness: float, place: Place | None) -> tuple[Figure, np.ndarray]:
    """A figure and its panels with shape (rows, columns); laid out by hand, since cartopy is slow in layout engines."""
    width_of_panel = float(np.clip(_PANEL / np.sqrt(tallness), _NARROWEST, _WIDEST))
    height_of_panel = width_of_panel * tallness
    width = _LEFT + columns * width_of_panel + (columns - 1) * _GAP + _RIGHT
    height = _TOP + rows * height_of_panel + (rows - 1) * _GAP + _BOTTOM
    figure = Figure(figsize=(width, height))
    panels = figure.subplots(
        rows,
        columns,
        squeeze=False,
        subplot_kw={"projection": place.crs()} if place else {},
        gridspec_kw={
            "left": _LEFT / width,
            "right": 1 - _RIGHT / width,
            "bottom": _BOTTOM / height,
            "top": 1 - _TOP / height,
            "wspace": _GAP / width_of_panel,
            "hspace": _GAP / height_of_panel,
        },
    )
    return figure, panels


def plot_samples(
    history: np.ndarray, future: np.ndarray, members: np.ndarray, *, video_range: int | None = None
) -> Figure:
    """The history, the observed future and drawn members as thumbnails, one row each, without a map.

    Args:
        history: Counts with shape (frame, y, x), NaN missing.
        future: Counts with shape (frame, y, x), NaN missing.
        members: Counts with shape (member, frame, y, x).
        video_range: Largest value of a video, whose frames are pictures and may have shape (frame, channel, y, x).
    """
    rows = [("history", history), ("observed", future)] + [(f"sample {m}", frames) for m, frames in enumerate(members)]
    if video_range:
        channels = history.shape[1:-2] or (1,)
        rows = [
            (name, pictures(frames.reshape(-1, *channels, *frames.shape[-2:]).clip(0, video_range), video_range))
            for name, frames in rows
        ]
    columns = max(len(frames) for _, frames in rows)
    height, width = rows[0][1].shape[1:3]
    size, down = _THUMBNAIL - _THUMBNAIL_GAP, (_THUMBNAIL - _THUMBNAIL_GAP) * height / width
    page = (_THUMBNAIL_LEFT + columns * _THUMBNAIL, len(rows) * (down + _THUMBNAIL_GAP))
    figure = Figure(figsize=page)
    ax = figure.add_axes((_THUMBNAIL_LEFT / page[0], 0, 1 - _THUMBNAIL_LEFT / page[0], 1))
    look = picture_look() if video_range else vil_look()
    middles = [page[1] - (number + 0.5) * (down + _THUMBNAIL_GAP) for number in range(len(rows))]
    for middle, (_, frames) in zip(middles, rows, strict=True):
        for left, field in zip(np.arange(columns) * _THUMBNAIL, frames, strict=False):
            box = (left, left + size, middle - down / 2, middle + down / 2)
            ax.imshow(field, look.cmap, look.norm, extent=box, origin=look.origin, interpolation="nearest")
    ax.set(xlim=(0, page[0] - _THUMBNAIL_LEFT), ylim=(0, page[1]), xticks=[], frame_on=False)
    ax.set_yticks(middles, [name for name, _ in rows], rotation=90, va="center")
    ax.tick_params(length=0)
    return figure


def evenly_spread(available: int) -> list[int]:
    """Positions of at most four lead times, evenly spread from the first to the last."""
    return np.linspace(0, available - 1, min(_COLUMNS, available)).round().astype(int).tolist()


def _annotate(figure: Figure, panels: np.ndarray, rows: Sequence[Row], shown: xr.Dataset) -> None:
    """Colour bars, the names of rows and columns, the title, and the legend."""
    width, height = figure.get_size_inches()
    for label, group in groupby(zip(rows, panels[:, -1], strict=True), key=lambda pair: pair[0].look.label):
        (first, top), *others = [(row, ax.get_position()) for row, ax in group]
        bottom = others[-1][1] if others else top
        low, high = bottom.y0 + _BAR_MARGIN / height, top.y1 - _BAR_MARGIN / height
        if label:
            draw_colour_bar(figure, (top.x1 + _BAR_OFFSET / width, low, _BAR / width, high - low), first.look)
    for ax, row in zip(panels[:, 0], rows, strict=True):
        middle = (ax.get_position().y0 + ax.get_position().y1) / 2
        size = min(9, 9 * ax.get_position().height * height / _ROW_NAME)
        figure.text(0.1 / width, middle, row.name, rotation=90, ha="left", va="center", fontsize=size, parse_math=False)
    for ax, lead, time in zip(panels[0], shown["lead_time"].values, shown["valid_time"].values, strict=True):
        text = clock_text(shown, time, f"+{lead_label(lead)}")
        narrow = ax.get_position().width * width < _COLUMN_NAME
        ax.set_title(text.replace(" (", "\n(") if narrow else text, fontsize=8)
    title = forecast_title(shown)
    fits = _LEFT + _LETTER * len(title) < width
    if not fits:
        letters = int((width - 0.2) / (0.75 * _LETTER))
        parts = [title] if len(title) <= letters else title.replace(", from ", ",\nfrom ").splitlines()
        title = "\n".join(textwrap.fill(part, letters) for part in parts)
    left, size = (_LEFT, 10) if fits else (0.1, 8)
    figure.text(left / width, 1 - 0.06 / height, title, ha="left", va="top", fontsize=size, parse_math=False)
    if kind_of(shown) is RADAR:
        draw_legend(figure)
