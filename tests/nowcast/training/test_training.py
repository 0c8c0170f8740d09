import json
import math
import shutil

import numpy as np
import pytest
import torch
import zarr
from safetensors.torch import load_file

from nowcast.models import build_network
from nowcast.models.checkpoint import load_network, load_tensors, save_half
from nowcast.training.config import parse_config
from nowcast.training.loop import TrainingStoppedError, learning_rate
from nowcast.training.run import train
from pipelines.errors import InputError


def changed(config, **update):
    return parse_config({**config.model_dump(mode="json"), **update}, "test")


def weights(run):
    return load_file(run / "model.safetensors")


def test_training_leaves_model_config_metrics_and_pictures(toy_config, small_store, tmp_path):
    path = train(toy_config, [small_store], tmp_path / "run", device="cpu")
    network, config = load_network(path)
    assert config == toy_config.model_dump(mode="json")
    assert network.gain.weight.item() != 0 and network.scale.item() > 0
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if r["stage"] == "gain" and "loss" in r] == list(range(1, 21))
    assert [r["step"] for r in records if "val_loss" in r] == [10, 20, 10, 20]
    assert len({r["noise"] for r in records if r["step"] == 1 and "noise" in r}) == 2  # each stage draws its own
    assert len(list((tmp_path / "run" / "samples").glob("*.png"))) == 4
    assert not (tmp_path / "run" / "state.safetensors").exists()


def test_twenty_steps_equal_ten_and_ten(toy_config, small_store, tmp_path, monkeypatch):
    from nowcast.training import loop as training

    whole = weights(train(toy_config, [small_store], tmp_path / "whole", device="cpu").parent)
    save = training.StageRun.save_state

    def save_and_be_killed(self):
        save(self)
        if self.step == 10:
            raise KeyboardInterrupt

    for stage in ("gain", "offset"):
        monkeypatch.setattr(training.StageRun, "save_state", save_and_be_killed)
        with pytest.raises(KeyboardInterrupt):
            train(toy_config, [small_store], tmp_path / "parts", device="cpu", stage=stage)
        monkeypatch.setattr(training.StageRun, "save_state", save)
        train(toy_config, [small_store], tmp_path / "parts", device="cpu", stage=stage)
    parts = weights(tmp_path / "parts")
    assert all(torch.equal(parts[name], whole[name]) for name in whole)

    def losses(name):
        return [json.loads(line).get("loss") for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]

    assert losses("parts") == losses("whole")


def test_steps_after_the_last_checkpoint_are_done_and_recorded_again(toy_config, small_store, tmp_path, monkeypatch):
    from nowcast.training import loop as training

    step = training.StageRun.one_step

    def killed_at_fourteen(self, *args):
        if self.step == 14:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(training.StageRun, "one_step", killed_at_fourteen)
    with pytest.raises(KeyboardInterrupt):
        train(toy_config, [small_store], tmp_path / "run", device="cpu", stage="gain")
    monkeypatch.setattr(training.StageRun, "one_step", step)
    train(toy_config, [small_store], tmp_path / "run", device="cpu", stage="gain")
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if "loss" in r] == list(range(1, 21))


def test_a_finished_run_is_not_trained_again(toy_config, small_store, tmp_path):
    path = train(toy_config, [small_store], tmp_path / "run", device="cpu")
    before = path.stat().st_mtime_ns
    train(toy_config, [small_store], tmp_path / "run", device="cpu")
    assert path.stat().st_mtime_ns == before


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(toy_config, small_store, tmp_path):
    good = train(toy_config, [small_store], tmp_path / "run", device="cpu", stage="gain").read_bytes()
    file = tmp_path / "run" / "config.yaml"
    broken = changed(toy_config, network={"side": 16, "rate_of_nan": 1.0})
    file.write_text(json.dumps(broken.model_dump(mode="json")))
    with pytest.raises(TrainingStoppedError, match="nan at step 0"):
        train(broken, [small_store], tmp_path / "run", device="cpu")
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == good


