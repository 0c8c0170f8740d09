"""`nowcast models`: every model with its size and its source."""

import pytest
from typer.testing import CliRunner

from nowcast.cli import app as cli
from nowcast.models import MODELS, is_trainable, model_class

TRAINABLE = [name for name in MODELS if is_trainable(model_class(name))]


@pytest.fixture(scope="module")
def listed() -> dict[str, str]:
    """What is said of each model, on one line."""
    result = CliRunner().invoke(cli.app, ["models"])
    assert result.exit_code == 0, result.output
    said: dict[str, str] = {}
    for line in result.stdout.splitlines():
        if not line.startswith(" "):
            name, _, line = line.partition(" ")
            said[name] = ""
        said[name] += " ".join(line.split()) + " "
    return said


def test_the_whole_table_is_listed(listed):
    assert list(listed) == list(MODELS)
    for name, text in listed.items():
        assert model_class(name).__doc__.splitlines()[0] in text


def test_trainable_models_say_their_published_size_and_their_source(listed):
    for name in TRAINABLE:
        number = int(listed[name].split()[0].replace(",", ""))
        assert number > 1_000_000 and "https://" in model_class(name).source in listed[name], name
    published = {"unet": "16,555,114", "simvp": "12,152,385", "simvp_gsta": "15,632,961", "mcvd": "367,650,437"}
    assert {name: listed[name].split()[0] for name in published} == published
    assert listed["persistence"].startswith("- ready") and "https://doi.org" in listed["steps"]


def test_models_say_which_weights_come_with_the_package(listed):
    assert "ready (weights included; train your own with `nowcast train`)" in listed["predldm"]
    assert "frames every 4 to 6 minutes, pixels of 1 to 3 km" in listed["predldm"]
    assert "to be trained with `nowcast train`" in listed["unet"]


def test_a_model_without_a_configuration_has_no_size(toy_config):
    lines = CliRunner().invoke(cli.app, ["models"]).stdout.splitlines()
    assert next(line for line in lines if line.startswith("toy")).split()[:2] == ["toy", "-"]
