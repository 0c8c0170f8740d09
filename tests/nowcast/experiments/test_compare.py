"""A comparison on radar of one's own: which cases are chosen, what is kept, and what is answered."""

from concurrent.futures import Future

import numpy as np
import pytest
import xarray as xr

from nowcast.experiments import compare as module
from nowcast.experiments.compare import compare
from nowcast.experiments.kept import digest, made_once
from nowcast.forecasting.wet import WetCase, lengths, open_archive, spells, wet_cases
from pipelines.errors import InputError


class Inline:
    """A pool of processes that is this process."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "ProcessPoolExecutor", Inline)
    full = module.scores_of  # which takes seconds
    monkeypatch.setattr(module, "scores_of", lambda states, only: full(states, 20, only or module._SCORES))


@pytest.fixture(scope="module")
def radar(moving_storm, cf_radar, tmp_path_factory):
    """Fifty frames of a storm that moves east through 40 x 40 pixels, and is dry after frame 39."""
    counts = moving_storm((0, 20), (0.9, 0), 50, size=40)
    counts[40:] = 0
    path = tmp_path_factory.mktemp("radar") / "mine.nc"
    cf_radar(counts).to_netcdf(path)
    return path


def test_wet_cases_share_no_scored_frame_and_are_chosen_by_what_the_forecast_sees(radar):
    cases = wet_cases(open_archive(radar), 10)
    noon = np.datetime64("2024-07-01T12:00")
    assert [(case.init_time - noon) / np.timedelta64(5, "m") for case in cases] == [9, 19, 29, 39]
    assert all(case.event == "mine" and case.echo > 0.01 for case in cases)
    assert cases[0].echo == pytest.approx(_echo_of(radar, 9))
    wettest = max(cases, key=lambda case: case.echo)
    assert wet_cases(open_archive(radar), 1) == [wettest]
    first, second = wet_cases(open_archive(radar), 2)
    assert first == max(cases[:2], key=lambda case: case.echo) and second == max(cases[2:], key=lambda case: case.echo)


def _echo_of(radar, frame):
    with xr.open_dataset(radar) as file:
        return (np.rint(file["vil"][frame]) >= 5.5).mean().item()


def test_dry_radar_and_radar_too_short_are_refused(radar, tmp_path):
    with xr.open_dataset(radar) as file:
        (file["vil"] * 0).to_dataset().assign(crs=file["crs"]).to_netcdf(tmp_path / "dry.nc")
        file.isel(time=slice(15)).to_netcdf(tmp_path / "short.nc")
    with pytest.raises(InputError, match=r"no case is wet: 4 were looked at; got echo on at most 0\.0%"):
        wet_cases(open_archive(tmp_path / "dry.nc"), 5)
    with pytest.raises(InputError, match=r"no window of 10 \+ 10 frames"):
        wet_cases(open_archive(tmp_path / "short.nc"), 5)


def test_of_a_store_the_test_split_is_taken(small_store):
    cases = wet_cases(open_archive(small_store), 3)
    assert {case.event for case in cases} == {"E4", "E5"} and lengths(open_archive(small_store)) == (10, 10)


def test_cases_less_than_six_hours_apart_are_of_one_spell():
    hours = [30, 0, 5, 11, 10]
    cases = [WetCase("e", np.datetime64("2024-07-01T00", "us") + np.timedelta64(hour, "h"), 0.1) for hour in hours]
    assert spells(cases) == [1, 0, 0, 0, 0]
    cases.append(cases[0]._replace(event="another tile"))
    assert spells(cases) == [1, 0, 0, 0, 0, 1]


def test_advection_beats_persistence_and_one_spell_is_too_little(radar, tmp_path):
    told: list[str] = []
    compared = compare([radar], ["advection"], "persistence", tmp_path, number=2, tell=told.append)
    few, first, reached, cases = compared.answers
    assert first.startswith("advection is better than persistence by ") and "95 % interval" in first
    assert reached.startswith("Of the ") and "% of pixels that advection reaches: advection is better" in reached
    assert few == (
        "2 cases of 1 spell of rain are too few to tell: do not trust the interval, give radar of 10 spells or more."
    )
    assert cases.startswith("2 cases of 1 spell of rain, 2024-07-01 1") and cases == told[0]
    models, by_lead, by_threshold, _ = compared.tables
    assert [row[0] for row in models.rows] == ["advection", "persistence"]
    assert [row[0] for row in by_lead.rows] == [f"{lead} min" for lead in range(5, 55, 5)]
    crps = [float(row[1]) for row in by_lead.rows]
    np.testing.assert_allclose(crps, compared.scores["crps_fair"].sel(forecast="forecast"), atol=0.005)
    assert by_threshold.rows[0][0] == "16 counts"  # the unit of the file
    assert compared.scores.attrs["independent_events"] == 1 and compared.scores.attrs["events"] == 2


def test_what_is_made_is_not_made_again_and_without_pysteps_the_reference_is_our_own(radar, tmp_path, monkeypatch):
    folder = tmp_path / "compared"
    compare([radar], ["advection"], "persistence", folder, number=2)
    made: list[str] = []
    real = module.forecast_case
    monkeypatch.setattr(module, "forecast_case", lambda model, *rest: made.append(model) or real(model, *rest))
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    next(iter(folder.glob("forecasts/advection-*/*.nc"))).unlink()
    told: list[str] = []
    compared = compare([radar], ["advection"], "pysteps", folder, number=2, tell=told.append)
    assert made == ["advection", "steps", "steps"] and "steps" in compared.answers[1]
    assert told[0] == "pysteps is not installed (pip install pysteps): the reference is our own steps instead"
    sums = {path: path.stat().st_mtime_ns for path in folder.glob("sums/*/*.nc")}
    again = compare([radar], ["advection"], "steps", folder, number=2)
    assert len(made) == 3 and again.answers == compared.answers
    assert {path: path.stat().st_mtime_ns for path in folder.glob("sums/*/*.nc")} == sums and len(sums) == 8


def test_a_case_that_cannot_be_forecast_is_left_out_and_named(tmp_path, monkeypatch):
    cases = [WetCase("e", np.datetime64(f"2024-07-01T0{hour}:00", "us"), 0.1) for hour in range(3)]
    contender = module.Contender("sprog", "sprog", 1, tmp_path / "sprog")
    fails = {cases[1].init_time}

    def forecast_case(model, device, sources, out, request):
        if request.init in fails:
            raise InputError("too many frames are missing")
        out.write_text("forecast")
        return 2.0 + request.init.astype(object).hour, 0.5

    monkeypatch.setattr(module, "forecast_case", forecast_case)
    told: list[str] = []
    made, left = module._forecast(contender, [], cases, 10, None, told.append, lambda label: iter)
    assert left == [cases[0], cases[2]] == list(made) and all(file.read_text() == "forecast" for file in made.values())
    assert told == ["sprog: the case of 2024-07-01 01:00 UTC is left out: too many frames are missing"]
    assert module._cost(contender, left) == ("sprog", 1, 3.0, 0.5)
    fails |= {case.init_time for case in cases}
    with pytest.raises(InputError, match="sprog forecasts none of the cases; got too many frames are missing"):
        module._forecast(contender._replace(folder=tmp_path / "none"), [], cases, 10, None, told.append, lambda _: iter)


def test_a_model_against_itself_is_refused(radar, tmp_path):
    with pytest.raises(InputError, match="two models are called sprog; expected models of different names"):
        compare([radar], ["sprog"], "sprog", tmp_path)


def test_a_digest_tells_inputs_apart_and_files_are_made_once(tmp_path):
    assert digest([1, "a"]) == digest([1, "a"]) != digest([1, "b"]) and len(digest([])) == 12
    made: list[int] = []
    for _ in range(2):
        made_once(tmp_path / "a" / "b", lambda: made.append((tmp_path / "a" / "b").write_text("x")))
    assert len(made) == 1


@pytest.mark.parametrize("source", [".", "*.nc", "a.nc"])
def test_radar_that_is_changed_or_added_is_another_source(tmp_path, source):
    (tmp_path / "a.nc").write_text("one")
    states = [module._states(tmp_path / source)]
    (tmp_path / "a.nc").write_text("other")
    states.append(module._states(tmp_path / source))
    (tmp_path / "b.nc").write_text("more")
    states.append(module._states(tmp_path / source))
    assert len(set(map(tuple, states))) == (2 if source == "a.nc" else 3)


def test_spells_are_resampled_where_there_are_ten():
    """Eleven cases, the first two an hour apart and so of one spell, the others a day apart."""
    day, hour = np.timedelta64(1, "D"), np.timedelta64(1, "h")
    start = np.datetime64("2024-07-01T00:00", "us")
    cases = [WetCase("e", time, 0.1) for time in (start, start + hour, *(start + day * n for n in range(1, 10)))]
    labels = module._labels(cases)
    assert labels[0] == labels[1] and len(set(labels)) == 10
    assert module._too_few(11, 10) == [] and module._too_few(10, 9)
