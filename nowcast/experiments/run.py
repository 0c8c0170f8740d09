"""One experiment from its name to its table and figure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr
from matplotlib.figure import Figure

from nowcast.experiments.bench import Bench, Made, Options, Progress, Tell
from nowcast.experiments.beside import beside
from nowcast.experiments.costing import cost_of, costs
from nowcast.experiments.figures import dots, leads, sweep
from nowcast.experiments.page import machine, markdown
from nowcast.experiments.pictures import samples, spreads
from nowcast.experiments.places import along_x
from nowcast.experiments.results import labelled, scored
from nowcast.experiments.settings import Experiment, Variant, expand, load_experiment, load_scale
from nowcast.training.loop import TrainingStoppedError
from pipelines.errors import InputError
from pipelines.store.whole import whole


class Measure(NamedTuple):
    """How an experiment measures: of one variant whatever `all` makes the result from; see `results`."""

    one: Callable[[Bench, Variant], Any]
    all: Callable[[Sequence[Any], Bench, Sequence[str]], xr.Dataset]


MEASURES = {
    "scores": Measure(Bench.made, scored),
    "along_x": Measure(Bench.made, along_x),
    "costs": Measure(cost_of, costs),
}

FIGURES: dict[str, Callable[[xr.Dataset, Sequence[Any], Bench], Figure]] = {
    "dots": lambda result, made, bench: dots(result),
    "leads": lambda result, made, bench: leads(result),
    "sweep": lambda result, made, bench: sweep(result),
    "samples": lambda result, made, bench: samples(made, bench),
    "spreads": lambda result, made, bench: spreads(made, bench),
}


@dataclass(frozen=True)
class Outcome:
    """The files of an experiment, and the forecasts behind them.

    Attributes:
        table: Markdown.
        numbers: NetCDF.
        figure: PNG.
        made: What was measured of each row.
        bench: The stores and options.
    """

    table: Path
    numbers: Path
    figure: Path
    made: list[Any]
    bench: Bench

    def scored(self) -> tuple[list[Path], list[xr.Dataset]]:
        """The forecasts and their sums, a trained model's first, for a report.

        Raises:
            InputError: where nothing was forecast.
        """
        made = sorted((one for one in self.made if isinstance(one, Made)), key=lambda one: one.trained is None)
        if not made:
            raise InputError("this experiment makes no forecasts", remedy="leave out --report")
        return [one.forecast for one in made], [self.bench.sums(one) for one in made]


def run_experiment(
    name: str,
    stores: Sequence[Path],
    options: Options,
    *,
    scale: str = "tiny",
    models: Sequence[str] = (),
    command: str = "",
    tell: Tell = lambda text: None,
    progress: Progress = lambda label: iter,
) -> Outcome:
    """Run an experiment; what is done already is not done again.

    Args:
        name: See `load_experiment`.
        stores: Stores to train on, and one with a test split.
        options: Where and how; its members, cases and lead give way to those of the experiment and the scale.
        scale: See `load_scale`.
        models: Only these models.
        command: The command line, for the page.
        tell: Called with one line each about what is done.
        progress: Makes, from a label, a function that wraps steps to show how far it is.

    Raises:
        InputError: for an unknown name, wrong stores, or where no row can be made.
    """
    experiment, at = load_experiment(name), load_scale(scale)
    options = replace(
        options,
        members=experiment.members or at.members,
        cases=experiment.cases or at.cases,
        lead=experiment.lead,
    )
    bench = Bench(stores, options, tell, progress)
    headings = experiment.columns.get(bench.kind, ())
    if not headings:
        raise InputError(f"{experiment.name} has no columns for a store of {bench.kind}")
    variants, left_out = expand(experiment, at, bench.kind, models)
    for line in left_out:
        tell(line)
    measure = MEASURES[experiment.measure]
    made: list[Any] = []
    kept: list[Variant] = []
    for variant in variants:
        try:
            made.append(measure.one(bench, variant))
            kept.append(variant)
        except (InputError, TrainingStoppedError) as error:
            left_out.append(f"{variant.name} is left out: {error}")
            tell(left_out[-1])
    if not made:
        raise InputError(f"{experiment.name} has no row", got="; ".join(left_out))
    result = labelled(measure.all(made, bench, headings), experiment, kept, headings, bench.data_set)
    if experiment.beside:
        result = result.merge(beside(made, bench, f", {experiment.beside}"))
    result = result.assign_attrs(_attributes(experiment, bench, scale, command, left_out))
    return _written(result, experiment, bench, made)


def _attributes(experiment: Experiment, bench: Bench, scale: str, command: str, left_out: list[str]) -> dict[str, Any]:
    return {
        "title": experiment.title,
        "command": command,
        "machine": machine(),
        "scale": scale,
        "differs": "\n".join([*_differs(bench, scale), *experiment.differs]),
        "left_out": "\n".join(left_out),
        "beside": experiment.beside,
        "sweep": experiment.sweep.label if experiment.sweep else "",
    }


def _differs(bench: Bench, scale: str) -> list[str]:
    """In which ways every table differs from the paper's."""
    protocol, options = str(bench.store.attrs["protocol"]), bench.options
    budget = f", {options.budget:g} minutes of training for each row" if options.budget else ""
    return [
        f"Data and protocol: {protocol}; the paper's is predldm-128-10-10 for SEVIR, kth-128-10-10 for KTH and "
        "kitti-caltech-128-10-10 for KITTI. The paper names no event threshold.",
        f"Size and training: scale {scale}{budget}; only the scale paper trains the published sizes for the published "
        "number of steps.",
        f"Ensembles: {options.members} members, scored as their mean where the paper scores one sample.",
        f"Training stores: {', '.join(path.name for path in bench.training) or 'none'}; test store: {bench.test.name}.",
    ]


def _written(result: xr.Dataset, experiment: Experiment, bench: Bench, made: list[Any]) -> Outcome:
    attrs = result.attrs
    scope = f"Protocol {attrs['protocol']}, split {attrs['split']}: {attrs['cases']} cases of {attrs['events']} events"
    result = result.assign_attrs(scope=f"{scope}; {attrs['coverage']}." if "coverage" in attrs else f"{scope}.")
    paths = [bench.options.out / f"{experiment.name}.{suffix}" for suffix in ("md", "nc", "png")]
    with whole(paths[1]) as growing:
        result.to_netcdf(growing)
    with whole(paths[2]) as growing:
        FIGURES[experiment.figure](result, made, bench).savefig(growing, dpi=120)
    with whole(paths[0]) as growing:
        growing.write_text(markdown(result, paths[2].name), encoding="utf-8")
    return Outcome(paths[0], paths[1], paths[2], made, bench)
