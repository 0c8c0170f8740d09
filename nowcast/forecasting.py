"""Ensembles to disk: cases one after another, members in batches that fit memory, written as they come."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array
import netCDF4
import numpy as np
import xarray as xr
import zarr
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nowcast import __version__
from nowcast.checkpoint import checkpoint_path, file_hash, load_network
from nowcast.conventions import COORDINATE_ATTRS, FORECAST_DIMS, MAX_COUNT
from nowcast.models import MODELS, is_trainable, model_class
from nowcast.models.forecaster import Forecaster
from nowcast.models.network import TrainedForecaster
from nowcast.windows import Window, find_windows, history_of
from pipelines.errors import InputError
from pipelines.geo import lat_lon
from pipelines.protocol import load_protocol
from pipelines.store import open_store

# Counts are packed into signed 16-bit integers, as CF allows: steps of 1/128 count reach past 254.
PACKING = {"dtype": "int16", "scale_factor": np.float32(1 / 128), "_FillValue": np.int16(-1)}


COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


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
    """

    members: int = 100
    split: str = "test"
    events: tuple[str, ...] = ()
    init: np.datetime64 | None = None
    limit: int | None = None
    seed: int = 0


def load_forecaster(
    model: str, *, device: str = "cpu", sampling: dict[str, Any] | None = None
) -> tuple[Forecaster, dict[str, Any]]:
    """The forecaster that a name, run folder or checkpoint stands for, and what to write about it.

    Raises:
        InputError: when there is no such model, or the name is that of an untrained network.
    """
    if model in MODELS and not Path(model).exists():
        cls = model_class(model)
        if is_trainable(cls):
            raise InputError(f"model {model} must be trained first", remedy="give its run folder")
        return cls(), {"model": model}
    if not Path(model).exists():
        raise InputError(f"no model {model!r}", expected=f"a run folder, a checkpoint or one of {', '.join(MODELS)}")
    network, config = load_network(Path(model), {"sampling": sampling} if sampling else None)
    described = {
        "model": config.model,
        "checkpoint_sha256": file_hash(checkpoint_path(Path(model))),
        "config": config.model_dump(mode="json"),
    }
    return TrainedForecaster(network, device), described


def write_forecast(
    forecaster: Forecaster,
    store_path: Path,
    out: Path,
    request: Request,
    *,
    described: dict[str, Any],
    overwrite: bool = False,
) -> Path:
    """Forecast the cases of a store into a NetCDF (.nc) or Zarr (.zarr) file, which appears whole or not at all.

    Args:
        forecaster: The model.
        store_path: Archive store.
        out: File to write.
        request: Cases, members and seed.
        described: What the file says of the model.
        overwrite: Replace `out` where it exists.

    Returns:
        `out`. Dims (case, member, lead_time, y, x); `vil` in counts.

    Raises:
        InputError: for an `out` that exists or has another suffix, or cases that the store lacks.
    """
    if out.suffix not in {".nc", ".zarr"}:
        raise InputError(f"cannot write {out}", expected="a name ending in .nc or .zarr")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists", remedy="say --overwrite to replace it")
    store = open_store(store_path)
    protocol = load_protocol(store.attrs["protocol"])
    history, lead = forecaster.window or (protocol.history, protocol.lead)
    windows = _cases(store, request, history, lead, protocol.stride)
    numbers = [0] if forecaster.deterministic else list(range(request.members))
    lead_times = (np.arange(1, lead + 1) * round(protocol.cadence_minutes * 60)).astype("timedelta64[s]")
    size = min(forecaster.member_batch or len(numbers), len(numbers))
    batches = [slice(first, first + size) for first in range(0, len(numbers), size)]
    template = _template(store, windows, history, numbers, lead_times)
    template.attrs = _attributes(store, request, described)
    with _appearing_whole(out) as partial, _packed_counts(template, partial, size) as packed, Progress(*COLUMNS) as bar:
        task = bar.add_task("forecast", total=len(windows) * len(batches))
        for case, window in enumerate(windows):
            past = history_of(store, [window], history)
            for batch in batches:
                counts = forecaster.forecast(past, lead_times, numbers[batch], request.seed)
                packed[case, batch] = _pack(counts.values[0])
                bar.advance(task)
    return out


def open_forecast(path: Path) -> xr.Dataset:
    """A forecast file, opened lazily: counts, float32, NaN missing.

    Raises:
        InputError: when there is no such file or it holds no forecast.
    """
    if not path.exists():
        raise InputError(f"no forecast {path}")
    try:
        forecast = xr.open_zarr(path) if path.suffix == ".zarr" else xr.open_dataset(path, chunks={})
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is not a forecast", got=error, expected="NetCDF or Zarr") from error
    if "vil" not in forecast or not {"case", "lead_time"} <= set(forecast["vil"].dims):
        raise InputError(f"{path} is not a forecast", got=list(forecast), expected=f"vil with dims {FORECAST_DIMS}")
    return forecast