def test_other_stores_are_refused_unless_overwritten(toy_config, small_store, tmp_path):
    moved, other = tmp_path / "moved.zarr", tmp_path / "other.zarr"
    for copy in (moved, other):
        shutil.copytree(small_store, copy)
    events = zarr.open_group(other)["event"]
    events[:] = np.array([f"other-{number}" for number in range(events.shape[0])])
    run = train(toy_config, [small_store], tmp_path / "run", device="cpu").parent
    before = weights(run)
    train(toy_config, [moved], run, device="cpu")
    with pytest.raises(InputError, match="was trained on other stores; choose another --run folder, or --overwrite"):
        train(toy_config, [other], run, device="cpu")
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(run).items())
    train(toy_config, [other], run, device="cpu", overwrite=True)


def test_a_store_without_training_data_leaves_nothing(toy_config, small_store, tmp_path):
    store = tmp_path / "test.zarr"
    shutil.copytree(small_store, store)
    split = zarr.open_group(store)["split"]
    split[:] = np.array(["test"] * split.shape[0])
    with pytest.raises(InputError, match=r"no store has a window of split train.*radar-train-128"):
        train(toy_config, [store], tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_others_may_read_what_they_may_read_of_the_users_files(toy_config, small_store, tmp_path):
    (tmp_path / "run").mkdir()
    left_by_a_kill = tmp_path / "run" / ".model.partial.safetensors"
    left_by_a_kill.touch(0o600)
    path = train(toy_config, [small_store], tmp_path / "run", device="cpu")
    assert path.stat().st_mode == (path.parent / "config.yaml").stat().st_mode


def test_another_configuration_is_refused_unless_overwritten(toy_config, small_store, tmp_path):
    train(toy_config, [small_store], tmp_path / "run", device="cpu")
    other = changed(toy_config, seed=1)
    with pytest.raises(InputError, match="--overwrite"):
        train(other, [small_store], tmp_path / "run", device="cpu")
    train(other, [small_store], tmp_path / "run", device="cpu", overwrite=True)
    assert load_network(tmp_path / "run")[1]["seed"] == 1


def test_a_stage_begins_with_the_weights_of_another_run(toy_config, small_store, tmp_path):
    first = train(toy_config, [small_store], tmp_path / "first", device="cpu")
    tuning = changed(toy_config, network={}, stages={"offset": toy_config.stages["offset"].model_dump()})
    with pytest.raises(InputError, match="stage offset comes after gain"):
        train(tuning, [small_store], tmp_path / "tuned", device="cpu")
    tuned = train(tuning, [small_store], tmp_path / "tuned", device="cpu", init=str(first.parent))
    before, after = weights(first.parent), weights(tuned.parent)
    assert torch.equal(before["gain.weight"], after["gain.weight"])
    assert not torch.equal(before["offset.weight"], after["offset.weight"])
    assert load_network(tuned)[0].settings.side == 16  # of the first run; the second configuration sets none


def test_half_precision_is_half_the_size_and_the_same_network(toy_config, small_store, tmp_path):
    path = train(toy_config, [small_store], tmp_path / "run", device="cpu")
    save_half(path.parent, tmp_path / "half.safetensors")
    whole, half = (load_network(p)[0].state_dict() for p in (path, tmp_path / "half.safetensors"))
    for name, tensor in whole.items():
        assert half[name].dtype == tensor.dtype
        torch.testing.assert_close(half[name], tensor, atol=0, rtol=1e-3)
    assert all(tensor.dtype == torch.float16 for tensor in load_tensors(tmp_path / "half.safetensors").values())


def test_muon_resumes_exactly(toy_config, small_store, tmp_path):
    stages = {"gain": {"steps": 6, "batch": 2, "rate": 0.01, "optimizer": "muon", "validate_every": 3}}
    config = changed(toy_config, stages=stages)
    whole = weights(train(config, [small_store], tmp_path / "whole", device="cpu").parent)
    from nowcast.training import loop as training

    step = training.StageRun.one_step

    def stop_at_four(self, *args):
        if self.step == 4:
            raise KeyboardInterrupt
        return step(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.StageRun, "one_step", stop_at_four)
        with pytest.raises(KeyboardInterrupt):
            train(config, [small_store], tmp_path / "parts", device="cpu")
    parts = weights(train(config, [small_store], tmp_path / "parts", device="cpu").parent)
    assert whole.keys() == parts.keys() and all(torch.equal(whole[name], parts[name]) for name in whole)


def test_unknown_stage_and_unknown_setting(toy_config, small_store, tmp_path):
    with pytest.raises(InputError, match="one of gain, offset"):
        train(toy_config, [small_store], tmp_path / "run", stage="third")
    with pytest.raises(InputError, match="colour"):
        train(changed(toy_config, network={"colour": 1}), [small_store], tmp_path / "run")


def test_average_of_weights_by_hand(toy_config, small_store, tmp_path):
    # Three steps: the average takes the first weights whole, then (1 + n) / (10 + n) of itself.
    from nowcast.training import loop as training

    config = changed(toy_config, stages={**toy_config.model_dump()["stages"], "gain": {
        "steps": 3, "batch": 2, "rate": 0.1, "validate_every": 3}})  # fmt: skip
    seen = []
    step = training.StageRun.one_step

    def watch(self, *args):
        value = step(self, *args)
        seen.append(self.network.gain.weight.item())
        return value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.StageRun, "one_step", watch)
        train(config, [small_store], tmp_path / "run", device="cpu", stage="gain")
    average = seen[0]
    for count, weight in enumerate(seen[1:], start=1):
        decay = (1 + count) / (10 + count)
        average = decay * average + (1 - decay) * weight
    assert weights(tmp_path / "run")["gain.weight"].item() == pytest.approx(average, rel=1e-6)


