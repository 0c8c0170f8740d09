"""Thresholds that are given, with a unit or without: what is scored, and how tables and files call it."""

import io

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from nowcast.data.packing import COUNT_STEP, pack, unpacked
from nowcast.verification import print_table, save, verify
from pipelines.errors import InputError
from pipelines.store.units import QUANTITIES, RAIN_RATE


@pytest.fixture
def radar(make_store):
    counts = np.array([[[[0, 60, 80, 100]] * 4] * 3] * 2)
    return make_store(counts)


@pytest.fixture
def rain(make_forecast):
    """Two members: of 0, 70, 78 and 110 counts, and of 90 everywhere; as rain rates."""
    counts = np.array([[[[0.0, 70, 78, 110]] * 4] * 2, [[[90.0] * 4] * 4] * 2])[None].repeat(2, 0)
    forecast = make_forecast(counts)
    rates = unpacked(pack(counts.astype("float32"), COUNT_STEP), RAIN_RATE)
    forecast["vil"] = forecast["vil"].copy(data=rates).assign_attrs(QUANTITIES[RAIN_RATE].attrs)
    return forecast.rename(vil="rainfall_rate")


def test_numbers_are_in_the_forecasts_own_unit_and_others_in_theirs(rain, radar):
    own = verify(rain, radar, samples=0, thresholds=[2.5, 1])
    np.testing.assert_allclose(own["threshold"], [39.53, 72.12], atol=0.01)
    for given in (["1 mm/h", "2.5mm/h"], ["23.0103 dBZ", "2.5"]):
        other = verify(rain, radar, samples=0, thresholds=given)
        np.testing.assert_allclose(other["threshold"], own["threshold"], atol=0.01)
    csi = verify(rain, radar, samples=0, thresholds=["74counts"])["csi_pooled"].sel(summary="mean")
    assert csi.item() == pytest.approx(2 / 3)  # the mean has 45, 80, 84 and 100 counts, and seen are 0, 60, 80 and 100


def test_files_and_tables_say_both(rain, radar, tmp_path):
    scores = verify(rain, radar, samples=0, thresholds=["2.5mm/h", "1mm/h"])
    assert scores.attrs["thresholds"] == "2.5mm/h and 1mm/h, given instead of the protocol's"
    assert scores["threshold"].attrs["comment"] == "these are 1 mm h⁻¹, 2.5 mm h⁻¹"
    with xr.open_dataset(save(scores, tmp_path / "s.nc")) as saved:
        assert saved["threshold"].attrs["comment"] == scores["threshold"].attrs["comment"]
    said = io.StringIO()
    print_table(scores, Console(file=said, width=200))
    assert "CSI >= 72.12 (2.5 mm h⁻¹) (mean)" in said.getvalue()
    assert "thresholds 2.5mm/h and 1mm/h, given instead of the protocol's" in said.getvalue()


def test_without_any_the_usual_ones_are_said_in_the_forecasts_unit_too(rain, radar, make_forecast):
    scores = verify(rain, radar, samples=0)
    assert scores["threshold"].values.tolist() == [16, 74, 133, 160, 181, 219] and "thresholds" not in scores.attrs
    assert scores["threshold"].attrs["comment"].startswith("these are 0.451 mm h⁻¹, 2.64 mm h⁻¹")
    plain = verify(make_forecast(np.full((2, 1, 2, 4, 4), 80.0)), radar, samples=0)
    assert "comment" not in plain["threshold"].attrs and "threshold_quantity" not in plain.attrs


@pytest.mark.parametrize("wrong", ["heavy", "5 furlongs", "0.01mm/h", 500])
def test_wrong_ones_are_refused(rain, radar, wrong):
    with pytest.raises(InputError, match=r"no threshold|no such units"):
        verify(rain, radar, samples=0, thresholds=[wrong])
