"""Ensembles to disk: cases one after another, members in batches that fit memory, written as they come.

Cases are windows of an archive store, or the newest frames of a file of radar (see nowcast.forecasting.cases).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nowcast.data.conventions import lead_label
from nowcast.data.conventions import lead_times as lead_times_of
from nowcast.data.forecast_file import check_target, writing_members
from nowcast.data.forecast_template import attributes, forecast_template
from nowcast.data.radar_file import Sources, Tell, several
from nowcast.data.windows import history_of
from nowcast.forecasting.cases import Cases, Request, find_cases, parse_around, parse_lead, parse_time
from nowcast.forecasting.quality import Past, forecaster_of, gap_note, notes, past_of, trust
from nowcast.forecasting.summary import writing_summary
from nowcast.models import MODELS, is_trainable, model_class, model_names
from nowcast.models.checkpoint import SHIPPED, checkpoint_path, file_hash, load_network, read_header
from nowcast.models.device import best_device
from nowcast.models.forecaster import Forecaster
from nowcast.models.trained import TrainedForecaster
from pipelines.errors import InputError
from pipelines.store.amounts import quantity_of_counts, quantity_of_units
from pipelines.store.kind import VIDEO, kind_of
from pipelines.store.paths import refuse_inputs
from pipelines.store.schema import pixels
from pipelines.store.units import COUNTS

__all__ = ["Request", "load_forecaster", "parse_around", "parse_lead", "parse_time", "write_forecast"]

MEMBERS = 100  # where no ensemble size is asked for
LARGE_GB = 10.0  # of a forecast before compression, or of the members of a case in memory
KEPT_GB = 0.5  # of histories that are looked at before the first is forecast, and are not read again
PIXELS_AT_ONCE = 80 * 128**2  # of all members that a network makes in one call
_OPTIONS = {"sampler": "--sampler", "steps": "--sampling-steps"}

Progress = Callable[[Sequence[Any]], Iterable[Any]]


def load_forecaster(
    model: str | Path, *, device: str | None = None, sampling: dict[str, Any] | None = None
) -> tuple[Forecaster, dict[str, Any]]:
    """The forecaster that a name, run folder or checkpoint stands for, and what to write about it.

    Args:
        model: A name of the table of models, which wins over a folder of that name; else the path of a run folder or
            checkpoint. A `Path`, or text such as "./persistence", is never a name.
        device: cpu or cuda; by default the best there is.
        sampling: Sampling settings that replace those of a trained network.

    Raises:
        InputError: when there is no such model or device, the network is not trained yet, or is not sampled.
    """
    device = best_device(device)
    if isinstance(model, str) and (model in MODELS or model in model_names()):
        if not is_trainable(model_class(model)):
            _check_sampling(model, sampling or {})
            return model_class(model)(), {"model": model}
        path = SHIPPED / f"{model}.safetensors"
        if not path.is_file():
            raise InputError(f"model {model} must be trained first", remedy="give its run folder")
    elif Path(model).exists():
        path = checkpoint_path(model)
    else:
        raise InputError(
            f"no model {str(model)!r}", expected=f"a run folder, a checkpoint or one of {', '.join(model_names())}"
        )
    _check_sampling(read_header(path)["config"]["model"], sampling or {})
    network, config = load_network(path, sampling or {})
    return TrainedForecaster(network, device), {
        "model": config["model"],
        "checkpoint_sha256": file_hash(path),
        "config": config,
    }


def _check_sampling(model: str, sampling: dict[str, Any]) -> None:
    """Refuse sampling settings that a model has not."""
    settings = getattr(model_class(model), "Settings", None)
    section = settings and settings.model_fields.get("sampling")
    known = getattr(section.annotation, "model_fields", {}) if section else {}
    unknown = [_OPTIONS.get(key, key) for key in sampling if key not in known]
    if unknown:
        raise InputError(
            f"the model {model} is not sampled" if not known else f"the sampling of {model} has no such setting",
            got=" and ".join(unknown),
            expected=f"one of {', '.join(_OPTIONS.get(key, key) for key in known)}" if known else None,
        )


def write_forecast(
    forecaster: Forecaster,
    source: Sources | Cases,
    out: Path,
    request: Request,
    *,
    described: dict[str, Any],
    overwrite: bool = False,
    tell: Tell = lambda text: None,
    progress: Progress = iter,
) -> Path:
    """Forecast the cases of a store, or the newest frames of a file, into a NetCDF (.nc) or Zarr (.zarr) file.

    The file appears whole or not at all.

    Args:
        forecaster: The model.
        source: Archive store; or files of radar, folders or wildcards (see nowcast.forecasting.live); or their cases.
        out: File to write.
        request: Cases, members and seed.
        described: Attributes of the file about the model (see `load_forecaster`).
        overwrite: Replace `out` where it exists.
        tell: Called with one line each about what is left out or doubtful, and at the end with a summary.
        progress: Wraps the batches of members to show how far it is.

    Returns:
        `out`. Dims (case, member, lead_time, y, x): `rainfall_rate`, `reflectivity` or `vil` in the units that went in
        (see nowcast.data.forecast_file), or `video` with channel before y; or summaries of it (see
        nowcast.forecasting.summary).

    Raises:
        InputError: for an `out` that exists, is the source or has another suffix, or cases that the source lacks.
    """
    refuse_inputs(out, [] if isinstance(source, Cases) else several(source))
    check_target(out, overwrite)
    cases = source if isinstance(source, Cases) else cases_of(forecaster, source, request, tell)
    quantity = _quantity(cases.store, request.units)
    minutes = cases.store.attrs["cadence_minutes"]
    numbers, size = member_batches(forecaster, request.members, pixels(cases.store))
    pasts, kept = _looked_at(cases)
    known = notes(described, len(numbers), minutes, cases.store, cases.init_times, pasts)
    for note in [*deterministic_note(forecaster, described, request.members), *known]:
        tell(note)
    lead_times = lead_times_of(minutes, cases.lead)
    template = forecast_template(cases.store, cases.windows, cases.history, numbers, lead_times, size, quantity)
    template.attrs = attributes(cases.store, request.seed, described, quantity)
    if quality := [note for note in (gap_note(pasts), *known) if note]:
        template.attrs["quality"] = "\n".join(quality)
    if request.summary_only:
        writing = writing_summary(out, template, cases.thresholds, quantity, overwrite=overwrite)
    else:
        writing = writing_members(out, template, quantity, overwrite=overwrite)
    starts = range(0, len(numbers), size)
    batches = [(case, slice(start, start + size)) for case in range(len(cases.windows)) for start in starts]
    with writing as (put_members, put):
        for case, batch in progress(batches):
            if batch.start == 0:
                past = kept.pop(case) if case in kept else _history(cases, case)
                ensemble = forecaster_of(pasts[case], forecaster).begin(past, lead_times, request.seed)
                if kind_of(cases.store) is not VIDEO:
                    for name, values in trust(past, cases.lead).items():
                        put(name, case, values)
            put_members(case, batch, ensemble.members(numbers[batch]).values[0])
    tell(_summary(cases, lead_times, len(numbers)))
    return out


def cases_of(forecaster: Forecaster, source: Sources, request: Request, tell: Tell) -> Cases:
    """See `find_cases`; where the members need much room, a line says so before any frame is read."""

    def sized(store: xr.Dataset, cases: int, lead: int) -> None:
        is_packed = _quantity(store, request.units) == COUNTS or request.summary_only
        numbers, _ = member_batches(forecaster, request.members, pixels(store))
        shape = (1 if request.summary_only else cases, len(numbers), lead, *pixels(store).shape[2:])
        gb = 1e-9 * (2 if is_packed else 4) * math.prod(shape)
        size = f"{float(f'{gb:.2g}'):g} GB"
        if gb > LARGE_GB and request.summary_only:
            tell(f"the members of a case need {size} of memory: --ensemble or --around make them smaller")
        elif gb > LARGE_GB:
            less = "--ensemble, --around or --summary-only make it smaller"
            tell(f"the forecast holds {size} before compression: {less}")

    return find_cases(source, forecaster.window, request, tell, sized)


def _quantity(store: xr.Dataset, units: str | None) -> str:
    """The quantity in whose unit a forecast is written."""
    if kind_of(store) is not VIDEO:
        return quantity_of_units(units) if units else quantity_of_counts(store.attrs)
    if units and quantity_of_units(units) != COUNTS:
        raise InputError("a video has no units", got=units, remedy="leave out --units")
    return COUNTS


def deterministic_note(forecaster: Forecaster, described: Mapping[str, Any], members: int | None) -> list[str]:
    """A line where several members are asked of a model that makes one; else nothing."""
    if not forecaster.deterministic or (members or 1) == 1:
        return []
    return [f"{described['model']} is deterministic: one member instead of {members}"]


def _history(cases: Cases, case: int) -> xr.DataArray:
    return history_of(cases.store, [cases.windows[case]], cases.history)


def _looked_at(cases: Cases) -> tuple[list[Past], dict[int, xr.DataArray]]:
    """What there is to know of each case's history, and the histories themselves, as many as `KEPT_GB` and one hold."""
    pasts, kept = [], dict[int, xr.DataArray]()
    for case in range(len(cases.windows)):
        history = _history(cases, case)
        pasts.append(past_of(history))
        if not kept or (len(kept) + 1) * history.nbytes <= KEPT_GB * 1e9:
            kept[case] = history
    return pasts, kept


def _summary(cases: Cases, lead_times: np.ndarray, members: int) -> str:
    """Cases, init times, lead times and members in one line."""
    first, last = (str(time(cases.init_times).astype("datetime64[m]")).replace("T", " ") for time in (np.min, np.max))
    times = "" if "channel" in cases.store.dims else f", init time {first}{f' to {last}' * (first != last)} UTC"
    return (
        f"{_count(len(cases.windows), 'case')}{times}, {_count(cases.lead, 'lead time')} to "
        f"{lead_label(lead_times[-1])}, {_count(members, 'member')}"
    )


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"


def member_batches(forecaster: Forecaster, members: int | None, frames: xr.DataArray) -> tuple[list[int], int]:
    """The numbers of the members to make, and how many to ask for at once: as many as are best, and fit memory.

    Args:
        forecaster: The model.
        members: Ensemble size that is asked for; 100 where it is None.
        frames: Frames with two dims before those of a pixel.
    """
    numbers = [0] if forecaster.deterministic else list(range(members or MEMBERS))
    if forecaster.member_batch is None:
        return numbers, len(numbers)
    fitting = PIXELS_AT_ONCE // math.prod(frames.shape[2:])
    return numbers, max(1, min(forecaster.member_batch, fitting, len(numbers)))
