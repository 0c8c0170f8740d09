"""`nowcast info`: a store, run, forecast, score file or configuration, in words."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import xarray as xr
import zarr

from pipelines.errors import InputError
from pipelines.settings import find_config


def describe(path: Path) -> str:
    """A few lines on what `path` holds.

    Raises:
        InputError: when it is nothing that nowcast makes or reads.
    """
    if (path / "config.yaml").is_file():
        return _run(path)
    if path.suffix == ".safetensors" and path.is_file():
        return _checkpoint(path)
    if path.suffix in {".yaml", ".yml"} or not path.exists():
        return _config(find_config(str(path)))
    if path.is_dir():
        return _zarr(path)
    return _netcdf(path)


def _netcdf(path: Path) -> str:
    from nowcast.cli import words

    try:
        dataset = xr.open_dataset(path, decode_timedelta=True)
    except PermissionError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is nothing that nowcast made", expected="a NetCDF file") from error
    if words.is_scores(dataset):
        return words.describe_scores(dataset)
    return words.describe_sums(path) if words.is_sums(dataset) else _dataset(dataset)


def _config(path: Path) -> str:
    import torch

    from nowcast.models import build_network
    from nowcast.training.config import load_config

    config = load_config(str(path))
    with torch.device("meta"):
        network = build_network(config.model, config.network, pretrained=False)
    stages = [f"  stage {name}: {stage.steps} steps of {stage.batch} windows" for name, stage in config.stages.items()]
    return "\n".join([f"configuration {path.stem}: model {config.model}, protocol {config.protocol}", *stages,
                      *_parameters(network)])  # fmt: skip


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


def _zarr(path: Path) -> str:
    from pipelines.store.schema import SCHEMA

    try:
        schema = zarr.open_group(path, mode="r").attrs.get("schema")
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise InputError(f"{path} is nothing that nowcast made", expected="a store, run or forecast") from error
    if schema != SCHEMA:
        dataset = xr.open_zarr(path, consolidated=False)
        if {"member", "lead_time"} & set(dataset.dims):
            return _dataset(dataset)
    return _store(path)


def _store(path: Path) -> str:
    from pipelines.store.rejects import read_rejects
    from pipelines.store.schema import open_store

    store = open_store(path)
    attrs = dict(store.attrs)
    splits = Counter(store["split"].values.astype(str))
    sources, left_out = attrs.pop("source_files"), attrs.pop("left_out", [])
    reasons = Counter(line.partition(": ")[2] for line in left_out)
    shown = [f"{n} x {why}" for why, n in reasons.items()] if len(reasons) < len(left_out) else left_out
    rejects = [f"{reject.event}: {reject.reason}" for reject in read_rejects(path)]
    return "\n".join(
        [
            _extent(store),
            "splits: " + ", ".join(f"{split} {count}" for split, count in sorted(splits.items())),
            _times(store),
            *_attributes(attrs),
            *_listed("source files", sources),
            *_listed("left out", shown),
            *_listed("could not be read, missing", rejects),
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


def _listed(title: str, lines: list[str], shown: int = 10) -> list[str]:
    more = [f"  and {len(lines) - shown} more"] if len(lines) > shown else []
    return [f"{title}: {len(lines)}", *(f"  {line}" for line in lines[:shown]), *more] if lines else []


def _dataset(dataset: xr.Dataset) -> str:
    sizes = ", ".join(f"{name} {size}" for name, size in dataset.sizes.items())
    return "\n".join([f"{dataset.attrs.get('title', 'dataset')}: {sizes}",
                      f"variables: {', '.join(map(str, dataset.data_vars))}", *_attributes(dataset.attrs)])  # fmt: skip


def _attributes(attrs: dict[Any, Any]) -> list[str]:
    return [f"{key}: {text if len(text := str(value)) < 400 else text[:400] + ' ...'}" for key, value in attrs.items()]
