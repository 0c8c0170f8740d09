"""Is a model better than a reference on a radar of one's own: wet cases are chosen, forecast, scored and judged.

Each forecast and the sums of each case are kept in files, so that a comparison that was stopped, or gets another model,
makes only what is missing. Every model forecasts in a process of its own, whose memory is measured. Intervals are of
resampled spells of rain (cases less than six hours apart are of one); where there are fewer than ten spells, of
resampled cases, and then the answer says that they are too few.
"""

import json
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, reduce
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from nowcast import verification
from nowcast.experiments.judged import Grid, grids, words
from nowcast.experiments.kept import digest, made_once, sums_once
from nowcast.forecasting.costs import peak_memory
from nowcast.forecasting.forecast import Request, load_forecaster, write_forecast
from nowcast.forecasting.wet import WetCase, lengths, open_archive, spells, wet_cases
from nowcast.verification.aggregate import add
from nowcast.verification.headline import FEWEST_EVENTS
from nowcast.verification.scores import scores_of
from pipelines.errors import InputError
from pipelines.store.amounts import quantity_of_counts
from pipelines.store.paths import refuse_inside, state_of

Tell = Callable[[str], object]
Progress = Callable[[str], Callable[[Sequence[Any]], Iterable[Any]]]

_ALTERNATIVE = "steps"  # our own STEPS, where pysteps is not installed
_SCORES = ("crps_fair", "csi", "brier", "spread_skill", "counted_fraction")


class Contender(NamedTuple):
    """A model of a comparison.

    Attributes:
        name: Name of a model, run folder or checkpoint.
        label: Its name in tables.
        members: Ensemble size.
        folder: Where its forecasts are kept.
    """

    name: str
    label: str
    members: int
    folder: Path


@dataclass(frozen=True)
class Compared:
    """The outcome of a comparison.

    Attributes:
        answers: The answer in sentences: a caution where there are too few cases, then the result.
        tables: Tables by lead time, by threshold, and of calibration and costs.
        scores: All scores of the first model beside the others, of whole fields.
        states: The sums of each model.
        forecasts: The forecast files of each model, the first model's first.
        wettest: The first model's forecast of the case with the most echo.
        archive: The observations.
    """

    answers: list[str]
    tables: list[Grid]
    scores: xr.Dataset
    states: list[xr.Dataset]
    forecasts: list[list[Path]]
    wettest: Path
    archive: xr.Dataset


def compare(
    sources: Sequence[Path],
    models: Sequence[str],
    reference: str,
    out: Path,
    *,
    members: int = 20,
    number: int = 20,
    device: str | None = None,
    tell: Tell = lambda text: None,
    progress: Progress = lambda label: iter,
) -> Compared:
    """Compare models with a reference on the wet cases of an archive; what is in `out` already is not made again.

    Args:
        sources: A store, of which the test split is taken; or files of radar, folders or wildcards.
        models: Names of models, run folders or checkpoints.
        reference: The same, one; pysteps gives way to steps where it is not installed.
        out: Folder for forecasts, sums and scores.
        members: Ensemble size of models that have members.
        number: Largest number of cases.
        device: cpu, cuda or None for the best there is.
        tell: Called with one line each about what is done.
        progress: Makes, from a label, a function that wraps steps to show how far it is.

    Raises:
        InputError: for a model that is not there or forecasts no case, and sources without wet cases.
    """
    if not models:
        raise InputError("no model", expected="names separated by commas")
    refuse_inside(out, sources)
    if reference == "pysteps" and find_spec("pysteps") is None:
        reference = _ALTERNATIVE
        tell(f"pysteps is not installed (pip install pysteps): the reference is our own {reference} instead")
    archive = open_archive(sources, tell)
    history, lead = lengths(archive)
    contenders, seen = _contenders([*models, reference], sources, out, members, lead, device)
    cases = wet_cases(archive, number, max(history, *seen), lead, progress("choose cases, newest frames"))
    tell(_chosen(cases))
    files = {}
    for contender in contenders:
        files[contender.label], cases = _forecast(contender, sources, cases, lead, device, tell, progress)
    made = [[files[each.label][case] for case in cases] for each in contenders]
    kept = {reached: _sums(archive, made, contenders, out, reached, progress) for reached in (False, True)}
    labels, independent = _labels(cases), len(set(spells(cases)))
    states = {reached: _added(each, contenders, labels) for reached, each in kept.items()}
    scores = _scored(states[False], independent)
    pairs = []
    for place, contender in enumerate(contenders[:-1]):
        two = [[each[place], each[-1]] for each in states.values()]
        whole = _scored(two[0], independent, _SCORES) if place else scores.isel(forecast=[0, -1])
        pairs.append((contender.label, (whole, _scored(two[1], independent, _SCORES))))
    answers = [*_too_few(len(cases), independent), *words(pairs), _chosen(cases)]
    quantity = quantity_of_counts(archive.attrs)
    tables = grids(pairs, contenders[-1].label, [_cost(contender, cases) for contender in contenders], quantity)
    wettest = made[0][max(range(len(cases)), key=lambda number: cases[number].echo)]
    return Compared(answers, tables, scores, _added(kept[False], contenders), made, wettest, archive)


