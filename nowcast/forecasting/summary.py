"""Summaries of an ensemble instead of its members: mean, spread, quantiles and probabilities of thresholds.

In dBZ the mean is that of Z, and there is no spread, which would say little more than how many members are dry.
Computed case by case from members rounded to the file's 16-bit packing and converted to the file's unit, so the result
equals a summary of the written members. Dims as of a forecast file, without `member`, with `quantile` or `threshold`
before lead_time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dask.array
import numpy as np
import xarray as xr

from nowcast.data.forecast_file import Put, PutMembers, writing
from nowcast.data.forecast_template import field_of
from nowcast.data.packing import COUNT_STEP, pack, unpacked
from nowcast.data.statistics import ensemble_mean, ensemble_probability, ensemble_spread, unseen_chance
from pipelines.errors import InputError
from pipelines.store.units import COUNTS, REFLECTIVITY

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_PROBABILITY_STEP = np.float32(1e-4)


@contextmanager
def writing_summary(
    out: Path, members: xr.Dataset, thresholds: Sequence[float], quantity: str = COUNTS, *, overwrite: bool = False
) -> Iterator[tuple[PutMembers, Put]]:
    """Write a file of summaries that becomes `out` only if all goes well.

    Args:
        out: File to write.
        members: Template of the forecast file that would hold the members.
        thresholds: Of the probabilities, counts, `>=`; none for a video.
        quantity: The quantity of that template.
        overwrite: Replace `out` where it exists.

    Yields:
        See `nowcast.data.forecast_file.writing_members`. The members of a case come in order and whole before those of
        another.

    Raises:
        InputError: for an ensemble of one member.
    """
    shape = field_of(members).shape[1:]
    if shape[0] < 2:
        raise InputError("a summary of an ensemble", got="one member", expected="two or more")
    template = summary_template(members, thresholds, quantity)
    names = [str(name) for name in template.data_vars if name not in members]
    packed = np.empty(shape, "int16")
    with writing(out, template, overwrite=overwrite) as put:

        def collect(case: int, batch: slice, counts: np.ndarray) -> None:
            packed[batch] = pack(counts, COUNT_STEP)
            if batch.stop >= len(packed):
                for name, values in zip(names, summarise(packed, thresholds, quantity), strict=True):
                    put(name, case, values)

        yield collect, put


def summary_template(members: xr.Dataset, thresholds: Sequence[float], quantity: str = COUNTS) -> xr.Dataset:
    """A file of summaries without its numbers, from the template of a forecast file of some quantity."""
    array = field_of(members)
    unit = array.attrs["units"]
    said = "counts" if quantity == COUNTS else unit
    amounts = unpacked(pack(np.array(thresholds, "float32"), COUNT_STEP), quantity).astype("float64")
    counts = {} if quantity == COUNTS else {"comment": f"in counts: {', '.join(f'{count:g}' for count in thresholds)}"}
    fields, field = array.isel(member=0, drop=True), dict(array.encoding)
    levels = {
        "quantile": ("quantile", np.array(QUANTILES), {"long_name": "share of members that are lower", "units": "1"}),
        "threshold": ("threshold", amounts, {"long_name": f"threshold, {said}", "units": unit, **counts}),
    }
    parts = {
        "mean": ((), "ensemble mean", "realization: mean", field),
        "spread": ((), "ensemble standard deviation", "realization: standard_deviation", field),
        "quantile": (("quantile",), "ensemble quantile", "", field),
        "probability": (
            ("threshold",),
            "share of members at or above the threshold",
            "",
            {"scale_factor": _PROBABILITY_STEP},
        ),
    }
    if not thresholds:
        parts.pop("probability"), levels.pop("threshold")
    if quantity == REFLECTIVITY:
        parts.pop("spread")
    beside = {name: field for name, field in members.data_vars.items() if name != array.name}
    summary = members.drop_vars([*members.data_vars, "member"]).assign_coords(levels)
    for name, (level, words, methods, encoding) in parts.items():
        dims = ("case", *level, *fields.dims[1:])
        shape = (fields.shape[0], *(len(levels[dim][1]) for dim in level), *fields.shape[1:])
        zeros = dask.array.zeros(shape, dtype="float32", chunks=(1, *shape[1:]))
        attrs = array.attrs | {"long_name": f"{words} of {array.attrs['long_name']}"}
        attrs |= {"cell_methods": methods} if methods else {}
        if name == "mean" and quantity == REFLECTIVITY:
            attrs["long_name"] += ": mean of Z, in dBZ"
        if name == "probability":
            attrs = {key: value for key, value in attrs.items() if key != "standard_name"} | {"units": "1"}
            attrs["comment"] = unseen_chance(array.sizes["member"])
        summary[f"{array.name}_{name}"] = dims, zeros, attrs, encoding
    attrs = {"title": f"summary of {members.attrs['title']}", "summary_of": f"{array.sizes['member']} members"}
    return summary.assign(beside).assign_attrs(attrs)


def summarise(packed: np.ndarray, thresholds: Sequence[float], quantity: str = COUNTS) -> list[np.ndarray]:
    """Mean, standard deviation (divided by M - 1), quantiles and probabilities of one case, float32, NaN missing.

    Args:
        packed: Members by `nowcast.data.packing.pack`, shape (member, lead_time, ..., y, x).
        thresholds: Counts, `>=`; without any there are no probabilities.
        quantity: The quantity whose statistics they are, in its unit; without a standard deviation in dBZ.

    Returns:
        Arrays with shape (lead_time, ...), and of quantiles and probabilities (level, lead_time, ...). Quantiles are
        interpolated linearly between the members' order statistics.
    """
    by_lead = [_of_one_lead(packed[:, lead], thresholds, quantity) for lead in range(packed.shape[1])]
    return [np.stack(fields, axis=fields[0].ndim - packed.ndim + 2) for fields in zip(*by_lead, strict=True)]


def _of_one_lead(packed: np.ndarray, thresholds: Sequence[float], quantity: str) -> Iterator[np.ndarray]:
    members, counts = unpacked(packed, quantity), unpacked(packed, COUNTS)
    yield ensemble_mean(members, quantity)
    if quantity != REFLECTIVITY:
        yield ensemble_spread(members)
    yield np.quantile(members, QUANTILES, axis=0).astype("float32")
    if thresholds:
        yield np.stack([ensemble_probability(counts, threshold) for threshold in thresholds])
