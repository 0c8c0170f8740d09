"""Plug-ins by entry points: found, and left out with one warning where they are broken."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.store.plugins import plugins

GOOD = "def header(path): ...\ndef values(path, number): ...\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a package of one module with one entry point, as pip lays it out."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(module: str, code: str, *, name: str, group: str) -> None:
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")

    return make


def test_a_plug_in_is_loaded_by_its_name(install: Callable[..., None]) -> None:
    install("works_well", GOOD, name=".rain", group="test.good")
    found = plugins("test.good", needs=("header", "values"))
    assert list(found) == [".rain"] and found[".rain"].__name__ == "works_well"
    assert plugins("test.none") == {}


@pytest.mark.parametrize(
    ("module", "code", "reason"),
    [
        ("raises_at_once", "raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("imports_nothing", "import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("cannot_be_parsed", "def", "SyntaxError"),
        ("lacks_one", "def header(path): ...", "it has no values"),
    ],
)
def test_a_broken_one_costs_one_warning(
    install: Callable[..., None], caplog: pytest.LogCaptureFixture, module: str, code: str, reason: str
) -> None:
    group = f"test.{module}"
    install(module, code, name="broken", group=group)
    install(f"beside_{module}", GOOD, name="good", group=group)
    for _ in range(2):  # loaded once, and warned of once
        assert list(plugins(group, needs=("header", "values"))) == ["good"]
    (line,) = caplog.messages
    assert f"broken = {module} of {group}" in line and reason in line and "\n" not in line


def test_a_name_that_is_taken_is_left_out(install: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    install("wants_steps", GOOD, name="steps", group="test.taken")
    install("a_twin", GOOD, name="twin", group="test.taken")
    install("b_twin", GOOD, name="twin", group="test.taken")
    assert list(plugins("test.taken", taken=("steps",))) == ["twin"]
    assert len(caplog.messages) == 2 and "another steps" in caplog.text and "another twin" in caplog.text
