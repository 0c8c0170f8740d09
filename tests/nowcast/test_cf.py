"""The CF checker of IOOS finds no error in any NetCDF file that is written: forecasts, scores and sums."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from compliance_checker.runner import CheckSuite, ComplianceChecker

import nowcast
from nowcast.data.forecast_file import open_forecast
from nowcast.forecasting.answer_files import save_answers
from nowcast.forecasting.forecast import Request, load_forecaster, write_forecast
from nowcast.models.persistence import Persistence
from nowcast.verification import save, save_states, scores_of, states
from nowcast.verification.metrics.perceptual import Perception
from nowcast.verification.metrics.table import METRICS
from pipelines.building.prepare import prepare
from pipelines.video.kitti import plan_kitti

pytestmark = pytest.mark.filterwarnings("ignore:The ioos_sos checker:DeprecationWarning")


class Drawn(Persistence):
    """An ensemble: persistence and a member's own number."""

    deterministic = False

    def predict(self, cases, steps, members, seed):
        alike = super().predict(cases, steps, [0], seed)
        return alike + np.array(members, "float32").reshape(-1, 1, 1, 1)


@pytest.fixture(scope="module")
def forecast(small_store, tmp_path_factory) -> Path:
    model, described = load_forecaster("persistence")
    out = tmp_path_factory.mktemp("cf") / "forecast.nc"
    return write_forecast(model, small_store, out, Request(), described=described)


@pytest.fixture(scope="module")
def sums(forecast, small_store) -> list[xr.Dataset]:
    looks = Perception(lambda fields, truth: fields.mean((1, 2)), lambda videos: videos.mean((2, 3)))
    return states(forecast, small_store, reference=forecast, perception=looks)


@pytest.fixture(scope="module")
def video(footage, tmp_path_factory) -> Path:
    """A forecast of one clip."""
    folder = tmp_path_factory.mktemp("video")
    footage.pictures(folder / "2011_09_26_drive_0001_sync" / "image_02" / "data", footage.frames(20))
    prepare(plan_kitti(folder), folder / "kitti.zarr")
    model, described = load_forecaster("persistence")
    return write_forecast(model, folder / "kitti.zarr", folder / "f.nc", Request(split="train"), described=described)


def cf_errors(file: Path, version: str = "1.8") -> list[str]:
    """Findings that the checker calls errors (its high priority)."""
    CheckSuite.load_all_available_checkers()
    report = file.with_suffix(".json")
    checker = f"cf:{version}"
    ComplianceChecker.run_checker(str(file), [checker], 0, "normal", output_filename=str(report), output_format="json")
    checks = json.loads(report.read_text())[checker]["high_priorities"]
    return [message for check in checks for message in check["msgs"]]


def test_the_checker_finds_errors(tmp_path):
    wrong = xr.Dataset({"vil": ("x", [1.0], {"units": "no unit"})}, {"x": ("x", [1.0])})
    wrong.to_netcdf(tmp_path / "wrong.nc")
    assert any("_FillValue" in error for error in cf_errors(tmp_path / "wrong.nc"))


def test_forecasts(forecast):
    assert cf_errors(forecast) == []


def test_forecasts_of_one_place_and_summaries(small_store, tmp_path):
    model, described = load_forecaster("persistence")
    place = write_forecast(model, small_store, tmp_path / "place.nc", Request(limit=1), described=described)
    with xr.open_dataset(place) as one:
        assert one["y"].attrs["standard_name"] == "projection_y_coordinate"
    assert cf_errors(place) == []
    several = Request(limit=1, members=3, summary_only=True)
    summary = write_forecast(Drawn(), small_store, tmp_path / "summary.nc", several, described={"model": "drawn"})
    assert cf_errors(summary) == []


def test_answers_for_places(small_store, tmp_path):
    model, described = load_forecaster("persistence")
    path = write_forecast(model, small_store, tmp_path / "place.nc", Request(limit=1), described=described)
    with open_forecast(path) as forecast:
        places = [(float(forecast["latitude"][0, row, 5]), float(forecast["longitude"][0, row, 5])) for row in (0, 9)]
        answered = nowcast.at(forecast, places, units="mm/h")
    assert cf_errors(save_answers(answered, tmp_path / "places.nc")) == []


def test_forecasts_of_video(video):
    assert xr.open_dataset(video).attrs["Conventions"] == "CF-1.9"  # the first with the integers that its times need
    assert cf_errors(video, "1.9") == []


def test_scores(sums, tmp_path):
    """Not all variables: with those the checker takes a minute."""
    scores = scores_of(sums, samples=5)
    few = [*METRICS, "csi_pooled_interval", "csi_difference", "lpips_pooled", "fvd", "kvd", "videos", "cases"]
    assert cf_errors(save(scores[few], tmp_path / "scores.nc")) == []


def test_sums(sums, tmp_path):
    file = save_states(sums, tmp_path / "sums.nc")
    assert cf_errors(file) == []
    attrs = xr.open_dataset(file).attrs
    for group in ("forecast", "reference"):  # which the checker does not look into
        with xr.open_dataset(file, group=group, decode_times=False, mask_and_scale=False) as part:
            one, unfilled = tmp_path / f"{group}.nc", {name: {"_FillValue": None} for name in part.coords}
            part.assign_attrs(attrs).to_netcdf(one, encoding=unfilled)
        assert cf_errors(one) == []