def _contenders(
    names: Sequence[str], sources: Sequence[Path], out: Path, members: int, lead: int, device: str | None
) -> tuple[list[Contender], list[int]]:
    """The models, and the numbers of frames that they see."""
    labels = [Path(name).name for name in names]
    if doubled := [label for label in labels if labels.count(label) > 1]:
        raise InputError(f"two models are called {doubled[0]}", expected="models of different names")
    contenders, seen, states = [], [0], [_states(source) for source in sources]
    for name, label in zip(names, labels, strict=True):
        forecaster, described = load_forecaster(name, device=device)
        own = 1 if forecaster.deterministic else members
        told = [
            described.get("checkpoint_sha256", name),
            states,
            own,
            lead,
        ]
        contenders.append(Contender(name, label, own, out / "forecasts" / f"{label}-{digest(told)}"))
        seen.append(forecaster.window[0] if forecaster.window else 0)
    return contenders, seen


def _states(source: Path) -> list[tuple[str, int, int]]:
    """The files and folders that a source names, and their states: others where radar was added or changed."""
    start = Path(source.anchor)
    return sorted((str(path.resolve()), *state_of(path)) for path in start.glob(str(source.relative_to(start))))


def _chosen(cases: Sequence[WetCase]) -> str:
    """The cases in a sentence."""
    times = [_minute(pick(case.init_time for case in cases)) for pick in (min, max)]
    echo = [f"{100 * pick(case.echo for case in cases):.0f}" for pick in (min, max)]
    number, rain = len(cases), len(set(spells(cases)))
    return (
        f"{number} case{'s' * (number != 1)} of {rain} spell{'s' * (rain != 1)} of rain, {times[0]} to {times[1]} UTC, "
        f"chosen by their newest observed frame: echo on {' to '.join(dict.fromkeys(echo))} % of its pixels."
    )


def _minute(time: np.datetime64) -> str:
    return str(time).replace("T", " ")[:16]


def _too_few(cases: int, independent: int) -> list[str]:
    if independent >= FEWEST_EVENTS:
        return []
    return [
        f"{cases} case{'s' * (cases != 1)} of {independent} spell{'s' * (independent != 1)} of rain "
        f"{'are' if cases != 1 else 'is'} too few to tell: do not trust the interval, give radar of {FEWEST_EVENTS} "
        "spells or more."
    ]


def _file(contender: Contender, case: WetCase) -> Path:
    time = str(case.init_time)[:16].replace(":", "").replace("-", "")
    return contender.folder / f"{time}-{digest([case.event, str(case.init_time)])}.nc"


