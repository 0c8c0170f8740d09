"""The worked examples of CONTRIBUTING.md, put in place as its text says and run."""

import importlib
import re
import runpy
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

from nowcast.cli import app as cli
from nowcast.diffusion import samplers
from nowcast.diffusion.objectives import Velocity
from nowcast.models import MODELS
from nowcast.verification.contract import Metric
from nowcast.verification.metrics.table import METRICS
from nowcast.verification.verify import verify
from pipelines.errors import InputError
from pipelines.radar.files import FORMATS, read_counts, read_header
from pipelines.store.units import RAIN_RATE

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parent / "CONTRIBUTING.md").read_text()
# A block begins with its path, or with "TABLE in PATH" where it is a line of a table.
FOUND = re.findall(r"```(?:python|yaml)\n# ([^\n]+)\n(.*?)```", PAGE, re.DOTALL)
BLOCKS = dict(FOUND)


def line_of(table: str, name: str, names: dict[str, Any] | None = None) -> Any:
    """The value of the page's line `name` of a table, evaluated where `names` are known."""
    lines = [text for heading, text in FOUND if heading.startswith(f"{table} in ") and f'"{name}"' in text]
    assert len(lines) == 1
    ((_, value),) = eval("{" + lines[0] + "}", names or {}).items()
    return value


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Writes the page's block of a path into a folder in which its package is searched too, and imports it."""

    def put(path: str) -> ModuleType:
        name = path.removesuffix(".py").replace("/", ".")
        package = importlib.import_module(name.rpartition(".")[0])
        (tmp_path / "placed").mkdir()
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / "placed")])
        (tmp_path / "placed" / Path(path).name).write_text(BLOCKS[path])
        monkeypatch.setitem(sys.modules, name, None)  # restored, or rather removed, after the test
        del sys.modules[name]
        return importlib.import_module(name)

    return put


@pytest.fixture
def add_model(place, monkeypatch) -> Callable[[str], None]:
    """Adds a model of the page by its file and its line of the table."""

    def add(name: str) -> None:
        place(f"nowcast/models/{name}.py")
        monkeypatch.setitem(MODELS, name, line_of("MODELS", name))

    return add


def run(*words: object) -> str:
    result = CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_floors_of_the_page_are_the_floors_that_are_held() -> None:
    floors = runpy.run_path(str(TESTS / "test_imports.py"))["FLOORS"]
    picture = PAGE.split("```")[3]
    number, found = 0, dict[str, int]()
    for line in picture.splitlines():
        if line.strip()[:1].isdigit():
            number = int(line.split()[0])
        found = dict.fromkeys(re.findall(r"[a-z]+", line), number) | found  # a room stands where it is named first
    for height, floor in enumerate(floors, 1):
        assert {found.get(room.rpartition(".")[2]) for room in floor} == {height}


def test_the_model_without_training(add_model, small_store, tmp_path) -> None:
    add_model("trend")
    for number in (1, 3):
        run("forecast", "trend", small_store, tmp_path / f"{number}.nc", "--ensemble", number)
    one, three = (xr.open_dataset(tmp_path / f"{n}.nc", decode_timedelta=True)["vil"].load() for n in (1, 3))
    xr.testing.assert_equal(one, three.isel(member=[0]))  # a member does not depend on those beside it
    assert three.sizes["lead_time"] == 10 and float(three.std("member").max()) > 1
    assert {"crps_fair", "spread"} <= set(verify(tmp_path / "3.nc", small_store, samples=0))


