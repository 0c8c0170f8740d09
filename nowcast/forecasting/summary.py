"""Summaries of an ensemble instead of its members: mean, spread, quantiles and probabilities of thresholds.

Computed case by case from members rounded to the file's 16-bit packing, so the result equals a summary of the written
members. Dims as of a forecast file, without `member`, with `quantile` or `threshold` before lead_time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dask.array
import numpy as np
import xarray as xr

from nowcast.data.forecast_file import COUNT_STEP, pack, writing
from nowcast.data.statistics import ensemble_mean, ensemble_probability, ensemble_spread
from pipelines.errors import InputError
from pipelines.store.schema import pixels

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_PROBABILITY_STEP = np.float32(1e-4)


@contextmanager
def writing_summary(
    out: Path, members: xr.Dataset, thresholds: Sequence[float], *, overwrite: bool = False
) -> Iterator[Callable[[int, slice, np.ndarray], None]]:
    """Write a file of summaries that becomes `out` only if all goes well.

    Args:
        out: File to write.
        members: Template of the forecast file that would hold the members.
        thresholds: Of the probabilities, counts, `>=`; none for a video.
        overwrite: Replace `out` where it exists.

    Yields:
        A function that takes the number of a case, a slice of members and their counts (member, lead_time, ..., y, x).
        The members of a case come in order and whole before those of another.

    Raises:
        InputError: for an ensemble of one member.
    """
    shape = pixels(members).shape[1:]
    if shape[0] < 2:
        raise InputError("a summary of an ensemble", got="one member", expected="two or more")
    template = summary_template(members, thresholds)
    packed = np.empty(shape, "int16")
    with writing(out, template, overwrite=overwrite) as put:

        def collect(case: int, batch: slice, counts: np.ndarray) -> None:
            packed[batch] = pack(counts, COUNT_STEP)
            if batch.stop >= len(packed):
                for name, values in zip(template.data_vars, summarise(packed, thresholds), strict=True):
                    put(str(name), case, values)

        yield collect


def summary_template(members: xr.Dataset, thresholds: Sequence[float]) -> xr.Dataset:
    """A file of summaries without its numbers, from the template of a forecast file."""
    array = pixels(members)
    fields = array.isel(member=0, drop=True)
    levels = {
        "quantile": ("quantile", np.array(QUANTILES), {"long_name": "share of members that are lower", "units": "1"}),
        "threshold": ("threshold", np.array(thresholds, "float64"), {"long_name": "threshold, counts", "units": "1"}),
    }
    parts = {
        "mean": ((), "ensemble mean", "realization: mean", COUNT_STEP),
        "spread": ((), "ensemble standard deviation", "realization: standard_deviation", COUNT_STEP),
        "quantile": (("quantile",), "ensemble quantile", "", COUNT_STEP),
        "probability": (("threshold",), "share of members at or above the threshold", "", _PROBABILITY_STEP),
    }
    if not thresholds:
        parts.pop("probability"), levels.pop("threshold")
    summary = members.drop_vars([str(array.name), "member"]).assign_coords(levels)
    for name, (level, words, methods, step) in parts.items():
        dims = ("case", *level, *fields.dims[1:])
        shape = (fields.shape[0], *(len(levels[dim][1]) for dim in level), *fields.shape[1:])
        zeros = dask.array.zeros(shape, dtype="float32", chunks=(1, *shape[1:]))
        attrs = array.attrs | {"long_name": f"{words} of {array.attrs['long_name']}"}
        attrs |= {"cell_methods": methods} if methods else {}
        summary[f"{array.name}_{name}"] = dims, zeros, attrs, {"scale_factor": step}
    attrs = {"title": f"summary of {members.attrs['title']}", "summary_of": f"{array.sizes['member']} members"}
    return summary.assign_attrs(attrs)


def summarise(packed: np.ndarray, thresholds: Sequence[float]) -> list[np.ndarray]:
    """Mean, standard deviation (divided by M - 1), quantiles and probabilities of one case, float32, NaN missing.

    Args:
        packed: Members by `forecast_file.pack`, shape (member, lead_time, ..., y, x).
        thresholds: Counts, `>=`; without any there are no probabilities.

    Returns:
        Arrays with shape (lead_time, ...) and twice (level, lead_time, ...). Quantiles are interpolated linearly
        between the members' order statistics.
    """
    by_lead = [_of_one_lead(packed[:, lead], thresholds) for lead in range(packed.shape[1])]
    mean, spread, quantiles, probabilities = zip(*by_lead, strict=True)
    parts = [np.stack(mean), np.stack(spread), np.stack(quantiles, 1)]
    return [*parts, np.stack(probabilities, 1)] if thresholds else parts


def _of_one_lead(packed: np.ndarray, thresholds: Sequence[float]) -> tuple[np.ndarray, ...]:
    counts = np.where(packed < 0, np.float32(np.nan), packed * COUNT_STEP)
    probabilities = [ensemble_probability(counts, threshold) for threshold in thresholds]
    return (
        ensemble_mean(counts),
        ensemble_spread(counts),
        np.quantile(counts, QUANTILES, axis=0).astype("float32"),
        np.stack(probabilities) if probabilities else counts[:0],
    )
