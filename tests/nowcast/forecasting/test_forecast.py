import json
import warnings

import netCDF4
import numpy as np
import pytest
import xarray as xr

from nowcast.data.forecast_file import open_forecast
from nowcast.forecasting.forecast import Request, load_forecaster, parse_time, write_forecast
from nowcast.training.run import train
from pipelines.errors import InputError
from pipelines.store.schema import open_store


@pytest.fixture
def run(toy_config, small_store, tmp_path):
    return train(toy_config, [small_store], tmp_path / "run", device="cpu").parent


def make(model, store, out, request=None, sampling=None, **options):
    forecaster, described = load_forecaster(str(model), device="cpu", sampling=sampling)
    return write_forecast(forecaster, store, out, request or Request(members=7), described=described, **options)


def test_a_forecast_file_has_all_that_a_reader_needs(run, small_store, tmp_path):
    forecast = xr.open_dataset(make(run, small_store, tmp_path / "f.nc"))
    assert forecast["vil"].dims == ("case", "member", "lead_time", "y", "x")
    assert dict(forecast.sizes) == {"case": 3, "member": 7, "lead_time": 10, "y": 16, "x": 16}
    assert forecast["event"].values.tolist() == ["E4", "E5", "E5"]
    assert (forecast["valid_time"] == forecast["init_time"] + forecast["lead_time"]).all()
    assert forecast["lead_time"].values[0] == np.timedelta64(5, "m")
    assert forecast["member"].attrs["standard_name"] == "realization"
    assert forecast["vil"].dtype == "float32" and not np.isfinite(forecast["vil"].values[..., :2, :2]).any()
    assert np.isfinite(forecast["vil"].values[..., 2:]).all()
    assert json.loads(forecast.attrs["config"])["model"] == "toy" and len(forecast.attrs["checkpoint_sha256"]) == 16
    assert forecast.attrs["seed"] == 0 and forecast.attrs["protocol"] == "sevir-128-10-10"


def test_latitude_and_longitude_are_those_of_the_projection(run, small_store, tmp_path):
    from pyproj import Proj

    forecast = xr.open_dataset(make(run, small_store, tmp_path / "f.nc"))
    case = forecast.isel(case=1)
    lon, lat = Proj(str(case["proj"].values))(500_000 + 1500 + 3000 * 4, -50_000 + 1500 + 3000 * 7, inverse=True)
    assert case["latitude"].values[7, 4] == pytest.approx(lat, abs=1e-4)
    assert case["longitude"].values[7, 4] == pytest.approx(lon, abs=1e-4)


def test_netcdf_and_zarr_hold_the_same(run, small_store, tmp_path):
    files = [open_forecast(make(run, small_store, tmp_path / name)).load() for name in ("f.nc", "f.zarr")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the first line in anybody's notebook is silent
        xr.open_zarr(tmp_path / "f.zarr").load()
    xr.testing.assert_equal(files[0].drop_vars("crs"), files[1].drop_vars("crs"))


def test_members_do_not_depend_on_batch_ensemble_or_other_cases(run, small_store, tmp_path):
    whole = open_forecast(make(run, small_store, tmp_path / "a.nc"))["vil"].load()
    alone = Request(members=4, events=("E5",))
    few = open_forecast(make(run, small_store, tmp_path / "b.nc", alone, {"member_batch": 1}))["vil"]
    np.testing.assert_array_equal(whole.values[1:, :4], few.values)
    assert (whole.values[0, 0] != whole.values[0, 1]).any()
    other = open_forecast(make(run, small_store, tmp_path / "c.nc", Request(members=4, seed=1)))["vil"]
    assert (other.values[0, 0, :, 2:] != whole.values[0, 0, :, 2:]).any()


def test_persistence_is_one_member_exact_to_the_count(small_store, tmp_path):
    forecast = open_forecast(make("persistence", small_store, tmp_path / "p.nc"))["vil"]
    observed = open_store(small_store)["vil"]
    assert forecast.sizes["member"] == 1
    np.testing.assert_array_equal(forecast.values[1, 0, 9], observed.isel(event=5, frame=9).values)


def test_init_time_selects_a_case_even_without_a_future(small_store, tmp_path):
    last = open_store(small_store)["valid_time"].values[5, 29]
    forecast = open_forecast(make("persistence", small_store, tmp_path / "p.nc", Request(init=last)))
    assert forecast["event"].values.tolist() == ["E5"] and forecast["init_time"].values[0] == last


def test_sampling_settings_of_the_command_reach_the_network(run, small_store, tmp_path):
    calm = open_forecast(make(run, small_store, tmp_path / "f.nc", sampling={"gain": 0.0}))["vil"]
    assert (calm.values[:, 0, :, 2:] == calm.values[:, 1, :, 2:]).all()


@pytest.mark.parametrize(
    ("model", "out", "request_", "word"),
    [
        ("no-such", "f.nc", Request(), "no model"),
        ("persistence", "f.txt", Request(), ".nc or .zarr"),
        ("persistence", "f.nc", Request(events=("E9",)), "no event E9"),
        ("persistence", "f.nc", Request(init=np.datetime64("1999-01-01T00:00")), "1999-01-01"),
        ("persistence", "f.nc", Request(split="trial"), "split trial"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(small_store, tmp_path, model, out, request_, word):
    with pytest.raises(InputError, match=word):
        make(model, small_store, tmp_path / out, request_)
    assert list(tmp_path.iterdir()) == []


def test_a_network_without_shipped_weights_must_be_trained(toy_config, small_store, tmp_path):
    with pytest.raises(InputError, match="toy must be trained"):
        make("toy", small_store, tmp_path / "f.nc")


def test_what_exists_stays_unless_overwritten_and_a_failure_leaves_nothing(small_store, tmp_path, monkeypatch):
    from nowcast.models.persistence import Persistence

    out = make("persistence", small_store, tmp_path / "p.nc", Request(limit=1))
    with pytest.raises(InputError, match="--overwrite"):
        make("persistence", small_store, out)
    before = out.read_bytes()
    monkeypatch.setattr(Persistence, "predict", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make("persistence", small_store, out, overwrite=True)
    assert out.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["p.nc"]
    monkeypatch.undo()
    make("persistence", small_store, out, Request(limit=2), overwrite=True)
    assert netCDF4.Dataset(out).dimensions["case"].size == 2


def test_a_checkpoint_of_another_model_is_refused(run, small_store, tmp_path):
    from safetensors.torch import load_file

    from nowcast.models.checkpoint import read_header, save_tensors

    header = read_header(run / "model.safetensors")
    tensors = load_file(run / "model.safetensors")
    tensors["foreign"] = tensors.pop("scale")
    save_tensors(tmp_path / "other.safetensors", tensors, header)
    with pytest.raises(InputError, match="another model"):
        load_forecaster(str(tmp_path / "other.safetensors"))
    (tmp_path / "text.safetensors").write_text("no checkpoint at all")
    with pytest.raises(InputError, match="not a safetensors file"):
        load_forecaster(str(tmp_path / "text.safetensors"))


def test_times_are_utc_texts():
    assert parse_time("2019-06-01T12:30Z") == np.datetime64("2019-06-01T12:30:00")
    with pytest.raises(InputError, match="wrong time"):
        parse_time("yesterday")
