"""PVDM trained by the training loop, and stopped in the stage where the autoencoder is not alone."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nowcast.models.checkpoint import load_network, read_header
from nowcast.training import loop
from nowcast.training.config import RunConfig, parse_config
from nowcast.training.run import train

STAGE = {"steps": 4, "batch": 2, "rate": 1.0e-3, "validate_every": 4}


@pytest.fixture
def config() -> RunConfig:
    network = {
        "side": 16,
        "offset": 0.0,
        "scale": 50.0,
        "autoencoder": {"width": 16, "blocks": 1, "heads": 2, "head_width": 8, "projection_layers": 1},
        "adversarial": {"width": 4, "layers": 1},
        "denoiser": {"width": 8, "widths": [1], "blocks": 1, "heads": 2},
        "sampling": {"steps": 2},
    }
    stages = {"autoencoder": {**STAGE, "steps": 1}, "adversarial": STAGE}
    return parse_config({"model": "pvdm", "protocol": "sevir-128-10-10", "network": network, "stages": stages}, "test")


def losses(model: Path) -> list[float]:
    lines = [json.loads(line) for line in (model.parent / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_a_stop_among_the_adversarial_steps_is_resumed_exactly(config, small_store, tmp_path, monkeypatch):
    whole = train(config, [small_store], tmp_path / "whole", device="cpu")
    assert read_header(whole)["stages"] == ["autoencoder", "adversarial"]
    step = loop.StageRun.one_step

    def stopped_at_two(self, *args):
        if self.name == "adversarial" and self.step == 2:
            self.save_state()
            raise KeyboardInterrupt
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(loop.StageRun, "one_step", stopped_at_two)
        with pytest.raises(KeyboardInterrupt):
            train(config, [small_store], tmp_path / "parts", device="cpu")
    state = load_file(tmp_path / "parts" / "state.safetensors")
    assert [name for name in state if name.startswith("auxiliary/")]  # the discriminators
    parts = train(config, [small_store], tmp_path / "parts", device="cpu")
    assert losses(parts) == losses(whole)
    assert all(torch.equal(tensor, load_file(whole)[name]) for name, tensor in load_file(parts).items())
    assert load_network(parts)[0].settings.side == 16


def test_the_adversarial_stage_may_be_left_out(config, small_store, tmp_path):
    kept = {name: {**STAGE, "steps": 1} for name in ("autoencoder", "diffusion")}
    network = {name: value for name, value in config.network.items() if name != "adversarial"}
    without = parse_config({**config.model_dump(mode="json"), "network": network, "stages": kept}, "test")
    assert read_header(train(without, [small_store], tmp_path / "run", device="cpu"))["stages"] == list(kept)
