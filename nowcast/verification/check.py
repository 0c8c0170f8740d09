"""Our scores beside xskillscore's, on a sample of the cases: two implementations that share nothing must agree.

What both have is compared: both estimators of CRPS, RMSE and MAE of the ensemble mean, the rank histogram, and at each
threshold the Brier score and the hits, misses and false alarms of the ensemble mean. xskillscore has the standard CRPS
only; from it and the members' mean absolute error E the fair one of M members follows: standard - (E - standard) / (M -
1). Both draw the rank of an observation that equals a member at random, so ranks are compared where none does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
import xskillscore

from nowcast.verification.aggregate import Progress, aggregate
from nowcast.verification.contract import Pair
from nowcast.verification.inputs import Source, observed_part, open_forecast, open_observations
from nowcast.verification.metrics.ranks import ranks
from nowcast.verification.metrics.table import metrics
from nowcast.verification.pairs import paired

SAMPLE = 4  # cases
TOLERANCE = 1e-6  # relative
_SCALE = {"crps_fair": "crps_standard"}  # what a difference is relative to: the fair CRPS may be zero or below
_CELLS = ("hits", "misses", "false_alarms")

Scores = dict[str, np.ndarray]


@dataclass(frozen=True)
class Agreement:
    """How far our scores are from xskillscore's.

    Attributes:
        differences: By score, the largest difference over the largest value that xskillscore has of it; of the fair
            CRPS, which may be zero, over that of the standard one.
        sampled: Number of cases compared.
        cases: Number of cases that the forecast has.
    """

    differences: dict[str, float]
    sampled: int
    cases: int

    @property
    def wrong(self) -> list[str]:
        """The scores that differ by more than `TOLERANCE`."""
        return [name for name, difference in self.differences.items() if not difference <= TOLERANCE]

    def __str__(self) -> str:
        """One line that says whether they agree."""
        sample = f"{self.sampled} of {self.cases} cases"
        if not self.differences:
            return f"check: no pixel to compare in {sample}"
        if self.wrong:
            named = ", ".join(f"{name} by {self.differences[name]:.1g}" for name in self.wrong)
            return f"check: scores of {sample} differ from xskillscore's: {named} of their value"
        name = max(self.differences, key=self.differences.__getitem__)
        largest = f"largest relative difference {self.differences[name]:.1g} ({name})"
        return f"check: {len(self.differences)} scores of {sample} agree with xskillscore, {largest}"


def cross_check(
    forecast: Source | Sequence[Source],
    store: Path | xr.Dataset,
    thresholds: Sequence[float],
    *,
    progress: Progress = iter,
    only_reached: bool = False,
) -> Agreement:
    """Compare our scores with xskillscore's at each lead time of up to `SAMPLE` cases, evenly spaced.

    Args:
        forecast: See `verify`.
        store: See `verify`.
        thresholds: Event thresholds in counts; none for video.
        progress: See `verify`.
        only_reached: See `verify`.

    Raises:
        InputError: see `verify`.
    """
    observations = open_observations(store, only_reached=only_reached)
    whole, _ = observed_part(open_forecast(forecast), observations)
    number = len(whole.cases)
    every_lead = np.ones(len(whole.lead_times), bool)
    rows = np.linspace(0, number - 1, min(number, SAMPLE)).round().astype(int)
    ours, theirs = [], []
    for row, _ in zip(rows, progress([whole.cases[row] for row in rows]), strict=True):
        one = whole.part(np.arange(number) == row, every_lead)
        totals = aggregate([one], observations, thresholds)[0].sum("event")
        pair = [array.isel(case=0).compute() for array in paired(one, observations)]
        for lead in range(len(every_lead)):
            members, obs = _flat(*(array.isel(lead_time=lead) for array in pair))
            if obs.size:
                untied = (obs != members).all("member")
                ours.append(_ours(totals.isel(lead_time=lead)) | {"rank_histogram": _our_ranks(members, obs, untied)})
                theirs.append(dict(_theirs(members, obs, untied, thresholds)))
    differences = {}
    for name in theirs[0] if theirs else ():
        own, other = (np.array([scores[name] for scores in all_scores]) for all_scores in (ours, theirs))
        scale = [scores[_SCALE.get(name, name)] for scores in theirs]
        differences[name] = _difference(own, other, float(np.max(np.abs(scale))))
    return Agreement(differences, len(rows), number)


def _flat(forecast: xr.DataArray, obs: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Members, dims (member, pixel), and observations, dims (pixel,), in float64, of the pixels that count."""
    counted = obs.notnull().values
    members = forecast.transpose("member", ...).values[:, counted].astype("float64")
    truth = obs.values[counted].astype("float64")
    return xr.DataArray(members, dims=("member", "pixel")), xr.DataArray(truth, dims="pixel")


def _ours(totals: xr.Dataset) -> Scores:
    table = metrics(with_thresholds="threshold" in totals.dims)
    names = [name for name in ("crps_standard", "crps_fair", "rmse", "mae", "brier") if name in table]
    cells = {name: totals[name].sel(summary="mean").values for name in _CELLS if name in totals}
    return {name: table[name].score(totals).values for name in names} | cells


def _our_ranks(members: xr.DataArray, obs: xr.DataArray, untied: xr.DataArray) -> np.ndarray:
    pair = Pair(members.values[:, None], obs.values[None], untied.values[None], ())
    return xr.Dataset(ranks(pair))["pixels_of_rank"].values


def _theirs(
    members: xr.DataArray, obs: xr.DataArray, untied: xr.DataArray, thresholds: Sequence[float]
) -> Iterator[tuple[str, np.ndarray]]:
    size = members.sizes["member"]
    standard = xskillscore.crps_ensemble(obs, members)
    error = xskillscore.mae(members, obs.broadcast_like(members))
    yield "crps_standard", standard.values
    yield "crps_fair", (standard - (error - standard) / max(size - 1, 1)).values
    mean = members.mean("member")
    yield "rmse", xskillscore.rmse(mean, obs).values
    yield "mae", xskillscore.mae(mean, obs).values
    histogram = xskillscore.rank_histogram(obs[untied], members[:, untied]) if untied.any() else np.zeros(size + 1)
    yield "rank_histogram", np.asarray(histogram)
    if not thresholds:
        return
    yield "brier", np.array([xskillscore.brier_score(obs >= level, members >= level).item() for level in thresholds])
    edges = [np.array([-np.inf, level, np.inf]) for level in thresholds]
    tables = [xskillscore.Contingency(obs, mean, edge, edge, "pixel") for edge in edges]
    for name in _CELLS:
        yield name, np.array([getattr(table, name)().item() for table in tables])


def _difference(ours: np.ndarray, theirs: np.ndarray, scale: float) -> float:
    """The largest difference over the scale; not a number where one of both alone is none."""
    if np.array_equal(ours, theirs, equal_nan=True):
        return 0.0
    largest = float(np.abs(ours - theirs).max())
    return largest / scale if scale else np.inf
