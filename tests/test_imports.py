"""The house: imports point downward only, and names that cost nothing import nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A module may import modules of its own layer and of the layers before it.
LAYERS = [
    ["nowcast.conventions", "nowcast.config", "nowcast.seeds", "nowcast.devices"],
    ["nowcast.windows", "nowcast.forecast_file", "nowcast.diffusion", "nowcast.verification", "nowcast.plots",
     "nowcast.panels", "nowcast.report", "nowcast.animation", "nowcast.outlines", "nowcast.optical_flow",
     "nowcast.cascade", "nowcast.perturbed_guess", "nowcast.first_guess", "nowcast.live", "nowcast.optimizers",
     "nowcast.summary", "nowcast.training_windows"],
    ["nowcast.models"],
    ["nowcast.checkpoint", "nowcast.perception", "nowcast.records", "nowcast.training_data"],
    ["nowcast.training", "nowcast.forecasting"],
    ["nowcast.describe", "nowcast.demo", "nowcast.benchmark"],
    ["nowcast.preparing"],
    ["nowcast.cli"],
]  # fmt: skip


def layer_of(module: str) -> int:
    for number, names in enumerate(LAYERS):
        if any(module == name or module.startswith(name + ".") for name in names):
            return number
    return -1


def modules(package: str) -> list[tuple[str, Path]]:
    paths = sorted((ROOT / package).rglob("*.py"))
    return [(".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), p) for p in paths]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize(("module", "path"), modules("pipelines"))
def test_pipelines_never_import_nowcast_or_torch(module: str, path: Path) -> None:
    assert not [name for name in imports(path) if name.split(".")[0] in {"nowcast", "torch"}]


@pytest.mark.parametrize(("module", "path"), [m for m in modules("nowcast") if m[0] != "nowcast"])
def test_nowcast_imports_downward(module: str, path: Path) -> None:
    own = layer_of(module)
    assert own >= 0, f"{module} stands in no layer"
    type_only = {"nowcast.config.RunConfig", "nowcast.models.network.Network"}
    assert not [name for name in imports(path) if name.startswith("nowcast.") and layer_of(name) > own and
                name not in type_only]  # fmt: skip


@pytest.mark.parametrize("module", ["nowcast.cli", "nowcast.config"])
def test_light_modules_import_no_heavy_library(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('torch', 'xarray', 'numpy', 'dask') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_file_is_read_as_a_pickle() -> None:
    for package in ("nowcast", "pipelines"):
        for module, path in modules(package):
            assert not imports(path) & {"pickle", "dill", "cloudpickle", "joblib"}, module
            text = path.read_text()
            assert not [word for word in ("torch.load(", "allow_pickle=True", "yaml.load(") if word in text], module
