"""Experiments on a toy network and a store of 16 by 16 pixels."""

from pathlib import Path

import pytest
import yaml

from nowcast.experiments.bench import Options
from nowcast.experiments.run import Outcome, run_experiment


@pytest.fixture
def scale(toy_config, tmp_path) -> Path:
    """A scale at which the toy network is trained for two steps a stage."""
    config = tmp_path / "toy-config.yaml"
    config.write_text(yaml.safe_dump(toy_config.model_dump(mode="json")))
    path = tmp_path / "least.yaml"
    stage = {"steps": 2, "warmup": 0, "validate_every": 2}
    path.write_text(yaml.safe_dump({"members": 2, "config": "none", "configs": {"toy": str(config)}, "stage": stage}))
    return path


@pytest.fixture
def experiment(scale, small_store, tmp_path):
    """Writes an experiment, and runs it with the toy network."""

    def run(content: dict, out: Path | None = None, name: str = "made", **options) -> Outcome:
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"title": "Made", **content}))
        told = {key: options.pop(key) for key in ("models", "tell", "command") if key in options}
        return run_experiment(
            str(path), [small_store], Options(out or tmp_path / "out", **options), scale=str(scale), **told
        )

    return run
