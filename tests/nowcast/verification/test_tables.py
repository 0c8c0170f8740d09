"""Tables of scores as printed."""

import io

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from nowcast.verification import print_table, summary_row, verify
from nowcast.verification.headline import headline


@pytest.fixture
def inputs(make_store, make_forecast) -> tuple[xr.Dataset, xr.Dataset]:
    """A forecast of four members and its store."""
    rng = np.random.default_rng(0)
    store = make_store(rng.integers(0, 255, (1, 3, 8, 8))).assign_attrs(event_list_hash="abc123")
    return make_forecast(rng.integers(0, 255, (1, 4, 2, 8, 8))).assign_attrs(model="mine"), store


def printed(scores: xr.Dataset) -> list[str]:
    text = io.StringIO()
    print_table(scores, Console(file=text, width=80))
    return text.getvalue().splitlines()


def test_tables_name_the_means_and_hold_the_numbers(inputs) -> None:
    scores = verify(*inputs)
    lines = printed(scores)
    assert lines[:2] == [
        "protocol none, split unknown: 1 event, 1 case",
        "event list abc123",
    ]
    pooled = [line.split() for line in lines if line.startswith("pooled ")]
    assert f"{scores['crps_fair_pooled'].item():.2f}" in pooled[0]
    assert f"{scores['csi_m_pooled'].sel(summary='member').item():.4f}" in pooled[2]
    assert sum(line.startswith("lead-averaged ") for line in lines) == len(pooled) == 3
    assert sum(line.startswith("10 min") for line in lines) == 3
    assert sum(line.startswith(">= 219") for line in lines) == 6
    area, fss = (
        scores["roc_area_pooled"].sel(threshold=74).item(),
        scores["fss_pooled"].sel(threshold=74, scale=81).item(),
    )
    assert [line.split()[-1] for line in lines if line.startswith(">= 74")][-2:] == [f"{area:.4f}", f"{fss:.4f}"]


def test_no_number_is_cut_on_a_narrow_terminal(inputs) -> None:
    assert "…" not in "\n".join(printed(verify(*inputs)))


def test_thresholds_that_nothing_reached_are_left_out_and_named(make_store, make_forecast) -> None:
    counts = np.array([[0.0, 20.0], [80.0, 150.0]])  # at or above 16, 74 and 133
    lines = printed(verify(make_forecast(np.tile(counts, (1, 2, 2, 1, 1))), make_store(np.tile(counts, (1, 3, 1, 1)))))
    assert any(line.startswith(">= 133") for line in lines) and not any(">= 160" in line for line in lines[:-12])
    assert "no pixel, observed or forecast, reached 160 or 181 or 219 counts" in lines
    none = printed(verify(make_forecast(np.zeros((1, 2, 2, 2, 2))), make_store(np.zeros((1, 3, 2, 2)))))
    assert not any(line.startswith(">= 16") for line in none)


def test_a_reference_is_printed_beside_with_skill(inputs) -> None:
    forecast, store = inputs
    reference = forecast.isel(member=0).assign_attrs(model="theirs")
    scores = verify(forecast, store, reference=reference)
    lines = printed(scores)
    assert "mine, members: 4, against theirs, members: 1" in " ".join(lines)
    assert lines[-3].startswith("skill = 1 - score / reference") and lines[-4].startswith("- : no value")
    row = next(line.split() for line in reversed(lines) if line.startswith("CRPS fair"))
    against = scores.sel(forecast="reference")
    expected = [*scores["crps_fair_pooled"].values, against["crps_fair_pooled_difference"].item()]
    assert row[2:5] == [f"{value:.2f}" for value in expected]
    assert row[5:] == ["-", f"{against['crps_fair_pooled_skill'].item():.4f}"]  # one event has no interval
    assert sum("CSI (member)" in line for line in lines) == 1  # the forecast's; the reference is told over all leads


def test_the_mse_is_printed_on_the_scale_of_the_papers_too(inputs) -> None:
    scores = verify(*inputs).assign_attrs(data_range=100.0)
    line = next(line for line in printed(scores) if line.startswith("MSE on [0, 1]"))
    assert line.split()[4] == f"{scores['mse_pooled'].item() / 100**2:.4f}"


def test_intervals_are_printed_from_two_events_on(make_store, make_forecast) -> None:
    rng = np.random.default_rng(0)
    obs, forecast = rng.integers(0, 255, (2, 3, 8, 8)), rng.integers(0, 255, (2, 4, 2, 8, 8))
    scores = verify(make_forecast(forecast), make_store(obs))
    low, high = scores["crps_fair_pooled_interval"].values
    assert f"{low:.2f} to {high:.2f}" in next(line for line in printed(scores) if line.startswith("CRPS fair"))


