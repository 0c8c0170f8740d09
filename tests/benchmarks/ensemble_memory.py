"""Peak memory and time of `nowcast forecast` on a file of radar: many members, large domains, members or summaries.

python tests/benchmarks/ensemble_memory.py [MODEL]
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr
from pyproj import CRS

from pipelines.store.geo import SEVIR_PROJ, pixel_centres

RUNS = [(128, 100, ""), (128, 1000, ""), (128, 1000, "--summary-only"), (512, 100, ""), (512, 100, "--summary-only")]


def write_history(path: Path, side: int) -> None:
    """Ten frames of counts: cells that move east, in noise."""
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:side, :side]
    counts = np.zeros((10, side, side))
    for row, column in rng.uniform(0, side, ((side // 32) ** 2, 2)):
        for frame, field in enumerate(counts):
            field += 120 * np.exp(-((y - row) ** 2 + (x - column - 2 * frame) ** 2) / 60)
    counts *= rng.gamma(9, 1 / 9, counts.shape)
    attrs = {"units": "1", "grid_mapping": "crs"}
    coords = {
        axis: (axis, pixel_centres(side, 1000.0), {"standard_name": f"projection_{axis}_coordinate", "units": "m"})
        for axis in "yx"
    }
    times = np.datetime64("2020-06-01T12:00", "ns") + np.arange(10) * np.timedelta64(5, "m")
    crs = ((), 0, CRS.from_string(SEVIR_PROJ).to_cf())
    vil = (("time", "y", "x"), counts.clip(0, 254).astype("float32"), attrs)
    xr.Dataset({"vil": vil, "crs": crs}, {"time": times, **coords}).to_netcdf(path)


def measure(words: list[str]) -> tuple[float, float]:
    """Seconds and peak resident MiB of a command."""
    code = "import sys; from nowcast.cli.app import main; sys.argv = ['nowcast', *sys.argv[1:]]; main()"
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return time.monotonic() - began, usage.ru_maxrss / 1024


def main(model: str) -> None:
    """Print one line a run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side, members, option in RUNS:
            history = folder / f"history{side}.nc"
            if not history.exists():
                write_history(history, side)
            out = folder / "forecast.nc"
            words = ["forecast", model, str(history), str(out), "--ensemble", str(members), "--overwrite"]
            seconds, mebibytes = measure([*words, *option.split()])
            size = out.stat().st_size / 2**20
            print(f"{side:4} x {side:<4} {members:5} members {option:14} {mebibytes:6.0f} MiB, {seconds:6.0f} s, "
                  f"file {size:5.0f} MiB", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["predldm"]))
