"""Checkpoints: safetensors files with the resolved configuration in their header; never pickle.

`model.safetensors` in a run folder is a whole network (averaged weights) that forecasts; `state.safetensors` beside it
lets training resume exactly.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from nowcast.models import MODELS, build_network
from nowcast.models.initialisation import weightless
from nowcast.models.network import Network
from pipelines.errors import InputError
from pipelines.store.whole import whole

MODEL_FILE = "model.safetensors"
STATE_FILE = "state.safetensors"
SHIPPED = Path(__file__).parent / "weights"  # one file a model that comes with the package


def save_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors and a JSON header; the file appears whole or not at all."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole(path, overwrite=True) as growing:
        save_file(contiguous, growing, metadata={key: json.dumps(value) for key, value in header.items()})


def read_header(path: Path) -> dict[str, Any]:
    """The JSON header of a checkpoint.

    Raises:
        InputError: when the file is not a checkpoint of nowcast.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a safetensors file", got=error) from error
    try:
        header = {key: json.loads(value) for key, value in metadata.items()}
        _ = header["config"]["model"], header["config"]["network"].items(), header["stages"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is not a checkpoint of nowcast", expected="a header with its configuration"
        ) from error
    return header


def load_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint, on the CPU."""
    return load_file(path)


def checkpoint_path(location: Path | str) -> Path:
    """The checkpoint at a path that is one, or a run folder that holds one, or the one shipped under a name.

    A name wins over a folder of that name; "./predldm" is the folder.

    Raises:
        InputError: when there is none.
    """
    path = Path(location)
    if str(location) in MODELS and (shipped := SHIPPED / f"{location}.safetensors").is_file():
        return shipped
    path = path / MODEL_FILE if path.is_dir() else path
    if not path.is_file() and (path.parent / STATE_FILE).is_file():
        state = read_header(path.parent / STATE_FILE)
        raise InputError(
            f"the run {path.parent} has not finished a stage",
            got=f"stage {state['stage']}, step {state['step']}",
            remedy="repeat its `nowcast train` command to resume it",
        )
    if not path.is_file():
        raise InputError(f"no checkpoint at {location}", expected=f"a run folder with {MODEL_FILE}, or such a file")
    return path


def save_half(location: Path | str, out: Path, sampling: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Write a checkpoint again with its numbers in 16 bits, half the size, as it is shipped.

    Args:
        location: Run folder or checkpoint file.
        out: File to write.
        sampling: Settings to replace in the network's `sampling` section, such as a temperature chosen after training.

    Raises:
        InputError: when there is no checkpoint at `location`.
    """
    path = checkpoint_path(location)
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in load_tensors(path).items()
    }
    header = read_header(path)
    save_tensors(out, tensors, {**header, "config": _with_sampling(header["config"], sampling)})


def _with_sampling(config: dict[str, Any], sampling: Mapping[str, Any]) -> dict[str, Any]:
    network = config["network"]
    changed = {**network.get("sampling", {}), **sampling}
    return {**config, "network": {**network, "sampling": changed}} if sampling else config


def load_network(
    location: Path | str, sampling: Mapping[str, Any] = MappingProxyType({})
) -> tuple[Network, dict[str, Any]]:
    """A trained network and the resolved configuration of its run.

    Args:
        location: Run folder, checkpoint file or name of shipped weights.
        sampling: Settings to replace in the network's `sampling` section.

    Raises:
        InputError: when the checkpoint does not belong to the model that its header names.
    """
    path = checkpoint_path(location)
    header = read_header(path)
    config = _with_sampling(header["config"], sampling)
    try:
        with weightless():  # settings of a stranger must fit before they take memory
            network = build_network(config["model"], config["network"], pretrained=False)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path} has settings of which no network can be made", got=error) from error
    tensors = load_tensors(path)
    _check_fit(network, tensors, path)
    own = network.state_dict().items()
    filled = {name: torch.empty_like(shape, device="cpu").copy_(tensors[name]) for name, shape in own}
    network.load_state_dict(filled, assign=True)
    return network, config


def load_weights(network: torch.nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    """Fill a network with tensors.

    Raises:
        InputError: when names or shapes differ: a checkpoint of another model.
    """
    _check_fit(network, tensors, source)
    network.load_state_dict(tensors)


def _check_fit(network: torch.nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    own = network.state_dict()
    foreign = sorted(set(own) ^ set(tensors)) or sorted(n for n in own if own[n].shape != tensors[n].shape)
    if foreign:
        raise InputError(
            f"{source} is a checkpoint of another model",
            got=f"{len(foreign)} tensors that do not fit, such as {foreign[0]}",
            expected=f"the {len(own)} tensors of {type(network).__name__}",
        )


def load_finished_stages(network: Network, path: Path) -> list[str]:
    """Fill the parts of a network that a checkpoint's finished stages trained, and name the stages that fit.

    A stage fits when the checkpoint has all tensors of the stage's module in their shapes. So an autoencoder that was
    trained once serves networks whose other parts differ. Tensors of no stage, such as measured scales, are taken where
    they fit.
    """
    tensors, own = load_tensors(path), network.state_dict()
    fitting = {name for name, tensor in own.items() if name in tensors and tensors[name].shape == tensor.shape}
    names = {id(tensor): name for name, tensor in network.state_dict(keep_vars=True).items()}
    parts = {
        stage: {names[id(tensor)] for tensor in each.trained.state_dict(keep_vars=True).values() if id(tensor) in names}
        for stage, each in network.stages.items()
    }
    finished = [name for name in read_header(path)["stages"] if name in parts and parts[name] <= fitting]
    taken = set().union(*(parts[name] for name in finished)) | (fitting - set().union(*parts.values()))
    network.load_state_dict({name: tensors[name] for name in taken}, strict=False)
    return finished


def file_hash(path: Path) -> str:
    """The first 16 hexadecimal digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
