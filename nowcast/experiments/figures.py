"""Figures of experiments, from their results alone."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nowcast.experiments.columns import COLUMNS

_ROW, _ABREAST = 0.24, 6  # inches; panels
_NARROWEST = 8.0  # inches, for the legend
_MARKED = 24  # points of a curve up to which each has a marker
_GUIDE: dict[str, Any] = {"color": "black", "linewidth": 0.8, "linestyle": ":"}
_PUBLISHED = {"marker": "D", "color": "none", "edgecolors": "black", "s": 26, "linewidths": 0.8}


def dots(result: xr.Dataset) -> Figure:
    """One panel per column, one line per row: the score, its interval, and the paper's number as a diamond."""
    shown = _with_values(result)
    names = [str(name) for name in result["row"].values]
    columns = min(_ABREAST, shown.sizes["column"])
    lines = -(-shown.sizes["column"] // columns)
    size = (2.0 + 1.9 * columns, 0.6 + lines * (0.7 + _ROW * len(names)))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    places = np.arange(len(names))
    for ax, heading in zip(panels, map(str, shown["column"].values), strict=False):
        one = shown.sel(column=heading)
        score, published = one["score"].values, one["published"].values
        if "interval" in one:
            low, high = np.moveaxis(one["interval"].values, -1, 0)
            ax.hlines(places, low, high, color="C0", linewidth=1.5)
        ax.scatter(score, places, color="C0", s=18, zorder=3, label="this run")
        if np.isfinite(published).any():
            ax.scatter(published, places, zorder=3, label="paper", **_PUBLISHED)
        _finish(ax, heading)
        if not np.isfinite([*score, *published]).any():
            ax.text(0.5, 0.5, "no value", transform=ax.transAxes, ha="center")
        if (guide := COLUMNS[heading].guide) is not None:
            ax.axvline(guide, **_GUIDE)
    panels[0].set_yticks(places, names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    for ax in panels[shown.sizes["column"] :]:
        ax.set_axis_off()
    _legend(figure, panels)
    return figure


def leads(result: xr.Dataset) -> Figure:
    """One panel per column, one curve per row, along lead times (or whatever the curves run along)."""
    shown = _with_values(result, "curve")
    figure, panels = _panels(shown)
    along = result["along"]
    for ax, heading in zip(panels, map(str, shown["column"].values), strict=False):
        for number, name in enumerate(result["row"].values):
            curve = shown["curve"].sel(column=heading).isel(row=number).values
            if np.isfinite(curve).any():
                ax.plot(along.values, curve, label=str(name), **_style(number, len(curve)))
        _guide(ax, heading)
        _finish(ax, heading, f"{along.attrs['long_name']} ({along.attrs['units']})")
    _legend(figure, panels, columns=5)
    return figure


def sweep(result: xr.Dataset) -> Figure:
    """One panel per column, one curve per label along the setting that is varied; a row without it is a line across."""
    shown = _with_values(result)
    figure, panels = _panels(shown)
    labels = list(dict.fromkeys(map(str, result["label"].values)))
    for ax, heading in zip(panels, map(str, shown["column"].values), strict=False):
        for number, label in enumerate(labels):
            rows = shown.sel(column=heading).isel(row=np.flatnonzero(result["label"].values == label))
            x, y = rows["x"].values, rows["score"].values
            if np.isnan(x).all() and np.isfinite(y).all():
                ax.axhline(y[0], label=label, **{**_style(number), "marker": None})
            elif np.isfinite(y).any():
                ax.plot(x, y, label=label, **_style(number))
                low, high = np.moveaxis(rows["interval"].values, -1, 0)
                ax.fill_between(x, low, high, color=f"C{number % 10}", alpha=0.12, linewidth=0)
        _guide(ax, heading)
        _finish(ax, heading, str(result.attrs.get("sweep", "")))
    _legend(figure, panels, columns=5)
    return figure


def _with_values(result: xr.Dataset, name: str = "score") -> xr.Dataset:
    """The columns that have a number in some row."""
    others = [dim for dim in result[name].dims if dim != "column"]
    found = result[name].notnull().any(others)
    return result.isel(column=np.flatnonzero(found.values)) if found.any() else result.isel(column=[0])


def _panels(shown: xr.Dataset) -> tuple[Figure, np.ndarray]:
    columns = min(3, shown.sizes["column"])
    rows = -(-shown.sizes["column"] // columns)
    figure = Figure(figsize=(max(_NARROWEST, 3.6 * columns), 3.0 * rows + 0.8), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in panels[shown.sizes["column"] :]:
        ax.set_axis_off()
    return figure, panels


def _style(number: int, points: int = 0) -> dict[str, Any]:
    marker = "os^Dv"[number % 5] if points <= _MARKED else None
    return {"color": f"C{number % 10}", "marker": marker, "markersize": 3.5, "linewidth": 1.3,
            "linestyle": ("-", "--")[number // 10 % 2]}  # fmt: skip


def _guide(ax: Axes, heading: str) -> None:
    if (guide := COLUMNS[heading].guide) is not None:
        ax.axhline(guide, **_GUIDE)


def _finish(ax: Axes, heading: str, label: str = "") -> None:
    column = COLUMNS.get(heading)
    better = {"most": " ↑", "least": " ↓"}.get((column.best if column else None) or "", "")
    ax.set_title(f"{heading}{better}", fontsize=9)
    if label:
        ax.set_xlabel(label, fontsize=8)
    ax.tick_params(labelsize=7)
    ax.grid(linewidth=0.3)
    ax.spines[["top", "right"]].set_visible(False)


def _legend(figure: Figure, panels: np.ndarray, columns: int = 2) -> None:
    handles: dict[str, Artist] = {}
    for ax in panels:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="outside lower center",
            ncols=min(columns, len(handles)),
            frameon=False,
            fontsize=8,
        )
