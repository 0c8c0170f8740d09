"""Scores as tables on a terminal."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from rich import box
from rich.console import Console
from rich.table import Table

from nowcast.data.conventions import lead_label
from nowcast.verification.contract import DATA_RANGE
from nowcast.verification.headline import each_forecast, headline, interval_text, number
from pipelines.store.amounts import amount_text
from pipelines.store.units import COUNTS

LEAD_COLUMNS = {  # metric: heading
    "mae": "MAE",
    "rmse": "RMSE",
    "bias": "bias",
    "ssim": "SSIM",
    "crps_fair": "CRPS fair",
    "spread": "spread",
    "spread_skill": "spread / skill",
    "counted_fraction": "seen",
}
SUMMARY_COLUMNS = {
    "crps_fair": "CRPS fair",
    "crps_standard": "CRPS std.",
    "mae": "MAE",
    "spread_skill": "spread / skill",
    "csi_m": "CSI-M",
}
SUMMARY_LINES = {
    "mae": "MAE",
    "mse": "MSE",
    "mse_scaled": "MSE on [0, 1]",
    "rmse": "RMSE",
    "bias": "bias",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "crps_fair": "CRPS fair",
    "crps_standard": "CRPS std.",
    "spread": "spread",
    "spread_skill": "spread / skill",
    "counted_fraction": "seen",
}
EVENT_COLUMNS = {
    "pod": "POD",
    "far": "FAR",
    "sucr": "SUCR",
    "csi": "CSI",
    "frequency_bias": "freq. bias",
    "hss": "HSS",
    "ets": "ETS",
}
PROBABILITY_COLUMNS = {
    "brier": "Brier",
    "brier_reliability": "reliability",
    "brier_resolution": "resolution",
    "brier_uncertainty": "uncertainty",
    "roc_area": "ROC area",
}


def summary_row(scores: xr.Dataset) -> dict[str, float]:
    """The scores of one forecast that stand beside those of other models, taken over leads as the protocol says."""
    mean, over = scores.sel(summary="mean"), scores.attrs.get("mean", "pooled")
    columns = {heading: f"{name}_{over}" for name, heading in SUMMARY_COLUMNS.items()}
    row = {heading: mean[name].item() for heading, name in columns.items() if name in mean}
    if "threshold" not in mean.dims:
        return row
    at = mean[f"csi_{over}"].to_series()
    return row | {f"CSI >= {threshold:g}": float(csi) for threshold, csi in at.items()}


def print_table(scores: xr.Dataset, console: Console) -> None:
    """Print the forecast's scores by lead time and over all lead times, then the comparisons; the result last."""
    forecasts = _print_heading(scores, console)
    one = forecasts[0]
    if "threshold" in one.dims:
        one = one.sel(threshold=_reached(one))
    console.print(_by_lead(f"{_title(one)}; errors and CRPS in counts", one))
    if one.sizes.get("threshold"):
        _print_events(one, console)
    _print_over_all(forecasts, console)
    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    for line in ["", *_legend(scores), "", *headline(scores)]:
        say(line)


def _reached(scores: xr.Dataset) -> np.ndarray:
    """Whether any pixel, observed or forecast, reached a threshold; dims (threshold,), bool."""
    csi = scores["csi_pooled"].notnull()
    return csi.any([dim for dim in csi.dims if dim != "threshold"]).values


def _print_events(one: xr.Dataset, console: Console) -> None:
    for summary in _summaries(one):
        part = one.sel(summary=summary)
        console.print(_csi_by_lead(f"{_title(one)}; CSI ({summary})", part))
        console.print(_by_threshold(f"{_title(one)}; events, all lead times ({summary})", part, EVENT_COLUMNS))
        console.print(_by_block(f"{_title(one)}; CSI of coarsened fields, all lead times ({summary})", part))
    console.print(_by_threshold(f"{_title(one)}; probability of the event, all lead times", one, PROBABILITY_COLUMNS))
    console.print(_by_scale(f"{_title(one)}; fractions skill score, all lead times", one))


