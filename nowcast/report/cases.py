"""The case viewer's data: observations and forecasts as pictures of all lead times, which the page's script cuts up.

Pages stay small: a few cases, a few members, and pixels averaged together where all would be more than `_PIXELS`.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nowcast.data.conventions import lead_label
from nowcast.data.statistics import echo_shares, ensemble_mean, ensemble_probability, ensemble_spread
from nowcast.plots.outlines import outlines_within
from nowcast.plots.panels import EVENT_THRESHOLD, Place
from nowcast.report.geography import outline_path
from nowcast.report.models import Model, observed_share, thresholds_of
from nowcast.report.shades import Shades, all_shades, photograph
from nowcast.verification.inputs import Case, Forecast, Observations
from pipelines.store.kind import VIDEO, kind_of
from pipelines.store.schema import data_range

MEMBERS = 4
_PIXELS = 25_000_000  # of all pictures together; rain takes 0.1 to 0.3 bytes a pixel

Progress = Callable[[Sequence[Any]], Iterable[Any]]


def choose_cases(state: xr.Dataset, forecast: Forecast) -> list[tuple[Case, str]]:
    """The cases to show with the reason: that with most echo, and those of the events with the best and worst CRPS.

    Args:
        state: The forecast's sums, see `nowcast.verification.states`.
        forecast: The forecast; an event is shown by its first case. Of a video, the first case has most echo.
    """
    cases = forecast.cases
    is_video = kind_of(forecast.parts[0]) is VIDEO
    most = 0 if is_video else int(np.concatenate([echo_shares(part) for part in forecast.parts]).argmax())
    sums = state[["crps_fair", "pixels"]].sum("lead_time")
    crps = (sums["crps_fair"] / sums["pixels"]).to_series().dropna().sort_values()
    chosen = {str(cases[most]): (cases[most], "first" if is_video else "most echo")}
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
    """All data of the viewer's script, as JSON takes it.

    Args:
        chosen: See `choose_cases`.
        models: The models.
        forecasts: Their forecasts.
        observations: The observations.
        thresholds: Thresholds of the probabilities, in counts.
        progress: Wraps the cases to show how many are drawn.
    """
    leads = forecasts[0].lead_times
    store, is_video = observations.store, kind_of(observations.store) is VIDEO
    side_y, side_x = forecasts[0].parts[0].shape[-2:]
    factor = _factor(len(chosen) * len(leads) * side_y * side_x * _fields_of_case(models, thresholds))
    draw = Drawing(all_shades(), factor, data_range(store.attrs) if is_video else None)
    cases = []
    for case, reason in progress(chosen):
        footprint = observations.footprint(case)
        cases.append({
            "label": ", ".join([case.event, *([] if is_video else [_time(case.init_time)]), reason]),
            "times": [
                f"+{lead_label(lead)}" if is_video else f"{_time(time)}, +{lead_label(lead)}"
                for time, lead in zip(case.valid_times, leads, strict=True)
            ],
            "seen": int((case.valid_times <= observations.times(case)[-1]).sum()),
            "observed": draw.values(observations.fields(case)),
            "outlines": _outlines(Place.of(footprint)) if footprint else "",
            "models": [draw.forecast(forecast.fields(case, leads), thresholds) for forecast in forecasts],
        })  # fmt: skip
    return {
        "frames": len(leads),
        "width": side_x // factor,
        "height": side_y // factor,
        "averaged": factor,
        "video": is_video,
        "thresholds": list(thresholds),
        "models": [
            {"name": model.name, "members": forecast.parts[0]["member"].values[:MEMBERS].tolist()}
            for model, forecast in zip(models, forecasts, strict=True)
        ],
        "cases": cases,
    }


def _time(time: np.datetime64) -> str:
    return f"{pd.Timestamp(time):%Y-%m-%d %H:%M} UTC"


def _fields_of_case(models: Sequence[Model], thresholds: Sequence[float]) -> int:
    """Fields shown at one lead time: those of every model, and the observed one."""
    ensemble = 2 + len(thresholds)  # mean and spread, beside members
    return 1 + sum(min(MEMBERS, model.members) + (ensemble if model.is_ensemble else 0) for model in models)


def _factor(size: int) -> int:
    """Side in pixels of the blocks that are averaged, so that no more than `_PIXELS` of `size` are left."""
    return max(1, math.ceil(math.sqrt(size / _PIXELS)))


@dataclass(frozen=True)
class Drawing:
    """Draws the fields of a page as pictures.

    Attributes:
        shades: Colours of counts, probabilities and spread.
        factor: Side in pixels of the blocks that are averaged.
        largest: Largest value of a video, whose row 0 is at the top; None for radar, whose row 0 is in the south.
    """

    shades: dict[str, Shades]
    factor: int
    largest: float | None

    def values(self, fields: np.ndarray) -> str:
        """Counts with shape (lead_time, y, x), or values with shape (lead_time, channel, y, x)."""
        fields = coarse(fields, self.factor)
        return self.shades["vil"].picture(fields) if self.largest is None else photograph(fields / self.largest)

    def forecast(self, counts: np.ndarray, thresholds: Sequence[float]) -> dict[str, Any]:
        """The pictures of one forecast of a case, counts with shape (member, lead_time, ..., y, x)."""
        members = [self.values(member) for member in counts[:MEMBERS]]
        if len(counts) == 1:
            return {"members": members}
        likely = [ensemble_probability(counts, threshold) for threshold in thresholds]
        spread = ensemble_spread(counts)
        if self.largest is not None:
            spread = spread.mean(axis=1)[:, ::-1]  # of all channels
        return {
            "members": members,
            "mean": self.values(ensemble_mean(counts)),
            "probability": [self.shades["probability"].picture(coarse(one, self.factor)) for one in likely],
            "spread": self.shades["spread"].picture(coarse(spread, self.factor)),
        }


def default_threshold(scores: xr.Dataset) -> int:
    """Number of the threshold shown first: 74 counts if one pixel in a hundred reached it, else the lowest."""
    levels = np.array(thresholds_of(scores))
    if not levels.size:
        return 0
    near = int(np.abs(levels - EVENT_THRESHOLD).argmin())
    return near if observed_share(scores)[near] >= 0.01 else 0


def coarse(fields: np.ndarray, factor: int) -> np.ndarray:
    """Means of blocks of `factor` x `factor` pixels; pixels in the north and east that fill no block are cut off."""
    if factor == 1:
        return fields
    *others, y, x = fields.shape
    cut = fields[..., : y // factor * factor, : x // factor * factor]
    return cut.reshape(*others, y // factor, factor, x // factor, factor).mean(axis=(-3, -1))


def _outlines(place: Place) -> str:
    """Coasts and borders as a path in hundredths of the picture's sides."""
    return "".join(outline_path(m, place, 100, 100) for m in outlines_within(place.proj, place.extent).values())
