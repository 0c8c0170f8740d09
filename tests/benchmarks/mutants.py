"""Faults put into the code one at a time, to see that a test fails with each.

    python tests/benchmarks/mutants.py [WORD ...]

Each entry of mutants.yaml is a fault: the file, the text that is replaced (it occurs there once) and the text instead,
in words what becomes wrong, and the tests that must fail. The tree is copied, each fault is put into the copy alone,
and its tests run there in a process of their own; one that takes a minute of processor time counts as failed. At first
all these tests run without a fault and must pass. With WORDs, only the faults whose file, words or tests contain one
of them.
"""

import gc
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
LOADED = ["torch", "accelerate", "diffusers", "xarray", "zarr", "dask.array", "h5py", "netCDF4", "cv2", "numba", "av",
          "scipy.stats", "pandas", "pyproj", "shapely", "pysteps", "scores", "xskillscore", "hypothesis.extra.numpy",
          "pytest", "pydantic", "rich.progress", "typer.testing", "matplotlib.pyplot"]  # fmt: skip
SECONDS = 60


class Fault(NamedTuple):
    """An entry of mutants.yaml."""

    words: str
    file: str
    old: str
    new: str
    tests: str


def run_tests(tree: Path, tests: list[str]) -> int:
    """Run tests of a copy of the tree; gives pytest's exit code, 1 when they take too long."""
    if (process := os.fork()) == 0:
        if len(tests) < 10:
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 9))
        os.chdir(tree)
        os.environ |= {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        sys.path.insert(0, str(tree))
        sys.dont_write_bytecode = True
        output = os.open(tree / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1), os.dup2(output, 2)
        options = ["-x", "-q", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
        os._exit(import_module("pytest").main([*options, *tests]))
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return 1 if code == -signal.SIGXCPU else code


def verdict(tree: Path, fault: Fault) -> str:
    """Whether a test of a fault fails with it: caught, survived, or that the entry is out of date."""
    file = tree / fault.file
    text, stat = file.read_text(), file.stat()
    if text.count(fault.old) != 1:
        return "out of date"
    file.write_text(text.replace(fault.old, fault.new))
    code = run_tests(tree, fault.tests.split())
    file.write_text(text)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the compiled file beside it is then right again
    return {0: "survived", 1: "caught"}.get(code, "out of date")


def main(words: list[str]) -> int:
    """Print a line per fault and the counts; gives the number of faults that were not caught."""
    faults = [Fault(**entry) for entry in yaml.safe_load((Path(__file__).with_suffix(".yaml")).read_text())]
    faults = [f for f in faults if not words or any(word in f"{f.file} {f.words} {f.tests}" for word in words)]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in LOADED:
        import_module(name)
    gc.freeze()  # nothing of this is looked at again in each process
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "notebooks", "shared"))
        if run_tests(tree, sorted({test for fault in faults for test in fault.tests.split()})):
            print("the tests fail without any fault:", (tree / "output.txt").read_text(), sep="\n")
            return len(faults)
        found = Counter[str]()
        for fault in faults:
            found[result := verdict(tree, fault)] += 1
            print(f"{result:11}  {fault.file}: {fault.words}", flush=True)
    print(f"{len(faults)} faults: " + ", ".join(f"{number} {result}" for result, number in sorted(found.items())))
    return len(faults) - found["caught"]


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 99))
