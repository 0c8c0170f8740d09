"""Pictures: forecasts on maps, training samples, scores by lead time. Figures are made without pyplot and its state."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from nowcast.data.conventions import lead_label
from nowcast.data.forecast_file import open_forecast
from nowcast.plots.panels import (
    EVENT_THRESHOLD,
    Look,
    Place,
    draw_panel,
    find_place,
    picture_look,
    probability_look,
    spread_look,
    vil_look,
)
from pipelines.errors import InputError
from pipelines.store.schema import data_range, open_store, pixels
from pipelines.store.whole import whole

_SUFFIXES = (".png", ".pdf", ".svg")
_PANEL, _GAP = 1.8, 0.07  # inches, as all sizes here
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.65, 0.75, 0.6, 0.3
_BAR, _BAR_MARGIN = 0.1, 0.05
_COLUMNS = 4
_THUMBNAIL = 1.0

Row = tuple[str, np.ndarray, Look]  # its name, fields with shape (lead_time, y, x[, 3]), and how they are shown


def save_forecast_map(
    forecast: Path, out: Path, *, store: Path | None = None, case: int = 0, overwrite: bool = False
) -> Path:
    """Write the picture of `plot_forecast` for a forecast file; it appears whole or not at all.

    Raises:
        InputError: for an `out` that exists or is no picture's name, or inputs that `plot_forecast` refuses.
    """
    if out.suffix not in _SUFFIXES:
        raise InputError(f"cannot draw {out}", expected=f"a name ending in {', '.join(_SUFFIXES)}")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists", remedy="say --overwrite to replace it")
    figure = plot_forecast(open_forecast(forecast), open_store(store) if store else None, case)
    with whole(out, overwrite=overwrite) as growing:
        figure.savefig(growing, dpi=200)
    return out


def plot_forecast(
    forecast: xr.Dataset,
    store: xr.Dataset | None = None,
    case: int = 0,
    lead_times: Sequence[np.timedelta64] | None = None,
) -> Figure:
    """One case on maps: observed, ensemble mean, a member, probability of 74 counts, spread; a column a lead time.

    Of a video pictures: observed, ensemble mean, a member, spread.

    Args:
        forecast: A forecast file: `vil` in counts, dims (case, member, lead_time, y, x), or `video`, with channel too.
        store: The store with the observed frames; without it their row is left out.
        case: Number of the case in the file.
        lead_times: Lead times to show; by default four, evenly spread, with the last.

    Raises:
        InputError: when the file has no such case or lead time, or lacks a coordinate, or the store has no such event.
    """
    shown = one_case(forecast, case)
    shown = shown.isel(lead_time=_chosen(shown["lead_time"].values, lead_times))
    rows = panel_rows(shown, None if store is None else observed_fields(store, shown))
    return plot_rows(rows, shown, find_place(forecast, case))


def plot_rows(rows: Sequence[Row], shown: xr.Dataset, place: Place | None) -> Figure:
    """Rows of panels, a column a lead time of `shown`, which is of one case (see `one_case`)."""
    figure, panels = _grid(len(rows), shown.sizes["lead_time"], shown.sizes["y"] / shown.sizes["x"], place)
    for row, (_, fields, look) in enumerate(rows):
        for column, field in enumerate(fields):
            labels = ["left"] * (column == 0) + ["bottom"] * (row == len(rows) - 1)
            draw_panel(panels[row, column], field, look, place, labels)
    _annotate(figure, panels, rows, shown)
    return figure


def one_case(forecast: xr.Dataset, case: int) -> xr.Dataset:
    """One case of a forecast, not yet read.

    Raises:
        InputError: when the file has no such case, or lacks a coordinate that pictures need.
    """
    lacking = {"event", "init_time", "valid_time", "member"} - set(forecast.coords)
    if lacking:
        raise InputError("the forecast cannot be drawn", got=f"no coordinate {', '.join(sorted(lacking))}")
    if not 0 <= case < forecast.sizes["case"]:
        raise InputError(f"no case {case} in the forecast", expected=f"0 to {forecast.sizes['case'] - 1}")
    return forecast.isel(case=case)


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
    """What a model sees, what then came and what it made of it, a row each, without a map.

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
            (name, _pictures(frames.reshape(-1, *channels, *frames.shape[-2:]).clip(0, video_range), video_range))
            for name, frames in rows
        ]
    columns = max(len(frames) for _, frames in rows)
    figure = Figure(figsize=(_THUMBNAIL * columns, _THUMBNAIL * len(rows)), layout="compressed")
    panels = figure.subplots(len(rows), columns, squeeze=False)
    look = picture_look() if video_range else vil_look()
    for (name, frames), axes in zip(rows, panels, strict=True):
        axes[0].set_ylabel(name)
        for ax, field in zip(axes, frames, strict=False):
            draw_panel(ax, field, look)
        for ax in axes[len(frames) :]:
            ax.set_axis_off()
    return figure


