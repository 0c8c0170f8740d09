"""The page of a nowcast: one case of a forecast in, one HTML file out that needs nothing beside it, not even a network.

The page shows what was observed and the layers of the forecast on a map by time, and for each pixel its plume,
probabilities and onset. Numbers are taken from all members here; the page's script only draws.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nowcast.data.conventions import DEFAULT_THRESHOLDS, lead_label
from nowcast.data.forecast_file import as_counts, open_forecast
from nowcast.data.observations import Case, Observations
from nowcast.plots.panels import Place, find_place
from nowcast.plots.rows import check_picture, one_case
from nowcast.report.cases import coarse
from nowcast.report.geography import drawing, nodes
from nowcast.report.layers import QUANTILES, Progress, averaging, codes, ensemble_layers, pack
from nowcast.report.page import TEMPLATES
from nowcast.report.scales import amount_scale, amounts_of_counts, probability_scale, script_scales
from pipelines.errors import InputError
from pipelines.store.amounts import amount_text, quantity_of_units, said_text, threshold_in_counts, units_text
from pipelines.store.kind import VIDEO, kind_of
from pipelines.store.schema import pixels
from pipelines.store.units import COUNTS
from pipelines.store.whole import whole

_AT_ONCE = 8  # members read at once
_MOST_THRESHOLDS = 6


def write_page(
    forecast: Path | xr.Dataset,
    out: Path,
    *,
    store: Path | xr.Dataset | None = None,
    case: int | None = None,
    thresholds: Sequence[str | float] = (),
    units: str | None = None,
    overwrite: bool = False,
    progress: Progress = iter,
) -> Path:
    """Write the page of one case of a forecast; it appears whole or not at all.

    Args:
        forecast: A forecast file, or one that is open: dims (case, member, lead_time, y, x), of any quantity of radar.
        out: HTML file to write.
        store: The observed frames: a store or radar, by path or open. As much past is shown as there is forecast.
        case: Number of the case in the file; by default the case with the most echo.
        thresholds: Of the probabilities and the onset, with a unit or in that of the page; by default three.
        units: Units of the page, such as mm/h; by default those of the forecast.
        overwrite: Replace `out` where it exists.
        progress: Wraps the lead times that are summarised, to show how many are done.

    Raises:
        InputError: for an `out` that exists or is no HTML file, a forecast of video or one that cannot be drawn, units
            or thresholds that are none, or a store that has not the forecast's pixels.
    """
    check_picture(out, (".html",), overwrite)
    opened = as_counts(forecast) if isinstance(forecast, xr.Dataset) else open_forecast(forecast)
    if kind_of(opened) is VIDEO:
        raise InputError("a page shows radar", got="a forecast of video", remedy="see `nowcast verify --report`")
    quantity = quantity_of_units(units) if units else opened.attrs.get("quantity", COUNTS)
    asked = list(thresholds) or DEFAULT_THRESHOLDS[quantity]
    levels = dict(sorted((threshold_in_counts(each, quantity), said_text(each, quantity)) for each in asked))
    if len(levels) > _MOST_THRESHOLDS:
        raise InputError("too many thresholds", got=len(levels), expected=f"at most {_MOST_THRESHOLDS}")
    shown = one_case(opened, case)
    observations = None if store is None else Observations.open(store)
    data = page_data(shown, quantity, levels, observations, progress)
    text = TEMPLATES.get_template("nowcast.html").render(
        title=f"Nowcast from {data['init']}",
        drawing=data.pop("drawing"),
        subject=_subject(shown, data),
        quality=str(shown.attrs.get("quality", "")).splitlines(),
        notes=_notes(data),
        page=data,
        packed=data.pop("packed"),
        amounts=amount_scale(quantity),
        chances=probability_scale(),
        made_by=shown.attrs.get("source", "nowcast"),
    )
    with whole(out, overwrite=overwrite) as growing:
        growing.write_text(text, encoding="utf-8")
    return out


def page_data(
    shown: xr.Dataset,
    quantity: str,
    thresholds: Mapping[float, str],
    observations: Observations | None = None,
    progress: Progress = iter,
) -> dict[str, Any]:
    """All data of the page's script, as JSON takes it, with `packed` layers and the map's `drawing` for its template.

    Args:
        shown: One case of a forecast.
        quantity: One of `pipelines.store.units.QUANTITIES`.
        thresholds: Counts in rising order, each with its text.
        observations: What was observed, if known.
        progress: Wraps the lead times to show how many are done.
    """
    array = pixels(shown).transpose("member", "lead_time", "y", "x")
    factor = averaging(array.shape, len(thresholds))
    starts = range(0, array.sizes["member"], _AT_ONCE)
    parts = [array.isel(member=slice(start, start + _AT_ONCE)).values.astype("float32") for start in starts]
    members = np.concatenate([coarse(part, factor) for part in parts])
    *_, height, width = members.shape
    times, seen = _observed(shown, observations)
    ensemble = ensemble_layers(members, list(thresholds), quantity, progress)
    packed = ensemble.layers | {f"onset{number}": text for number, text in enumerate(ensemble.onsets)}
    if seen is not None:
        packed["observed"] = pack(list(codes(coarse(seen, factor))))
    if "reached" in shown:
        reached = shown["reached"].transpose("lead_time", "y", "x").values
        packed["reached"] = pack(list(codes(coarse(reached.astype("float32"), factor) >= 0.5)))
    place = _cut(find_place(shown), shown.sizes["x"] / factor, shown.sizes["y"] / factor, width, height)
    init = Case.of(shown).init_time
    return {
        "width": width,
        "height": height,
        "averaged": factor,
        "init": _clock(init, day=True),
        "minutes": [float((time - init) / np.timedelta64(1, "m")) for time in times],
        "clock": [_clock(time) for time in times],
        "past": len(times) - members.shape[1],
        "observed": [] if seen is None else np.isfinite(seen).any(axis=(1, 2)).tolist(),
        "members": shown["member"].values[: ensemble.held].tolist(),
        "size": len(members),
        "quantiles": list(QUANTILES),
        "thresholds": [
            {"counts": level, "text": f"≥ {amount_text(level, quantity)}", "said": f"≥ {said}"}
            for level, said in thresholds.items()
        ],
        "unit": units_text(quantity),
        "amounts": amounts_of_counts(quantity),
        "scales": script_scales(quantity),
        "place": _wettest(members),
        "nodes": nodes(place) if place else None,
        "drawing": drawing(place, width, height) if place else None,
        "packed": packed,
    }


def _observed(shown: xr.Dataset, observations: Observations | None) -> tuple[np.ndarray, np.ndarray | None]:
    """All times of the page, and what was observed at them: as much past as there is forecast, and all lead times."""
    case = Case.of(shown)
    if observations is None:
        return case.valid_times, None
    known = observations.times(case)
    past = known[known <= case.init_time][-len(case.valid_times) :]
    seen = [observations.past(case, len(case.valid_times)), observations.fields(case)]
    return np.concatenate([past, case.valid_times]), np.concatenate(seen)


def _cut(place: Place | None, columns: float, rows: float, width: int, height: int) -> Place | None:
    """The place of `width` x `height` pixels in the south-west of a grid of `columns` x `rows`."""
    if place is None:
        return None
    west, east, south, north = place.extent
    return Place(
        place.proj, (west, west + (east - west) * width / columns, south, south + (north - south) * height / rows)
    )


def _wettest(members: np.ndarray) -> list[int]:
    """Column and row from the north-west corner of the pixel with the largest mean; of the middle where all are dry."""
    mean = np.nan_to_num(members.mean(axis=(0, 1)))
    rows, columns = mean.shape
    row, column = np.unravel_index(mean.argmax(), mean.shape) if mean.any() else (rows // 2, columns // 2)
    return [int(column), rows - 1 - int(row)]


def _clock(time: np.datetime64, *, day: bool = False) -> str:
    return f"{pd.Timestamp(time):{'%Y-%m-%d ' if day else ''}%H:%M} UTC"


def _subject(shown: xr.Dataset, data: dict[str, Any]) -> str:
    """The model, its members, the event and the lead times, in words."""
    model, leads = shown.attrs.get("model", "unnamed"), shown["lead_time"].values
    members = f"{data['size']} members" if data["size"] > 1 else "one member"
    return f"{model}, {members}; event {shown['event'].values}; {lead_label(leads[0])} to {lead_label(leads[-1])} ahead"


def _notes(data: dict[str, Any]) -> list[str]:
    """How the numbers are made, and what is left out."""
    size, held, factor = data["size"], len(data["members"]), data["averaged"]
    notes = ["A threshold is reached at or above it, from the first lead time at which it is."]
    if size > 1:
        notes.append(f"Probabilities are shares of {size} members; times are those of the members that reach it.")
        if data["unit"] == "dBZ":
            notes.append("The mean is the mean of Z, in dBZ.")
    if held < size:
        notes.append(f"The first {held} members can be looked at; all other numbers are of all {size}.")
    if factor > 1:
        notes.append(f"The grid is averaged over {factor} × {factor} pixels before anything else.")
    return notes
