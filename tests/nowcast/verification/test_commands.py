"""`verify` and `merge-sums` as they are typed."""

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from nowcast.cli.app import app
from pipelines.store.schema import open_store


@pytest.fixture
def forecasts(small_store, tmp_path):
    """The two files of a forecast of the test events E4 and E5."""
    store = open_store(small_store)
    files = [tmp_path / "first.nc", tmp_path / "second.nc"]
    for file, event in zip(files, (4, 5), strict=True):
        counts = store["vil"].values[event, 10:20] + np.array([-1, 0, 1]).reshape(3, 1, 1, 1)
        xr.Dataset(
            {"vil": (("case", "member", "lead_time", "y", "x"), np.clip(counts, 0, 254)[None])},
            {
                "event": ("case", [f"E{event}"]),
                "init_time": ("case", store["valid_time"].values[event, [9]]),
                "lead_time": np.arange(1, 11) * np.timedelta64(300, "s"),
            },
        ).to_netcdf(file)
    return files


def run(*words) -> str:
    result = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_several_files_or_merged_sums_print_the_same_tables(small_store, forecasts, tmp_path) -> None:
    at_once = run("verify", *forecasts, small_store)
    assert "split test: 2 events, 2 cases" in at_once and "coverage: 2 of 3 windows" in at_once
    sums = [tmp_path / f"{number}-sums.nc" for number in range(2)]
    for forecast, file in zip(forecasts, sums, strict=True):
        assert str(file) in run("verify", forecast, small_store, "--sums", file).replace("\n", "")
    merged = run("merge-sums", *sums, "--out", tmp_path / "scores.nc")
    assert merged.startswith(at_once.rstrip())
    with xr.open_dataset(tmp_path / "scores.nc") as scores:
        assert scores["crps_fair_pooled_interval"].sizes == {"bound": 2}
