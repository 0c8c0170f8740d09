"""Plumes: the members of a forecast at places by time, as bands of quantiles, with thresholds and observations."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from nowcast.data.conventions import minute_text
from nowcast.plots.rows import check_picture
from pipelines.errors import InputError
from pipelines.store.amounts import units_text
from pipelines.store.units import QUANTITIES
from pipelines.store.whole import whole

_SUFFIXES = (".png", ".pdf", ".svg")
MOST_PANELS, _MOST_MEMBERS = 12, 20
_BANDS = ((0.05, 0.95, "#c6dbef", "5 to 95 %"), (0.25, 0.75, "#6baed6", "25 to 75 %"))
_WIDTH, _HEIGHT = 7.0, 2.5  # inches of a panel
_LIMIT = "#a63603"  # colour of thresholds
_APART = 0.09  # of a panel's height, between the names of thresholds


def save_plume(answered: xr.Dataset, out: Path, *, overwrite: bool = False) -> Path:
    """Write the picture of `plot_plume`; it appears whole or not at all.

    Raises:
        InputError: for an `out` that exists or has no suffix of a picture, and for too many places.
    """
    check_picture(out, _SUFFIXES, overwrite)
    figure = plot_plume(answered)
    with whole(out, overwrite=overwrite) as growing:
        figure.savefig(growing, dpi=150)
    return out


def plot_plume(answered: xr.Dataset) -> Figure:
    """The forecast at places by valid time, one panel below another.

    Args:
        answered: Answers of `nowcast.at`: `amount`, dims (place, member, lead_time), `amount_quantile`, and `observed`
            where there is any.

    Raises:
        InputError: for more than 12 places.
    """
    number = answered.sizes["place"]
    if number > MOST_PANELS:
        raise InputError(
            "too many places to draw", got=number, expected=f"at most {MOST_PANELS}", remedy="choose some, or one case"
        )
    figure = Figure(figsize=(_WIDTH, _HEIGHT * number + 0.5), layout="constrained")
    panels = figure.subplots(number, 1, squeeze=False)[:, 0]
    for place, ax in enumerate(panels):
        _draw(ax, answered.isel(place=place))
    handles = {label: handle for ax in panels for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    shown = list(handles.values()), list(handles)
    figure.legend(*shown, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8)
    return figure


def _draw(ax: Axes, one: xr.Dataset) -> None:
    init: Any = one["init_time"].values[()]
    quantity, times = str(one.attrs["quantity"]), one["valid_time"].values
    members = one["amount"].transpose("lead_time", "member").values
    if members.shape[1] > 1:
        for low, high, colour, label in _BANDS:
            lower, upper = (one["amount_quantile"].sel(quantile=bound).values for bound in (low, high))
            ax.fill_between(times, lower, upper, color=colour, linewidth=0, label=label)
        ax.plot(times, members[:, :_MOST_MEMBERS], color="#08306b", linewidth=0.4, alpha=0.35)
    ax.plot(times, one["amount_quantile"].sel(quantile=0.5), color="#08306b", linewidth=1.8, marker="o", markersize=3,
            label="median" if members.shape[1] > 1 else "forecast")  # fmt: skip
    if "observed" in one:
        ax.plot(
            times,
            one["observed"],
            color="black",
            linestyle="none",
            marker="x",
            label="observed",
            clip_on=False,
            zorder=3,
        )  # whole and before the axis, also at 0
    highest = np.nanmax([*members.ravel(), *one.get("observed", one["amount"]).values.ravel(), -np.inf])
    levels = sorted(zip(one["threshold"].values, one["threshold_text"].values, strict=True))
    levels = [(level, text) for level, text in levels if level <= 1.5 * highest or level == levels[0][0]]
    for level, _ in levels:
        ax.axhline(level, color=_LIMIT, linewidth=0.8, linestyle="--")
    if "reached" in one.coords and (lost := one["reached"].values < 0.5).any():
        half = (times[-1] - times[0]) / max(2 * len(times) - 2, 1)  # of a step, so that a single time is seen
        ax.axvspan(times[lost][0] - half, times[-1], color="#eeeeee", zorder=0, label="beyond what advection reaches")
    if not np.isfinite(members).any():
        ax.text(0.5, 0.5, "never observed", transform=ax.transAxes, ha="center", va="center")
    name = f"{one['name'].item()}" + ("" if one["series"] == "pixel" else f", {one['series'].item()}")
    ax.set_title(f"{name}: from {minute_text(init)} UTC", fontsize=9, loc="left", parse_math=False)
    ax.set_ylabel(f"{QUANTITIES[quantity].attrs['long_name'].partition(',')[0]}\n({units_text(quantity)})", fontsize=8)
    if one["amount"].attrs["units"] != "dBZ":
        ax.set_ylim(0, None)
    _label(ax, levels)
    locator = AutoDateLocator(maxticks=8)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    ax.xaxis.get_offset_text().set_fontsize(7)
    ax.tick_params(labelsize=7)
    ax.grid(linewidth=0.3)
    ax.spines[["top", "right"]].set_visible(False)


def _label(ax: Axes, levels: Sequence[tuple[float, str]]) -> None:
    """The names of the lines of thresholds, in rising order, beside them or as far above as keeps them apart."""
    bottom, top = ax.get_ylim()
    free = -np.inf
    for level, text in levels:
        at = max((level - bottom) / (top - bottom), free)
        ax.annotate(str(text), (1, at), xycoords="axes fraction", xytext=(3, 0), textcoords="offset points",
                    va="center", fontsize=7, color=_LIMIT)  # fmt: skip
        free = at + _APART
