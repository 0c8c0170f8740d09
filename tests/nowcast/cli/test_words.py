"""Score files and sums in words."""

import re

import numpy as np
import pytest
import xarray as xr

from nowcast.cli.info import describe
from nowcast.cli.words import describe_scores
from nowcast.verification import save, save_states, scores_of, states


@pytest.fixture
def sums(make_store, make_forecast) -> list[xr.Dataset]:
    """Two members always 10 counts too high, beside a perfect forecast."""
    truth = np.random.default_rng(0).integers(0, 120, (2, 3, 20, 20)).astype("float32")
    forecast = make_forecast(np.repeat(truth[:, None, 1:] + 10, 2, axis=1)).assign_attrs(model="mine", seed=7)
    perfect = make_forecast(truth[:, None, 1:]).assign_attrs(model="perfect")
    return states(forecast, make_store(truth).assign_attrs(event_list_hash="abc"), reference=perfect)


def test_a_score_file_is_its_result_and_a_short_table(sums, tmp_path) -> None:
    lines = describe(save(scores_of(sums, samples=9), tmp_path / "scores.nc")).splitlines()
    assert lines[0] == (
        "mine is worse than perfect (CRPS 10.00 against 0.00 counts; difference 10.00, 95 % interval 10.00 to "
        "10.00). Only 2 events: do not trust the interval."
    )
    assert re.match(r"mine +10.00 +10.00 +10.00 ", lines[-2]) and re.match(r"perfect +0.00 +0.00 ", lines[-1])
    assert len(lines) < 10


def test_all_of_a_score_file_is_its_origin_and_its_tables(sums) -> None:
    text = describe_scores(scores_of(sums, samples=9), everything=True)
    assert "forecast: mine, members: 2, seed 7\nreference: perfect, members: 1\n" in text
    assert "protocol none, split unknown: 2 events, 2 cases\nevent list abc" in text
    assert "2 lead times, 5 min to 10 min; thresholds >= 16, 74, 133, 160, 181, 219 (counts)" in text
    assert re.search(r"MAE +10.00 +10.00 to 10.00 ", text) and "mine, members: 2, against perfect" in text
    assert len(text.splitlines()) < 110


def test_a_file_of_sums_says_of_what(sums, tmp_path) -> None:
    text = describe(save_states(sums, tmp_path / "sums.nc"))
    assert text.startswith("sums of 2 cases of 2 events, to be scored by `nowcast merge-sums`")
    assert "\nforecast: mine, members: 2, seed 7\nreference: perfect, members: 1\n" in text