def _forecast(
    contender: Contender,
    sources: Sequence[Path],
    cases: Sequence[WetCase],
    lead: int,
    device: str | None,
    tell: Tell,
    progress: Progress,
) -> tuple[dict[WetCase, Path], list[WetCase]]:
    """The forecast of each case, and the cases that could be forecast."""
    made, why = {}, ""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        for case in progress(f"forecast {contender.label}, cases")(cases):
            file = _file(contender, case)
            request = Request(
                members=contender.members, events=(case.event,), init=case.init_time, lead=lead, units="counts"
            )

            def write(file: Path = file, request: Request = request) -> None:
                cost = process.submit(forecast_case, contender.name, device, sources, file, request).result()
                file.with_suffix(".json").write_text(json.dumps(cost))

            try:
                made[case] = made_once(file, write)
            except InputError as error:
                why = str(error)
                tell(f"{contender.label}: the case of {_minute(case.init_time)} UTC is left out: {error}")
    if not made:
        raise InputError(f"{contender.label} forecasts none of the cases", got=why)
    return made, [case for case in cases if case in made]


def forecast_case(
    model: str, device: str | None, sources: Sequence[Path], out: Path, request: Request
) -> tuple[float, float]:
    """Forecast one case in this process: seconds, reading and writing included, and peak memory in GiB."""
    forecaster, described = _loaded(model, device)
    start = perf_counter()
    write_forecast(forecaster, sources, out, request, described=described)
    return perf_counter() - start, peak_memory(device or "cpu")


@lru_cache(maxsize=1)
def _loaded(model: str, device: str | None) -> tuple[Any, dict[str, Any]]:
    return load_forecaster(model, device=device)


def _cost(contender: Contender, cases: Sequence[WetCase]) -> tuple[str, int, float, float]:
    """Label, members, median seconds of a case and largest memory in GiB; NaN where they were not measured."""
    files = [_file(contender, case).with_suffix(".json") for case in cases]
    costs = [json.loads(file.read_text()) for file in files if file.is_file()] or [[np.nan, np.nan]]
    seconds, memory = np.array(costs).T
    return contender.label, contender.members, float(np.median(seconds)), float(memory.max())


def _sums(
    archive: xr.Dataset,
    made: Sequence[Sequence[Path]],
    contenders: Sequence[Contender],
    out: Path,
    reached: bool,
    progress: Progress,
) -> list[list[xr.Dataset]]:
    """The sums of each case, of each model, over the pixels that all models have."""
    among = digest([str(contender.folder.name) for contender in contenders])
    region = "reached" if reached else "whole"
    found = []
    for first, *others in progress(f"verify {region}, cases")(list(zip(*made, strict=True))):

        def take(first: Path = first, others: Sequence[Path] = others) -> list[xr.Dataset]:
            return verification.states(first, archive, reference=others, only_reached=reached)

        found.append(sums_once(out / "sums" / f"{region}-{among}" / first.name, take))
    return found


def _labels(cases: Sequence[WetCase]) -> list[str]:
    """What is resampled: spells, or cases where there are few spells."""
    numbers = spells(cases)
    if len(set(numbers)) >= FEWEST_EVENTS:
        return [f"spell {number}" for number in numbers]
    return [f"{case.event}@{case.init_time}" for case in cases]


def _added(
    sums: Sequence[Sequence[xr.Dataset]], contenders: Sequence[Contender], labels: Sequence[str] = ()
) -> list[xr.Dataset]:
    """The sums of all cases, of each model under its label; with `labels` as events instead of the cases' own."""
    labelled = [
        [state.assign_coords(event=[label]) for state in states] for states, label in zip(sums, labels, strict=False)
    ]
    totals = [reduce(add, states) for states in zip(*(labelled or sums), strict=True)]
    return [total.assign_attrs(model=each.label) for total, each in zip(totals, contenders, strict=True)]


def _scored(states: Sequence[xr.Dataset], independent: int, only: Sequence[str] | None = None) -> xr.Dataset:
    return scores_of(states, only=only).assign_attrs(independent_events=independent)
