"""The house: imports point downward only, and names that cost nothing import nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A room is what stands directly in nowcast/ or pipelines/. It imports rooms of its own floor or of the floors below.
FLOORS = [
    ["pipelines.errors", "pipelines.store", "pipelines.building", "pipelines.sevir",
     "pipelines.radar", "pipelines.video", "pipelines.simulation"],
    ["nowcast.data", "nowcast.extrapolation", "nowcast.diffusion", "nowcast.perception"],
    ["nowcast.models", "nowcast.verification", "nowcast.plots"],
    ["nowcast.training", "nowcast.forecasting", "nowcast.report"],
    ["nowcast.experiments", "nowcast.cli", "nowcast.interop"],
]  # fmt: skip
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
MOST_ROOMS, MOST_ARROWS, MOST_LINES, MOST_FILES = 22, 75, 350, 22


def modules(package: str) -> list[tuple[str, Path]]:
    paths = sorted((ROOT / package).rglob("*.py"))
    return [(".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), p) for p in paths]


MODULES = [*modules("nowcast"), *modules("pipelines")]
NAMES = {module for module, _ in MODULES}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(name: str) -> str:
    return ".".join(name.split(".")[:2])


def arrows() -> set[tuple[str, str]]:
    """Pairs of rooms of which the first imports the second."""
    found = {(room_of(module), room_of(name)) for module, path in MODULES for name in imports(path) if name in NAMES}
    return {(a, b) for a, b in found if a != b and "." in a and "." in b}


def test_rooms_stand_on_their_floors() -> None:
    standing = {room_of(module) for module in NAMES} - {"nowcast", "pipelines"}
    assert standing == set(FLOOR) and len(standing) <= MOST_ROOMS


def test_rooms_import_downward_and_never_each_other() -> None:
    found = arrows()
    assert not [(a, b) for a, b in found if FLOOR[a] < FLOOR[b]]
    assert not [(a, b) for a, b in found if (b, a) in found]
    assert len(found) <= MOST_ARROWS


@pytest.mark.parametrize(("module", "path"), modules("pipelines"))
def test_pipelines_never_import_nowcast_or_torch(module: str, path: Path) -> None:
    assert not [name for name in imports(path) if name.split(".")[0] in {"nowcast", "torch"}]


@pytest.mark.parametrize(("module", "path"), modules("nowcast"))
def test_verification_never_imports_models(module: str, path: Path) -> None:
    assert room_of(module) != "nowcast.verification" or "nowcast.models" not in {room_of(i) for i in imports(path)}


def test_files_and_folders_stay_small() -> None:
    assert not [path for _, path in MODULES if len(path.read_text().splitlines()) > MOST_LINES]
    folders = {path.parent for _, path in MODULES}
    assert not [folder for folder in folders if len(list(folder.glob("*.py"))) > MOST_FILES]


def test_tests_stand_in_the_folders_of_what_they_test() -> None:
    tests = [path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")]
    ours = [test for test in tests if test.parts[0] != "faults"]  # the campaigns are of all rooms together
    assert len(ours) > 50 and not [test for test in ours if not (ROOT / test).parent.is_dir()]


@pytest.mark.parametrize("module", ["nowcast.cli.app", "nowcast.training.config"])
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
    """Calls of a module that, in the usual ways, can run the code of a file it reads."""
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