def plot_scores(scores: Mapping[str, xr.Dataset]) -> Figure:
    """CRPS, CSI at 74 counts of the ensemble mean, and spread/skill by lead time, a curve a model.

    Args:
        scores: Datasets of `nowcast.verification.verify`, by the name to show.
    """
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    crps, csi, calibration = figure.subplots(1, 3)
    for name, result in scores.items():
        minutes = result["lead_time"].values / np.timedelta64(1, "m")
        at_event = result["csi"].sel(summary="mean").sel(threshold=EVENT_THRESHOLD, method="nearest")
        for ax, score in ((crps, result["crps_fair"]), (csi, at_event), (calibration, result["spread_skill"])):
            ax.plot(minutes, score.values, marker="o", markersize=3, linewidth=1.5, label=name)
    calibration.axhline(1, color="black", linewidth=0.8, linestyle="--")
    crps.set(title="fair CRPS (counts)", ylim=(0, None))
    csi.set(title=f"CSI of the ensemble mean, ≥ {EVENT_THRESHOLD:g} counts", ylim=(0, 1))
    calibration.set(title="spread / skill", ylim=(0, None))
    for ax in (crps, csi, calibration):
        ax.set_xlabel("lead time (min)")
        ax.grid(linewidth=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    names = crps.get_legend_handles_labels()
    figure.legend(*names, loc="outside lower center", ncols=len(scores), frameon=False)
    return figure


def _chosen(available: np.ndarray, asked: Sequence[np.timedelta64] | None) -> list[int]:
    """Positions of the lead times to show."""
    if asked is None:
        number = min(_COLUMNS, len(available))
        return [round(part * len(available) / number) - 1 for part in range(1, number + 1)]
    missing = [lead for lead in asked if lead not in available]
    if missing:
        raise InputError("no such lead time in the forecast", got=missing[0], expected=f"one of {available}")
    return [int(np.flatnonzero(available == lead)[0]) for lead in asked]


def observed_fields(store: xr.Dataset, shown: xr.Dataset) -> np.ndarray:
    """Counts at the valid times, shape (lead_time, y, x), or pictures; missing where the store has no frame."""
    event = str(shown["event"].values)
    if event not in store["event"].values:
        raise InputError(f"the store has no event {event}, which the forecast is of")
    frames = pixels(store).sel(event=event).swap_dims(frame="valid_time")
    values = frames.reindex(valid_time=shown["valid_time"].values).values
    return _pictures(values, data_range(store.attrs)) if "channel" in frames.dims else values


def panel_rows(shown: xr.Dataset, observed: np.ndarray | None) -> list[Row]:
    """What there is to show of one case, from top to bottom: rows of one field a lead time."""
    number = int(shown["member"][0])
    if "channel" in shown.dims:
        return _video_rows(shown, number, observed)
    counts = shown["vil"].transpose("member", "lead_time", "y", "x").values
    rows = [] if observed is None else [("observed", observed, vil_look())]
    if len(counts) == 1:
        return [*rows, ("forecast", counts[0], vil_look())]
    missing = np.isnan(counts).any(axis=0)
    spread = counts.std(axis=0, ddof=1)
    return [
        *rows,
        ("ensemble mean", counts.mean(axis=0), vil_look()),
        (f"member {number}", counts[0], vil_look()),
        ("probability", np.where(missing, np.nan, (counts >= EVENT_THRESHOLD).mean(axis=0)), probability_look()),
        ("spread", spread, spread_look(spread)),
    ]


def _video_rows(shown: xr.Dataset, number: int, observed: np.ndarray | None) -> list[Row]:
    values = shown["video"].transpose("member", "lead_time", "channel", "y", "x").values
    look, largest = picture_look(), data_range(shown.attrs)
    rows = [] if observed is None else [("observed", observed, look)]
    if len(values) == 1:
        return [*rows, ("forecast", _pictures(values[0], largest), look)]
    spread = values.std(axis=0, ddof=1).mean(axis=1)
    return [
        *rows,
        ("ensemble mean", _pictures(values.mean(axis=0), largest), look),
        (f"member {number}", _pictures(values[0], largest), look),
        ("spread", spread, replace(spread_look(spread), origin="upper")),
    ]


def _pictures(values: np.ndarray, largest: int) -> np.ndarray:
    """Values with shape (..., channel, y, x) as matplotlib draws them, on [0, 1]: (..., y, x), or (..., y, x, 3)."""
    scaled = np.moveaxis(values, -3, -1) / largest
    return scaled[..., 0] if scaled.shape[-1] == 1 else scaled


def _annotate(figure: Figure, panels: np.ndarray, rows: Sequence[Row], shown: xr.Dataset) -> None:
    """Colour bars, the names of rows and columns, and the title."""
    width, height = figure.get_size_inches()
    for _, group in groupby(zip(rows, panels[:, -1], strict=True), key=lambda pair: pair[0][2].label):
        members = list(group)
        look = members[0][0][2]
        if not look.label:
            continue
        top, bottom = members[0][1].get_position(), members[-1][1].get_position()
        low, high = bottom.y0 + _BAR_MARGIN / height, top.y1 - _BAR_MARGIN / height
        bar_axes = figure.add_axes((top.x1 + _GAP / width, low, _BAR / width, high - low))
        bar = figure.colorbar(ScalarMappable(look.norm, look.cmap), cax=bar_axes)
        bar.set_label(look.label, fontsize=8)
        if look.ticks:
            bar.set_ticks(list(look.ticks), labels=list(look.ticks.values()))
        bar_axes.tick_params(labelsize=7)
    for ax, (name, _, _) in zip(panels[:, 0], rows, strict=True):
        middle = (ax.get_position().y0 + ax.get_position().y1) / 2
        figure.text(0.1 / width, middle, name, rotation=90, ha="left", va="center", fontsize=9)
    for ax, lead, time in zip(panels[0], shown["lead_time"].values, shown["valid_time"].values, strict=True):
        ax.set_title(clock_text(shown, time, f"+{lead_label(lead)}"), fontsize=8)
    figure.text(_LEFT / width, 1 - 0.12 / height, forecast_title(shown), ha="left", va="top", fontsize=10)


def clock_text(shown: xr.Dataset, time: np.datetime64, lead: str) -> str:
    """A time and how far ahead it is; of a video, whose times only count, the latter alone."""
    return lead if "channel" in shown.dims else f"{pd.Timestamp(time):%H:%M} UTC ({lead})"


def forecast_title(shown: xr.Dataset) -> str:
    """The model, its members, the event and the init time of one case."""
    model, members = shown.attrs.get("model", "forecast"), shown.sizes["member"]
    ensemble = f", {members} members" if members > 1 else ""
    if "channel" in shown.dims:
        return f"{model}{ensemble}: clip {shown['event'].values}"
    init = pd.Timestamp(shown["init_time"].item())
    return f"{model}{ensemble}: event {shown['event'].values}, from {init:%Y-%m-%d %H:%M} UTC"
