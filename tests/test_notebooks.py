"""The notebooks run from top to bottom, each alone, and are committed with the outputs of such a run."""

import os
import re
import runpy
import sys
from pathlib import Path

import jupytext
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[1-9]-*.py"))
PAIRS = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
PICTURES = {"image/png", "image/gif"}
DRAWS = re.compile(r"figure$|nowcast\.plot\(|plot_scores\(|plot_plume\(|Image\(")
MACHINE = re.compile(r"/tmp/|/home/|/root/|/work/|/Users/|[A-Z]:\\\\")


def outputs(notebook, kind):
    return [output for cell in notebook.cells for output in cell.get("outputs", []) if kind(output)]


def is_picture(output):
    return bool(PICTURES & set(output.get("data", {})))


def is_warning(output):
    return output.output_type == "error" or output.get("name") == "stderr"


def test_there_are_six() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == ["1-", "2-", "3-", "4-", "5-", "6-"]
    assert sorted(FOLDER.glob("*.ipynb")) == [path.with_suffix(".ipynb") for path in NOTEBOOKS]


@PAIRS
def test_the_committed_notebook_has_the_cells_of_its_text(path: Path) -> None:
    text, committed = (jupytext.read(path.with_suffix(suffix)) for suffix in (".py", ".ipynb"))
    cells = [[(cell.cell_type, cell.source) for cell in notebook.cells] for notebook in (text, committed)]
    assert cells[0] == cells[1], f"run python notebooks/execute.py notebooks/{path.name}"


@PAIRS
def test_the_committed_notebook_has_pictures_and_nothing_of_the_machine(path: Path) -> None:
    committed = jupytext.read(path.with_suffix(".ipynb"))
    code = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    drawing = [cell for cell in code if DRAWS.match(cell.source.splitlines()[-1])]
    assert len(drawing) >= 2
    assert all(any(map(is_picture, cell.outputs)) for cell in drawing)
    assert not outputs(committed, is_warning)
    texts = [text for output in outputs(committed, bool) for text in (output.get("text", ""), *texts_of(output))]
    assert not [found.group() for text in texts if (found := MACHINE.search(text))]


def texts_of(output):
    return [text for kind, text in output.get("data", {}).items() if kind.startswith("text/")]


def test_the_folder_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.*")) < 6e6


@pytest.mark.slow
@PAIRS
def test_the_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    notebook = runpy.run_path(str(FOLDER / "execute.py"))["execute"](path)
    assert len(outputs(notebook, is_picture)) >= 2
    assert not outputs(notebook, is_warning)
