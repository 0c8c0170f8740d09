"""Run trials: forecast the scenes of a split by each and keep the sums of each scene, which compare.py reads.

python tests/benchmarks/lab/trial.py RADAR OUT "TRIAL" ... [--split fit] [--domain composite|windows] [--members 20]

RADAR is the folder of the files that splits.yaml names, OUT a folder for OUT/DOMAIN/TRIAL/SCENE.nc. A TRIAL is a name
of trials.yaml, or a run folder or checkpoint, whose own name then stands for it. Scenes that are there already, of the
same trial, are kept. A scene is one init time of a file: of each half of its time the one with the most echo in its
newest frame, on the whole composite, or on the square of 768 pixels with the most echo; with `--domain windows`, on the
four tiles of 128 x 128 pixels with the most echo.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
import yaml

from nowcast.data.conventions import DURATION, ECHO, TIME, lead_times
from nowcast.data.windows import Window, history_of
from nowcast.extrapolation.optical_flow import reached_after
from nowcast.forecasting.forecast import load_forecaster, member_batches
from nowcast.forecasting.wet import open_archive, wet_cases
from nowcast.models import model_class
from nowcast.models.forecaster import Forecaster
from nowcast.verification.contract import Pair, coverage
from nowcast.verification.metrics.continuous import mean_errors
from nowcast.verification.metrics.ensemble import crps, variance
from nowcast.verification.metrics.probability import probabilities
from pipelines.store.schema import pixels

HERE = Path(__file__).parent
SCENES, FRAMES, LEADS = 2, 10, 10
SQUARES = {"composite": (1, 768), "windows": (4, 128)}  # of a scene: how many, and pixels along a side
THRESHOLDS = (16.0, 74.0, 133.0)
STATISTICS = (coverage, crps, variance, mean_errors, probabilities)


class Scene(NamedTuple):
    """Ten frames, and the ten after them.

    Attributes:
        name: Name of the file, init time, first row and column.
        service: Service that the radar is of.
        history: Dims (case, frame, y, x), case of size 1.
        obs: Counts with shape (lead, y, x), NaN missing.
        minutes: Between frames.
    """

    name: str
    service: str
    history: xr.DataArray
    obs: np.ndarray
    minutes: float


def main() -> None:
    """Run the trials that are asked for."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("radar", type=Path)
    words.add_argument("out", type=Path)
    words.add_argument("trials", nargs="+")
    words.add_argument("--split", default="fit", choices=("fit", "choose", "final"))
    words.add_argument("--domain", default="composite", choices=("composite", "windows"))
    words.add_argument("--members", type=int, default=20)
    asked = words.parse_args()
    known = yaml.safe_load((HERE / "trials.yaml").read_text())
    services = yaml.safe_load((HERE / "splits.yaml").read_text())[asked.split]
    for scene in scenes(asked.radar, services, asked.domain):
        for trial in asked.trials:
            settings = known.get(trial, {"model": trial})
            told = json.dumps([settings, asked.members])
            out = asked.out / asked.domain / Path(trial).name / f"{scene.name}.nc"
            if not (out.is_file() and xr.load_dataset(out).attrs["told"] == told):
                out.parent.mkdir(parents=True, exist_ok=True)
                sums = run(scene, settings, asked.members)
                sums.assign_attrs(told=told, service=scene.service, split=asked.split).to_netcdf(out)
                print(f"{asked.domain} {scene.name} {trial}: {_crps(sums)}", flush=True)


def scenes(radar: Path, services: dict[str, list[str]], domain: str) -> Iterator[Scene]:
    """The scenes of some files."""
    for service, names in services.items():
        for name in names:
            archive = open_archive([radar / f"{name}.nc"])
            times = archive["valid_time"].values[0].astype(TIME)
            minutes = float(np.median(np.diff(times).astype(DURATION).astype(int))) / 6e7
            for case in wet_cases(archive, SCENES, FRAMES, LEADS):
                newest = int(np.flatnonzero(times == case.init_time)[0])
                history = history_of(archive, [Window(0, newest - FRAMES + 1)], FRAMES)
                obs = pixels(archive).isel(event=0, frame=slice(newest + 1, newest + 1 + LEADS)).values
                time = str(case.init_time)[:16].replace(":", "")
                for row, column, side in wettest(history.values[0, -1], *SQUARES[domain]):
                    rows, columns = slice(row, row + side), slice(column, column + side)
                    yield Scene(
                        f"{name}-{time}-{row}-{column}",
                        service,
                        history.isel(y=rows, x=columns),
                        obs[:, rows, columns],
                        minutes,
                    )


def wettest(frame: np.ndarray, number: int, side: int) -> list[tuple[int, int, int]]:
    """The squares with the most echo, of those that lie beside each other or, where one is asked for, anywhere.

    Returns:
        Row and column of each, and its side; a domain that is smaller is one square.
    """
    step = side if number > 1 else side // 8
    starts = [range(0, max(length - side, 0) + 1, step) for length in frame.shape]
    echo = {(r, c): (frame[r : r + side, c : c + side] >= ECHO).sum() for r in starts[0] for c in starts[1]}
    return [(*start, side) for start in sorted(echo, key=lambda start: -echo[start])[:number]]


def run(scene: Scene, trial: dict[str, Any], members: int) -> xr.Dataset:
    """Sums of a scene by region (whole, reached) and lead time, and the seconds of processor time that it took."""
    forecaster = _forecaster(trial)
    numbers, size = member_batches(forecaster, members, scene.history)
    start = process_time()
    ensemble = forecaster.begin(scene.history, lead_times(scene.minutes, LEADS), seed=0)
    made = np.concatenate([
        ensemble.members(numbers[first : first + size]).values[0] for first in range(0, len(numbers), size)
    ])  # fmt: skip
    seconds = process_time() - start
    reached = reached_after(scene.history.values[0], np.arange(1, LEADS + 1))
    rows = [[_sums(made[:, lead], scene.obs[lead], region[lead]) for lead in range(LEADS)]
            for region in (np.ones_like(reached), reached)]  # fmt: skip
    joined = [xr.concat(row, "lead_time") for row in rows]
    return xr.concat(joined, xr.Variable("region", ["whole", "reached"])).assign(seconds=seconds)


def _forecaster(trial: dict[str, Any]) -> Forecaster:
    options = trial.get("options")
    return model_class(trial["model"])(**options) if options else load_forecaster(trial["model"])[0]


def _sums(members: np.ndarray, obs: np.ndarray, region: np.ndarray) -> xr.Dataset:
    counted = region & np.isfinite(obs) & np.isfinite(members).all(axis=0)
    pair = Pair(members, obs, counted, THRESHOLDS)
    sums: dict[str, Any] = {}
    for statistic in STATISTICS:
        sums |= statistic(pair)
    return xr.Dataset(sums)


def _crps(sums: xr.Dataset) -> str:
    total = sums.sum("lead_time")
    whole, reached = (total["crps_fair"] / total["pixels"]).values
    return f"CRPS {whole:.3f}, reached {reached:.3f}, {float(sums['seconds']):.0f} s of processor time"


if __name__ == "__main__":
    main()
