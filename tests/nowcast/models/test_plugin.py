"""A model that another package adds by an entry point: the package is really installed."""

import numpy as np
from typer.testing import CliRunner

from nowcast.cli import app as cli
from nowcast.data.forecast_file import open_forecast
from nowcast.models import MODELS, model_names


def test_an_installed_package_adds_a_model_and_its_broken_one_costs_one_line(
    installed_plugin, small_store, tmp_path, caplog
):
    def run(*words):
        return CliRunner().invoke(cli.app, [str(word) for word in words])

    listed = run("models")
    lines = listed.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("fading"))
    assert listed.exit_code == 0 and lines[at].split()[1:] == ["-", "ready"]
    assert lines[at + 1].strip() == "The newest observed counts times 0.9 per lead time."
    assert lines[at + 2].strip() == "Of the module nowcast_fading."
    assert model_names() == [*MODELS, "fading"]
    assert run("forecast", "fading", small_store, tmp_path / "f.nc", "--limit", 1).exit_code == 0
    persistence = run("forecast", "persistence", small_store, tmp_path / "p.nc", "--limit", 1)
    assert persistence.exit_code == 0
    faded, newest = (open_forecast(tmp_path / name)["vil"].values for name in ("f.nc", "p.nc"))
    factors = 0.9 ** np.arange(1, 11).reshape(-1, 1, 1)
    np.testing.assert_allclose(faded, newest * factors, atol=1 / 256)
    (line,) = caplog.messages
    assert "plug-in broken = nowcast_fading:NoSuchModel of nowcast.models is left out: AttributeError" in line


def test_without_the_package_its_model_is_not_known(small_store, tmp_path):
    assert model_names() == list(MODELS)
    done = CliRunner().invoke(cli.app, ["forecast", "fading", str(small_store), str(tmp_path / "f.nc")])
    assert "no model 'fading'" in str(done.exception)