def test_gradients_are_clipped(toy_config, small_store, tmp_path, monkeypatch):
    stages = {"gain": {"steps": 3, "batch": 2, "rate": 0.01, "clip": 1e-3, "validate_every": 3}}
    norms, step = [], torch.optim.AdamW.step

    def watched(self, *args, **kwargs):
        norms.append(self.param_groups[0]["params"][0].grad.norm().item())
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    train(changed(toy_config, stages=stages), [small_store], tmp_path / "run", device="cpu")
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert all(record["gradient_norm"] > 1e-2 for record in records if "loss" in record)
    assert norms == pytest.approx([1e-3] * 3, rel=1e-3)


def test_a_network_is_in_train_mode_in_its_steps_alone(toy_config, small_store, tmp_path, monkeypatch):
    stage = type(build_network("toy", {}).stages["gain"])
    modes, loss = [], stage.loss

    def watched(self, batch, draws):
        modes.append(self.trained.training)
        return loss(self, batch, draws)

    monkeypatch.setattr(stage, "loss", watched)
    stages = {"gain": {"steps": 4, "batch": 2, "rate": 0.01, "validate_every": 2}}
    train(changed(toy_config, stages=stages), [small_store], tmp_path / "run", device="cpu")
    validation = [False] * ((len(modes) - 4) // 2)
    assert validation and modes == [True, True, *validation, True, True, *validation]


def test_learning_rate_by_hand(toy_config):
    settings = toy_config.stages["gain"]  # 20 steps, warm-up of 5, cosine, peak 0.01
    rates = [learning_rate(settings, step) for step in range(20)]
    np.testing.assert_allclose(rates[:5], [0.002, 0.004, 0.006, 0.008, 0.01])
    assert rates[5] == 0.01 and rates[12] == pytest.approx(0.005 * (1 + math.cos(math.pi * 7 / 15)))
