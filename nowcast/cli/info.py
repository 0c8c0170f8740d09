"""`nowcast info`: a short description of a store, run, forecast, score file, configuration or files of radar."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nowcast.cli.info_radar import describe_radar
from nowcast.data.conventions import ECHO
from nowcast.data.packing import counts_again
from nowcast.data.radar_file import is_forecast, is_store, is_wildcard
from nowcast.training.config import config_names, find_config
from pipelines.errors import InputError
from pipelines.store.amounts import quantity_of_units
from pipelines.store.paths import near
from pipelines.store.reading import open_dataset
from pipelines.store.units import QUANTITIES

SHOWN = 10  # lines of a list, unless all are asked for
_FIELDS = [f"{quantity.name}{part}" for quantity in QUANTITIES.values() for part in ("", "_mean")]


def describe(path: Path, *, everything: bool = False) -> str:
    """A short description of a store, run, checkpoint, configuration, forecast, score file, file of sums, or of radar.

    Args:
        path: Its path, or the name of a configuration, or a wildcard of files of radar.
        everything: List all that there is: every case, score or source file, not the first ones; look at all frames.

    Raises:
        InputError: when nothing is there, or it is damaged, or nothing that nowcast makes or reads.
    """
    try:
        return _describe(path, everything)
    except (InputError, PermissionError, MemoryError):
        raise
    except Exception as error:  # the libraries have exceptions of their own for damaged files
        raise InputError(f"{path} is damaged, or nothing that nowcast made", got=_first_line(error)) from error


def _describe(path: Path, everything: bool) -> str:
    if (path / "config.yaml").is_file():
        return _run(path)
    if path.suffix == ".safetensors" and path.is_file():
        return _checkpoint(path)
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        return _config(path)
    if not path.exists() and not is_wildcard(path):
        return _config(_named(path))
    shown = None if everything else SHOWN
    if is_store(path):
        return _store(path, shown)
    if path.is_file() and path.suffix == ".nc":
        return _netcdf(path, shown)
    if is_forecast(path):
        with open_dataset(path, decode_timedelta=True) as dataset:
            return _dataset(dataset, shown)
    try:
        return describe_radar([path], everything=everything)
    except InputError as error:
        raise InputError(f"{path} is nothing that nowcast made, and is not read as radar", got=error) from error


def _named(path: Path) -> Path:
    """The configuration of a name that is no path.

    Raises:
        InputError: when there is none either.
    """
    try:
        return find_config(str(path))
    except InputError as error:
        names = [] if path.suffix or path.name != str(path) else config_names()
        raise InputError(
            f"no such file or folder, and no configuration: {path}{near(path, names)}"
            if names
            else f"no such file or folder: {path}{near(path)}"
        ) from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _netcdf(path: Path, shown: int | None) -> str:
    from nowcast.cli import words

    with open_dataset(path, decode_timedelta=True, decode_coords="all") as dataset:
        if words.is_scores(dataset):
            return words.describe_scores(dataset, everything=shown is None)
        if words.is_sums(dataset):
            return words.describe_sums(path)
        if is_forecast(path):
            return _dataset(dataset, shown)
        try:
            return describe_radar([path], everything=shown is None)
        except InputError as error:
            return f"{_dataset(dataset, shown)}\nnot read as radar: {error}"


def _config(path: Path) -> str:
    from nowcast.cli.models import outline
    from nowcast.training.config import load_config

    config = load_config(str(path))
    stages = [f"  stage {name}: {stage.steps} steps of {stage.batch} windows" for name, stage in config.stages.items()]
    return "\n".join([f"configuration {path.stem}: model {config.model}, protocol {config.protocol}", *stages,
                      *_parameters(outline(config))])  # fmt: skip


def _parameters(network: Any) -> list[str]:
    counts = {name: sum(p.numel() for p in child.parameters()) for name, child in network.named_children()}
    return [
        f"parameters: {sum(counts.values()):,}",
        *(f"  {name}: {count:,}" for name, count in counts.items() if count),
    ]


def _run(path: Path) -> str:
    from nowcast.models.checkpoint import MODEL_FILE, STATE_FILE, read_header

    lines = [f"run {path}"]
    if (path / STATE_FILE).is_file():
        header = read_header(path / STATE_FILE)
        lines.append(f"in training: stage {header['stage']}, step {header['step']}")
    if (path / MODEL_FILE).is_file():
        lines.append(_checkpoint(path / MODEL_FILE))
    if (path / "metrics.jsonl").is_file():
        lines += _last_records(path / "metrics.jsonl")
    return "\n".join(lines)


def _last_records(file: Path) -> list[str]:
    last: dict[tuple[str, bool], dict[str, Any]] = {}
    for line in file.read_text().splitlines():
        record = json.loads(line)
        last[record["stage"], "val_loss" in record] = record
    return [
        f"  {stage} step {record['step']}: " + f"{'val_loss' if validation else 'loss'} "
        f"{record['val_loss' if validation else 'loss']:.4g}"
        for (stage, validation), record in last.items()
    ]


def _checkpoint(path: Path) -> str:
    from nowcast.models.checkpoint import file_hash, load_network, read_header

    header = read_header(path)
    network, config = load_network(path)
    return "\n".join(
        [
            f"checkpoint {path} (sha256 {file_hash(path)}...): model {config['model']}, "
            f"protocol {config.get('protocol')}",
            f"stages done: {', '.join(header['stages'])}",
            *_parameters(network),
        ]
    )


def _store(path: Path, shown: int | None) -> str:
    from pipelines.store.rejects import read_rejects
    from pipelines.store.schema import open_store

    store = open_store(path)
    attrs = dict(store.attrs)
    splits = Counter(store["split"].values.astype(str))
    sources, left_out = attrs.pop("source_files"), attrs.pop("left_out", [])
    reasons = Counter(line.partition(": ")[2] for line in left_out)
    counted = [f"{n} x {why}" for why, n in reasons.items()] if len(reasons) < len(left_out) else left_out
    rejects = [f"{reject.event}: {reject.reason}" for reject in read_rejects(path)]
    return "\n".join(
        [
            _extent(store),
            "splits: " + ", ".join(f"{split} {count}" for split, count in sorted(splits.items())),
            _times(store),
            *_attributes(attrs),
            *_listed("source files", sources, shown),
            *_listed("left out", counted, shown),
            *_listed("could not be read, missing", rejects, shown),
        ]
    )


def _extent(store: xr.Dataset) -> str:
    events = "clips" if "channel" in store.dims else "events"
    colours = f" of {', '.join(store['channel'].values)}" if "channel" in store.dims else ""
    return (
        f"store of {store.sizes['event']} {events}, {store.sizes['frame']} frames, {store.sizes['y']} x "
        f"{store.sizes['x']} pixels{colours}, {float(store['missing_fraction'].mean()):.1%} missing"
    )


def _times(store: xr.Dataset) -> str:
    if "channel" in store.dims:  # their dates mean nothing
        return f"times: {1 / (60 * store.attrs['cadence_minutes']):g} frames a second"
    return f"times: {_minute(store['valid_time'].min())} to {_minute(store['valid_time'].max())} UTC"


def _minute(time: xr.DataArray) -> str:
    return str(time.values.astype("datetime64[m]")).replace("T", " ")


def _listed(title: str, lines: list[str], shown: int | None) -> list[str]:
    if not lines:
        return []
    more = len(lines) - len(lines[:shown])
    left_out = [f"  and {more} more: say --all"] if more else []
    return [f"{title}: {len(lines)}", *(f"  {line}" for line in lines[:shown]), *left_out]


def _dataset(dataset: xr.Dataset, shown: int | None) -> str:
    fields = sorted(dataset.data_vars.values(), key=lambda field: -field.ndim)
    names = dict.fromkeys([*(name for field in fields for name in field.dims), *dataset.sizes])
    sizes = ", ".join(f"{name}: {dataset.sizes[name]}" for name in names)
    return "\n".join(
        [
            f"{dataset.attrs.get('title', 'dataset')}: {sizes}",
            f"variables: {', '.join(map(str, dataset.data_vars))}",
            *_cases(dataset, shown),
            *_attributes(dataset.attrs),
        ]
    )


def _cases(forecast: xr.Dataset, shown: int | None) -> list[str]:
    """The cases of a forecast: number, event, init time, place of the centre, and share of echo at the first lead."""
    if not {"event", "init_time"} <= set(forecast.variables) or "case" not in forecast.dims:
        return []
    lines = []
    for number in range(forecast.sizes["case"])[:shown]:
        case = forecast.isel(case=number)
        parts = [f"{number}", str(case["event"].item()), f"init {_minute(case['init_time'])} UTC"]
        if {"latitude", "longitude"} <= set(case.variables):
            parts.append(_place(*(case[name].values for name in ("latitude", "longitude"))))
        name = next((name for name in _FIELDS if name in case), None)
        if name:
            field = case[name].isel({dim: 0 for dim in case[name].dims[:-2]})
            parts.append(_echo(counts_again(field.values, quantity_of_units(field.attrs["units"]))))
        lines.append("  ".join(parts))
    more = forecast.sizes["case"] - len(lines)
    return _listed("cases", lines + ["..."] * more, shown)


def _place(latitude: np.ndarray, longitude: np.ndarray) -> str:
    lat, lon = (values[values.shape[0] // 2, values.shape[1] // 2] for values in (latitude, longitude))
    return f"{abs(lat):.2f} {'N' if lat >= 0 else 'S'} {abs(lon):.2f} {'E' if lon >= 0 else 'W'}"


def _echo(counts: np.ndarray) -> str:
    """The share of echo among the pixels of one field that are forecast."""
    seen = np.isfinite(counts)
    return f"echo {(counts[seen] >= ECHO).mean():.0%}" if seen.any() else "no pixel observed"


def _attributes(attrs: dict[Any, Any]) -> list[str]:
    return [f"{key}: {text if len(text := str(value)) < 400 else text[:400] + ' ...'}" for key, value in attrs.items()]
