"""Runs that stop and are resumed, begin with others' stages, and are shared by two processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from nowcast.models.checkpoint import load_network, read_header
from nowcast.training import loop, windows
from nowcast.training.config import parse_config
from nowcast.training.loop import TrainingInterrupted
from nowcast.training.run import train
from pipelines.errors import InputError

NETWORK = """
model: predldm
protocol: sevir-128-10-10
augment: true
network:
  side: 16
  offset: 0.0
  scale: 50.0
  frame_vae: {factor: 4, latent_channels: 3, channels: [8, 8]}
  mtvae: {hidden: 16, layers: 1, heads: 2}
  denoiser: {hidden: 16, blocks: 2, heads: 2}
  objective: v
  sampling: {sampler: ddim, steps: 2}
stages:
  autoencoder: {steps: 6, batch: 4, rate: 1.0e-3, validate_every: 6}
  diffusion: {steps: 6, batch: 4, rate: 1.0e-3, validate_every: 6}
"""


def changed(config, **update):
    return parse_config({**config.model_dump(mode="json"), **update}, "test")


def records(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def losses(run: Path) -> list[float]:
    return [record["loss"] for record in records(run) if "loss" in record]


@pytest.fixture
def config_file(tmp_path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(NETWORK)
    return path


def command(*words: object) -> list[str]:
    return [str(Path(sys.executable).with_name("nowcast")), *map(str, words)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_run_is_resumed_exactly(toy_config, small_store, tmp_path, monkeypatch, number):
    before = signal.getsignal(number)
    whole = train(toy_config, [small_store], tmp_path / "whole", device="cpu")
    step = loop.StageRun.one_step

    def told_at_seven(self, *args):
        if self.step == 6:
            os.kill(os.getpid(), number)
        return step(self, *args)

    monkeypatch.setattr(loop.StageRun, "one_step", told_at_seven)
    with pytest.raises(TrainingInterrupted, match="stopped at step 7 of 20 of stage gain; saved"):
        train(toy_config, [small_store], tmp_path / "parts", device="cpu")
    assert read_header(tmp_path / "parts" / "state.safetensors")["step"] == 7
    monkeypatch.setattr(loop.StageRun, "one_step", step)
    parts = train(toy_config, [small_store], tmp_path / "parts", device="cpu")
    assert losses(parts.parent) == losses(whole.parent)
    assert all(torch.equal(tensor, load_file(whole)[name]) for name, tensor in load_file(parts).items())
    assert signal.getsignal(number) == before


def test_a_signal_during_the_last_validation_stops_before_the_next_stage(
    toy_config, small_store, tmp_path, monkeypatch
):
    whole = train(toy_config, [small_store], tmp_path / "whole", device="cpu")
    validate = loop.StageRun._validate

    def told_while_validating(self):
        validate(self)
        if self.step == self.settings.steps and self.name == "gain":
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(loop.StageRun, "_validate", told_while_validating)
    with pytest.raises(TrainingInterrupted, match="stopped at step 20 of 20 of stage gain; saved"):
        train(toy_config, [small_store], tmp_path / "parts", device="cpu")
    monkeypatch.setattr(loop.StageRun, "_validate", validate)
    parts = train(toy_config, [small_store], tmp_path / "parts", device="cpu")
    assert losses(parts.parent) == losses(whole.parent)


def test_a_state_of_another_version_is_refused(toy_config, small_store, tmp_path, monkeypatch):
    save = loop.StageRun.save_state

    def save_and_fail(self):
        save(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_STATE_FORMAT", 1)
        patch.setattr(loop.StageRun, "save_state", save_and_fail)
        with pytest.raises(KeyboardInterrupt):
            train(toy_config, [small_store], tmp_path / "run", device="cpu")
    with pytest.raises(InputError, match="is of another version of nowcast and cannot be resumed"):
        train(toy_config, [small_store], tmp_path / "run", device="cpu")


def test_the_state_is_saved_every_two_minutes(toy_config, small_store, tmp_path, monkeypatch):
    now = iter(range(0, 100_000, 50))  # each look at the clock is 50 s later
    monkeypatch.setattr(loop, "monotonic", lambda: float(next(now)))
    saved = []
    save = loop.StageRun.save_state
    monkeypatch.setattr(loop.StageRun, "save_state", lambda self: saved.append(self.step) or save(self))
    train(toy_config, [small_store], tmp_path / "run", device="cpu", stage="gain")
    assert saved[:3] == [3, 6, 9] and loop.SAVE_EVERY_S == 120


def test_a_run_begun_with_overrides_is_resumed_without_them(toy_config, small_store, tmp_path):
    shorter = changed(toy_config, seed=3)
    run = train(shorter, [small_store], tmp_path / "run", base=toy_config, device="cpu", stage="gain").parent
    train(toy_config, [small_store], run, device="cpu")
    header = read_header(run / "model.safetensors")
    assert header["stages"] == ["gain", "offset"] and header["config"]["seed"] == 3
    other = changed(toy_config, seed=4)
    with pytest.raises(InputError, match=r"was started with other settings \(seed: 3, now 4\); .*another --run folder"):
        train(other, [small_store], run, base=toy_config, device="cpu")


def test_a_finished_stage_serves_a_network_whose_other_parts_differ(small_store, tmp_path):
    config = parse_config(yaml.safe_load(NETWORK), "test")
    first = train(config, [small_store], tmp_path / "first", device="cpu")
    network = {**config.network, "denoiser": {"hidden": 32, "blocks": 1, "heads": 2}}
    wider = changed(config, network=network)
    second = train(wider, [small_store], tmp_path / "second", device="cpu", init=str(first), stage="diffusion")
    one, two = load_file(first), load_file(second)
    kept = [name for name in one if name.startswith("mtvae.")]
    assert kept and all(torch.equal(one[name], two[name]) for name in kept)
    assert load_network(second)[0].settings.denoiser.hidden == 32
    assert read_header(second)["stages"] == ["autoencoder", "diffusion"]


def test_a_setting_that_no_trained_stage_reads_is_refused(small_store, tmp_path):
    config = parse_config(yaml.safe_load(NETWORK), "test")
    unread = changed(config, network={**config.network, "ensemble": {"members": 3}})
    with pytest.raises(InputError, match=r"network\.ensemble is read by stage ensemble alone"):
        train(unread, [small_store], tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_stores_are_opened_and_their_echo_measured_once(toy_config, small_store, tmp_path, monkeypatch):
    opened = []
    for name in ("open_store", "open_pixels"):
        plain = getattr(windows, name)
        monkeypatch.setattr(windows, name, lambda path, name=name, plain=plain: opened.append(name) or plain(path))
    config = changed(toy_config, cadence=(4, 11), least_echo=0.01)  # two spacings of two splits
    train(config, [small_store], tmp_path / "run", device="cpu", stage="gain")
    assert sorted(opened) == ["open_pixels", "open_store"]
    store = windows.TrainingStore(small_store)
    assert store.echo_shares is store.echo_shares


def test_validation_leaves_the_weights_of_the_training(toy_config, small_store, tmp_path):
    """However often it validates, a run ends in the same weights."""
    stages = toy_config.model_dump(mode="json")["stages"]
    often = changed(toy_config, stages={**stages, "gain": {**stages["gain"], "validate_every": 1}})
    one, two = (
        load_file(train(config, [small_store], tmp_path / name, device="cpu", stage="gain"))
        for name, config in (("often", often), ("seldom", toy_config))
    )
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_run_of_a_version_with_fewer_settings_is_resumed(toy_config, small_store, tmp_path):
    run = train(toy_config, [small_store], tmp_path / "run", device="cpu", stage="gain").parent
    for file in (run / "config.yaml", run / "base.yaml"):
        content = yaml.safe_load(file.read_text())
        del content["scenes"]
        file.write_text(yaml.safe_dump(content))
    train(toy_config, [small_store], run, device="cpu")
    assert read_header(run / "model.safetensors")["stages"] == ["gain", "offset"]


def test_settings_that_differ_are_named_however_many_are_equal(small_store, tmp_path):
    config = parse_config(yaml.safe_load(NETWORK), "test")
    train(config, [small_store], tmp_path / "run", device="cpu", stage="autoencoder")
    stages = config.model_dump(mode="json")["stages"]
    longer = changed(config, stages={**stages, "diffusion": {**stages["diffusion"], "steps": 7}})
    with pytest.raises(InputError, match=r"other settings \(stages\.diffusion\.steps: 6, now 7\)"):
        train(longer, [small_store], tmp_path / "run", device="cpu")
    slower = {**config.network, "sampling": {"sampler": "ddim", "steps": 3}}  # three equal sections stand before it
    with pytest.raises(InputError, match=r"other settings \(network\.sampling\.steps: 2, now 3\)"):
        train(changed(config, network=slower), [small_store], tmp_path / "run", device="cpu")


def test_a_run_begun_with_others_settings_is_resumed(small_store, tmp_path, monkeypatch):
    """The settings that a run took over from --init are not refused as unread when it is resumed."""
    content = yaml.safe_load(NETWORK)
    content["network"]["loss_weights"] = [1.0, 0.5]  # read by the diffusion stage alone
    first = train(parse_config(content, "test"), [small_store], tmp_path / "first", device="cpu")
    tuning = parse_config({**content, "network": {}, "stages": {"ensemble": content["stages"]["diffusion"]}}, "test")
    step = loop.StageRun.one_step

    def killed_at_two(self, *args):
        if self.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(loop.StageRun, "one_step", killed_at_two)
        with pytest.raises(TrainingInterrupted):
            train(tuning, [small_store], tmp_path / "tuned", device="cpu", init=str(first))
    train(tuning, [small_store], tmp_path / "tuned", device="cpu", init=str(first))
    assert [record["step"] for record in records(tmp_path / "tuned") if "loss" in record] == list(range(1, 7))


@pytest.mark.slow
def test_a_stopped_command_says_where_it_stopped_and_where_it_is_resumed(config_file, small_store, tmp_path):
    longer = ("--set", "stages.autoencoder.steps=80", "--set", "stages.autoencoder.validate_every=80")
    words = command("train", config_file, "--store", small_store, "--run", tmp_path / "run", "--device", "cpu")
    started = subprocess.Popen([*words, *longer], stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.is_file() and len(metrics.read_text().splitlines()) > 2) and time.monotonic() < deadline:
        time.sleep(0.1)
    started.send_signal(signal.SIGINT)
    told = started.communicate(timeout=60)[1]
    assert started.returncode == 1 and "of 80 of stage autoencoder; saved; run the same command to resume" in told
    step = read_header(tmp_path / "run" / "state.safetensors")["step"]
    resumed = subprocess.run([*words, "--stage", "autoencoder"], capture_output=True, text=True, check=True)
    assert f"stage autoencoder is resumed at step {step} of 80" in resumed.stderr
    assert [r["step"] for r in records(tmp_path / "run") if "loss" in r] == list(range(1, 81))


@pytest.mark.slow
def test_two_processes_are_one_with_the_same_batch(config_file, small_store, tmp_path):
    """Losses agree to one part in ten thousand: sums over a batch are taken in another order."""
    train(parse_config(yaml.safe_load(NETWORK), "small"), [small_store], tmp_path / "alone", device="cpu")
    shared = command("train", config_file, "--store", small_store, "--run", tmp_path / "shared", "--device", "cpu")
    torchrun = [str(Path(sys.executable).with_name("torchrun")), "--nproc_per_node", "2", "--no-python", "--", *shared]
    subprocess.run(torchrun, check=True, capture_output=True, timeout=300)
    one, two = losses(tmp_path / "alone"), losses(tmp_path / "shared")
    assert len(one) == len(two) == 12
    assert two == pytest.approx(one, rel=1e-4)