def print_summary(scores: xr.Dataset, console: Console) -> None:
    """Print of `print_table` only what is taken over all lead times."""
    _print_over_all(_print_heading(scores, console), console)


def _print_heading(scores: xr.Dataset, console: Console) -> list[xr.Dataset]:
    """Print what was scored; the scores of each forecast."""
    console.print("\n".join(_heading(scores)), highlight=False, soft_wrap=True)
    return list(each_forecast(scores.assign(_scaled_mse(scores))))


def _print_over_all(forecasts: list[xr.Dataset], console: Console) -> None:
    one = forecasts[0]
    for other in forecasts:
        console.print(_over_all(f"{_title(other)}; all lead times", other))
        if "fvd" in other:
            console.print(_as_videos(other), highlight=False, soft_wrap=True)
    for reference in forecasts[1:]:
        console.print(_comparison("pooled over lead times: " + _title(one), one, reference))


def _scaled_mse(scores: xr.Dataset) -> dict[str, xr.DataArray]:
    """The MSE where the range of the data makes 1, as papers give it."""
    scaling = scores.attrs.get("data_range", DATA_RANGE)
    named = {str(name): value for name, value in scores.data_vars.items() if str(name).startswith("mse_")}
    return {
        name.replace("mse", "mse_scaled"): value if "_skill" in name else value / scaling**2
        for name, value in named.items()
    }


def _title(one: xr.Dataset) -> str:
    return f"{one['model'].item()}, members: {one['members'].item()}"


def _amount(scores: xr.Dataset, threshold: float) -> str:
    """A threshold in counts and, where the scores say one, in the forecast's unit."""
    quantity = scores.attrs.get("threshold_quantity", COUNTS)
    return f"{threshold:.4g}" + (f" ({amount_text(threshold, quantity)})" if quantity != COUNTS else "")


def _summaries(one: xr.Dataset) -> list[str]:
    return list(one["summary"].values) if one["members"] > 1 else ["mean"]


def _heading(scores: xr.Dataset) -> Iterator[str]:
    attrs = scores.attrs
    events, cases = attrs.get("events", "?"), f"{scores['cases'].values.max():.0f}"
    yield (
        f"protocol {attrs.get('protocol', 'none')}, split {attrs.get('split', 'unknown')}: "
        f"{events} event{'' if events == 1 else 's'}, {cases} case{'' if cases == '1' else 's'}"
    )
    yield f"event list {attrs.get('event_list_hash', 'unknown')}"
    if "thresholds" in attrs:
        yield f"thresholds {attrs['thresholds']}"
    if "scored" in attrs:
        yield f"Scored {attrs['scored']}."
    if attrs.get("region", "whole") != "whole":
        yield f"only pixels {attrs['region']}"
    if "coverage" in attrs:
        yield f"coverage: {attrs['coverage']}"


def _legend(scores: xr.Dataset) -> Iterator[str]:
    mean = scores.attrs.get("mean", "pooled").replace("_", "-")
    yield "pooled: sums over all lead times, divided once; lead-averaged: the mean of the lead times' scores"
    yield f"the protocol's headline score is {mean}"
    yield "seen: share of pixels that were observed and scored"
    yield "- : no value, such as where no pixel reached the threshold"
    if "threshold" in scores.dims and len(never := scores["threshold"].values[~_reached(scores)]):
        levels = " or ".join(_amount(scores, threshold) for threshold in never)
        yield f"no pixel, observed or forecast, reached {levels} counts"
    if "forecast" in scores.dims:
        yield "skill = 1 - score / reference; of scores that are 1 at best (score - reference) / (1 - reference)"


def _rows(scores: xr.Dataset, names: list[str]) -> Iterator[tuple[str, list[xr.DataArray]]]:
    """The label and the scores of every line: lead times, then the two means by name."""
    for lead in scores["lead_time"].values:
        yield lead_label(lead), [scores[name].sel(lead_time=lead) for name in names]
    for mean in ("pooled", "lead_averaged"):
        yield mean.replace("_", "-"), [scores[f"{name}_{mean}"] for name in names]


