"""Which training run: its folder, its configuration, the stages that are done and those that are left.

A run folder holds config.yaml (the resolved configuration, and the one before `--set`), metrics.jsonl, samples/,
model.safetensors after each finished stage and state.safetensors within one. The first process of several writes it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import Accelerator

from nowcast.data.seeds import integer_seed
from nowcast.models import build_network
from nowcast.models.checkpoint import (
    MODEL_FILE,
    STATE_FILE,
    checkpoint_path,
    load_finished_stages,
    load_tensors,
    load_weights,
    read_header,
)
from nowcast.models.device import best_device, multiplies_bf16
from nowcast.models.network import Network
from nowcast.training.config import RunConfig, parse_config
from nowcast.training.data import TrainingData, fingerprint
from nowcast.training.loop import StageRun
from nowcast.training.windows import TrainingStore, channels_of
from pipelines.errors import InputError
from pipelines.store.whole import whole

_CONFIG_FILE, _BASE_FILE = "config.yaml", "base.yaml"


def train(
    config: RunConfig,
    stores: Sequence[Path],
    run: Path,
    *,
    base: RunConfig | None = None,
    stage: str = "all",
    init: str | None = None,
    device: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Train the stages of a network, resuming where the run folder stands.

    Args:
        config: The resolved configuration.
        stores: Archive stores, at least one with a training and one with a validation split.
        run: Run folder.
        base: The configuration before overrides, where `config` has some: a run that was begun with overrides is
            resumed by its base alone.
        stage: One stage of the network, or "all" that the configuration sets.
        init: Run folder, checkpoint or name of shipped weights to begin with: its finished stages are loaded, and the
            configuration's network settings stand over its own.
        device: "cpu", "cuda", or None for the best there is.
        overwrite: Start anew where the run folder is of another configuration or other stores.

    Returns:
        The path of model.safetensors.

    Raises:
        InputError: for an unknown stage, one that must come after another, a setting that no trained stage reads, or a
            run folder of another configuration or of other stores.
        TrainingStoppedError: when the loss is not finite.
        TrainingInterrupted: on SIGINT or SIGTERM, once the state is saved.
    """
    device = best_device(device)
    accelerator = Accelerator(mixed_precision="bf16" if multiplies_bf16(device) else "no", cpu=device == "cpu")
    opened = [TrainingStore(path) for path in stores]
    base, told = base or config, config.network
    if not overwrite:
        config = _begun_with(run, config, base)
    if init:
        config = _over(config, init)
    if (channels := channels_of(opened)) != config.network.get("channels", 1):
        config = config.model_copy(update={"network": {**config.network, "channels": channels}})
    torch.manual_seed(integer_seed(config.seed, "weights"))
    network = build_network(config.model, config.network, pretrained=init is None)
    _refuse_unread(network, config, told)
    stages = _chosen_stages(stage, network, config)
    names = list(network.stages)
    begun = _is_begun(run, config, fingerprint(opened), overwrite)
    done = _load_model(run / MODEL_FILE, network) if begun else []
    if not done and init:
        finished = load_finished_stages(network, checkpoint_path(init))
        done = [name for name in finished if name not in config.stages or names.index(name) < names.index(stages[0])]
    earlier = names[: names.index(stages[0])]
    if missing := [name for name in earlier if name not in done and (name in config.stages or not done)]:
        raise InputError(f"stage {stages[0]} comes after {', '.join(missing)}", remedy="--init RUN, or predldm")
    data = TrainingData(config, network.settings, opened, accelerator, run)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        _claim_folder(run, config, base, begun)
    data.prepare()
    accelerator.wait_for_everyone()
    for name in stages:
        if name not in done:
            StageRun(config, name, network, data, run, accelerator, done).complete()
            done = [*done, name]
    return run / MODEL_FILE


