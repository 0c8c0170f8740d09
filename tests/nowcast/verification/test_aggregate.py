"""Aggregates: what adds up, in whatever order and pieces."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nowcast.verification.aggregate import add, aggregate, statistics
from nowcast.verification.contract import Pair
from nowcast.verification.inputs import open_forecast, open_observations
from pipelines.errors import InputError

THRESHOLDS = (16.0, 74.0)


def state(seed: int, event: str, leads: list[int], members: int = 3) -> xr.Dataset:
    """Sums of random whole counts, some missing, for one event."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in leads:
        field, obs = rng.integers(0, 120, (members, 5, 5)), rng.integers(0, 120, (5, 5))
        pair = Pair(field.astype("float32"), obs.astype("float32"), rng.random((5, 5)) < 0.8, THRESHOLDS)
        parts.append(statistics(pair))
    times = np.array(leads) * np.timedelta64(300, "s")
    return xr.concat(parts, "lead_time").assign_coords(lead_time=times).expand_dims(event=[event])


STATES = st.builds(
    state,
    seed=st.integers(0, 1000),
    event=st.sampled_from("abc"),
    leads=st.sampled_from([[1], [1, 2], [2, 3]]),
)


def total(states: list[xr.Dataset]) -> xr.Dataset:
    result = states[0]
    for part in states[1:]:
        result = add(result, part)
    return result


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(states=st.lists(STATES, min_size=2, max_size=4), data=st.data())
def test_sums_do_not_depend_on_order_or_grouping(states: list[xr.Dataset], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(states))))
    cut = data.draw(st.integers(1, len(states) - 1))
    expected = total(states).sortby(["event", "lead_time"])
    shuffled = total([states[index] for index in order]).sortby(["event", "lead_time"])
    grouped = add(total(states[:cut]), total(states[cut:])).sortby(["event", "lead_time"])
    xr.testing.assert_allclose(shuffled, expected)
    xr.testing.assert_allclose(grouped, expected)


def test_what_one_state_lacks_the_other_keeps() -> None:
    first, second = state(1, "a", [1, 2]), state(2, "b", [2, 3])
    both = add(first, second)
    assert both.sizes["event"] == 2 and both.sizes["lead_time"] == 3
    xr.testing.assert_allclose(both.sel(event=["a"], lead_time=first["lead_time"]), first)
    assert (both["pixels"].sel(event="a", lead_time=np.timedelta64(900, "s"))) == 0


def test_states_of_one_event_are_summed() -> None:
    first, second = state(1, "a", [1]), state(2, "a", [1])
    assert add(first, second)["hits"].sum() == first["hits"].sum() + second["hits"].sum()


def test_states_of_other_thresholds_or_ensembles_do_not_add() -> None:
    first = state(1, "a", [1])
    with pytest.raises(InputError, match="thresholds"):
        add(first, first.assign_coords(threshold=[16.0, 133.0]))
    with pytest.raises(InputError, match="different members"):
        add(first.assign_attrs(members=3), first.assign_attrs(members=5))


def test_cases_in_any_order_and_files_give_the_same_sums(make_store, make_forecast) -> None:
    rng = np.random.default_rng(0)
    store = open_observations(make_store(rng.integers(0, 200, (3, 4, 6, 6))))
    forecast = make_forecast(rng.integers(0, 200, (3, 4, 2, 6, 6)))
    (whole,) = aggregate([open_forecast(forecast)], store, THRESHOLDS)
    (reversed_,) = aggregate([open_forecast(forecast.isel(case=[2, 1, 0]))], store, THRESHOLDS)
    files = [aggregate([open_forecast(forecast.isel(case=[case]))], store, THRESHOLDS)[0] for case in (1, 0, 2)]
    xr.testing.assert_allclose(reversed_, whole)
    xr.testing.assert_allclose(total(files), whole)
    assert whole.sizes["event"] == 3
    assert (whole["cases"] == 1).all()


def test_an_aggregate_survives_netcdf(make_store, make_forecast, tmp_path) -> None:
    rng = np.random.default_rng(0)
    store = open_observations(make_store(rng.integers(0, 200, (2, 3, 4, 4))))
    (whole,) = aggregate([open_forecast(make_forecast(rng.integers(0, 200, (2, 3, 2, 4, 4))))], store, THRESHOLDS)
    whole.to_netcdf(tmp_path / "state.nc")
    read = xr.load_dataset(tmp_path / "state.nc", decode_timedelta=True)
    xr.testing.assert_allclose(add(whole, read), 2 * whole)


def test_two_cases_of_one_event_go_into_one_row(make_store, make_forecast) -> None:
    rng = np.random.default_rng(0)
    store = open_observations(make_store(rng.integers(0, 200, (1, 6, 4, 4))))
    cases = [make_forecast(rng.integers(0, 200, (1, 3, 2, 4, 4)), last=last) for last in (0, 3)]
    (both,) = aggregate([open_forecast(xr.concat(cases, "case"))], store, THRESHOLDS)
    assert both.sizes["event"] == 1
    assert (both["cases"] == 2).all() and (both["pixels"] == 32).all()


def test_ties_are_drawn_anew_at_each_lead_time_and_in_each_colour(make_store, make_forecast) -> None:
    """Echo is nowhere, so each rank is a draw: equal ones would give equal histograms, or even numbers in all ranks."""
    forecast, store = make_forecast(np.zeros((1, 4, 2, 16, 16))), make_store(np.zeros((1, 3, 16, 16)))
    (grey,) = aggregate([open_forecast(forecast)], open_observations(store), THRESHOLDS)
    first, second = grey["pixels_of_rank"].values[0]
    assert first.sum() == second.sum() == 256 and (first != second).any()
    colours = [
        xr.concat([given["vil"]] * 2, "channel").transpose(..., "channel", "y", "x").to_dataset(name="video")
        for given in (forecast, store)
    ]
    (both,) = aggregate([open_forecast(colours[0])], open_observations(colours[1]), ())
    assert (both["pixels_of_rank"] % 2 == 1).any()
