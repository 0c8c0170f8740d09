"""The page of an experiment: the table in Markdown, what it was made from, and how it differs from the paper."""

import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from nowcast.experiments.beside import side_by_side
from nowcast.experiments.columns import COLUMNS, Column


def machine() -> str:
    """The machine in words: processor, cores, memory, and graphics card where there is one."""
    import torch

    cpu = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")] \
        if cpu.is_file() else []  # fmt: skip
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    card = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores, {memory:.0f} GiB{card}, torch {torch.__version__}"


def markdown(result: xr.Dataset, figure: str) -> str:
    """The page.

    Args:
        result: See `nowcast.experiments.results`.
        figure: Name of the file of the figure.
    """
    attrs = result.attrs
    lines = [f"# {attrs['title']}", "", f"`{attrs['command']}`", "", f"{attrs['machine']}.", ""]
    lines += [attrs["scope"], "", *table(result), "", *legend(result), "", f"![{attrs['title']}]({figure})", ""]
    if "pair" in result:
        lines += [f"## Without and with {attrs['beside']}", "", *side_by_side(result)]
    lines += ["## Training", "", *training(result), "", "## How this differs from the paper", ""]
    lines += [f"- {line}" for line in attrs["differs"].splitlines()]
    if attrs["left_out"]:
        lines += ["", "## Left out", "", *(f"- {line}" for line in attrs["left_out"].splitlines())]
    return "\n".join(lines).replace("<", "&lt;") + "\n"  # names of rows are text, not HTML


def table(result: xr.Dataset) -> Iterator[str]:
    """Rows and columns; a column with numbers of the paper has them in a column of its own beside it."""
    headings = [str(heading) for heading in result["column"].values]
    beside = {heading for heading in headings if result["published"].sel(column=heading).notnull().any()}
    titles = [title for heading in headings for title in [heading, *[f"{heading} (paper)"] * (heading in beside)]]
    yield _line(["", *titles])
    yield _line(["---", *["---:"] * len(titles)])
    for number, name in enumerate(result["row"].values):
        row = result.isel(row=number)
        cells = []
        for place, heading in enumerate(headings):
            one = row.isel(column=place)
            cells.append(_cell(one, COLUMNS.get(heading)))
            if heading in beside:
                cells.append(_number(one["published"].item(), None))
        yield _line([str(name), *cells])


def _cell(one: xr.Dataset, column: Column | None) -> str:
    value = one["score"].item()
    if np.isnan(value):
        return "needs weights" if column and column.weights else "-"
    digits = column.digits if column else None
    low, high = one["interval"].values if "interval" in one else (np.nan, np.nan)
    interval = "" if np.isnan([low, high]).any() else f" ({_number(low, digits)} to {_number(high, digits)})"
    return f"{_number(value, digits)}{interval}"


def _number(value: float, digits: int | None) -> str:
    return "-" if np.isnan(value) else f"{value:.{digits}f}" if digits is not None else f"{value:.4g}"


def legend(result: xr.Dataset) -> Iterator[str]:
    """What stands under each heading."""
    if "mean" in result.attrs:
        mean = str(result.attrs["mean"]).replace("_", "-")
        yield f"Scores are {mean} over lead times; in brackets 95 % intervals from resampled events."
    yield "(paper): the number that the paper prints, under its own protocol and training. -: no value."
    yield ""
    for heading in map(str, result["column"].values):
        if column := COLUMNS.get(heading):
            missing = np.isnan(result["score"].sel(column=heading)).all()
            yield f"- {heading}: {column.words}.{_why_missing(column) if missing else ''}"


def _why_missing(column: Column) -> str:
    if column.weights:
        return f" Not measured: it needs {column.weights}."
    return " It needs a row of STEPS, which is left out." if column.difference else " No value here."


def training(result: xr.Dataset) -> Iterator[str]:
    """Members, parameters and training of each row."""
    if "parameters" not in result:
        yield "Nothing is trained."
        return
    yield _line(["", "members", "parameters", "training steps", "training minutes"])
    yield _line(["---", *["---:"] * 4])
    for number, name in enumerate(result["row"].values):
        row = result.isel(row=number)
        cells = []
        for key, form in (("members", "{:.0f}"), ("parameters", "{:,.0f}"), ("training_steps", "{:,.0f}"),
                          ("training_minutes", "{:.1f}")):  # fmt: skip
            value = float(row[key]) if key in row else np.nan
            cells.append("-" if np.isnan(value) else form.format(value))
        yield _line([str(name), *cells])


def _line(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"
