"""Run the notebooks that are named, or all, and write each .ipynb, with its outputs, beside its .py."""

import sys
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).resolve().parent


def execute(path: Path) -> NotebookNode:
    """The notebook of a .py with its outputs, without whatever differs from run to run."""
    notebook = jupytext.read(path)
    NotebookClient(notebook, timeout=900, kernel_name="python3", record_timing=False).execute()
    notebook.metadata.pop("widgets", None)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        if cell.cell_type == "code":  # what is displayed, rather than returned or printed, are progress bars
            cell.outputs = [output for output in cell.outputs if output.output_type != "display_data"]
    return notebook


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:] or sorted(HERE.glob("[1-9]-*.py"))):
        jupytext.write(execute(path), path.with_suffix(".ipynb"))
        print(path.with_suffix(".ipynb"))
