"""Golden forecasts: the shipped weights make of real radar today what they made when the file beside this was stored.

Each input is forecast with four members from the command line. Stored are the members' rounded counts in a square, the
sum of all members' counts by lead time, and the share of pixels with echo. `python tests/nowcast/test_golden.py` writes
the file anew, which only a deliberate change of the forecasts may do.

Tolerance: rounded counts differ by 0.25 on average at most, sums by 0.5 %. A processor with bfloat16 differs from one
without by 0.12 counts on average; on one machine, forecasts are equal.
"""

import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import xarray as xr

from nowcast.cli import app

GOLDEN = Path(__file__).with_name("golden.npz")
CASES = ("sevir-layout", "fmi-window", "live-256", "corrector-256")  # of predldm, except for the last
MEMBERS, CROP = 4, slice(40, 104)


def nowcast(*arguments: object) -> None:
    with mock.patch.object(sys, "argv", ["nowcast", *map(str, arguments)]), pytest.raises(SystemExit) as stopped:
        app.main()
    assert not stopped.value.code


def cut(source: Path, out: Path, frames: slice, rows: slice, columns: slice) -> Path:
    with xr.open_dataset(source, mask_and_scale=False) as file:
        file.isel(time=frames, y=rows, x=columns).to_netcdf(out)
    return out


def forecast(name: str, data: Path, folder: Path) -> np.ndarray:
    """Counts with shape (member, lead_time, y, x)."""
    options = []
    if name == "sevir-layout":
        source = folder / "store.zarr"
        nowcast("prepare-sevir", data / "sevir-layout", source, "--protocol", "sevir-128-10-10")
        options = ["--event", "XFMI16092802", "--limit", 1]
    elif name == "fmi-window":
        file = data / "radar" / "fmi_20170509.nc"
        source = cut(file, folder / "fmi.nc", slice(0, 10), slice(500, 628), slice(300, 428))
    else:
        file = data / "radar" / "knmi_20100826.nc"
        source = cut(file, folder / "knmi.nc", slice(10, 20), slice(200, 456), slice(200, 456))
    model = "corrector" if name == "corrector-256" else "predldm"
    nowcast("forecast", model, source, folder / f"{name}.nc", "--ensemble", MEMBERS, *options)
    with xr.open_dataset(folder / f"{name}.nc") as file:
        return file["vil"].isel(case=0).values


def crops(counts: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "crop": np.rint(counts[..., CROP, CROP]).astype("uint8"),
        "sums": np.nansum(counts, axis=(0, 2, 3), dtype="float64"),
        "echo": np.nanmean(counts >= 16, axis=(0, 2, 3)),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_forecasts_are_what_they_were(name: str, shared_data: Path, tmp_path: Path) -> None:
    made = crops(forecast(name, shared_data, tmp_path))
    with np.load(GOLDEN) as golden:
        stored = {key: golden[f"{name}/{key}"] for key in made}
    assert np.abs(made["crop"].astype(int) - stored["crop"]).mean() <= 0.25
    np.testing.assert_allclose(made["sums"], stored["sums"], rtol=5e-3)
    np.testing.assert_allclose(made["echo"], stored["echo"], atol=5e-3)


def _write_anew() -> None:
    import tempfile

    data = Path(__file__).resolve().parents[3] / "shared" / "data"
    made = {}
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            made |= {f"{name}/{key}": value for key, value in crops(forecast(name, data, Path(folder))).items()}
    np.savez_compressed(GOLDEN, **made)


if __name__ == "__main__":
    _write_anew()
