"""Curves: scores by lead time."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from nowcast.plots.panels import EVENT_THRESHOLD


def plot_scores(scores: Mapping[str, xr.Dataset]) -> Figure:
    """Fair CRPS, CSI at 74 counts, and spread / skill by lead time, one curve per model.

    Args:
        scores: Datasets of `nowcast.verification.verify`, by the name to show. The CSI is that of the ensemble mean.
    """
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    crps, csi, calibration = figure.subplots(1, 3)
    for name, result in scores.items():
        minutes = result["lead_time"].values / np.timedelta64(1, "m")
        at_event = result["csi"].sel(summary="mean").sel(threshold=EVENT_THRESHOLD, method="nearest")
        for ax, score in ((crps, result["crps_fair"]), (csi, at_event), (calibration, result["spread_skill"])):
            ax.plot(minutes, score.values, marker="o", markersize=3, linewidth=1.5, label=name.replace("$", r"\$"))
    calibration.axhline(1, color="black", linewidth=0.8, linestyle="--")
    crps.set(title="Fair CRPS (counts)\none member: its absolute error", ylim=(0, None))
    csi.set(title=f"CSI, ≥ {EVENT_THRESHOLD:g} counts\nensembles: of the ensemble mean", ylim=(0, 1))
    calibration.set(title="Spread / skill\nensembles only; 1 is reliable", ylim=(0, None))
    for ax in (crps, csi, calibration):
        ax.title.set_fontsize(10)
        ax.set_xlabel("lead time (min)")
        ax.grid(linewidth=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    names = crps.get_legend_handles_labels()
    figure.legend(*names, loc="outside lower center", ncols=len(scores), frameon=False)
    return figure
