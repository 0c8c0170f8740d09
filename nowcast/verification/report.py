"""Scores as a file and as tables on a terminal."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.errors import InputError

ENSEMBLE_COLUMNS = {
    "mae": "MAE",
    "mse": "MSE",
    "rmse": "RMSE",
    "crps_fair": "CRPS fair",
    "crps_standard": "CRPS standard",
    "spread": "spread",
    "spread_skill": "spread/skill",
    "counted_fraction": "counted",
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
    try:
        scores.to_netcdf(temporary, encoding={"lead_time": {"units": "minutes", "dtype": "float64"}})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def print_table(scores: xr.Dataset, console: Console) -> None:
    """Print scores by lead time, pooled over lead times and averaged over them, of every forecast in the file."""
    console.print(_heading(scores))
    for one in _each_forecast(scores):
        title = f"{one['model'].item()}, members: {one['members'].item()}"
        console.print(_by_lead(f"{title}: ensemble and its mean, counts", one, ENSEMBLE_COLUMNS))
        for summary in one["summary"].values:
            console.print(_csi_by_lead(f"{title}: CSI of the {summary}", one.sel(summary=summary)))
        console.print(_by_threshold(f"{title}: events pooled over lead times", one))


def _heading(scores: xr.Dataset) -> str:
    attrs = scores.attrs
    cases = scores["cases"].values.max()
    return (
        f"protocol {attrs.get('protocol', 'none')}, event list {attrs.get('event_list_hash', 'unknown')}: "
        f"{attrs.get('events', '?')} events, {cases:.0f} cases"
    )


def _each_forecast(scores: xr.Dataset) -> Iterator[xr.Dataset]:
    if "forecast" not in scores.dims:
        yield scores
        return
    for label in scores["forecast"].values:
        yield scores.sel(forecast=label)


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"


def _rows(scores: xr.Dataset, names: list[str]) -> Iterator[tuple[str, list[xr.DataArray]]]:
    """The label and scores of every line: lead times, then the two means by name."""
    for lead in scores["lead_time"].values:
        minutes = lead / np.timedelta64(1, "m")
        yield f"{minutes:g} min", [scores[name].sel(lead_time=lead) for name in names]
    for mean in ("pooled", "lead_averaged"):
        yield mean, [scores[f"{name}_{mean}"] for name in names]


def _by_lead(title: str, scores: xr.Dataset, columns: dict[str, str]) -> Table:
    table = _table(title, "lead time", list(columns.values()))
    for label, values in _rows(scores, list(columns)):
        table.add_row(label, *(_number(value.item()) for value in values))
    return table


def _csi_by_lead(title: str, scores: xr.Dataset) -> Table:
    table = _table(title, "lead time", ["CSI-M", *(f">= {threshold:g}" for threshold in scores["threshold"].values)])
    for label, (mean, csi) in _rows(scores, ["csi_m", "csi"]):
        table.add_row(label, _number(mean.item()), *map(_number, csi.values))
    return table


def _by_threshold(title: str, scores: xr.Dataset) -> Table:
    summaries = scores["summary"].values
    table = _table(title, "threshold", [f"{head} {s}" for s in summaries for head in EVENT_COLUMNS.values()])
    for threshold in scores["threshold"].values:
        at = scores.sel(threshold=threshold)
        values = [at[f"{name}_pooled"].sel(summary=s).item() for s in summaries for name in EVENT_COLUMNS]
        table.add_row(f">= {threshold:g}", *map(_number, values))
    return table


def _table(title: str, first: str, columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")
    return table
