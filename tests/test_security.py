"""SECURITY.md and the lock of dependencies say what holds, and the code runs no text that it reads."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "tarfile.extractall",
    "zipfile.extractall",
}


def _calls(path: Path) -> list[tuple[str, ast.Call]]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [(ast.unparse(node.func), node) for node in nodes if isinstance(node, ast.Call)]


def test_no_text_is_run():
    files = [file for package in ("nowcast", "pipelines") for file in (ROOT / package).rglob("*.py")]
    calls = [(file.name, name, node) for file in files for name, node in _calls(file)]
    assert len(files) > 200 and not [(file, name) for file, name, _ in calls if name in FORBIDDEN]
    assert not [file for file, _, node in calls if any(one.arg == "shell" for one in node.keywords)]
    loaders = {
        ast.unparse(node.args[0]) for _, name, node in calls if name in ("import_module", "importlib.import_module")
    }
    assert loaders == {"module"}  # of the tables of models and of formats


def test_every_test_that_security_names_is_there():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / ".github" / "SECURITY.md").read_text(encoding="utf-8"))
    assert len(named) > 15
    for file, test in named:
        assert re.search(rf"^def {test}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), f"{file}::{test}"


def _pins(text: str) -> dict[str, str]:
    pins = re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins}


def test_the_lock_has_the_tested_versions_and_a_hash_of_each():
    lock, tested = ((ROOT / name).read_text() for name in (".ci/requirements.lock", "constraints.txt"))
    locked, known = _pins(lock), _pins(tested)
    assert len(locked) > 150 and all(known.get(name, version) == version for name, version in locked.items())
    parts = re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]
    assert len(parts) >= len(locked) and all("--hash=sha256:" in part for part in parts)
    project = (ROOT / "pyproject.toml").read_text()
    direct = re.findall(r'^    "([\w-]+)', project.split("dependencies = [")[1].split("]\n")[0], re.MULTILINE)
    assert {name.lower() for name in direct} <= set(locked)
