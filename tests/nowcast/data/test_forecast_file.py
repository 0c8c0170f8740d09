"""Forecast files in every unit: written, opened as counts, summarised."""

import numpy as np
import pytest
import xarray as xr

from nowcast.data.forecast_file import as_counts, open_forecast
from nowcast.data.radar_file import is_forecast
from nowcast.forecasting.forecast import Request, write_forecast
from nowcast.forecasting.summary import QUANTILES
from nowcast.models.persistence import Persistence
from nowcast.verification import verify
from pipelines.errors import InputError
from pipelines.store.units import COUNTS, QUANTITIES, RAIN_RATE, REFLECTIVITY, VIL, counts_to_rain_rate, from_counts

UNITS = {RAIN_RATE: "mm/h", REFLECTIVITY: "dBZ", VIL: "kg/m2"}


class Steps(Persistence):
    """Member m is the newest frame with m counts more."""

    deterministic = False

    def predict(self, cases, steps, members, seed):
        alike = super().predict(cases, steps, [0], seed)
        return np.where(alike > 5, alike + np.array(members, "float32").reshape(-1, 1, 1, 1), alike)


def make(store, out, **request):
    return write_forecast(
        Steps(), store, out, Request(**{"members": 3, "limit": 2, **request}), described={"model": "steps"}
    )


@pytest.fixture(scope="module")
def counts(small_store, tmp_path_factory) -> xr.Dataset:
    return open_forecast(make(small_store, tmp_path_factory.mktemp("counts") / "f.nc")).load()


@pytest.mark.parametrize("quantity", UNITS)
@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_file_in_a_unit_is_that_unit_in_cf_and_opens_as_the_same_counts(
    small_store, tmp_path, counts, quantity, suffix
):
    file = make(small_store, tmp_path / f"f{suffix}", units=UNITS[quantity])
    known = QUANTITIES[quantity]
    engine = {"engine": "zarr", "consolidated": False} if suffix == ".zarr" else {}
    with xr.open_dataset(file, decode_timedelta=True, **engine) as raw:
        field = raw[known.name]
        assert field.dtype == np.float32 and field.dims == ("case", "member", "lead_time", "y", "x")
        assert known.attrs.items() <= field.attrs.items()
        np.testing.assert_allclose(field, from_counts(counts["vil"].values, quantity), rtol=1e-4, atol=1e-3)
        assert raw.attrs["saturation"].startswith("254 counts and more = ")
    opened = open_forecast(file)
    assert opened.attrs["quantity"] == quantity and opened["vil"].attrs["units"] == "1"
    expected = counts["vil"].where((counts["vil"] > 5) | counts["vil"].isnull(), 0)
    np.testing.assert_array_equal(opened["vil"], expected)
    np.testing.assert_array_equal(opened["vil"][0, 1, :2, 3:5, 7], expected[0, 1, :2, 3:5, 7])  # a part alone


def test_the_attribute_tells_the_saturation_of_rain(small_store, tmp_path):
    with xr.open_dataset(make(small_store, tmp_path / "f.nc", units="mm/h")) as raw:
        said = "254 counts and more = 416 mm h-1; 5 counts and less, no echo = 0 mm h-1"
        assert raw.attrs["saturation"] == said


def test_a_store_of_sevir_and_counts_that_are_asked_for_stay_counts(small_store, tmp_path, counts):
    assert "quantity" not in counts.attrs
    with xr.open_dataset(make(small_store, tmp_path / "f.nc", units="counts"), mask_and_scale=False) as raw:
        assert raw["vil"].dtype == np.int16 and "saturation" not in raw.attrs


def test_a_store_made_of_rain_is_forecast_in_rain(small_store, tmp_path):
    from nowcast.forecasting.forecast import _quantity
    from pipelines.store.schema import open_store

    store = open_store(small_store)
    assert _quantity(store, None) == COUNTS
    rain = store.assign_attrs(counts_from=[f"{RAIN_RATE}: {QUANTITIES[RAIN_RATE].relation}"])
    assert _quantity(rain, None) == RAIN_RATE and _quantity(rain, "counts") == COUNTS


