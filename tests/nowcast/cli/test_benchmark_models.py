"""The benchmark of trainable models, on tiny ones: numbers in every cell, and a model that does not fit in memory."""

import pytest
from typer.testing import CliRunner

from nowcast.cli import app as cli
from nowcast.cli import benchmark
from nowcast.cli.benchmark_models import model_costs, training_step
from nowcast.forecasting import costs
from nowcast.training.config import RunConfig, load_config, parse_config

STAGE = {"steps": 1, "batch": 4}
UNET = {"side": 16, "widths": [2], "centre": 2, "first_guess": "advection"}
MCVD = {"side": 16, "width": 4, "multipliers": [1], "depth": 1, "attention": [], "sampling": {"steps": 100}}


def config(model: str, network: dict, stage: str) -> RunConfig:
    return parse_config({"model": model, "protocol": "p", "network": network, "stages": {stage: STAGE}}, "made")


def test_every_model_has_a_line_of_numbers(small_store, monkeypatch):
    monkeypatch.setattr(costs, "alone", lambda device, measure, *arguments: measure(*arguments))
    unet, mcvd = config("unet", UNET, "regression"), config("mcvd", MCVD, "diffusion")
    table = model_costs([unet, mcvd], small_store, "cpu")
    names, _, *numbers = (list(column.cells) for column in table.columns)
    assert names == ["unet", "mcvd"] and not table.caption
    assert all(float(cell) >= 0 for column in numbers for cell in column)
    assert all(0.1 < float(cell) < 20 for column in (numbers[1], numbers[3]) for cell in column)  # GiB


def test_a_model_that_does_not_fit_in_memory_is_said_and_the_others_go_on(small_store, monkeypatch):
    small = costs.alone("cpu", training_step, config("unet", UNET, "regression"), "cpu")
    assert small.seconds > 0 and 0.1 < small.memory < 4
    monkeypatch.setattr(costs.psutil, "virtual_memory", lambda: type("Free", (), {"available": 2**29}))
    monkeypatch.setattr(costs, "cost", lambda *of: costs.Cost(3.0, 4.0, 1.0, 2.0))
    large = load_config("mcvd")  # 1.4 GiB of parameters alone
    table = model_costs([large], small_store, "cpu")
    assert [list(column.cells) for column in table.columns] == [
        ["mcvd"],
        ["367.65"],
        ["-"],
        ["-"],
        ["1.00"],
        ["2.00"],
        ["3.00"],
    ]
    assert table.caption == "mcvd: memory is too short; got 0.5 GiB that are free."


def test_the_command_measures_the_whole_table(monkeypatch, tmp_path):
    measured = []

    def keep(configs, store, device):
        measured.extend(configs)
        return f"{store.name} on {device}"

    monkeypatch.setattr(benchmark, "_simulated", lambda folder, events: tmp_path / f"{events} events")
    monkeypatch.setattr(benchmark, "model_costs", keep)
    result = CliRunner().invoke(cli.app, ["benchmark", "models", "--device", "cpu"])
    assert result.output == "4 events on cpu\n"
    assert {"predldm", "unet", "mcvd"} <= {config.model for config in measured}
    assert next(c for c in measured if c.model == "predldm").network["denoiser"]["hidden"] == 1152
    with pytest.raises(Exception, match="no such device"):
        CliRunner().invoke(cli.app, ["benchmark", "models", "--device", "x"], catch_exceptions=False)
