"""The house: imports point downward only, and names that cost nothing import nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A module may import modules of its own layer and of the layers before it.
LAYERS = [
    ["nowcast.conventions", "nowcast.config", "nowcast.seeds", "nowcast.devices", "nowcast.turns"],
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


PICKLES = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
READERS = {"torch.load", "torch.jit.load", "torch.hub.load", "pandas.read_pickle"} | {
    f"yaml.{kind}load{many}" for kind in ("", "full_", "unsafe_") for many in ("", "_all")
}
SAFE = {"allow_pickle": False, "weights_only": True, "use_safetensors": True}


def reads_a_pickle(path: Path) -> set[str]:
    """What a module uses, in the usual ways, that can run the code of a file it reads."""
    found = {name for name in imports(path) if name.split(".")[0] in PICKLES or name in READERS}
    tree = ast.parse(path.read_text())
    names = [alias for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    aliases = {alias.asname: alias.name for alias in names if alias.asname}
    parts = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in parts for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            module, _, name = ast.unparse(node).rpartition(".")
            found |= {f"{aliases.get(module, module)}.{name}"} & READERS
        if isinstance(node, ast.keyword) and node.arg in SAFE and ast.unparse(node.value) != str(SAFE[node.arg]):
            found.add(f"{node.arg}={ast.unparse(node.value)}")
    return found


def test_no_file_is_read_as_a_pickle() -> None:
    for package in ("nowcast", "pipelines"):
        for module, path in modules(package):
            assert not reads_a_pickle(path), module


@pytest.mark.parametrize(
    "code",
    ["from torch import load", "import torch\ntorch.load(f)", "x = torch.load", "np.load(f, allow_pickle = True)",
     "import pickle", "from pickle import loads", "import pandas as p\np.read_pickle(f)", "yaml.unsafe_load(f)",
     "import torch as t\nt.load(f)", "from torch import jit\njit.load(f)", "from torch import hub as h\nh.load(f)",
     "yaml.load_all(f)", "accelerator.load(f, weights_only=False)",
     "V.from_pretrained(n, use_safetensors=False)"],
)  # fmt: skip
def test_usual_ways_to_read_a_pickle_are_found(tmp_path, code: str) -> None:
    (tmp_path / "m.py").write_text(code)
    assert reads_a_pickle(tmp_path / "m.py")
