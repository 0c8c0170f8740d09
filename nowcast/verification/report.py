"""Scores as a file and as tables on a terminal."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.errors import InputError

ENSEMBLE_COLUMNS = {  # metric: heading
    "mae": "MAE",
    "mse": "MSE",
    "rmse": "RMSE",
    "crps_fair": "CRPS fair",
    "crps_standard": "CRPS std.",
    "spread": "spread",
    "spread_skill": "spread / skill",
    "counted_fraction": "counted",
}
SUMMARY_COLUMNS = {
    "crps_fair": "CRPS fair",
    "crps_standard": "CRPS std.",
    "mae": "MAE",
    "spread_skill": "spread / skill",
    "csi_m": "CSI-M",
}
EVENT_COLUMNS = {"pod": "POD", "far": "FAR", "csi": "CSI", "frequency_bias": "bias"}


def save(scores: xr.Dataset, path: Path, *, overwrite: bool = False) -> Path:
    """Write scores as NetCDF; the file appears whole or not at all.

    Raises:
        InputError: when `path` exists and is not to be overwritten.
    """
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists", remedy="say --overwrite to replace it")
    temporary = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        scores.to_netcdf(temporary, encoding={"lead_time": {"units": "minutes", "dtype": "float64"}})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def summary_row(scores: xr.Dataset) -> dict[str, float]:
    """The scores of one forecast, pooled over lead times, that stand beside those of other models; by heading."""
    mean = scores.sel(summary="mean")
    row = {heading: mean[f"{name}_pooled"].item() for name, heading in SUMMARY_COLUMNS.items()}
    at = mean["csi_pooled"].to_series()
    return row | {f"CSI >= {threshold:g}": float(csi) for threshold, csi in at.items()}


def print_table(scores: xr.Dataset, console: Console) -> None:
    """Print scores by lead time, pooled over lead times and averaged over them, of every forecast in the file."""
    console.print(_heading(scores))
    for one in _each_forecast(scores):
        title = f"{one['model'].item()}, members: {one['members'].item()}"
        console.print(_by_lead(f"{title}; errors and CRPS in counts", one))
        summaries = one["summary"].values if one["members"] > 1 else ["mean"]
        for summary in summaries:
            console.print(_csi_by_lead(f"{title}; CSI ({summary})", one.sel(summary=summary)))
            console.print(_by_threshold(f"{title}; events, all leads ({summary})", one.sel(summary=summary)))
    if "forecast" in scores.dims:
        console.print(_comparison("against the reference, pooled over lead times", scores))


def _heading(scores: xr.Dataset) -> str:
    attrs = scores.attrs
    return (
        f"protocol {attrs.get('protocol', 'none')}, event list {attrs.get('event_list_hash', 'unknown')}: "
        f"{attrs.get('events', '?')} events, {scores['cases'].values.max():.0f} cases"
    )


def _each_forecast(scores: xr.Dataset) -> Iterator[xr.Dataset]:
    if "forecast" not in scores.dims:
        yield scores
        return
    for label in scores["forecast"].values:
        yield scores.sel(forecast=label)


def _number(value: float) -> str:
    if np.isnan(value):
        return "-"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}" if abs(value) < 1000 else f"{value:.0f}"


def _rows(scores: xr.Dataset, names: list[str]) -> Iterator[tuple[str, list[xr.DataArray]]]:
    """The label and the scores of every line: lead times, then the two means by name."""
    for lead in scores["lead_time"].values:
        yield f"{lead / np.timedelta64(1, 'm'):g} min", [scores[name].sel(lead_time=lead) for name in names]
    for mean in ("pooled", "lead_averaged"):
        yield mean, [scores[f"{name}_{mean}"] for name in names]


def _by_lead(title: str, scores: xr.Dataset) -> Table:
    table = _table(title, "lead time", list(ENSEMBLE_COLUMNS.values()))
    for label, values in _rows(scores, list(ENSEMBLE_COLUMNS)):
        table.add_row(label, *(_number(value.item()) for value in values))
    return table


def _csi_by_lead(title: str, scores: xr.Dataset) -> Table:
    table = _table(title, "lead time", ["CSI-M", *(f">= {threshold:g}" for threshold in scores["threshold"].values)])
    for label, (mean, csi) in _rows(scores, ["csi_m", "csi"]):
        table.add_row(label, _number(mean.item()), *map(_number, csi.values))
    return table


def _by_threshold(title: str, scores: xr.Dataset) -> Table:
    table = _table(title, "threshold", list(EVENT_COLUMNS.values()))
    for threshold in scores["threshold"].values:
        at = scores.sel(threshold=threshold)
        table.add_row(f">= {threshold:g}", *(_number(at[f"{name}_pooled"].item()) for name in EVENT_COLUMNS))
    return table


def _comparison(title: str, scores: xr.Dataset) -> Table:
    table = _table(title, "score", [*scores["model"].broadcast_like(scores["forecast"]).values, "difference", "skill"])
    lines = [(label, scores, name) for name, label in ENSEMBLE_COLUMNS.items()]
    lines += [(f"CSI-M ({s})", scores.sel(summary=s), "csi_m") for s in scores["summary"].values]
    for label, part, name in lines:
        skill = part.get(f"{name}_pooled_skill", xr.DataArray(np.nan))
        values = [*part[f"{name}_pooled"].values, part[f"{name}_pooled_difference"].item(), skill.item()]
        table.add_row(label, *map(_number, values))
    return table


def _table(title: str, first: str, columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table
