"""Scoring 200 cases of 100 members, 10 leads, 128x128: memory, and speed beside xskillscore on one case at a time.

Run: python tests/benchmarks/verification.py [cases]

The forecast is 65 MB a case, made on the fly so that no disk counts. nowcast computes its whole table; xskillscore what
both have: CRPS, MAE, MSE, spread, rank histogram, and for six thresholds contingency table, Brier score, reliability
and ROC. Seconds are the processor's, so that other work on the machine does not count.
"""

import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence

import dask.array
import numpy as np
import xarray as xr
import xskillscore as xs

from nowcast.data.conventions import THRESHOLDS
from nowcast.verification import verify
from nowcast.verification.contract import Pair
from nowcast.verification.metrics.ensemble import crps

MEMBERS, LEADS, SIDE = 100, 10, 128
START, STEP = np.datetime64("2019-07-01T00:00", "s"), np.timedelta64(300, "s")
PEER_CASES = 3


def inputs(cases: int) -> tuple[xr.Dataset, xr.Dataset]:
    """A forecast, one dask chunk a case, and a store: showers with zeros between them, another shift in every case."""
    rng = np.random.default_rng(0)
    showers = rng.gamma(1, 30, (MEMBERS + 1, LEADS, SIDE, SIDE)).astype("float32")
    showers[showers < 16] = 0
    base, truth = np.minimum(showers[1:], 254), np.minimum(showers[0], 254)

    def case(block_info: dict) -> np.ndarray:
        return np.roll(base, block_info[None]["chunk-location"][0], axis=-1)[None]

    vil = dask.array.map_blocks(
        case, chunks=[(1,) * cases, *((n,) for n in base.shape)], dtype="float32", meta=base[:0]
    )
    days = START + np.arange(cases) * np.timedelta64(1, "D")
    events = [f"e{number:03}" for number in range(cases)]
    obs = np.stack([np.concatenate([truth[:1], np.roll(truth, number, axis=-1)]) for number in range(cases)])
    store = xr.Dataset(
        {"vil": (("event", "frame", "y", "x"), obs)},
        {"event": events, "valid_time": (("event", "frame"), days[:, None] + np.arange(LEADS + 1) * STEP)},
    )
    forecast = xr.Dataset(
        {"vil": (("case", "member", "lead_time", "y", "x"), vil)},
        {"event": ("case", events), "init_time": ("case", days), "lead_time": np.arange(1, LEADS + 1) * STEP},
    )
    return forecast, store


def fields(forecast: xr.Dataset, store: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Members and observation of one case as xskillscore takes them."""
    members = forecast["vil"].drop_vars(["event", "init_time"])
    obs = store["vil"].isel(frame=slice(1, None)).rename(frame="lead_time").drop_vars(["event", "valid_time"])
    return members, obs.assign_coords(lead_time=members["lead_time"])


def own_crps(forecast: xr.Dataset, store: xr.Dataset) -> None:
    """The CRPS of one case by nowcast, standard and fair, and nothing else."""
    members, obs = (values.values for values in fields(forecast, store))
    for lead in range(LEADS):
        crps(Pair(members[:, lead], obs[lead], np.ones((SIDE, SIDE), bool), ()))


def peer_crps(forecast: xr.Dataset, store: xr.Dataset) -> None:
    """The CRPS of one case by xskillscore, and nothing else."""
    members, obs = fields(forecast, store)
    xs.crps_ensemble(obs, members, dim=["y", "x"])


def peer(forecast: xr.Dataset, store: xr.Dataset) -> None:
    """The same kinds of scores by xskillscore, of one case."""
    members, obs = fields(forecast, store)
    space = ["y", "x"]
    xs.crps_ensemble(obs, members, dim=space)
    xs.mae(obs, members.mean("member"), dim=space)
    xs.mse(obs, members.mean("member"), dim=space)
    members.var("member", ddof=1).mean(space)
    xs.rank_histogram(obs, members, dim=space)
    for threshold in THRESHOLDS:
        events, probability = obs >= threshold, (members >= threshold).mean("member")
        edges = np.array([-1, threshold, 255])
        xs.Contingency(obs, members.mean("member"), edges, edges, dim=space).table.load()
        xs.brier_score(events, probability, dim=space)
        xs.reliability(events, probability, dim=space, probability_bin_edges=(np.arange(MEMBERS + 2) - 0.5) / MEMBERS)
        xs.roc(events, probability, bin_edges=np.arange(MEMBERS + 1) / MEMBERS, dim=space)


def timed(work: Callable[..., object], cases: list[tuple[xr.Dataset, xr.Dataset]]) -> float:
    """Seconds a case, the first one left out: it compiles and imports."""
    work(*cases[0])
    start = time.process_time()
    for case in cases[1:]:
        work(*case)
    return (time.process_time() - start) / (len(cases) - 1)


def peak_gb() -> float:
    """Largest memory that the process has held, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


warnings.filterwarnings("ignore", message="Converting input from bool")


def main(cases: int) -> None:
    """Print seconds and memory of both."""
    forecast, store = inputs(cases)
    verify(forecast.isel(case=[0]), store)  # what compiles or imports once is not counted
    ends: list[float] = []

    def progress(chosen: Sequence) -> Iterator:
        yield from chosen
        ends.append(time.process_time())

    start = time.process_time()
    verify(forecast, store, progress=progress)
    sums, scores = ends[0] - start, time.process_time() - ends[0]
    ours = (sums + scores) / cases
    print(f"nowcast: {ours:.2f} s a case; of {cases} cases {scores:.1f} s for the scores and 1000 bootstrap samples")
    print(f"nowcast: peak memory {peak_gb():.2f} GB")
    chosen = [(forecast.isel(case=n).load(), store.isel(event=n)) for n in range(PEER_CASES)]
    works = {"nowcast, CRPS alone": own_crps, "xskillscore, CRPS alone": peer_crps, "xskillscore, what both have": peer}
    for name, work in works.items():
        theirs = timed(work, chosen)
        print(f"{name}: {theirs:.2f} s a case, {theirs / ours:.1f} x nowcast; peak {peak_gb():.2f} GB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
