"""Paths that a user gave: outputs that would destroy an input, and names that are nearly right."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from pipelines.errors import InputError


def refuse_inputs(out: str | Path | None, inputs: Iterable[str | Path | None]) -> None:
    """Refuse an output that would replace an input of the same command, hold it, or lie inside an input store.

    Args:
        out: File or folder to write; None where nothing is written.
        inputs: Files, folders and URLs that the command reads; None is skipped, and a URL is no path.

    Raises:
        InputError: naming both.
    """
    if out is None:
        return
    target = Path(out).resolve()
    for given in inputs:
        if given is None or "://" in str(given):
            continue
        source = Path(given).resolve()
        inside_a_store = source in target.parents and any((source / name).exists() for name in ("zarr.json", ".zgroup"))
        if target == source or target in source.parents or inside_a_store:
            raise _clash(out, "holds" if target in source.parents else "lies inside", given)


def refuse_inside(out: str | Path, folders: Iterable[str | Path]) -> None:
    """Refuse a folder of outputs inside a folder of inputs, where they would be taken for inputs the next time.

    Args:
        out: Folder to write into.
        folders: Folders that the command reads.

    Raises:
        InputError: naming both.
    """
    for given in folders:
        if Path(given).resolve() in (Path(out).resolve(), *Path(out).resolve().parents):
            raise _clash(out, "lies inside", given)


def _clash(out: str | Path, where: str, given: str | Path) -> InputError:
    where = "is" if Path(out).resolve() == Path(given).resolve() else where
    return InputError(f"the output {out} {where} the input {given}", remedy="write to another path")


def state_of(path: Path) -> tuple[int, int]:
    """Bytes of a file, or of all files of a folder, and the time in ns since 1970 when the last of them changed.

    Raises:
        FileNotFoundError: where a file goes away meanwhile.
    """
    parts = [part.stat() for part in ([path] if path.is_file() else path.rglob("*")) if part.is_file()]
    return sum(part.st_size for part in parts), max((part.st_ctime_ns for part in parts), default=0)


def near(path: Path, others: Iterable[str] = ()) -> str:
    """Names like that of a path that does not exist, such as ", near it: forecast.nc"; empty where there is none.

    Names that begin with a dot are left out: they are locks, and outputs that were not finished.

    Args:
        path: The path. The names of its folder are searched.
        others: More names to search.
    """
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    beside = [name for name in beside if not name.startswith(".")]
    names = get_close_matches(path.name, [*beside, *others], n=3)
    return f", near it: {', '.join(names)}" if names else ""
