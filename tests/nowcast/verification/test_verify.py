"""The public entry: anybody's file in, scores out; what does not fit is refused in one line."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import xarray as xr

from nowcast import verification
from nowcast.extrapolation.first_guess import first_guess
from nowcast.verification import save
from nowcast.verification.inputs import Case, open_observations
from nowcast.verification.metrics.table import METRICS
from nowcast.verification.scores import _independent_events
from pipelines.errors import InputError
from pipelines.store.protocol import load_protocol

START, STEP = np.datetime64("2019-07-01T00:00", "us"), np.timedelta64(300, "s")
MEANS = ("", "_pooled", "_lead_averaged")

verify = partial(verification.verify, samples=0)


@pytest.fixture
def radar() -> np.ndarray:
    """Observed counts with dims (event, frame, y, x), one pixel never seen."""
    counts = np.round(np.random.default_rng(5).uniform(0, 250, (2, 5, 6, 6)))
    counts[:, :, 0, 0] = np.nan
    return counts


@pytest.fixture
def members() -> np.ndarray:
    """Forecast counts with dims (case, member, lead_time, y, x)."""
    return np.round(np.random.default_rng(6).uniform(0, 250, (2, 7, 3, 6, 6)))


def test_scores_pooled_and_lead_averaged_differ_and_are_what_they_say(make_store, make_forecast) -> None:
    # One pixel. Lead 1: two members hit. Lead 2: observed, one of two members hits. Lead 3: one false alarm of two.
    obs = np.array([0, 80, 80, 10]).reshape(1, 4, 1, 1)
    forecast = np.array([[90, 90, 10], [80, 0, 90]]).reshape(1, 2, 3, 1, 1)
    scores = verify(make_forecast(forecast), make_store(obs)).sel(summary="member", threshold=74)
    assert scores["csi"].values == pytest.approx([1, 1 / 2, 0])
    assert scores["csi_pooled"] == pytest.approx(3 / 5)
    assert scores["csi_lead_averaged"] == pytest.approx(1 / 2)
    assert "pooled" in scores["csi_pooled"].attrs["long_name"]
    assert "averaged" in scores["csi_lead_averaged"].attrs["long_name"]


def test_missing_pixels_of_either_side_count_nowhere(make_store, make_forecast) -> None:
    obs = np.array([[0, 0, 0], [10, np.nan, 30]]).reshape(1, 2, 1, 3)
    forecast = np.array([[12, 50, np.nan], [14, 50, 30]]).reshape(1, 2, 1, 1, 3)  # a member lacks the third pixel
    scores = verify(make_forecast(forecast), make_store(obs))
    assert scores["mae"].item() == 3
    assert scores["counted_fraction"].item() == pytest.approx(1 / 3)


def test_a_pixel_missing_in_a_later_member_alone_counts_nowhere(make_store, make_forecast) -> None:
    obs = np.array([[0, 0], [10, 30]]).reshape(1, 2, 1, 2)
    forecast = np.array([[12, 50], [14, np.nan]]).reshape(1, 2, 1, 1, 2)
    scores = verify(make_forecast(forecast), make_store(obs))
    assert scores["mae"].item() == 3 and scores["counted_fraction"].item() == 1 / 2


def test_only_what_advection_reaches_is_scored_if_asked(make_store, make_forecast) -> None:
    row, column = np.mgrid[:32, :32]
    path = [100 * np.exp(-((row - 16) ** 2 + (column - 8 - 2 * k) ** 2) / 60) for k in range(8)]
    obs = np.array(path)[None]
    forecast = np.zeros((1, 2, 2, 32, 32))
    forecast[..., :2] = 200  # wrong where the air comes in
    seen = np.ones((1, 6, 32, 32), bool)
    reached = first_guess(obs[:, :6].astype("float32"), seen, 2, minutes=5, km=3).reached[0]
    assert not reached[1, :, 0].any() and reached[:, :, 8:].all()
    whole, inside = (
        verify(make_forecast(forecast, last=5), make_store(obs), only_reached=only) for only in (False, True)
    )
    np.testing.assert_allclose(inside["counted_fraction"], reached.mean((1, 2)))
    by_hand = [np.abs(forecast[0, 0, k] - obs[0, 6 + k])[reached[k]].mean() for k in (0, 1)]
    np.testing.assert_allclose(inside["mae"], by_hand, rtol=1e-5)
    assert (inside["mae"] < whole["mae"]).all()
    assert inside.attrs["region"] == "reached by advection" and whole.attrs["region"] == "whole"


def test_what_advection_reaches_is_known_at_the_init_time(make_store, moving_storm) -> None:
    obs = moving_storm((10, 16), (2, 0), 8, size=32)[None]
    later = obs.copy()
    later[:, 6] = later[:, 6, :, ::-1]  # the first frame of the future
    case = Case("e0", START + 5 * STEP, START + np.array([6, 7]) * STEP)
    masks = [np.isnan(open_observations(make_store(one), only_reached=True).fields(case)) for one in (obs, later)]
    np.testing.assert_array_equal(*masks)
    assert masks[0].any()


def test_every_metric_in_three_means_with_names_and_units(radar, members, make_store, make_forecast) -> None:
    scores = verify(make_forecast(members), make_store(radar), samples=10)
    for name in METRICS:
        for mean in MEANS:
            assert scores[name + mean].attrs.keys() >= {"long_name", "units"}
            assert scores[f"{name}{mean}_interval"].sizes["bound"] == 2
    assert scores["members"] == 7
    assert scores["counted_fraction_pooled"] == pytest.approx(35 / 36)
    assert scores.attrs["events"] == 2
    assert list(scores["threshold"]) == [16, 74, 133, 160, 181, 219]


def test_a_lead_time_without_pixels_makes_the_lead_average_nan_and_not_the_pooled(make_store, make_forecast) -> None:
    obs = np.array([0, 10, np.nan]).reshape(1, 3, 1, 1)
    scores = verify(make_forecast(np.array([12, 50]).reshape(1, 1, 2, 1, 1)), make_store(obs))
    np.testing.assert_array_equal(scores["mae"], [2, np.nan])
    assert np.isnan(scores["mae_lead_averaged"]) and scores["mae_pooled"] == 2


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_a_file_of_plain_xarray_scores_like_the_arrays(suffix, radar, members, make_store, make_forecast, tmp_path):
    forecast, store = make_forecast(members), make_store(radar)
    path = tmp_path / f"theirs.{suffix}"
    shuffled = forecast.transpose("lead_time", "case", "y", "x", "member").isel(case=[1, 0])
    shuffled.to_netcdf(path) if suffix == "nc" else shuffled.to_zarr(path)
    xr.testing.assert_allclose(verify(path, store), verify(forecast, store))


def test_packed_uint8_with_a_fill_value_scores_like_the_arrays(radar, members, make_store, make_forecast, tmp_path):
    members[0, :, :, 3, 3] = np.nan
    forecast = make_forecast(members)
    packing = {"vil": {"dtype": "uint8", "_FillValue": 255}, "lead_time": {"units": "minutes", "dtype": "int32"}}
    forecast.to_netcdf(tmp_path / "packed.nc", encoding=packing)
    store = make_store(radar)
    xr.testing.assert_allclose(verify(tmp_path / "packed.nc", store), verify(forecast, store))


def test_a_forecast_without_members_is_deterministic(radar, members, make_store, make_forecast) -> None:
    scores = verify(make_forecast(members).isel(member=0), make_store(radar))
    assert scores["members"] == 1
    np.testing.assert_allclose(scores["crps_fair"], scores["mae"])
    np.testing.assert_allclose(scores["crps_standard"], scores["mae"])
    assert np.isnan(scores["spread_skill"]).all()
    np.testing.assert_allclose(*(scores["csi"].sel(summary=s) for s in ("mean", "member")))


def test_valid_time_goes_before_init_time_plus_lead_time(radar, members, make_store, make_forecast) -> None:
    forecast, store = make_forecast(members), make_store(radar)
    late = forecast["init_time"] + forecast["lead_time"] + np.timedelta64(300, "s")
    shifted = store.isel(frame=slice(1, None)).assign_coords(valid_time=store["valid_time"].isel(frame=slice(0, -1)))
    expected = verify(forecast, shifted)
    xr.testing.assert_allclose(verify(forecast.assign_coords(valid_time=late), store), expected)


def test_a_real_store_and_its_own_frames_score_perfectly(small_store) -> None:
    from pipelines.store.schema import open_store

    store = open_store(small_store)
    future = store.isel(event=[4, 5], frame=slice(10, 20))
    forecast = xr.Dataset(
        {"vil": (("case", "lead_time", "y", "x"), future["vil"].values)},
        {
            "event": ("case", future["event"].values),
            "init_time": ("case", store["valid_time"].isel(event=[4, 5], frame=9).values),
            "lead_time": np.arange(1, 11) * np.timedelta64(300, "s"),
        },
        {"model": "oracle", "seed": 3, "config": {"a": 1}},
    )
    scores = verify(forecast, small_store)
    assert (scores["mae"] == 0).all() and (scores["csi_m"] == 1).all()
    assert scores["counted_fraction_pooled"] == pytest.approx(1 - 4 / 256)
    assert scores.attrs["protocol"] == "sevir-128-10-10"
    assert scores.attrs["event_list_hash"] == store.attrs["event_list_hash"]
    assert (scores.attrs["model"], scores.attrs["forecast_seed"]) == ("oracle", 3)


def test_beside_a_reference_only_pixels_of_both_count(make_store, make_forecast) -> None:
    obs = np.array([[0, 0, 0], [10, 20, 30]]).reshape(1, 2, 1, 3)
    store = make_store(obs)
    forecast = make_forecast(np.array([11, 20, 130]).reshape(1, 1, 1, 1, 3))
    reference = make_forecast(np.array([14, 20, np.nan]).reshape(1, 1, 1, 1, 3))
    scores = verify(forecast, store, reference=reference)
    assert scores["mae_pooled"].sel(forecast="forecast") == 1 / 2
    assert scores["mae_pooled"].sel(forecast="reference") == 4 / 2
    against = scores.sel(forecast="reference")
    assert against["mae_pooled_difference"] == 1 / 2 - 2
    assert against["mae_pooled_skill"] == 1 - (1 / 2) / 2
    assert (scores["counted_fraction_pooled"] == 2 / 3).all()
    assert "spread_pooled_skill" not in scores


def test_each_reference_has_its_own_difference(radar, members, make_store, make_forecast) -> None:
    forecast, store = make_forecast(members), make_store(radar)
    others = [forecast.isel(member=[number]).assign_attrs(model=f"m{number}") for number in (0, 1)]
    scores = verify(forecast, store, reference=others)
    assert list(scores["forecast"].values) == ["forecast", "reference", "reference 2"]
    assert list(scores["model"].values) == ["unnamed", "m0", "m1"]
    expected = scores["mse_pooled"].sel(forecast="forecast") - scores["mse_pooled"]
    np.testing.assert_allclose(scores["mse_pooled_difference"], expected)
    assert expected[0] == 0 and expected[1] != expected[2]


def test_a_skill_score_counts_from_the_best_value(make_store, make_forecast) -> None:
    obs = np.array([[0, 0, 0], [80, 80, 80]]).reshape(1, 2, 1, 3)
    forecast, reference = (make_forecast(np.array(row).reshape(1, 1, 1, 1, 3)) for row in ([80, 80, 0], [80, 0, 0]))
    scores = verify(forecast, make_store(obs), reference=reference).sel(summary="mean", threshold=74)
    assert scores["csi_pooled_skill"].sel(forecast="reference") == pytest.approx((2 / 3 - 1 / 3) / (1 - 1 / 3))


def test_the_reference_may_hold_more_and_in_another_order(radar, members, make_store, make_forecast) -> None:
    forecast, store = make_forecast(members), make_store(radar)
    scored = forecast.isel(case=[1], lead_time=[1, 2])
    scores = verify(scored, store, reference=forecast.isel(case=[1, 0], member=[0]))
    alone = verify(scored.isel(member=[0]), store)
    for name in METRICS:
        ours = scores[name].sel(forecast="reference").reindex_like(alone[name])
        np.testing.assert_allclose(ours, alone[name])
    assert list(scores["members"].values) == [7, 1]


def test_a_forecast_in_several_files_scores_like_one(radar, members, make_store, make_forecast, tmp_path) -> None:
    forecast, store = make_forecast(members), make_store(radar)
    forecast.isel(case=[1]).to_netcdf(tmp_path / "second.nc")
    parts = [forecast.isel(case=[0]), tmp_path / "second.nc"]
    xr.testing.assert_allclose(verify(parts, store), verify(forecast, store))
    xr.testing.assert_allclose(verify(forecast, store, reference=parts), verify(forecast, store, reference=forecast))


@pytest.mark.parametrize(
    ("reason", "other"),
    {
        "twice": lambda forecast: forecast.isel(case=[0]),
        "ensemble sizes": lambda forecast: forecast.isel(case=[1], member=[0]),
        "lead times": lambda forecast: forecast.isel(case=[1], lead_time=[0]),
        "models": lambda forecast: forecast.isel(case=[1]).assign_attrs(model="another"),
    }.items(),
)
def test_files_that_are_not_of_one_forecast_are_refused(reason, other, radar, members, make_store, make_forecast):
    forecast = make_forecast(members)
    with pytest.raises(InputError, match=reason):
        verify([forecast.isel(case=[0]), other(forecast)], make_store(radar))


@pytest.mark.parametrize("chunks", [{}, {"member": 3, "y": 2}, {"case": 1, "lead_time": 1, "x": 5}])
def test_dask_and_its_chunks_change_nothing(chunks, radar, members, make_store, make_forecast) -> None:
    forecast, store = make_forecast(members), make_store(radar)
    xr.testing.assert_identical(verify(forecast.chunk(chunks), store.chunk(frame=2)), verify(forecast, store))


def test_ties_are_drawn_alike_whatever_else_is_scored(radar, members, make_store, make_forecast) -> None:
    forecast, store = make_forecast(np.round(members / 100)), make_store(np.round(radar / 100))
    part = verify(forecast.isel(case=[1], lead_time=[1]), store)["rank_histogram"]
    drawn = verification.states(forecast, store)[0]["pixels_of_rank"].isel(event=1, lead_time=1)
    np.testing.assert_array_equal(drawn / drawn.sum(), part.squeeze())


def test_thresholds_come_from_the_protocol(radar, members, make_store, make_forecast) -> None:
    protocol = load_protocol("sevir-128-10-10").model_copy(update={"thresholds": (20.0, 40.0), "grid": 6})
    scores = verify(make_forecast(members), make_store(radar), protocol=protocol)
    assert list(scores["threshold"]) == [20, 40]
    assert scores.attrs["protocol"] == "sevir-128-10-10"


def test_progress_sees_every_case(radar, members, make_store, make_forecast) -> None:
    seen = []

    def progress(cases):
        for case in cases:
            seen.append(str(case))
            yield case

    verify(make_forecast(members), make_store(radar), progress=progress)
    assert seen == ["e0@2019-07-01T00:00:00", "e1@2019-07-02T00:00:00"]


REFUSED = {
    "has no event": lambda forecast: forecast.assign_coords(event=("case", ["e0", "e9"])),
    "no frame of event": lambda forecast: forecast.assign_coords(
        init_time=forecast["init_time"] + np.timedelta64(60, "s")
    ),
    "another grid": lambda forecast: forecast.isel(x=slice(3)),
    "is not a forecast; got the variables": lambda forecast: forecast.rename(vil="rain"),
    "is not a forecast; got dims": lambda forecast: forecast.isel(y=0),
    "taken as VIL in kg m-2; got units 'K'": lambda forecast: forecast.assign(
        vil=forecast["vil"].assign_attrs(units="K")
    ),
    "is no duration": lambda forecast: forecast.assign_coords(lead_time=[1, 2, 3]),
    "twice": lambda forecast: forecast.isel(case=[0, 0]),
    "_FillValue 255": lambda forecast: forecast.assign(vil=forecast["vil"].fillna(0).astype("uint8") | 255),
    "no case": lambda forecast: forecast.isel(case=[]),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_forecast_that_does_not_fit_is_refused(reason, radar, members, make_store, make_forecast) -> None:
    with pytest.raises(InputError, match=reason) as refused:
        verify(REFUSED[reason](make_forecast(members)), make_store(radar))
    assert "\n" not in str(refused.value)


def test_a_reference_without_the_case_or_lead_time_is_refused(radar, members, make_store, make_forecast) -> None:
    forecast, store = make_forecast(members), make_store(radar)
    with pytest.raises(InputError, match="has no case e1@"):
        verify(forecast, store, reference=forecast.isel(case=[0]))
    with pytest.raises(InputError, match="lacks the lead time"):
        verify(forecast, store, reference=forecast.isel(lead_time=[0, 1]))


def test_files_that_are_no_forecast_or_store_are_refused(radar, members, make_store, make_forecast, tmp_path) -> None:
    (tmp_path / "text.nc").write_text("no NetCDF")
    (tmp_path / "empty").mkdir()
    refused = {"absent.nc": "no forecast", "text.nc": "cannot be read", "empty": "cannot be read"}
    for name, reason in refused.items():
        with pytest.raises(InputError, match=reason):
            verify(tmp_path / name, make_store(radar))
    with pytest.raises(InputError, match="not a store"):
        verify(make_forecast(members), make_forecast(members))
    for name, store, reason in (
        ("none.zarr", make_store(radar), "none.zarr cannot be read: vil is taken as VIL"),
        ("other.zarr", make_store(radar).assign_attrs(schema="other"), "other.zarr: a store of another schema"),
    ):
        store.to_zarr(tmp_path / name)
        with pytest.raises(InputError, match=reason):
            verify(make_forecast(members), tmp_path / name)


def test_a_store_of_another_grid_or_reducer_than_the_protocol_is_refused(radar, members, make_store, make_forecast):
    protocol = load_protocol("sevir-128-10-10")
    with pytest.raises(InputError, match="6 pixels a side"):
        verify(make_forecast(members), make_store(radar), protocol=protocol)
    with pytest.raises(InputError, match="by max; expected 6 by mean"):
        store = make_store(radar).assign_attrs(reducer="max")
        verify(make_forecast(members), store, protocol=protocol.model_copy(update={"grid": 6}))


def test_verification_never_imports_torch_or_a_model() -> None:
    code = "import sys, nowcast.verification; print([m for m in sys.modules if m in ('torch', 'nowcast.models')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_scores_survive_netcdf_and_are_not_overwritten(radar, members, make_store, make_forecast, tmp_path) -> None:
    forecast = make_forecast(members).assign_attrs(model="a", config={"b": None}, flag=True)
    scores = verify(forecast, make_store(radar), reference=forecast.isel(member=[0]))
    path = save(scores, tmp_path / "new" / "scores.nc")
    with xr.open_dataset(path, decode_timedelta=True) as read:
        xr.testing.assert_allclose(read, scores)
        assert read.attrs["forecast_config"] == "{'b': None}"
        assert read["lead_time"].attrs["standard_name"] == "forecast_period"
    with pytest.raises(InputError, match="--overwrite"):
        save(scores, path)
    save(scores, path, overwrite=True)
    assert [entry.name for entry in path.parent.iterdir()] == ["scores.nc"]


def test_two_runs_of_one_model_are_two_references(radar, members, make_store, make_forecast) -> None:
    forecast, store = make_forecast(members), make_store(radar)
    runs = [forecast.assign_attrs(model="unet", checkpoint_sha256=run) for run in ("aa", "bb")]
    assert list(verify(forecast, store, reference=runs)["model"].values) == ["unnamed", "unet", "unet"]


def test_events_that_begin_at_one_time_are_not_independent() -> None:
    cases = ["a@2019-07-01T00:00", "b@2019-07-01T00:00", "b@2019-07-01T01:00", "c@2019-07-02T00:00"]
    assert _independent_events(xr.Dataset(coords={"case": cases})) == 2