def _by_lead(title: str, scores: xr.Dataset) -> Table:
    table = plain_table(title, "lead time", list(LEAD_COLUMNS.values()))
    for label, values in _rows(scores, list(LEAD_COLUMNS)):
        table.add_row(label, *(number(value.item()) for value in values))
    return table


def _csi_by_lead(title: str, scores: xr.Dataset) -> Table:
    table = plain_table(
        title, "lead time", ["CSI-M", *(f">= {_amount(scores, threshold)}" for threshold in scores["threshold"].values)]
    )
    for label, (mean, csi) in _rows(scores, ["csi_m", "csi"]):
        table.add_row(label, number(mean.item()), *map(number, csi.values))
    return table


def _by_threshold(title: str, scores: xr.Dataset, columns: dict[str, str]) -> Table:
    table = plain_table(title, "threshold", list(columns.values()))
    for threshold in scores["threshold"].values:
        at = scores.sel(threshold=threshold)
        table.add_row(f">= {_amount(scores, threshold)}", *(number(at[f"{name}_pooled"].item()) for name in columns))
    return table


def _by_block(title: str, scores: xr.Dataset) -> Table:
    table = plain_table(title, "threshold", [f"{block} px" for block in scores["block"].values])
    for threshold in scores["threshold"].values:
        table.add_row(
            f">= {_amount(scores, threshold)}", *map(number, scores["csi_block_pooled"].sel(threshold=threshold).values)
        )
    table.add_row("CSI-M", *map(number, scores["csi_m_block_pooled"].values))
    return table


def _by_scale(title: str, scores: xr.Dataset) -> Table:
    table = plain_table(title, "threshold", [f"{scale} px" for scale in scores["scale"].values])
    for threshold in scores["threshold"].values:
        table.add_row(
            f">= {_amount(scores, threshold)}", *map(number, scores["fss_pooled"].sel(threshold=threshold).values)
        )
    return table


def _lines(scores: xr.Dataset) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Label, metric and selection of each line of the tables over all lead times."""
    yield from ((label, name, {}) for name, label in SUMMARY_LINES.items())
    events = "threshold" in scores.dims
    for summary in _summaries(scores):
        if events:
            yield f"CSI-M ({summary})", "csi_m", {"summary": summary}
        if "lpips_pooled" in scores:
            yield f"LPIPS ({summary})", "lpips", {"summary": summary}
    for threshold in scores["threshold"].values if events else ():
        yield f"CSI >= {_amount(scores, threshold)} (mean)", "csi", {"summary": "mean", "threshold": threshold}


def _over_all(title: str, scores: xr.Dataset) -> Table:
    table = plain_table(title, "score", ["pooled", "95 % interval", "lead-averaged", "95 % interval"])
    for label, metric, where in _lines(scores):
        at = scores.sel(where)
        cells = [
            cell
            for name in (f"{metric}_pooled", f"{metric}_lead_averaged")
            for cell in (number(at[name].item()), interval_text(at, name))
        ]
        table.add_row(label, *cells)
    return table


def _as_videos(one: xr.Dataset) -> str:
    values = ", ".join(f"{name.upper()} {number(one[name].item())}" for name in ("fvd", "kvd"))
    return f"members as videos over all lead times: {values} ({one['videos'].item():g} videos)"


def _comparison(title: str, one: xr.Dataset, reference: xr.Dataset) -> Table:
    models = [part["model"].item() for part in (one, reference)]
    table = plain_table(
        f"{title}, against {_title(reference)}", "score", [*models, "difference", "95 % interval", "skill"]
    )
    for label, metric, where in _lines(one):
        name = f"{metric}_pooled"
        at = reference.sel(where)
        numbers = [one.sel(where)[name].item(), at[name].item(), at[f"{name}_difference"].item()]
        skill = at.get(f"{name}_skill", xr.DataArray(np.nan)).item()
        table.add_row(label, *map(number, numbers), interval_text(at, f"{name}_difference"), number(skill))
    return table


def plain_table(title: str, first: str, columns: list[str]) -> Table:
    """A table without lines of its own rows, numbers to the right."""
    table = Table(title=f"\n{title}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table
