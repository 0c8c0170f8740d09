"""Skill, spread, sharpness and seconds of a trained model by sampling steps and temperature.

python tests/benchmarks/sampling.py RUN STORE [--steps 1,5,10] [--temperatures 1.0,2.0:1.1] [--event ID]... [--limit N]
    [--members M]

A temperature is a number, or FIRST:LAST of the lead times. The sharpness is the energy of the members' spectrum over
that observed, at wavelengths of 32, 8 and 4 pixels (means of the wavenumbers within a tenth), over all lead times.
"""

import argparse
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr

from nowcast.forecasting.forecast import Request, load_forecaster, write_forecast
from nowcast.verification import verify

_WAVELENGTHS = (32, 8, 4)


def sharpness(scores: xr.Dataset, side: int) -> list[float]:
    """Energy of the members over the observed, a number a wavelength."""
    ratio = scores["energy_ratio_pooled"].sel(summary="member")
    wavelength = side / ratio["wavenumber"].where(ratio["wavenumber"] > 0)
    return [float(ratio.where(np.abs(wavelength / one - 1) < 0.1).mean()) for one in _WAVELENGTHS]


def main() -> None:
    """Print a line for each pair of steps and temperature."""
    words = argparse.ArgumentParser()
    words.add_argument("run")
    words.add_argument("store", type=Path)
    words.add_argument("--steps", default="1")
    words.add_argument("--temperatures", default="1.0")
    words.add_argument("--split", default="test")
    words.add_argument("--event", action="append", default=[])
    words.add_argument("--limit", type=int, default=8)
    words.add_argument("--members", type=int, default=10)
    asked = words.parse_args()
    print("steps  temperature  CRPS fair  spread/skill  energy at 32, 8, 4 pixels  seconds a member")
    for steps, temperature in product(asked.steps.split(","), asked.temperatures.split(",")):
        ends = [float(number) for number in temperature.split(":")]
        sampling = {"steps": int(steps), "temperature": ends if len(ends) > 1 else ends[0]}
        forecaster, described = load_forecaster(asked.run, sampling=sampling)
        request = Request(
            members=asked.members, split=asked.split, events=tuple(asked.event), limit=asked.limit, units="counts"
        )
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            out = write_forecast(forecaster, asked.store, Path(folder) / "f.nc", request, described=described)
            seconds = (time.perf_counter() - start) / asked.members
            scores = verify(out, asked.store, samples=0)
        seconds /= scores["cases"].max().item()
        energies = ", ".join(f"{ratio:.2f}" for ratio in sharpness(scores, 128))
        crps, ratio = scores["crps_fair_pooled"].item(), scores["spread_skill_pooled"].item()
        print(f"{steps:>5}  {temperature:>11}  {crps:9.3f}  {ratio:12.2f}  {energies:>25}  {seconds:16.3f}")


if __name__ == "__main__":
    main()