@pytest.mark.parametrize("quantity", UNITS)
def test_a_summary_is_of_the_members_in_its_unit(small_store, tmp_path, quantity):
    units = UNITS[quantity]
    name = QUANTITIES[quantity].name
    members = xr.open_dataset(make(small_store, tmp_path / "m.nc", units=units), decode_timedelta=True)[name]
    made = xr.open_dataset(make(small_store, tmp_path / "s.nc", units=units, summary_only=True), decode_timedelta=True)
    close = {"rtol": 1e-5, "atol": 1e-5}
    if units == "dBZ":
        mean = 10 * np.log10((10 ** (members.astype("float64") / 10)).mean("member", skipna=False))
        assert "mean of Z, in dBZ" in made[f"{name}_mean"].attrs["long_name"] and f"{name}_spread" not in made
    else:
        mean = members.mean("member", skipna=False)
        np.testing.assert_allclose(made[f"{name}_spread"], members.std("member", ddof=1, skipna=False), **close)
    np.testing.assert_allclose(made[f"{name}_mean"], mean, **close)
    quantiles = members.quantile(QUANTILES, "member", skipna=False).transpose("case", ...)
    np.testing.assert_allclose(made[f"{name}_quantile"], quantiles, **close)
    share = (members >= made["threshold"].astype("float32")).mean("member")
    share = share.where(members.notnull().all("member")).transpose("case", "threshold", ...)
    np.testing.assert_allclose(made[f"{name}_probability"], share, rtol=0, atol=1e-4)
    assert made["threshold"].attrs["units"] == QUANTITIES[quantity].attrs["units"]
    assert made["threshold"].attrs["comment"] == "in counts: 16, 74, 133, 160, 181, 219"
    assert made[f"{name}_probability"].attrs["units"] == "1"


def test_scores_are_those_of_the_counts(small_store, tmp_path, counts):
    rain = make(small_store, tmp_path / "f.nc", units="mm/h")
    one, other = (verify(forecast, small_store, samples=0) for forecast in (counts, rain))
    for name in ("csi_pooled", "brier_pooled", "roc_area_pooled"):  # of thresholds, which whole counts reach exactly
        xr.testing.assert_equal(one[name], other[name])
    np.testing.assert_allclose(
        one["crps_fair_pooled"], other["crps_fair_pooled"], atol=0.07
    )  # 0 to 5 counts are 0 mm h-1
    assert other.attrs["forecast_quantity"] == RAIN_RATE


def test_a_data_array_of_rain_without_case_is_a_forecast(counts):
    one = counts["vil"].isel(case=0, y=slice(None, None, -1))
    rain = counts_to_rain_rate(one).assign_attrs(units="mm s-1") / 3600
    rain.attrs = {"units": "mm s-1", "standard_name": "rainfall_rate", "model": "ours", "grid_mapping": "crs"}
    made = as_counts(rain)
    assert made.attrs == {"model": "ours", "quantity": RAIN_RATE}
    assert made["vil"].dims == ("case", "member", "lead_time", "y", "x")
    expected = one.where((one > 5) | one.isnull(), 0)[:, :, ::-1]
    np.testing.assert_allclose(made["vil"][0], expected, atol=1 / 128)


def test_what_is_no_forecast_is_refused(counts):
    for wrong in (counts.drop_vars("vil"), counts.rename(vil="rain")):
        with pytest.raises(InputError, match="the forecast is not a forecast; got the variables"):
            as_counts(wrong)


def test_a_file_that_is_open_elsewhere_in_the_process_is_opened_again_and_again(small_store, tmp_path):
    names = xr.Dataset({"vil": (("case", "lead_time", "y", "x"), np.ones((1, 2, 3, 4)), {"units": "1"})})
    names = names.assign_coords(event=("case", ["storm"]), lead_time=np.array([5, 10], "m8[m]").astype("m8[ns]"))
    theirs, other = tmp_path / "theirs.nc", tmp_path / "other.nc"
    names.to_netcdf(theirs)
    names.drop_vars("event").to_netcdf(other)
    for path in (theirs, make(small_store, tmp_path / "ours.nc")):
        with xr.open_dataset(path):
            with xr.open_dataset(path) as closed:  # HDF5's issue 5359 needs a text that was read through it
                event = closed["event"].values[0]
            with xr.open_dataset(other):
                assert is_forecast(path)
                assert open_forecast(path)["event"].values[0] == event