def test_the_network(add_model, small_store, tmp_path) -> None:
    add_model("shallow")
    (tmp_path / "shallow.yaml").write_text(BLOCKS["configs/shallow.yaml"])
    chosen = ("network.side=16", "stages.regression.steps=4", "stages.regression.validate_every=2")
    sets = [word for setting in chosen for word in ("--set", setting)]
    run("train", tmp_path / "shallow.yaml", "--store", small_store, "--run", tmp_path / "run", "--device", "cpu", *sets)
    run("forecast", tmp_path / "run", small_store, tmp_path / "f.nc", "--device", "cpu")
    with xr.open_dataset(tmp_path / "f.nc", decode_timedelta=True) as file:
        assert file["vil"].sizes["member"] == 1 and file["vil"].sizes["lead_time"] == 10
        assert not np.array_equal(file["vil"].isel(lead_time=0), file["vil"].isel(lead_time=9))
    assert "RMSE" in run("verify", tmp_path / "f.nc", small_store)


def test_the_format_of_radar(place, monkeypatch, tmp_path) -> None:
    place("pipelines/radar/ascii_grid.py")
    monkeypatch.setitem(FORMATS, ".asc", line_of("FORMATS", ".asc"))
    path = tmp_path / "rain_202007011205.asc"
    keys = "ncols 3\nnrows 2\nxllcorner 4000000\nyllcorner 3000000\ncellsize 1000\nNODATA_value -9999\n"
    path.write_text(keys + "0 10 -9999\n0 0 5\n")
    found = read_header(path)
    assert found.quantity == RAIN_RATE and found.times == (datetime(2020, 7, 1, 12, 5),)
    assert (found.grid.west, found.grid.south, found.grid.rows, found.grid.columns) == (4e6, 3e6, 2, 3)
    # 10 mm h-1: Z = 200 10^1.6 = 7962, M = 3.44e-6 x 4500 Z^(4/7) = 2.62 kg m-2, 83.9 + 38.9 ln M = 121.4 counts.
    assert read_counts(path, 0, found.quantity)[1].tolist() == [0, 121, 255]
    assert read_counts(path, 0, found.quantity)[0, :2].tolist() == [0, 0]
    path.write_text(keys.replace("cellsize 1000\n", ""))
    with pytest.raises(InputError, match=r"rain_202007011205\.asc cannot be read"):
        read_header(path)


def test_the_metric(place, monkeypatch, make_store, make_forecast) -> None:
    names = vars(place("nowcast/verification/metrics/enclosure.py"))
    monkeypatch.setitem(METRICS, "enclosed", line_of("METRICS", "enclosed", {**names, "Metric": Metric}))
    obs = np.array([0, 20, 30]).reshape(1, 3, 1, 1)
    members = np.array([[10, 40], [25, 50]]).reshape(1, 2, 2, 1, 1)  # 20 lies in 10 to 25; 30 below 40 to 50
    scores = verify(make_forecast(members), make_store(obs), samples=0)
    assert scores["enclosed"].values.tolist() == [1, 0] and scores["enclosed_pooled"] == 0.5


def test_the_sampler(monkeypatch) -> None:
    exec(BLOCKS["in nowcast/diffusion/samplers.py"], names := dict(vars(samplers)))
    monkeypatch.setitem(samplers.SAMPLERS, ("v", "sde-dpmsolver++"), line_of("SAMPLERS", "sde-dpmsolver++", names))

    def draw(first: int, count: int) -> torch.Tensor:
        """Of data that are all 1.5: z = alpha 1.5 + sigma eps, so that v = alpha eps - sigma 1.5 is known."""
        rows = [torch.Generator().manual_seed(first + number) for number in range(count)]

        def denoise(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            alpha, sigma = (level[:, None] for level in Velocity().levels(t))
            return alpha * (z - alpha * 1.5) / sigma - sigma * 1.5

        noise = samplers.draw_noise((7,), rows)
        options = {"objective": "v", "sampler": "sde-dpmsolver++", "steps": 10, "generators": rows}
        *_, before, end = samplers.sampling(denoise, noise, **options)
        torch.testing.assert_close(end, torch.full_like(end, 1.5), rtol=0, atol=0.02)
        return before

    together = draw(0, 4)
    torch.testing.assert_close(draw(2, 1), together[2:3])
    assert not torch.allclose(together[0], together[1])