@pytest.mark.parametrize("mean", ["pooled", "lead_averaged"])
def test_summary_row_takes_the_protocols_mean(mean, inputs) -> None:
    scores = verify(*inputs).assign_attrs(mean=mean)
    row = summary_row(scores)
    assert row["CRPS fair"] == scores[f"crps_fair_{mean}"].item()
    assert row["CSI >= 74"] == scores[f"csi_{mean}"].sel(summary="mean", threshold=74).item()


def scored(own: float, theirs: float | None = None, bounds=(np.nan, np.nan), **attrs) -> xr.Dataset:
    """Fair CRPS of predldm and steps, and the interval of their difference."""
    values = [own] if theirs is None else [own, theirs]
    scores = xr.Dataset({"crps_fair_pooled": ("forecast", np.array(values))}, {"bound": ["lower", "upper"]}, attrs)
    scores = scores.assign_coords(model=("forecast", ["predldm", "steps"][: len(values)]))
    if not np.isnan(bounds).any():
        scores["crps_fair_pooled_interval"] = (("forecast", "bound"), np.tile(bounds, (len(values), 1)))
    if theirs is None:
        return scores.isel(forecast=0)
    scores["crps_fair_pooled_difference"] = own - scores["crps_fair_pooled"]
    scores["crps_fair_pooled_skill"] = 1 - own / scores["crps_fair_pooled"]
    if not np.isnan(bounds).any():
        scores["crps_fair_pooled_difference_interval"] = scores["crps_fair_pooled_interval"]
    return scores.assign_coords(forecast=["forecast", "reference"])


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        (
            scored(11.524, 15.442, (-6.35, -0.004), events=3, independent_events=3),
            "predldm is better than steps by 25 % (CRPS 11.52 against 15.44 counts; difference -3.92, 95 % interval "
            "-6.35 to -0.00). Only 3 events: do not trust the interval.",
        ),
        (
            scored(11.0, 10.0, (-1.0, 3.0), events=12, independent_events=12),
            "predldm and steps cannot be told apart (CRPS 11.00 against 10.00 counts; difference 1.00, 95 % interval "
            "-1.00 to 3.00, which includes zero).",
        ),
        (
            scored(0.0042, 0.004, (0.0001, 0.0003), events=12, independent_events=12),
            "predldm is worse than steps by 5 % (CRPS 0.0042 against 0.0040 counts; difference 0.0002, 95 % interval "
            "0.0001 to 0.0003).",
        ),
        (
            scored(11.0, 10.0, (0.5, 3.0), events=25, independent_events=1),
            "predldm is worse than steps by 10 % (CRPS 11.00 against 10.00 counts; difference 1.00, 95 % interval "
            "0.50 to 3.00). Only 25 events at one time: do not trust the interval.",
        ),
        (
            scored(10.0, 10.0, events=np.int64(1), independent_events=np.int64(1)),  # as from a file
            "predldm is as good as steps (CRPS 10.00 against 10.00 counts; difference 0.00). One event, so no "
            "interval: it shows how to read the score, not which model is better.",
        ),
        (scored(5.0, np.nan, events=1), "predldm and steps cannot be compared (CRPS 5.00 against - counts)."),
        (
            scored(5.0, None, (4.0, 6.0), events=25, independent_events=4),
            "predldm: CRPS 5.00 counts, 95 % interval 4.00 to 6.00. "
            "Only 25 events at 4 times: do not trust the interval.",
        ),
    ],
)
def test_the_result_is_a_sentence(scores: xr.Dataset, sentence: str) -> None:
    assert headline(scores) == [sentence]


def test_the_result_is_the_last_line(make_store, make_forecast) -> None:
    rng = np.random.default_rng(0)
    obs = rng.integers(0, 255, (3, 3, 8, 8))
    forecast = make_forecast(rng.integers(0, 255, (3, 4, 2, 8, 8))).assign_attrs(model="mine")
    scores = verify(
        forecast, make_store(obs), reference=forecast.isel(member=[0]).assign_attrs(model="theirs"), samples=9
    )
    assert scores.attrs["events"] == scores.attrs["independent_events"] == 3
    assert printed(scores)[-1] == headline(scores)[-1]
    assert headline(scores)[-1].endswith("Only 3 events: do not trust the interval.")
    tiles = {"event": ("case", ["a", "b", "c"]), "init_time": ("case", forecast["init_time"].values[[0, 0, 0]])}
    store = make_store(obs).assign_coords(event=["a", "b", "c"])
    store = store.assign_coords(valid_time=store["valid_time"].isel(event=[0, 0, 0]).drop_vars("event"))
    at_once = verify(forecast.assign_coords(tiles), store, samples=9)
    assert headline(at_once)[0].endswith("Only 3 events at one time: do not trust the interval.")
