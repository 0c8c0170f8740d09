"""The forecast at places: quantiles, probabilities, accumulations, and when a threshold is reached and left.

Every number is taken of the members' series, in the unit that is asked for: of the pixel of a point; of an area of
both the mean and the maximum of its pixels. The mean of an area is of what adds up: the rain rate, the VIL (also of
counts), the reflectivity factor. An accumulation is of one member at a time, so that quantiles of sums are right: each
rate in mm h-1 stands for the time since the lead time before it (the rectangle rule; the rate at the init time is not
in the file). Other units do not accumulate.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from nowcast.data.conventions import COORDINATE_ATTRS, DEFAULT_THRESHOLDS
from nowcast.data.observations import Case, Observations
from nowcast.data.statistics import TIME_QUANTILES, additive, from_additive, quantiles_of_some, unseen_chance
from nowcast.forecasting.domains import Cells, located
from nowcast.forecasting.places import Place
from nowcast.forecasting.summary import QUANTILES
from pipelines.errors import InputError
from pipelines.store.amounts import amount_text, said_text, threshold_in_counts
from pipelines.store.kind import RADAR, kind_of
from pipelines.store.units import COUNTS, QUANTITIES, RAIN_RATE, REFLECTIVITY, VIL, from_counts, vil_to_counts

_AT_ONCE = 8  # members read at once where the file does not say
_ROUNDING = 1e-5  # counts by which a mean may miss a threshold; the counts of pixels are exact


def answer(
    forecast: xr.Dataset,
    places: Sequence[Place],
    *,
    thresholds: str | float | Sequence[str | float] = (),
    quantity: str | None = None,
    case: int | None = None,
    observations: Observations | None = None,
) -> xr.Dataset:
    """The forecast at places, in every case that holds them.

    Args:
        forecast: An open forecast file (see `nowcast.data.forecast_file`).
        places: Points and areas.
        thresholds: One or several: numbers in the unit of the result, or texts with a unit, such as "2.5mm/h"; by
            default three that suit the unit.
        quantity: A key of `pipelines.store.units.QUANTITIES`; by default the forecast's own.
        case: Number of the only case to answer for.
        observations: Adds what was observed.

    Returns:
        Dims place (one for each place and case, two of an area), member, lead_time, quantile, threshold and
        time_quantile: `amount` of each member, `amount_quantile`, `probability` at or above each threshold; in mm h-1
        `accumulation` and `accumulation_quantile` in mm since the init time; `probability_any` that a threshold is
        reached at any lead time, and of the members that reach it the quantiles of `onset`, the first valid time at
        or above it, and `end`, the valid time after the last one (NaT: after the forecast). With observations also
        `observed`, and `already`: whether a threshold was reached at the init time. `inside`: share of the
        place that lies in the domain and was observed; `reached`: share of it that advection reaches, where the file
        says it. NaN where nothing was observed. The attribute `left_out` has one line for each place that is outside of
        the domain, or contains no pixel's centre.

    Raises:
        InputError: when all places are left out, and for a case or threshold that cannot be, and a forecast of video.
    """
    if kind_of(forecast) is not RADAR:
        raise InputError("a forecast of video has no places on Earth")
    if not places:
        raise InputError("no place", expected="a point or an area")
    quantity = quantity or str(forecast.attrs.get("quantity", COUNTS))
    asked: list[Any] = list(np.atleast_1d(np.asarray(thresholds, object)))
    said: dict[float, str] = {}
    for each in asked or DEFAULT_THRESHOLDS[quantity]:
        said.setdefault(threshold_in_counts(each, quantity), said_text(each, quantity))
    found, left_out = located(forecast, places, case)
    read = {number: _members(forecast, number, found) for number in sorted({number for _, number, _ in found})}
    seen = {number: _observed(forecast, number, observations) for number in read if observations}
    parts = []
    for place, number, cells in found:
        one = forecast.isel(case=number)
        values = read[number].pop(0)
        truth = seen[number][:, cells.rows, cells.columns] if seen else None
        for how in ("pixel",) if place.area is None else ("mean", "maximum"):
            part = _statistics(values, truth, how, quantity, list(said), one)
            parts.append(part.assign_coords(_labels(place, number, cells, how, values, one)))
    result = xr.concat(parts, "place", coords="all").assign_coords(threshold_text=("threshold", list(said.values())))
    return _described(result, forecast, quantity).assign_attrs({"left_out": "\n".join(left_out)} if left_out else {})


def _observed(forecast: xr.Dataset, number: int, observations: Observations) -> np.ndarray:
    """Observed counts of a case at its init time and its valid times, dims (time, y, x); NaN where there are none."""
    case = Case.of(forecast.isel(case=number))
    return observations.fields(replace(case, valid_times=np.append(case.init_time, case.valid_times)))


def _members(forecast: xr.Dataset, case: int, found: Sequence[tuple[Place, int, Cells]]) -> list[np.ndarray]:
    """Counts of the pixels of all places in a case, each with dims (member, lead_time, pixel); read once."""
    field = forecast[RADAR.variable].isel(case=case).transpose("member", "lead_time", "y", "x")
    cells = [cells for _, number, cells in found if number == case]
    rows, columns = (np.concatenate([getattr(each, name) for each in cells]) for name in ("rows", "columns"))
    top, left = rows.min(), columns.min()
    window = field.isel(y=slice(top, rows.max() + 1), x=slice(left, columns.max() + 1))
    chunks = forecast[RADAR.variable].encoding.get("chunksizes") or forecast[RADAR.variable].encoding.get("chunks")
    at_once = chunks[1] if chunks else _AT_ONCE
    starts = range(0, field.sizes["member"], at_once)
    parts = [window[start : start + at_once].values[..., rows - top, columns - left] for start in starts]
    return np.split(np.concatenate(parts), np.cumsum([len(each.rows) for each in cells])[:-1], axis=-1)


def _statistics(
    counts: np.ndarray,
    truth: np.ndarray | None,
    how: str,
    quantity: str,
    thresholds: Sequence[float],
    one: xr.Dataset,
) -> xr.Dataset:
    """All numbers of one series of a place, from counts with dims (member, lead_time, pixel); thresholds in counts."""
    leads = one["lead_time"].values
    amounts = from_counts(counts.astype("float64"), quantity)
    series = _reduced(amounts, how, quantity)
    levels = np.array(thresholds)
    above = _compared(counts, how, quantity) >= levels[:, None, None]  # (threshold, member, lead_time)
    known = np.isfinite(series).all(axis=0)
    values: dict[str, Any] = {
        "amount": (("member", "lead_time"), series),
        "amount_quantile": (("quantile", "lead_time"), np.quantile(series, QUANTILES, axis=0)),
        "probability": (("threshold", "lead_time"), np.where(known, above.mean(axis=1), np.nan)),
        "probability_any": ("threshold", np.where(known.any(), above.any(axis=2).mean(axis=1), np.nan)),
    }
    if quantity == RAIN_RATE:
        hours = np.diff(leads, prepend=leads[:1] * 0) / np.timedelta64(1, "h")
        sums = _reduced(np.cumsum(amounts * hours[:, None], axis=1), how, quantity)
        values["accumulation"] = (("member", "lead_time"), sums)
        values["accumulation_quantile"] = (("quantile", "lead_time"), np.quantile(sums, QUANTILES, axis=0))
    times = [_times(each, one["valid_time"].values) for each in above]
    for number, name in enumerate(("onset", "end")):
        values[name] = (("threshold", "time_quantile"), np.stack([pair[number] for pair in times]))
    if truth is not None:
        values["observed"] = ("lead_time", _reduced(from_counts(truth[1:].astype("float64"), quantity), how, quantity))
        values["already"] = ("threshold", _compared(truth[0], how, quantity) >= levels)
    coords = {
        "quantile": list(QUANTILES),
        "threshold": [float(f"{level:.6g}") for level in from_counts(levels, quantity)],
        "time_quantile": list(TIME_QUANTILES),
    }
    return xr.Dataset(values, coords | {"lead_time": leads, "member": one["member"].values})


def _compared(counts: np.ndarray, how: str, quantity: str) -> np.ndarray:
    """The counts of a series, which thresholds are compared with, of those of its pixels on the last axis."""
    counts = counts.astype("float64")
    if how != "mean":
        return _reduced(counts, how, COUNTS)
    return QUANTITIES[quantity].to_counts(_reduced(from_counts(counts, quantity), how, quantity)) + _ROUNDING


def _reduced(amounts: np.ndarray, how: str, quantity: str) -> np.ndarray:
    """The last axis, pixels, as its mean or maximum over what was observed; NaN where nothing was."""
    seen = np.isfinite(amounts)
    amounts = np.where(seen, amounts, -np.inf)
    if how != "mean":
        largest = amounts.max(axis=-1)
        return np.where(seen.any(axis=-1), largest, np.nan)
    if quantity == COUNTS:
        return vil_to_counts(_mean(from_counts(amounts, VIL), seen))
    return from_additive(_mean(additive(amounts, quantity), seen), quantity)


def _mean(amounts: np.ndarray, seen: np.ndarray) -> np.ndarray:
    number = seen.sum(axis=-1)
    return np.where(number > 0, np.where(seen, amounts, 0).sum(axis=-1) / np.maximum(number, 1), np.nan)


def _times(above: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of onset and end of the members that have any; `above` has dims (member, lead_time)."""
    some, after = np.asarray(above.any(axis=1)), np.append(valid, np.datetime64("NaT"))
    first, end = above.argmax(axis=1), above.shape[1] - above[:, ::-1].argmax(axis=1)
    onset, ended = (np.nan_to_num(quantiles_of_some(each, some, TIME_QUANTILES), nan=-1) for each in (first, end))
    return after[onset.astype(int)], after[ended.astype(int)]


