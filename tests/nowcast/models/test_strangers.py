"""Checkpoints and names from strangers can only fail: they import nothing, fetch nothing, and take no memory."""

import copy
import json
import socket
import struct

import pytest

import nowcast.models
from nowcast.models import build_network, model_class
from nowcast.models.checkpoint import load_network, save_tensors
from pipelines.errors import InputError

CONFIG = {"model": "unet", "protocol": "sevir-128-10-10", "stages": {},
          "network": {"history": 2, "lead": 2, "side": 16, "widths": [2], "centre": 2}}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Writes the checkpoint of a tiny U-Net whose header says another configuration."""

    def save(config: dict):
        network = build_network(CONFIG["model"], CONFIG["network"])
        path = tmp_path / "model.safetensors"
        save_tensors(path, network.state_dict(), {"config": config, "stages": ["regression"]})
        return path

    return save


def test_a_sound_one_is_read(write):
    network, config = load_network(write(CONFIG))
    assert type(network).__name__ == "UNet" and config == CONFIG


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "nowcast.models.unet:UNet",
        "../unet",
        "subprocess",
        "",
        "unet\x00",
        "builtins:eval",
        3,
        ["unet"],
        {},
    ],
)
def test_a_checkpoint_of_a_stranger_can_only_fail(write, monkeypatch, name):
    path = write(CONFIG | {"model": name})
    asked = []
    monkeypatch.setattr(nowcast.models, "import_module", lambda module: asked.append(module))
    with pytest.raises(InputError, match="no model"):
        load_network(path)
    assert not asked


def test_a_name_of_a_model_imports_nothing_but_a_line_of_the_table(monkeypatch):
    monkeypatch.setattr(nowcast.models, "import_module", lambda module: pytest.fail(module))
    for name in ("os:system", "tests.conftest:Footage", "nowcast.models.unet:UNet"):
        with pytest.raises(InputError, match="no model"):
            model_class(name)


def test_a_checkpoint_fetches_nothing(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a checkpoint asked for the network")

    small = {
        "history": 1,
        "lead": 1,
        "side": 16,
        "frame_vae": {"pretrained": "stranger/model", "channels": [2, 2], "factor": 2},
    }
    header = {"config": json.dumps({"model": "predldm", "network": small}), "stages": "[]"}
    said = json.dumps({"__metadata__": header}).encode()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(said)) + said)
    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    with pytest.raises(InputError):
        load_network(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    "change", [{"widths": [10**6, 10**6]}, {"centre": 10**9}, {"width": 1}, {"history": -1}, {"side": "x"}]
)
def test_settings_of_a_stranger_take_no_memory(write, change):
    config = copy.deepcopy(CONFIG)
    config["network"] |= change
    with pytest.raises(InputError):
        load_network(write(config))
