"""What can be trusted in a forecast: notes about its history and its model, and forecasts from histories without echo.

A history without echo gives a forecast without echo, made without the model: nothing is there to be moved, and no model
foresees the first shower at the right place. Such a forecast is no promise: showers do form,
and the file says that none of its members is not never.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from nowcast.data.conventions import ECHO, TIME, minute_text
from nowcast.data.statistics import unseen_chance
from nowcast.extrapolation.optical_flow import reached_after
from nowcast.forecasting.trained_on import day_warning, range_warning
from nowcast.models.forecaster import Cases, Forecaster


class Dry(Forecaster):
    """A forecast without echo, of histories without."""

    def predict(self, cases: Cases, leads: int, members: Sequence[int], seed: int) -> np.ndarray:
        """See `Forecaster.predict`."""
        return np.zeros((len(cases.keys), len(members), leads, *cases.frames.shape[2:]), "float32")


class Past(NamedTuple):
    """What there is to know of the history of a case before it is forecast.

    Attributes:
        dry: Whether no observed pixel has echo; never of a video.
        missing: Times of the frames without an observed pixel, datetime64.
        frames: Number of frames.
    """

    dry: bool
    missing: np.ndarray
    frames: int


def past_of(history: xr.DataArray) -> Past:
    """Look at the history of one case: counts with dims (case, frame, y, x), of video with channel; case of size 1."""
    counts = history.transpose("case", "frame", ...).values[0]
    if "channel" in history.dims:
        return Past(False, np.array([], TIME), len(counts))
    missing = np.isnan(counts).all(axis=(1, 2))
    return Past(not (counts >= ECHO).any(), history["valid_time"].values[0][missing], len(counts))


def forecaster_of(past: Past, forecaster: Forecaster) -> Forecaster:
    """The model that forecasts a case: `Dry` for a history without echo, else the given one."""
    return Dry() if past.dry else forecaster


def trust(history: xr.DataArray, leads: int) -> dict[str, np.ndarray]:
    """The variables of `nowcast.data.forecast_template.TRUST` of one case (see `past_of`), by name."""
    counts = history.transpose("case", "frame", "y", "x").values[0]
    reached = reached_after(counts, np.arange(1, leads + 1)).astype("int8")
    return {"reached": reached, "observed": np.isfinite(counts).mean(axis=0, dtype="float32")}


def gap_note(pasts: Sequence[Past]) -> str:
    """The note about frames that histories lack and that models fill; empty where there are none."""
    lacking = [past for past in pasts if len(past.missing)]
    if not lacking:
        return ""
    most = max(lacking, key=lambda past: len(past.missing))
    number, of = len(most.missing), f"of the {most.frames} frames of the history"
    if len(pasts) > 1:
        return f"frames of the history are missing in {len(lacking)} of {len(pasts)} cases, at most {number} {of}"
    times = ", ".join(minute_text(time) for time in most.missing)
    return f"{number} {of} {'is' if number == 1 else 'are'} missing: {times} UTC"


def notes(
    described: Mapping[str, Any],
    members: int,
    cadence_minutes: float,
    source: xr.Dataset | xr.DataArray,
    init_times: np.ndarray,
    pasts: Sequence[Past],
) -> list[str]:
    """Notes, except that of `gap_note`, on what can be trusted in a forecast: a line each.

    Args:
        described: Description of the model (see `nowcast.forecasting.forecast.load_forecaster`).
        members: Ensemble size.
        cadence_minutes: Minutes between frames.
        source: Store or history, whose x are metres.
        init_times: Init times of the cases, datetime64.
        pasts: The history of each case.
    """
    if "channel" in source.dims or "x" not in source.coords:
        unlike = []
    else:
        unlike = [range_warning(described, cadence_minutes, source["x"].values), day_warning(described, init_times)]
    return [note for note in [*unlike, _dry_note(pasts, members)] if note]


def _dry_note(pasts: Sequence[Past], members: int) -> str:
    dry = sum(past.dry for past in pasts)
    if not dry:
        return ""
    which = "the history" if len(pasts) == 1 else f"the history of {dry} of {len(pasts)} cases"
    return (
        f"{which} has no echo, and so the forecast has none, made without the model. {unseen_chance(members)}".strip()
    )
