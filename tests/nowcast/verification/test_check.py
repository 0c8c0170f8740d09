"""Our scores beside xskillscore's: they agree, and a wrong sum is named."""

import re

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from nowcast.cli.app import app
from nowcast.verification import aggregate, check
from nowcast.verification.check import Agreement, cross_check
from nowcast.verification.metrics.ranks import ranks
from pipelines.store.schema import open_store

THRESHOLDS = (16.0, 133.0)
SCORES = {"crps_standard", "crps_fair", "rmse", "mae", "rank_histogram", "brier", "hits", "misses", "false_alarms"}


@pytest.fixture
def both(make_forecast, make_store):
    """Six cases, seven members, two lead times, a third of it dry and so tied; pixels of each are missing."""
    rng = np.random.default_rng(6)
    radar = np.round(rng.uniform(-80, 250, (6, 4, 8, 8)).clip(0))
    members = np.round(128 * rng.uniform(-80, 250, (6, 7, 2, 8, 8)).clip(0)) / 128
    radar[:, :, 0, 0] = members[5, 4, 1, 3, 3] = np.nan
    return make_forecast(members), make_store(radar)


def test_scores_of_evenly_spaced_cases_agree_with_xskillscore(both) -> None:
    seen = []

    def progress(cases):
        seen.extend(case.event for case in cases)
        return cases

    agreement = cross_check(*both, THRESHOLDS, progress=progress)
    assert agreement.differences.keys() == SCORES and not agreement.wrong
    assert max(agreement.differences.values()) < 1e-7
    assert seen == ["e0", "e2", "e3", "e5"]
    assert re.fullmatch(
        r"check: 9 scores of 4 of 6 cases agree with xskillscore, largest relative difference \S+ \(\w+\)",
        str(agreement),
    )


def test_one_member_a_video_and_a_case_without_pixels(both) -> None:
    forecast, store = both
    assert not cross_check(forecast.isel(member=[0], case=[0]), store, THRESHOLDS).wrong
    colours = [
        xr.concat([given["vil"], given["vil"] / 2], "channel")
        .transpose(..., "channel", "y", "x")
        .to_dataset(name="video")
        for given in (forecast.isel(case=[0]), store)
    ]
    agreement = cross_check(*colours, ())
    assert agreement.differences.keys() == SCORES - {"brier", "hits", "misses", "false_alarms"} and not agreement.wrong
    nothing = cross_check(forecast.isel(case=[0]) * np.nan, store, THRESHOLDS)
    assert str(nothing) == "check: no pixel to compare in 1 of 1 cases" and not nothing.wrong


SUM_OF = {"rmse": "squared_error", "mae": "absolute_error", "brier": "events_at_probability"}


@pytest.mark.parametrize("score", sorted(SCORES - {"rank_histogram"}))
def test_a_wrong_sum_is_named(score, both, monkeypatch) -> None:
    make_wrong(monkeypatch, SUM_OF.get(score, score))
    agreement = cross_check(both[0].isel(case=[1]), both[1], THRESHOLDS)
    assert agreement.wrong == [score]
    assert str(agreement).startswith(f"check: scores of 1 of 1 cases differ from xskillscore's: {score} by ")


def test_a_rank_off_by_one_is_named(both, monkeypatch) -> None:
    def shifted(pair):
        dims, pixels = ranks(pair)["pixels_of_rank"]
        return {"pixels_of_rank": (dims, np.roll(pixels, 1))}

    monkeypatch.setattr(check, "ranks", shifted)
    assert cross_check(both[0].isel(case=[1]), both[1], THRESHOLDS).wrong == ["rank_histogram"]


def test_a_fair_crps_of_zero_is_compared_on_the_scale_of_the_standard_one(make_forecast, make_store) -> None:
    store = make_store(np.full((1, 2, 1, 1), 9))
    forecast = make_forecast(np.array([8, 9, 16]).reshape(1, 3, 1, 1, 1))  # 8 / 3 of error, 8 / 3 of half differences
    assert not cross_check(forecast, store, THRESHOLDS).wrong


def test_scores_that_only_one_has_and_zeros_differ() -> None:
    assert check._difference(np.array([1, np.nan]), np.array([1, np.nan]), 1.0) == 0
    for ours, theirs, scale in (([1, np.nan], [1, 2], 2.0), ([0, 1e-9], [0, 0], 0.0)):
        difference = check._difference(np.array(ours), np.array(theirs), scale)
        assert Agreement({"mae": difference}, 1, 1).wrong == ["mae"]
    assert check._difference(np.array([2.0, 5]), np.array([2, 4]), 4.0) == 1 / 4


def test_verify_prints_the_check_after_the_scores_and_fails_where_they_differ(small_store, tmp_path, monkeypatch):
    observed = open_store(small_store).isel(event=[5])
    counts = observed["vil"].values[:, None, 10:20] + np.array([-1, 0, 7]).reshape(3, 1, 1, 1)
    coords = {
        "event": ("case", observed["event"].values),
        "init_time": ("case", observed["valid_time"].values[:, 9]),
        "lead_time": np.arange(1, 11) * np.timedelta64(300, "s"),
    }
    forecast = xr.Dataset({"vil": (("case", "member", "lead_time", "y", "x"), counts.clip(0, 254))}, coords)
    forecast.to_netcdf(tmp_path / "forecast.nc")
    words = ["verify", str(tmp_path / "forecast.nc"), str(small_store), "--check"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "CRPS" in done.output and done.output.splitlines()[-1].startswith("check: 9 scores of 1 of 1 cases agree")
    make_wrong(monkeypatch, "hits")
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 1 and "differ from xskillscore's: hits by 1e-05" in done.output.splitlines()[-1]


def make_wrong(monkeypatch, name: str) -> None:
    """Makes one of our sums too large by a hundred-thousandth."""
    taken = aggregate._statistics

    def statistics(pair):
        sums = taken(pair)
        dims, value = sums[name]
        return sums | {name: (dims, value * 1.00001)}

    monkeypatch.setattr(aggregate, "_statistics", statistics)
