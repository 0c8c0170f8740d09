"""The case viewer's data: what was observed and forecast, as pictures of all lead times that the page's script cuts up.

Pages stay small: a few cases, a few members, and pixels averaged together where the whole would be more than `_PIXELS`.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nowcast.data.conventions import lead_label
from nowcast.plots.outlines import outlines_within
from nowcast.plots.panels import EVENT_THRESHOLD, Place
from nowcast.report.models import Model, observed_share, thresholds_of
from nowcast.report.shades import Shades, all_shades, photograph
from nowcast.verification.inputs import Case, Forecast, Observations
from pipelines.store.schema import data_range
from pipelines.store.units import counts_to_vil

MEMBERS = 4
_PIXELS = 25_000_000  # of all pictures together; rain takes 0.1 to 0.3 bytes a pixel

Progress = Callable[[Sequence[Any]], Iterable[Any]]


def choose_cases(state: xr.Dataset, cases: Sequence[Case]) -> list[tuple[Case, str]]:
    """The cases to show with the reason: the first, and those of the events with the best, median and worst CRPS.

    Args:
        state: The forecast's sums, see `nowcast.verification.states`.
        cases: The cases of the forecast; an event is shown by its first one.
    """
    sums = state[["crps_fair", "pixels"]].sum("lead_time")
    crps = (sums["crps_fair"] / sums["pixels"]).to_series().dropna().sort_values()
    chosen = {str(cases[0]): (cases[0], "first")}
    if len(crps):
        for place, word in ((0, "lowest"), (-1, "highest"), (len(crps) // 2, "median")):
            case = next(case for case in cases if case.event == crps.index[place])
            chosen.setdefault(str(case), (case, f"{word} CRPS"))
    return list(chosen.values())


def viewer_data(
    chosen: Sequence[tuple[Case, str]],
    models: Sequence[Model],
    forecasts: Sequence[Forecast],
    observations: Observations,
    thresholds: Sequence[float],
    progress: Progress = iter,
) -> dict[str, Any]:
    """Everything that the viewer's script needs, as JSON takes it.

    Args:
        chosen: See `choose_cases`.
        models: The models.
        forecasts: Their forecasts.
        observations: What came.
        thresholds: Of the probabilities, on the count scale.
        progress: Wraps the cases to show how far it is.
    """
    leads = forecasts[0].lead_times
    store, is_video = observations.store, "video" in observations.store
    side_y, side_x = forecasts[0].parts[0].shape[-2:]
    factor = _factor(len(chosen) * len(leads) * side_y * side_x * _fields_of_case(models, thresholds))
    draw = Drawing(all_shades(), factor, data_range(store.attrs) if is_video else None)
    cases = []
    for case, reason in progress(chosen):
        place = _place(store, case.event)
        cases.append({
            "label": ", ".join([case.event, *([] if is_video else [_time(case.init_time)]), reason]),
            "times": [
                f"+{lead_label(lead)}" if is_video else f"{_time(time)}, +{lead_label(lead)}"
                for time, lead in zip(case.valid_times, leads, strict=True)
            ],
            "observed": draw.values(observations.fields(case)),
            "outlines": _outlines(place) if place else "",
            "models": [draw.forecast(forecast.fields(case, leads), thresholds) for forecast in forecasts],
        })  # fmt: skip
    return {
        "frames": len(leads),
        "width": side_x // factor,
        "height": side_y // factor,
        "averaged": factor,
        "video": is_video,
        "thresholds": list(thresholds),
        "models": [{"name": model.name, "members": min(MEMBERS, model.members)} for model in models],
        "cases": cases,
    }


def _time(time: np.datetime64) -> str:
    return f"{pd.Timestamp(time):%Y-%m-%d %H:%M} UTC"


def _fields_of_case(models: Sequence[Model], thresholds: Sequence[float]) -> int:
    """Fields shown at one lead time: those of every model, and the observed one."""
    ensemble = 2 + len(thresholds)  # mean and spread, beside members
    return 1 + sum(min(MEMBERS, model.members) + (ensemble if model.is_ensemble else 0) for model in models)


def _factor(size: int) -> int:
    """Pixels a side that are averaged together, so that no more than `_PIXELS` of `size` are left."""
    return max(1, math.ceil(math.sqrt(size / _PIXELS)))


@dataclass(frozen=True)
class Drawing:
    """How the fields of a page become pictures.

    Attributes:
        shades: Colours of counts, probabilities and spread.
        factor: Pixels a side that are averaged together.
        largest: Largest value of a video, whose row 0 is at the top; None for radar, whose row 0 is in the south.
    """

    shades: dict[str, Shades]
    factor: int
    largest: float | None

    def values(self, fields: np.ndarray) -> str:
        """Counts with shape (lead_time, y, x), or values with shape (lead_time, channel, y, x)."""
        fields = _coarse(fields, self.factor)
        return self.shades["vil"].picture(fields) if self.largest is None else photograph(fields / self.largest)

    def forecast(self, counts: np.ndarray, thresholds: Sequence[float]) -> dict[str, Any]:
        """The pictures of one forecast of a case, counts with shape (member, lead_time, ..., y, x)."""
        members = [self.values(member) for member in counts[:MEMBERS]]
        if len(counts) == 1:
            return {"members": members}
        missing = np.isnan(counts).any(axis=0)
        likely = [np.where(missing, np.nan, (counts >= threshold).mean(axis=0)) for threshold in thresholds]
        spread = counts.std(axis=0, ddof=1)
        if self.largest is not None:
            spread = spread.mean(axis=1)[:, ::-1]  # of all channels
        return {
            "members": members,
            "mean": self.values(counts.mean(axis=0)),
            "probability": [self.shades["probability"].picture(_coarse(one, self.factor)) for one in likely],
            "spread": self.shades["spread"].picture(_coarse(spread, self.factor)),
        }


def default_threshold(scores: xr.Dataset) -> int:
    """Number of the threshold to begin with: 74 counts if one pixel in a hundred reached it, else the lowest."""
    levels = np.array(thresholds_of(scores))
    if not levels.size:
        return 0
    near = int(np.abs(levels - EVENT_THRESHOLD).argmin())
    return near if observed_share(scores)[near] >= 0.01 else 0


def threshold_label(threshold: float) -> str:
    """A threshold in counts and in kg m-2."""
    return f"≥ {threshold:g} counts ({counts_to_vil(np.array([threshold]))[0]:.2g} kg m⁻²)"


def _coarse(fields: np.ndarray, factor: int) -> np.ndarray:
    """Means of blocks of `factor` pixels a side; what does not fill a block at the north and east is cut off."""
    if factor == 1:
        return fields
    *others, y, x = fields.shape
    cut = fields[..., : y // factor * factor, : x // factor * factor]
    return cut.reshape(*others, y // factor, factor, x // factor, factor).mean(axis=(-3, -1))


def _place(store: xr.Dataset, event: str) -> Place | None:
    """Where an event lies; None where its store does not say, as with videos."""
    if not {"proj", "corner_x", "corner_y", "x", "y"} <= set(store.variables):
        return None
    row = store[["proj", "corner_x", "corner_y"]].isel(event=store["event"].values.tolist().index(event))
    west, south = float(row["corner_x"]), float(row["corner_y"])
    x, y = store["x"].values, store["y"].values
    if not row["proj"].item() or np.isnan([west, south]).any():
        return None
    return Place(str(row["proj"].item()), (west, west + x[0] + x[-1], south, south + y[0] + y[-1]))


def _outlines(place: Place) -> str:
    """Coasts and borders as a path in hundredths of the picture's sides, from its north-west corner."""
    west, east, south, north = place.extent
    path: list[str] = []
    for metres in outlines_within(place.proj, place.extent).values():
        across = 100 * (metres[:, 0] - west) / (east - west)
        down = 100 * (north - metres[:, 1]) / (north - south)
        begun = False
        for x, y in zip(across, down, strict=True):
            if math.isfinite(x):
                path.append(f"{'L' if begun else 'M'}{x:.1f} {y:.1f}")
            begun = math.isfinite(x)
    return "".join(path)
