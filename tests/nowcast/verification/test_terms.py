"""Refusals under a protocol, and the words about the rest."""

import numpy as np
import pytest
import xarray as xr

from nowcast.verification import verify
from pipelines.errors import InputError
from pipelines.store.protocol import load_protocol
from pipelines.store.schema import open_store

PROTOCOL = load_protocol("sevir-128-10-10").model_copy(update={"grid": 16})


@pytest.fixture
def store(small_store) -> xr.Dataset:
    return open_store(small_store)


@pytest.fixture
def forecast(store) -> xr.Dataset:
    """Events 4 and 5 (test) from frame 9 and 19, as a forecast file says it: 10 frames more."""
    cases = [(4, 9), (5, 9), (5, 19)]
    return xr.Dataset(
        {
            "vil": (
                ("case", "lead_time", "y", "x"),
                np.stack([store["vil"][e, n + 1 : n + 11].values for e, n in cases]),
            )
        },
        {
            "event": ("case", [f"E{event}" for event, _ in cases]),
            "init_time": ("case", [store["valid_time"].values[event, last] for event, last in cases]),
            "lead_time": np.arange(1, 11) * np.timedelta64(300, "s"),
        },
        {"protocol": "sevir-128-10-10", "reducer": "mean"},
    )


def test_scores_say_their_protocol_split_and_lists(forecast, store) -> None:
    attrs = verify(forecast, store, samples=0).attrs
    assert (attrs["protocol"], attrs["split"], attrs["mean"]) == ("sevir-128-10-10", "test", "pooled")
    assert attrs["event_list_hash"] == store.attrs["event_list_hash"]
    assert '"reducer":"mean"' in attrs["protocol_settings"]
    fewer = verify(forecast.isel(case=[0]), store, samples=0).attrs
    assert fewer["event_list_hash"] == attrs["event_list_hash"] and fewer["case_list_hash"] != attrs["case_list_hash"]


@pytest.mark.parametrize(
    ("part", "coverage"),
    [
        ({}, "3 of 3 windows of split test; 10 of 10 lead times"),
        (
            {"case": [0], "lead_time": [0, 1]},
            "1 of 3 windows of split test (the others were not forecast); 2 of 10 lead times",
        ),
    ],
)
def test_a_part_of_the_protocol_is_called_a_part(part, coverage, forecast, store) -> None:
    # Event 4 ends in missing frames, so that of its two windows one is none.
    assert verify(forecast.isel(part), store, samples=0).attrs["coverage"] == coverage


def test_windows_that_the_protocol_has_not_are_counted_apart(forecast, store) -> None:
    early = forecast.isel(case=[0, 1]).assign_coords(init_time=("case", store["valid_time"].values[[4, 5], [9, 11]]))
    coverage = verify(early, store, samples=0).attrs["coverage"]
    assert coverage.startswith("1 of 3 windows of split test and 1 not of the protocol (the others were not forecast);")


REFUSED = {
    "made under another reducer; got max; expected mean": lambda forecast: forecast.assign_attrs(reducer="max"),
    "made under another protocol": lambda forecast: forecast.assign_attrs(protocol="sevir-384-13-12"),
    "mixes splits; got test and val": lambda forecast: forecast.assign_coords(event=("case", ["E3", "E4", "E5"]),
        init_time=("case", [np.datetime64(f"{day}T00:00") for day in ("2019-02-01", "2019-07-01", "2019-08-01")])),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_a_forecast_under_other_terms_is_refused(reason, forecast, store) -> None:
    with pytest.raises(InputError, match=reason):
        verify(REFUSED[reason](forecast), store)
    with pytest.raises(InputError, match=reason.split(";")[0]):
        verify(REFUSED[reason](forecast), store, reference=forecast)


def test_a_reference_under_other_terms_is_refused(forecast, store) -> None:
    with pytest.raises(InputError, match="another reducer"):
        verify(forecast, store, reference=forecast.assign_attrs(reducer="center", model="theirs"))


def test_a_forecast_that_says_nothing_is_taken_at_its_word(forecast, store) -> None:
    assert verify(forecast.drop_attrs(), store, samples=0).attrs["protocol"] == "sevir-128-10-10"


def test_a_store_split_at_other_dates_is_refused(forecast, store) -> None:
    later = PROTOCOL.model_copy(update={"test_from": PROTOCOL.test_from.replace(month=10), "name": "another"})
    with pytest.raises(InputError, match="another test_from than another; got 2019-06-01"):
        verify(forecast, store, protocol=later)
    assert verify(forecast, store, protocol=PROTOCOL, samples=0).attrs["protocol"] == "sevir-128-10-10"


def test_a_store_split_by_another_rule_is_refused(forecast, store) -> None:
    whole = PROTOCOL.model_copy(update={"frames": 20, "name": "short"})
    with pytest.raises(InputError, match="another frames than short; got None; expected 20"):
        verify(forecast, store, protocol=whole)


def test_a_store_of_another_cadence_than_the_protocol_is_refused(forecast, store) -> None:
    slow = PROTOCOL.model_copy(update={"cadence_minutes": 10.0, "name": "slow"})
    with pytest.raises(InputError, match=r"another cadence_minutes than slow; got 5.0; expected 10.0"):
        verify(forecast, store, protocol=slow)


def test_coverage_says_why_windows_are_lacking(forecast, store) -> None:
    gone = store.assign_coords(missing_fraction=store["missing_fraction"].where(store["event"] != "E4", 1.0))
    coverage = verify(forecast.isel(case=[1]), gone, samples=0).attrs["coverage"]
    assert coverage == (
        "1 of 2 windows of split test (the others were not forecast; 1 of 2 events have no window without missing "
        "frames); 10 of 10 lead times"
    )
