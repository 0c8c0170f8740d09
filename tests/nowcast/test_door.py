"""The door for Python: xarray in, xarray out, and what is refused on the way."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import nowcast
from nowcast.cli import app as cli
from nowcast.data.forecast_file import as_counts, open_forecast
from nowcast.forecasting.door import Model, counted_history
from nowcast.forecasting.forecast import Request, load_forecaster, write_forecast
from nowcast.models.forecaster import Forecaster
from pipelines.errors import InputError
from pipelines.store.geo import grid_mapping, lat_lon
from pipelines.store.units import counts_to_rain_rate, counts_to_vil

PROJ = "+proj=laea +lat_0=52 +lon_0=5 +R=6370997 +units=m"
FIVE_MINUTES = np.timedelta64(5, "m")


def make_history(frames=12, units="1", change=lambda counts: counts, **attrs) -> xr.DataArray:
    """Storms that move east on 24 x 20 pixels of 2 km around 52 N 5 E, a corner never observed."""
    y, x = np.mgrid[:24, :20]
    counts = np.stack([150 * np.exp(-((y - 12) ** 2 + (x - 5 - n / 2) ** 2) / 18) for n in range(frames)])
    counts = np.where(counts < 6, 0, np.rint(counts))
    counts[:, :2, :3] = np.nan
    centres = {"y": 2000.0 * (np.arange(24) - 11.5), "x": 2000.0 * (np.arange(20) - 9.5)}
    lat, lon = lat_lon(PROJ, 0, 0, centres["x"], centres["y"])
    return xr.DataArray(
        change(counts),
        dims=("time", "y", "x"),
        coords={
            "time": np.datetime64("2021-07-04T12:00", "ns") + np.arange(frames) * FIVE_MINUTES,
            **{axis: (axis, metres, {"units": "m"}) for axis, metres in centres.items()},
            "latitude": (("y", "x"), lat),
            "longitude": (("y", "x"), lon),
            "crs": ((), 0, grid_mapping(PROJ)),
        },
        name="radar",
        attrs={"units": units, **attrs},
    )


class Showers(Forecaster):
    """Member m of every pixel is 20 m counts at the first lead time, and grows by one at each of the others."""

    member_batch = 2

    def predict(self, cases, steps, members, seed):
        field = np.array(members)[:, None] * 20.0 + np.arange(steps)
        shape = (len(cases.keys), len(members), steps, *cases.frames.shape[2:])
        return np.broadcast_to(field[None, :, :, None, None], shape)


@pytest.fixture
def showers():
    return Model("showers", Showers(), {"model": "showers"})


def test_a_data_array_comes_out_as_a_data_array_with_all_that_it_carried(showers):
    history = make_history()
    forecast = showers.forecast(history, members=5)
    assert forecast.dims == ("member", "lead_time", "y", "x") and forecast.shape == (5, 10, 24, 20)
    assert forecast.attrs["units"] == "1" and forecast.attrs["model"] == "showers" and forecast.attrs["seed"] == 0
    assert forecast["init_time"].values == np.datetime64("2021-07-04T12:55")
    np.testing.assert_array_equal(forecast["lead_time"], np.arange(1, 11) * FIVE_MINUTES)
    np.testing.assert_array_equal(forecast["valid_time"], forecast["init_time"] + forecast["lead_time"])
    for name in ("latitude", "longitude", "y", "x", "crs"):
        xr.testing.assert_equal(
            forecast[name].drop_vars(forecast[name].coords), history[name].drop_vars(history[name].coords)
        )
    np.testing.assert_array_equal(forecast[3, :, 9, 9], 60 + np.arange(10))
    np.testing.assert_array_equal(forecast.isnull()[0, 0], history.isnull()[0])
    assert showers.forecast(history, lead_times=3).shape == (100, 3, 24, 20)


def test_a_dataset_as_xarray_reads_it_has_its_places_from_its_grid_mapping(showers, tmp_path):
    history = make_history(units="mm h-1", change=lambda counts: counts / 10, standard_name="rainfall_rate")
    south = history.drop_vars(["latitude", "longitude", "crs"]).assign_attrs(grid_mapping="crs")
    for axis in "yx":
        south[axis].attrs["standard_name"] = f"projection_{axis}_coordinate"
    names = {"y": "northing", "x": "easting"}
    south.rename(names).to_dataset(name="rain").assign(crs=history["crs"].variable).to_netcdf(tmp_path / "radar.nc")
    for options in ({}, {"decode_coords": "all"}):
        with xr.open_dataset(tmp_path / "radar.nc", **options) as dataset:
            forecast = showers.forecast(dataset, members=5)
            assert forecast.dims == ("member", "lead_time", "y", "x")
            for name in ("latitude", "longitude"):
                np.testing.assert_allclose(forecast[name], history[name], atol=1e-6)
    with xr.open_dataset(tmp_path / "radar.nc", decode_coords="all") as dataset:
        of_array = showers.forecast(dataset["rain"].rename(northing="y", easting="x"), members=5)
    np.testing.assert_allclose(of_array["latitude"], history["latitude"], atol=1e-6)
    place = float(history["latitude"][9, 9]), float(history["longitude"][9, 9])
    share = nowcast.probability_at(of_array, *place, threshold="60counts")
    assert share[0] == 0.4 and share.attrs["long_name"] == "share of members at or above 1.78 mm h⁻¹"
    assert nowcast.probability_at(of_array, *place, threshold=1.7)[0] == 0.4
    assert nowcast.probability_at(of_array, *place, threshold=60)[0] == 0


def test_the_probability_at_a_place_is_of_the_case_that_holds_it(showers):
    here = showers.forecast(make_history().drop_vars("crs"), members=5)
    north = (here + 20).assign_coords(latitude=here["latitude"] + 5)
    cases = xr.concat([north, here], "case")
    for case, latitude in ((north, 57), (here, 52)):
        share, alone = (nowcast.probability_at(one, latitude, 5, threshold=60) for one in (cases, case))
        np.testing.assert_array_equal(share, alone)
    with pytest.raises(InputError, match=r"54\.5 N 5 E lies outside of the forecast; got .* km to its nearest pixel"):
        nowcast.probability_at(cases, 54.5, 5)


def test_an_observation_may_be_a_dataset(showers):
    whole = make_history(frames=22)
    forecast = showers.forecast(whole[:12], members=3)
    for axis in "yx":
        whole[axis].attrs["standard_name"] = f"projection_{axis}_coordinate"
    dataset = whole.rename("vil").to_dataset()
    one, other = (nowcast.verify(forecast, obs, samples=0)["crps_fair_pooled"] for obs in (whole, dataset))
    assert one == other and len(nowcast.plot(forecast, dataset).axes) > 4
    with pytest.raises(InputError, match=r'a Dataset is no field; got vil; expected a DataArray: dataset\["vil"\]'):
        counts_to_rain_rate(dataset)


def test_a_single_field_is_no_forecast_to_draw(showers):
    field = showers.forecast(make_history(), members=2).isel(member=1, lead_time=3)
    with pytest.raises(InputError, match=r"cannot be drawn; got no dimension lead_time, member; .* field\.plot\(\)"):
        nowcast.plot(field)


def test_a_history_with_text_as_xarray_reads_it_of_zarr_is_forecast_verified_and_drawn(showers, tmp_path):
    frames = make_history(frames=20).assign_coords(event="storm").rename("radar")
    frames.drop_vars("crs").to_dataset().astype("float32").assign_coords(
        event=xr.DataArray(np.array("storm", np.dtypes.StringDType()))
    ).to_zarr(tmp_path / "radar.zarr", consolidated=False)
    radar = xr.open_zarr(tmp_path / "radar.zarr", consolidated=False)["radar"]
    forecast = showers.forecast(radar[:10], members=2)
    assert forecast["event"].item() == "storm" and forecast["event"].dtype == object
    assert nowcast.verify(forecast, radar, samples=0)["mae_pooled"].item() > 0
    assert nowcast.plot(forecast, radar).axes


def test_the_same_forecast_as_of_the_file(tmp_path):
    history = make_history()
    file = history.rename("vil").drop_vars(["latitude", "longitude", "crs"]).assign_coords(
        crs=((), 0, grid_mapping(PROJ)),
        **{axis: (axis, history[axis].values, {"units": "m", "standard_name": f"projection_{axis}_coordinate"})
           for axis in "yx"},
    )  # fmt: skip
    file.attrs["grid_mapping"] = "crs"
    file.reset_coords("crs").to_netcdf(tmp_path / "history.nc")
    forecaster, described = load_forecaster("steps")
    out = write_forecast(
        forecaster, tmp_path / "history.nc", tmp_path / "f.nc", Request(members=3), described=described
    )
    made = nowcast.load("steps").forecast(history, members=3)
    written = open_forecast(out)["vil"].isel(case=0)
    np.testing.assert_allclose(made, written, atol=1 / 256)
    np.testing.assert_allclose(made["latitude"], written["latitude"], atol=1e-4)


@pytest.mark.parametrize(
    ("units", "change", "attrs"),
    [
        ("mm h-1", counts_to_rain_rate, {}),
        ("m s-1", lambda counts: counts_to_rain_rate(counts) / 3.6e6, {"standard_name": "rainfall_rate"}),
        ("dBZ", lambda counts: 10 * np.log10(200 * counts_to_rain_rate(counts).clip(1e-4) ** 1.6), {}),
    ],
)
def test_units_of_radar_are_converted(units, change, attrs):
    model = nowcast.load("persistence")
    expected = model.forecast(make_history())
    history = make_history(units=units, change=change, **attrs)
    forecast = model.forecast(history, units="counts")
    np.testing.assert_allclose(forecast, expected, atol=1)
    assert forecast.attrs["units"] == "1" and forecast.name == "vil"
    own = model.forecast(history)
    assert (own.name, own.attrs["units"]) == (
        ("reflectivity", "dBZ") if units == "dBZ" else ("rainfall_rate", "mm h-1")
    )
    np.testing.assert_array_equal(as_counts(own)["vil"].isel(case=0), forecast)


def test_vil_is_converted_and_known_by_its_name():
    model = nowcast.load("persistence")
    forecast = model.forecast(make_history(units="kg m-2", change=counts_to_vil).rename("vil"))
    assert (forecast.name, forecast.attrs["units"]) == ("vil", "kg m-2")
    np.testing.assert_allclose(as_counts(forecast)["vil"].isel(case=0), model.forecast(make_history()), atol=1)
    np.testing.assert_allclose(forecast, counts_to_vil(model.forecast(make_history()).values), rtol=0.02)


@settings(max_examples=20)
@given(st.permutations(["time", "y", "x"]), st.booleans(), st.booleans())
def test_neither_the_order_of_dims_nor_of_rows_nor_of_times_matters(order, southward, backward):
    model = nowcast.load("advection")
    history = make_history()
    expected = model.forecast(history)
    changed = history.transpose(*order)
    changed = changed.isel(y=slice(None, None, -1)) if southward else changed
    changed = changed.isel(time=slice(None, None, -1)) if backward else changed
    forecast = model.forecast(changed)
    np.testing.assert_array_equal(forecast["y"], changed["y"])
    xr.testing.assert_allclose(forecast.sortby("y"), expected)


def test_several_cases_keep_their_dim(showers, small_store):
    from nowcast.data.windows import find_windows, history_of
    from pipelines.store.schema import open_store

    store = open_store(small_store)
    cases = history_of(store, find_windows(store, history=10, lead=10, stride=10, split="test"), 10)
    forecast = showers.forecast(cases.assign_attrs(units="1").transpose("y", "x", "frame", "case"), members=2)
    assert forecast.dims == ("case", "member", "lead_time", "y", "x")
    assert forecast["event"].values.tolist() == ["E4", "E5", "E5"] and "latitude" not in forecast.coords


def test_each_case_is_sorted_by_its_own_times():
    model = nowcast.load("persistence")
    first = make_history()
    second = (first + 20).assign_attrs(first.attrs).assign_coords(time=first["time"] + np.timedelta64(1, "D"))
    alone = [model.forecast(one) for one in (first, second)]
    shuffled = second.isel(time=np.random.default_rng(0).permutation(12))
    for one in (shuffled, second[::-1]):
        parts = [
            part.rename(time="frame")
            .reset_index("frame", drop=True)
            .assign_coords(valid_time=("frame", part["time"].values))
            for part in (first, one)
        ]
        both = model.forecast(xr.concat(parts, "case", coords="different", compat="equals"))
        for case in (0, 1):
            np.testing.assert_array_equal(both[case], alone[case])
            assert both["init_time"].values[case] == alone[case]["init_time"].values


def test_kilometres_are_metres_to_the_model():
    model = nowcast.load("persistence")
    seen = {}

    class Watching(type(model.forecaster)):
        def predict(self, cases, steps, members, seed):
            seen["km"] = cases.pixel_km
            return super().predict(cases, steps, members, seed)

    history = make_history()
    kilometres = {axis: (axis, history[axis].values / 1000, {"units": "km"}) for axis in "yx"}
    forecast = Model("watching", Watching(), {"model": "watching"}).forecast(history.assign_coords(kilometres))
    assert seen["km"] == pytest.approx(2)
    np.testing.assert_array_equal(forecast["x"], history["x"] / 1000)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda h: h.assign_attrs(units="K"), "does not say what it measures; got units 'K'"),
        (lambda h: h.drop_attrs(), "does not say what it measures; got units None; .*set history.attrs"),
        (lambda h: h + 300, "does not say what it measures"),
        (lambda h: (h + 300).assign_attrs(units="1"), "cannot be 4.*expected 0 to 255"),
        (lambda h: (h - 32).assign_attrs(units="mm h-1"), "rain rate in mm h-1 cannot be -32"),
        (lambda h: h.rename(time="t"), "other dims; got t, y, x; expected time, y, x or case, frame, y, x"),
        (lambda h: h.isel(y=0), "other dims; got time, x"),
        (lambda h: h.drop_vars("time"), "the history has no times"),
        (lambda h: h.isel(time=slice(2)), "too short; got 2 frames; expected 3 or more"),
        (lambda h: h.drop_isel(time=7), "not evenly spaced"),
    ],
)
def test_wrong_histories_are_refused_in_one_line(change, line):
    with xr.set_options(keep_attrs=False), pytest.raises(InputError, match=line) as refused:
        nowcast.load("persistence").forecast(change(make_history()))
    assert "\n" not in str(refused.value)


def test_frames_before_a_short_history_are_missing():
    cases = counted_history(make_history(frames=4), 10)
    assert np.isnan(cases.values[0, :6]).all()
    np.testing.assert_array_equal(cases.values[0, 6:], make_history(frames=4).values)
    assert (np.diff(cases["valid_time"].values[0]) == FIVE_MINUTES).all()
    assert cases["init_time"].values[0] == np.datetime64("2021-07-04T12:15")
    forecast = nowcast.load("persistence").forecast(make_history(frames=4))
    assert "6 of the 10 frames of the history are missing" in forecast.attrs["quality"]


def test_warnings_tell_of_one_member_and_of_frames_unlike_those_of_the_training():
    with pytest.warns(UserWarning, match="persistence is deterministic: one member instead of 50"):
        assert nowcast.load("persistence").forecast(make_history(), members=50).sizes["member"] == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nowcast.load("persistence").forecast(make_history())


def test_the_probability_at_a_place_by_hand(showers):
    forecast = showers.forecast(make_history(), members=5)  # 0, 20, 40, 60 and 80 counts
    latitude, longitude = (float(forecast[name][9, 9]) for name in ("latitude", "longitude"))
    for threshold, share in ((74, 0.2), (80, 0.2), (80.5, 0), (15, 0.8), ("2.64mm/h", 0.2), ("0.1mm/h", 0.8)):
        probability = nowcast.probability_at(forecast, latitude, longitude, threshold)
        assert probability.dims == ("lead_time",) and float(probability[0]) == pytest.approx(share)
    assert float(nowcast.probability_at(forecast, latitude, longitude, 80.5)[1]) == pytest.approx(0.2)
    assert nowcast.probability_at(forecast.expand_dims("case"), latitude, longitude).sizes == {"lead_time": 10}
    corner = [float(forecast[name][0, 0]) for name in ("latitude", "longitude")]
    assert nowcast.probability_at(forecast, *corner).isnull().all()


def test_the_probability_at_a_place_is_taken_of_a_file_too(showers, tmp_path):
    forecast = showers.forecast(make_history(), members=5)
    forecast.to_netcdf(tmp_path / "f.nc")
    for path in (tmp_path / "f.nc", str(tmp_path / "f.nc")):
        xr.testing.assert_equal(
            nowcast.probability_at(path, 52, 5, 60).drop_attrs(),
            nowcast.probability_at(forecast, 52, 5, 60).drop_attrs(),
        )


def test_what_is_no_object_of_xarray_is_refused_in_one_line(showers):
    history = make_history()
    forecast = showers.forecast(history, members=2)
    with pytest.raises(InputError, match=r"^the history is no object of xarray; got a ndarray; .*make one: xarray\.D"):
        showers.forecast(history.values)
    with pytest.raises(InputError, match=r"^the observation is no object of xarray; got a ndarray; .*make one"):
        nowcast.verify(forecast, history.values)
    for function in (nowcast.verify, nowcast.plot, nowcast.at):
        with pytest.raises(
            InputError, match=r"^the forecast is no object of xarray; got a ndarray; expected a DataArray"
        ):
            function(forecast.values, history)


def test_a_place_outside_of_the_forecast_is_refused_and_one_at_its_edge_is_not(showers):
    forecast = showers.forecast(make_history(), members=2)
    edge = lat_lon(PROJ, 0, 0, np.array([20_000.0 - 100]), np.array([24_000.0 - 100]))
    outside = lat_lon(PROJ, 0, 0, np.array([20_000.0 + 2000]), np.array([0.0]))
    nowcast.probability_at(forecast, edge[0].item(), edge[1].item())
    for latitude, longitude in (map(np.ndarray.item, outside), (0, 0), (-52, 5), (52, 5 + 180)):
        with pytest.raises(InputError, match=r"lies outside of the forecast; got .* km to its nearest pixel"):
            nowcast.probability_at(forecast, latitude, longitude)
    for lacking, line in (
        (forecast.drop_vars(["latitude", "crs"]), "no latitude and longitude"),
        (xr.concat([forecast] * 2, "case"), "several cases hold 52 N 5 E; got cases 0, 1; expected one: forecast.isel"),
    ):
        with pytest.raises(InputError, match=line):
            nowcast.probability_at(lacking, 52, 5)


def test_verify_scores_a_forecast_against_an_observation_in_any_unit(showers):
    whole = make_history(frames=22)
    history, obs = whole.isel(time=slice(12)), whole.isel(time=slice(12, None))
    forecast = nowcast.load("persistence").forecast(history)
    scores = nowcast.verify(forecast, obs)
    last = history.isel(time=-1).values
    expected = np.nanmean(np.abs(obs.values - last), axis=(1, 2))
    np.testing.assert_allclose(scores["mae"], expected, rtol=1e-5)
    rain = make_history(frames=22, units="mm h-1", change=counts_to_rain_rate).isel(time=slice(12, None))
    np.testing.assert_allclose(nowcast.verify(forecast, rain)["mae"], expected, atol=0.2)
    raining = make_history(frames=12, units="mm h-1", change=counts_to_rain_rate)
    of_rain = nowcast.load("persistence").forecast(raining)
    assert of_rain.attrs["units"] == "mm h-1"
    np.testing.assert_allclose(nowcast.verify(of_rain, obs)["mae"], expected, atol=0.2)
    southward = obs.isel(y=slice(None, None, -1))
    np.testing.assert_allclose(nowcast.verify(forecast, southward)["mae"], expected, rtol=1e-5)
    with pytest.raises(InputError, match="other pixels than the forecast: x differs"):
        nowcast.verify(forecast, obs.isel(x=slice(10)))


def test_verify_and_plot_take_files_and_stores(small_store, tmp_path):
    forecaster, described = load_forecaster("persistence")
    file = write_forecast(forecaster, small_store, tmp_path / "f.nc", Request(limit=1), described=described)
    from nowcast.verification import verify

    xr.testing.assert_equal(nowcast.verify(str(file), str(small_store)), verify(file, small_store))
    assert len(nowcast.plot(file, small_store).axes) > len(nowcast.plot(str(file)).axes) > 4


@pytest.mark.parametrize("southward", [False, True])
def test_a_forecast_saved_by_to_netcdf_is_verified_and_drawn_by_the_command_line(tmp_path, southward, monkeypatch):
    whole = make_history(frames=22, units="mm h-1", change=counts_to_rain_rate).assign_attrs(grid_mapping="crs")
    whole = whole.isel(y=slice(None, None, -1)) if southward else whole
    nowcast.load("persistence").forecast(whole[:12]).to_netcdf(tmp_path / "f.nc")
    places = {axis: {"standard_name": f"projection_{axis}_coordinate"} for axis in "yx"}
    later = whole[10:].drop_vars(["latitude", "longitude"]).reset_coords("crs").rename(radar="rain")
    for axis, attrs in places.items():
        later[axis].attrs |= attrs
    later.to_netcdf(tmp_path / "later.nc")
    files = [str(tmp_path / name) for name in ("f.nc", "later.nc")]
    done = CliRunner().invoke(cli.app, ["verify", *files, "--out", str(tmp_path / "scores.nc")], catch_exceptions=False)
    assert done.exit_code == 0
    with xr.open_dataset(tmp_path / "scores.nc") as scores:
        assert scores.attrs["forecast_model"] == "persistence"
        expected = nowcast.verify(nowcast.load("persistence").forecast(whole[:12]), whole[12:], samples=0)
        np.testing.assert_allclose(scores["mae"], expected["mae"], rtol=1e-6)
    picture = str(tmp_path / "f.png")
    assert (
        CliRunner().invoke(cli.app, ["plot", files[0], picture, "--store", files[1]], catch_exceptions=False).exit_code
        == 0
    )


def test_plot_draws_a_forecast_with_and_without_its_observation(showers):
    whole = make_history(frames=22)
    forecast = showers.forecast(whole.isel(time=slice(12)), members=3)
    alone = nowcast.plot(forecast, lead_times=[FIVE_MINUTES])
    both = nowcast.plot(forecast, whole.isel(time=slice(12, None)), lead_times=[FIVE_MINUTES])
    assert len(both.axes) > len(alone.axes)


def test_page_of_a_forecast_is_in_its_unit_with_and_without_its_observation(showers, tmp_path):
    whole = make_history(frames=22)
    rates = whole.copy(data=counts_to_rain_rate(whole.values)).assign_attrs(units="mm h-1")
    forecast = showers.forecast(rates.isel(time=slice(12)), members=3)
    alone = nowcast.page(forecast, tmp_path / "alone.html").read_text()
    both = nowcast.page(forecast, str(tmp_path / "both.html"), rates).read_text()
    assert "mm h\u207b\u00b9" in alone and "Nowcast from 2021-07-04 12:55" in alone and len(both) > len(alone)
    with pytest.raises(InputError, match=r"alone\.html"):
        nowcast.page(forecast, tmp_path / "alone.html")


def test_import_of_nowcast_is_light():
    code = "import sys, nowcast; print([m for m in ('torch', 'xarray', 'numpy', 'dask') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
