"""The benchmark of trainable models, on tiny ones: numbers in every cell, and a model that does not fit in memory."""

import pytest
from typer.testing import CliRunner

from nowcast.cli import app as cli
from nowcast.cli import benchmark_models
from nowcast.cli.benchmark_models import Cost, costs_of, in_a_process
from nowcast.training.config import RunConfig, load_config, parse_config

STAGE = {"steps": 1, "batch": 4}
UNET = {"side": 16, "widths": [2], "centre": 2, "first_guess": "advection"}
MCVD = {"side": 16, "width": 4, "multipliers": [1], "depth": 1, "attention": [], "sampling": {"steps": 100}}


def config(model: str, network: dict, stage: str) -> RunConfig:
    return parse_config({"model": model, "protocol": "p", "network": network, "stages": {stage: STAGE}}, "made")


def test_every_model_has_a_line_of_numbers(monkeypatch):
    monkeypatch.setattr(benchmark_models, "in_a_process", lambda measure, *of: Cost(measure(*of), 1.25))
    unet, mcvd = config("unet", UNET, "regression"), config("mcvd", MCVD, "diffusion")
    table = costs_of([unet, mcvd], "cpu")
    names, sizes, *numbers = (list(column.cells) for column in table.columns)
    assert names == ["unet", "mcvd"] and all(int(size.replace(",", "")) > 100 for size in sizes)
    assert all(float(cell) >= 0 for column in numbers for cell in column) and numbers[1] == numbers[3] == ["1.25"] * 2


def test_a_sampled_forecast_is_extrapolated(monkeypatch):
    taken = []

    def seconds(action, device):
        taken.append(network.settings.sampling.steps)
        return 5.0 + 2.0 * taken[-1]

    network = benchmark_models._network(config("mcvd", MCVD, "diffusion"))
    monkeypatch.setattr(benchmark_models, "_network", lambda config: network)
    monkeypatch.setattr(benchmark_models, "_fastest", seconds)
    assert benchmark_models._forecast(config("mcvd", MCVD, "diffusion"), "cpu") == 5 + 2 * 100
    assert taken == [1, 2]


def test_a_model_that_does_not_fit_in_memory_is_said_and_the_others_go_on(monkeypatch):
    large = load_config("mcvd")  # 1.4 GiB of parameters alone
    assert in_a_process(benchmark_models._forecast, large, "cpu", memory=2**29) is None
    small = in_a_process(benchmark_models._training_step, config("unet", UNET, "regression"), "cpu")
    assert small is not None and small.seconds > 0 and 0.1 < small.memory < 4
    monkeypatch.setattr(benchmark_models, "in_a_process", lambda measure, config, device: None)
    assert [list(column.cells) for column in costs_of([large], "cpu").columns][2:] == [["-"]] * 4


def test_the_command_measures_the_whole_table(monkeypatch):
    measured = []
    monkeypatch.setattr(benchmark_models, "costs_of", lambda configs, device: measured.extend(configs) or device)
    result = CliRunner().invoke(cli.app, ["benchmark", "models", "--device", "cpu"])
    assert result.output.strip() == "cpu" and {"predldm", "unet", "mcvd"} <= {config.model for config in measured}
    assert next(c for c in measured if c.model == "predldm").network["denoiser"]["hidden"] == 1152
    with pytest.raises(Exception, match="no such device"):
        CliRunner().invoke(cli.app, ["benchmark", "models", "--device", "x"], catch_exceptions=False)