def _begun_with(run: Path, config: RunConfig, base: RunConfig) -> RunConfig:
    """The configuration that the run folder was begun with, where this is the same one except for its overrides."""
    files = [run / name for name in (_CONFIG_FILE, _BASE_FILE)]
    if config != base or not all(file.is_file() for file in files):
        return config
    stored, stored_base = map(_stored, files)
    return stored if stored_base == base else config


def _stored(file: Path) -> RunConfig:
    """A configuration in a run folder; settings that are newer than the run have their defaults."""
    return parse_config(yaml.safe_load(file.read_text()), str(file))


def _is_begun(run: Path, config: RunConfig, data: str, overwrite: bool) -> bool:
    """Whether the run folder holds the beginning of this training; that of another is begun anew, or refused."""
    begun = [run / name for name in (MODEL_FILE, STATE_FILE) if (run / name).is_file()]
    other = _disagreement(run, config, data, begun) if begun else ""
    if other and not overwrite:
        raise InputError(
            f"run folder {run} {other}", remedy="choose another --run folder, or --overwrite to start anew"
        )
    return bool(begun) and not other


def _disagreement(run: Path, config: RunConfig, data: str, begun: Sequence[Path]) -> str:
    """In which way the run folder is of another training; empty if it is of this one."""
    stored, own = (of.model_dump(mode="json") for of in (_stored(run / _CONFIG_FILE), config))
    if stored != own:
        return f"was started with other settings ({_differences(stored, own)})"
    return "was trained on other stores" if any(read_header(p).get("data", data) != data for p in begun) else ""


def _differences(stored: dict[str, Any], own: dict[str, Any], parents: str = "") -> str:
    """The first settings that differ, such as "stages.diffusion.steps: 60, now 120"."""
    found = []
    for key in {**stored, **own}:
        before, now = stored.get(key), own.get(key)
        if isinstance(before, dict) and isinstance(now, dict):
            found.append(_differences(before, now, f"{parents}{key}."))
        elif before != now:
            found.append(f"{parents}{key}: {before}, now {now}")
    return "; ".join([text for text in found if text][:3])


def _claim_folder(run: Path, config: RunConfig, base: RunConfig, begun: bool) -> None:
    if not begun:
        for name in (MODEL_FILE, STATE_FILE, "metrics.jsonl"):
            (run / name).unlink(missing_ok=True)
    run.mkdir(parents=True, exist_ok=True)
    for name, content in ((_CONFIG_FILE, config), (_BASE_FILE, base)):
        with whole(run / name) as growing:
            growing.write_text(yaml.safe_dump(content.model_dump(mode="json"), sort_keys=False))


def _refuse_unread(network: Network, config: RunConfig, told: dict[str, Any]) -> None:
    """Refuse a network setting that only stages read which the configuration does not train."""
    for name, stage in network.stages.items():
        unread = sorted(stage.reads & set(told)) if name not in config.stages else []
        if unread:
            raise InputError(
                f"network.{unread[0]} is read by stage {name} alone, which the configuration does not train",
                remedy=f"remove it, or add stages.{name}",
            )


def _chosen_stages(stage: str, network: Network, config: RunConfig) -> list[str]:
    names = list(network.stages)
    chosen = list(config.stages) if stage == "all" else [stage]
    unknown = [name for name in chosen if name not in names or name not in config.stages]
    if unknown or not chosen:
        raise InputError(
            f"no stage {unknown[0]!r}" if unknown else "the configuration sets no stage",
            expected=f"one of {', '.join(names)} that the config sets",
        )
    return sorted(chosen, key=names.index)


def _over(config: RunConfig, init: str) -> RunConfig:
    """The configuration with the network of a checkpoint, except where it sets its own."""
    network = read_header(checkpoint_path(init))["config"]["network"]
    return config.model_copy(update={"network": {**network, **config.network}})


def _load_model(path: Path, network: Network) -> list[str]:
    """Fill the network with a checkpoint, and name its finished stages."""
    if not path.is_file():
        return []
    load_weights(network, load_tensors(path), path)
    return list(read_header(path)["stages"])