def _labels(place: Place, number: int, cells: Cells, how: str, counts: np.ndarray, one: xr.Dataset) -> dict[str, Any]:
    """Coordinates of one series of a place."""
    pixels = len(cells.rows)
    seen = np.isfinite(counts).any(axis=(0, 1))
    labels: dict[str, Any] = {
        "name": place.name,
        "series": how if place.area is None else f"{how} of {pixels} pixel{'s' * (pixels != 1)}",
        "latitude": place.latitude,
        "longitude": place.longitude,
        "case": np.int32(number),
        "event": str(one["event"].item()),
        "init_time": one["init_time"].values,
        "valid_time": ("lead_time", one["valid_time"].values),
        "inside": cells.inside * seen.mean(),
    }
    if "reached" in one.variables:
        reached = one["reached"].transpose("lead_time", "y", "x").values[:, cells.rows, cells.columns]
        labels["reached"] = ("lead_time", reached.astype(bool).mean(axis=1))
    return labels


def _described(result: xr.Dataset, forecast: xr.Dataset, quantity: str) -> xr.Dataset:
    """The result with CF attributes."""
    known = QUANTITIES[quantity].attrs
    share = {"units": "1"}
    attrs: dict[str, dict[str, str]] = {
        "amount": known | ({"comment": "mean of an area: mean of Z, in dBZ"} if quantity == REFLECTIVITY else {}),
        "amount_quantile": {**known, "long_name": f"quantile of {known['long_name']}"},
        "observed": {**known, "long_name": f"observed {known['long_name']}"},
        "already": {"long_name": "whether it was observed at or above the threshold at the init time"},
        "probability": {**share, "long_name": "share of the members at or above the threshold"},
        "probability_any": {**share, "long_name": "share of the members at or above the threshold at any lead time"},
        "accumulation": {
            "long_name": "rain since the init time; each rate stands for the time since the lead time before",
            "units": "mm",
        },
        "accumulation_quantile": {"long_name": "quantile of the members' rain since the init time", "units": "mm"},
        "onset": {"long_name": "first time at or above the threshold, of the members that reach it"},
        "end": {"long_name": "time after the last one at or above the threshold; missing: after the forecast"},
        "quantile": {"long_name": "share of members that are lower", **share},
        "threshold": {"long_name": f"threshold of {known['long_name']}", "units": known["units"]},
        "time_quantile": {"long_name": "share of the members that reach the threshold which are earlier", **share},
        "name": {"long_name": "name of the place"},
        "series": {"long_name": "pixel of a point, or mean or maximum of the pixels of an area"},
        "inside": {"long_name": "share of the place in the domain and observed", **share},
        "reached": {"long_name": "share of the place that advection reaches from inside the domain", **share},
        "case": {"long_name": "number of the case in the forecast file", **share},
        "event": {"long_name": "event"},
        "threshold_text": {"long_name": "threshold in the unit that was given, and in that of the answer"},
        **COORDINATE_ATTRS,
    }
    for name in result.variables:
        result[name].attrs = dict(attrs.get(str(name), {}))
    kept = {name: forecast.attrs[name] for name in ("model", "seed", "quality") if name in forecast.attrs}
    return result.assign_attrs({"Conventions": "CF-1.8", "title": "forecast at places", "quantity": quantity, **kept})


def probability_at(forecast: xr.Dataset, latitude: float, longitude: float, threshold: float | str) -> xr.DataArray:
    """See `nowcast.probability_at`."""
    quantity = str(forecast.attrs.get("quantity", COUNTS))
    level = threshold_in_counts(threshold, quantity)
    place = Place(f"{latitude:g} N {longitude:g} E", latitude, longitude)
    holding, _ = located(forecast, [place])
    if len(holding) > 1:
        got = f"cases {', '.join(str(number) for _, number, _ in holding)}"
        raise InputError(f"several cases hold {place.name}", got=got, expected="one: forecast.isel(case=NUMBER)")
    ((_, number, cells),) = holding
    members = forecast[RADAR.variable].isel(case=number, y=int(cells.rows[0]), x=int(cells.columns[0]))
    share = (members >= level).mean("member").where(members.notnull().all("member")).rename("probability")
    share.attrs = {"long_name": f"share of members at or above {amount_text(level, quantity)}", "units": "1"}
    share.attrs |= {"comment": text} if (text := unseen_chance(members.sizes["member"])) else {}
    return share
