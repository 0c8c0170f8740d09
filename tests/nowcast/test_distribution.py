"""The distribution on the package index, and the version that every file and command states."""

import tomllib
from pathlib import Path

import nowcast
import pipelines

PROJECT = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())


def test_the_distribution_is_sevir_nowcast_and_the_command_is_nowcast():
    project = PROJECT["project"]
    assert project["name"] == "sevir-nowcast" and list(project["scripts"]) == ["nowcast"]
    extras = project["optional-dependencies"]
    own = [line for lines in extras.values() for line in lines if "nowcast" in line]
    assert own == ["sevir-nowcast[pysteps,notebooks,s3,geotiff]"]


def test_the_version_stands_in_one_place():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "pipelines/__init__.py"
    assert nowcast.__version__ == pipelines.__version__ == "0.1.0"
