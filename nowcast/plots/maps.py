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
    check_picture,
    clock_text,
    forecast_title,
    observed_row,
    one_case,
    panel_rows,
    pictures,
)
from pipelines.errors import InputError
from pipelines.store.kind import RADAR, kind_of
from pipelines.store.whole import whole

_SUFFIXES = (".png", ".pdf", ".svg")
_PANEL, _GAP = 1.8, 0.07  # inches, as all sizes here
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.65, 1.15, 0.65, 0.3
_BAR_OFFSET, _BAR, _BAR_MARGIN = 0.42, 0.1, 0.05
_COLUMNS = 4
_THUMBNAIL, _THUMBNAIL_GAP, _THUMBNAIL_LEFT = 1.0, 0.06, 0.3
_LETTER = 0.085  # width of a letter of the title


def save_forecast_map(
    forecast: Path,
    out: Path,
    *,
    store: Path | None = None,
    case: int | None = None,
    member: int | None = None,
    lead_times: Sequence[np.timedelta64] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the picture of `plot_forecast` for a forecast file; it appears whole or not at all.

    Raises:
        InputError: for an `out` that exists or has no suffix of a picture, or inputs that `plot_forecast` refuses.
    """
    check_picture(out, _SUFFIXES, overwrite)
    figure = plot_forecast(open_forecast(forecast), store, case, lead_times, member)
    with whole(out, overwrite=overwrite) as growing:
        figure.savefig(growing, dpi=200)
    return out


def plot_forecast(
    forecast: xr.Dataset,
    store: Path | xr.Dataset | None = None,
    case: int | None = None,
    lead_times: Sequence[np.timedelta64] | None = None,
    member: int | None = None,
) -> Figure:
    """One case on maps, one column per lead time: observed, ensemble mean, a member, probability of 74 counts, spread.

    A video is shown as pictures: observed, ensemble mean, a member, spread.

    Args:
        forecast: A forecast file: `vil` in counts, dims (case, member, lead_time, y, x), or `video`, with channel too.
        store: The observed frames: a store or a file of radar, by path or open; without it their row is left out.
        case: Number of the case in the file; by default the case with the most echo.
        lead_times: Lead times to show; by default four, evenly spread, including the last.
        member: Number of the member to show; by default the first in the file.

    Raises:
        InputError: when the file has no such case, lead time or member, or lacks a coordinate, or the store has neither
            the event nor its pixels.
    """
    shown = one_case(forecast, case)
    shown = shown.isel(lead_time=_chosen(shown["lead_time"].values, lead_times))
    rows = panel_rows(shown, None if store is None else observed_row(Observations.open(store), shown), member)
    return plot_rows(rows, shown)


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
    height_of_panel = _PANEL * tallness
    width = _LEFT + columns * _PANEL + (columns - 1) * _GAP + _RIGHT
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
            "wspace": _GAP / _PANEL,
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


def _chosen(available: np.ndarray, asked: Sequence[np.timedelta64] | None) -> list[int]:
    """Positions of the lead times to show."""
    if asked is None:
        number = min(_COLUMNS, len(available))
        return [round(part * len(available) / number) - 1 for part in range(1, number + 1)]
    missing = [lead for lead in asked if lead not in available]
    if missing:
        raise InputError(
            "no such lead time in the forecast",
            got=lead_label(missing[0]),
            expected=f"one of {', '.join(map(lead_label, available))}",
        )
    return [int(np.flatnonzero(available == lead)[0]) for lead in asked]


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
        figure.text(0.1 / width, middle, row.name, rotation=90, ha="left", va="center", fontsize=9)
    for ax, lead, time in zip(panels[0], shown["lead_time"].values, shown["valid_time"].values, strict=True):
        ax.set_title(clock_text(shown, time, f"+{lead_label(lead)}"), fontsize=8)
    title = forecast_title(shown)
    fits = _LEFT + _LETTER * len(title) < width
    lines = title if fits else textwrap.fill(title, int((width - 0.2) / (0.75 * _LETTER)))
    left, size = (_LEFT, 10) if fits else (0.1, 8)
    figure.text(left / width, 1 - 0.06 / height, lines, ha="left", va="top", fontsize=size)
    if kind_of(shown) is RADAR:
        draw_legend(figure)
