"""Figures of one case for all rows side by side: a member of each, or the standard deviation of its members."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from nowcast.experiments.bench import Bench, Made
from nowcast.plots.maps import evenly_spread, open_forecast, plot_rows
from nowcast.plots.panels import picture_look, spread_look, vil_look
from nowcast.plots.rows import Row, observed_row, one_case, pictures
from nowcast.verification.inputs import open_observations


def samples(made: Sequence[Made], bench: Bench) -> Figure:
    """The observation, and member 0 of every row, at four lead times of the case with most echo."""
    video = bench.kind == "video"
    largest, look = bench.store.attrs.get("data_range", 255), picture_look() if video else vil_look()
    cases = _cases(made)
    rows = [
        Row(one.variant.name, pictures(fields, largest) if video else fields, look)
        for one, fields in zip(made, (_members(case)[0] for case in cases), strict=True)
    ]
    return _drawn(rows, cases[0], bench)


def spreads(made: Sequence[Made], bench: Bench) -> Figure:
    """The observation, and the standard deviation of the members of every ensemble, in one scale of colours."""
    ensembles = [
        (one, members) for one, case in zip(made, _cases(made), strict=True) if len(members := _members(case)) > 1
    ]
    fields = [members.std(axis=0, ddof=1) for _, members in ensembles]
    if bench.kind == "video":
        fields = [field.mean(axis=1) for field in fields]
    look = spread_look(np.stack(fields) if fields else np.zeros(1))
    rows = [Row(one.variant.name, field, look) for (one, _), field in zip(ensembles, fields, strict=True)]
    return _drawn(rows, _cases(made[:1])[0], bench)


def _cases(made: Sequence[Made]) -> list[xr.Dataset]:
    """The same case of every forecast, at a few lead times."""
    opened = [open_forecast(one.forecast) for one in made]
    event, init = (one_case(opened[0])[name].values for name in ("event", "init_time"))
    number = int(np.flatnonzero((opened[0]["event"].values == event) & (opened[0]["init_time"].values == init))[0])
    shown = evenly_spread(opened[0].sizes["lead_time"])
    return [one_case(forecast, number).isel(lead_time=shown) for forecast in opened]


def _members(case: xr.Dataset) -> np.ndarray:
    array = case["video" if "video" in case else "vil"]
    return array.transpose("member", "lead_time", ..., "y", "x").values


def _drawn(rows: Sequence[Row], case: xr.Dataset, bench: Bench) -> Figure:
    observed = observed_row(open_observations(bench.test), case)
    return plot_rows([observed, *rows], case.isel(member=[0]).assign_attrs(model="all models"))