@contextmanager
def _appearing_whole(out: Path) -> Iterator[Path]:
    """A place to write beside `out`; it becomes `out` only if all goes well."""
    partial = out.with_name(f".{out.stem}.partial{out.suffix}")
    _remove(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        _remove(out)
        os.replace(partial, out)
    finally:
        _remove(partial)


@contextmanager
def _packed_counts(template: xr.Dataset, path: Path, members: int) -> Iterator[Any]:
    """Write the template's coordinates to `path` and yield its packed counts, to be assigned slice by slice."""
    chunks = (1, members, *template["vil"].shape[2:])
    if path.suffix == ".zarr":
        template.to_zarr(path, compute=False, encoding={"vil": {**PACKING, "chunks": chunks}})
        yield zarr.open_array(path / "vil", mode="r+")
        return
    encoding = {**PACKING, "chunksizes": chunks, "zlib": True, "complevel": 1}
    template.to_netcdf(path, engine="netcdf4", compute=False, encoding={"vil": encoding})
    with netCDF4.Dataset(path, "a") as file:
        file["vil"].set_auto_maskandscale(False)
        yield file["vil"]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _cases(store: xr.Dataset, request: Request, history: int, lead: int, stride: int) -> list[Window]:
    split = None if request.events else request.split
    if request.init is None:
        windows = find_windows(
            store, history=history, lead=lead, stride=stride, split=split, events=request.events or None
        )
    else:
        init = request.init.astype("datetime64[s]")
        windows = find_windows(
            store, history=history, lead=0, stride=1, split=None, events=request.events or None
        )
        times = store["valid_time"].values.astype("datetime64[s]")
        windows = [w for w in windows if times[w.event, w.start + history - 1] == init]
        if not windows:
            raise InputError(
                f"the store has no {history} frames that end at {init}",
                remedy="see `nowcast info STORE` for its events and times",
            )
    return windows[: request.limit]


def _template(
    store: xr.Dataset, windows: Sequence[Window], history: int, members: Sequence[int], lead_times: np.ndarray
) -> xr.Dataset:
    """The forecast file without its numbers."""
    events = store.isel(event=[window.event for window in windows])
    last = np.array([window.start + history - 1 for window in windows])
    init_times = store["valid_time"].values.astype("datetime64[s]")[[w.event for w in windows], last]
    places = [lat_lon(*place, store["x"].values, store["y"].values) for place in _places(events)]
    shape = (len(windows), len(members), len(lead_times), store.sizes["y"], store.sizes["x"])
    zeros = dask.array.zeros(shape, dtype="float32", chunks=(1, *shape[1:]))
    forecast = xr.Dataset(
        {"vil": (FORECAST_DIMS, zeros, {"long_name": "vertically integrated liquid, SEVIR counts", "units": "1"})},
        coords={
            "event": ("case", events["event"].values.astype(str), {"long_name": "SEVIR event"}),
            "init_time": ("case", init_times),
            "valid_time": (("case", "lead_time"), init_times[:, None] + lead_times[None]),
            "member": np.array(members, "int32"),
            "lead_time": lead_times,
            "y": store["y"],
            "x": store["x"],
            "latitude": (("case", "y", "x"), np.stack([lat for lat, _ in places]).astype("float32")),
            "longitude": (("case", "y", "x"), np.stack([lon for _, lon in places]).astype("float32")),
            **{name: ("case", events[name].values, events[name].attrs) for name in ("proj", "corner_x", "corner_y")},
        },
    )
    for name, attrs in COORDINATE_ATTRS.items():
        forecast[name].attrs |= attrs
    if "crs" in store:
        forecast = forecast.assign_coords(crs=store["crs"])
    return forecast


def _places(events: xr.Dataset) -> list[tuple[str, float, float]]:
    columns = (events[name].values for name in ("proj", "corner_x", "corner_y"))
    return [(str(proj), float(x), float(y)) for proj, x, y in zip(*columns, strict=True)]


def _attributes(store: xr.Dataset, request: Request, described: dict[str, Any]) -> dict[str, Any]:
    attrs = {
        "Conventions": "CF-1.8",
        "title": f"nowcast by {described['model']}",
        "source": f"nowcast {__version__}",
        "seed": request.seed,
        **{key: store.attrs[key] for key in ("protocol", "reducer", "event_list_hash") if key in store.attrs},
        **described,
    }
    return {key: json.dumps(value) if isinstance(value, dict) else value for key, value in attrs.items()}


def _pack(counts: np.ndarray) -> np.ndarray:
    packed = np.rint(np.clip(counts, 0, MAX_COUNT) / PACKING["scale_factor"])
    return np.where(np.isnan(packed), PACKING["_FillValue"], packed).astype("int16")
