"""Ensembles to disk: cases one after another, members in batches that fit memory, written as they come.

Cases are windows of an archive store, or the newest frames of a file of radar (see nowcast.forecasting.live).
"""

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nowcast.data.conventions import THRESHOLDS, TIME
from nowcast.data.conventions import lead_times as lead_times_of
from nowcast.data.forecast_file import attributes, check_target, forecast_template, writing_members
from nowcast.data.windows import Window, find_windows, history_of
from nowcast.forecasting import live
from nowcast.forecasting.summary import writing_summary
from nowcast.models import MODELS, is_trainable, model_class
from nowcast.models.checkpoint import checkpoint_path, file_hash, load_network
from nowcast.models.device import best_device
from nowcast.models.forecaster import Forecaster
from nowcast.models.network import TrainedForecaster
from pipelines.errors import InputError
from pipelines.store.paths import refuse_inputs
from pipelines.store.protocol import load_protocol
from pipelines.store.schema import open_store, pixels

COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
PIXELS_AT_ONCE = 80 * 128**2  # of all members that a network makes in one call


@dataclass(frozen=True)
class Request:
    """Which cases to forecast and how.

    Attributes:
        members: Ensemble size.
        split: Split whose evaluation windows are forecast; not used when events are named.
        events: Only these event ids, of any split.
        init: Only this init time (UTC): the last frame that the model sees.
        limit: At most so many cases.
        seed: Seed of the run.
        summary_only: Whether to write mean, spread, quantiles and probabilities instead of members.
    """

    members: int = 100
    split: str = "test"
    events: tuple[str, ...] = ()
    init: np.datetime64 | None = None
    limit: int | None = None
    seed: int = 0
    summary_only: bool = False


@dataclass(frozen=True)
class _Source:
    """What is forecast: windows of a store, frames given and to come, and thresholds that matter."""

    store: xr.Dataset
    windows: list[Window]
    history: int
    lead: int
    thresholds: tuple[float, ...]


def parse_time(text: str) -> np.datetime64:
    """A UTC time such as 2019-06-01T12:30.

    Raises:
        InputError: when it is none.
    """
    try:
        return np.datetime64(text.removesuffix("Z").strip(), "us")
    except ValueError as error:
        raise InputError("wrong time", got=repr(text), expected="UTC, such as 2019-06-01T12:30") from error


def load_forecaster(
    model: str, *, device: str | None = None, sampling: dict[str, Any] | None = None
) -> tuple[Forecaster, dict[str, Any]]:
    """The forecaster that a name, run folder or checkpoint stands for, and what to write about it.

    Raises:
        InputError: when there is no such model or device, or the name is that of an untrained network.
    """
    device = best_device(device)
    if model in MODELS and not Path(model).exists() and not is_trainable(model_class(model)):
        if sampling:
            raise InputError(f"the model {model} is not sampled", got=f"--{' and --'.join(sampling)}")
        return model_class(model)(), {"model": model}
    try:
        path = checkpoint_path(model)
    except InputError as error:
        if model in MODELS:
            raise InputError(f"model {model} must be trained first", remedy="give its run folder") from error
        raise InputError(
            f"no model {model!r}", expected=f"a run folder, a checkpoint or one of {', '.join(MODELS)}"
        ) from error
    network, config = load_network(path, sampling or {})
    described = {
        "model": config["model"],
        "checkpoint_sha256": file_hash(path),
        "config": config,
    }
    return TrainedForecaster(network, device), described


def write_forecast(
    forecaster: Forecaster,
    source: Path,
    out: Path,
    request: Request,
    *,
    described: dict[str, Any],
    overwrite: bool = False,
) -> Path:
    """Forecast the cases of a store, or the newest frames of a file, into a NetCDF (.nc) or Zarr (.zarr) file.

    The file appears whole or not at all.

    Args:
        forecaster: The model.
        source: Archive store, or file of radar (see nowcast.forecasting.live).
        out: File to write.
        request: Cases, members and seed.
        described: What the file says of the model.
        overwrite: Replace `out` where it exists.

    Returns:
        `out`. Dims (case, member, lead_time, y, x); `vil` in counts, or `video` with channel before y; or summaries of
        it (see nowcast.forecasting.summary).

    Raises:
        InputError: for an `out` that exists, is the source or has another suffix, or cases that the source lacks.
    """
    refuse_inputs(out, [source])
    check_target(out, overwrite)
    given = _open(source, forecaster.window, request)
    numbers = [0] if forecaster.deterministic else list(range(request.members))
    lead_times = lead_times_of(given.store.attrs["cadence_minutes"], given.lead)
    size = min(_at_once(forecaster, given.store), len(numbers))
    batches = [slice(first, first + size) for first in range(0, len(numbers), size)]
    template = forecast_template(given.store, given.windows, given.history, numbers, lead_times, size)
    template.attrs = attributes(given.store, request.seed, described)
    if request.summary_only:
        writing = writing_summary(out, template, given.thresholds, overwrite=overwrite)
    else:
        writing = writing_members(out, template, overwrite=overwrite)
    with Progress(*COLUMNS) as bar, writing as put:
        task = bar.add_task("forecast", total=len(given.windows) * len(batches))
        for case, window in enumerate(given.windows):
            past = history_of(given.store, [window], given.history)
            for batch in batches:
                counts = forecaster.forecast(past, lead_times, numbers[batch], request.seed)
                put(case, batch, counts.values[0])
                bar.advance(task)
    return out


def _at_once(forecaster: Forecaster, store: xr.Dataset) -> int:
    """Members to ask for at once: as many as are best, and fit memory."""
    if forecaster.member_batch is None:
        return sys.maxsize
    fitting = PIXELS_AT_ONCE // math.prod(pixels(store).shape[2:])
    return max(1, min(forecaster.member_batch, fitting))


def _open(source: Path, window: tuple[int, int] | None, request: Request) -> _Source:
    if live.is_store(source):
        store = open_store(source)
        protocol = load_protocol(store.attrs["protocol"])
        history, lead = window or (protocol.history, protocol.lead)
        windows = _cases(store, request, history, lead, protocol.stride)
        return _Source(store, windows, history, lead, protocol.thresholds)
    history, lead = window or (live.LENGTH, live.LENGTH)
    store = live.read_history(source, history, request.init)
    windows = find_windows(store, history=history, lead=0, stride=1, events=request.events or None)
    return _Source(store, windows, history, lead, THRESHOLDS)


def _cases(store: xr.Dataset, request: Request, history: int, lead: int, stride: int) -> list[Window]:
    split = None if request.events else request.split
    if request.init is None:
        windows = find_windows(
            store, history=history, lead=lead, stride=stride, split=split, events=request.events or None
        )
    else:
        init = request.init.astype(TIME)
        windows = find_windows(store, history=history, lead=0, stride=1, split=None, events=request.events or None)
        times = store["valid_time"].values.astype(TIME)
        windows = [w for w in windows if times[w.event, w.start + history - 1] == init]
        if not windows:
            raise InputError(
                f"the store has no {history} frames that end at {init}",
                remedy="see `nowcast info STORE` for its events and times",
            )
    return windows[: request.limit]
