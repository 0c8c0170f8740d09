"""pysteps' own NetCDF nowcasts, written here by its exporter, scored against radar."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pyproj import CRS

from nowcast.data.forecast_file import open_forecast
from nowcast.verification import verify
from pipelines.errors import InputError
from pipelines.radar.files import read_header
from pipelines.store.units import RAIN_RATE, REFLECTIVITY, rain_rate_to_counts

exporters = pytest.importorskip("pysteps.io.exporters", reason="the extra steps is not installed")

PROJ = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +x_0=0 +y_0=0 +ellps=WGS84"
ROWS, COLUMNS, WEST, SOUTH = 20, 24, -300e3, -4300e3
INIT, STEP = np.datetime64("2024-07-01T12:00", "ns"), np.timedelta64(5, "m")


def rain(frames: int) -> np.ndarray:
    """Rain rates in mm h-1, float32 (frame, y, x), row 0 in the south, of a cell that moves to the north-east."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    cells = [30 * np.exp(-((y - 5 - t) ** 2 + (x - 6 - t) ** 2) / 18) for t in range(frames)]
    return np.where(np.array(cells) < 0.2, 0, cells).astype("float32")


def radar(path: Path) -> Path:
    """Fifteen frames of observed radar, ten of them up to the init time."""
    axis = lambda first, size: first + 500 + 1000 * np.arange(size)  # noqa: E731
    attrs = {name: {"standard_name": f"projection_{name}_coordinate", "units": "m"} for name in "yx"}
    coords = {
        "time": INIT + STEP * np.arange(-9, 6),
        "y": ("y", axis(SOUTH, ROWS), attrs["y"]),
        "x": ("x", axis(WEST, COLUMNS), attrs["x"]),
    }
    about = {"standard_name": "rainfall_rate", "units": "mm h-1", "grid_mapping": "crs"}
    made = xr.Dataset({"rr": (("time", "y", "x"), rain(15), about), "crs": ((), 0, CRS(PROJ).to_cf())}, coords)
    made.to_netcdf(path)
    return path


def nowcast(folder: Path, fields: np.ndarray, *, unit="mm/h", origin="upper", proj=PROJ, km=False) -> Path:
    """Fields (member, lead, y, x), row 0 in the south, as pysteps' exporter writes them."""
    scale = 1e-3 if km else 1
    metadata = {"projection": proj, "cartesian_unit": "km" if km else "m", "unit": unit, "yorigin": origin}
    metadata |= {"x1": scale * WEST, "x2": scale * (WEST + 1000 * COLUMNS)}
    metadata |= {"y1": scale * SOUTH, "y2": scale * (SOUTH + 1000 * ROWS)}
    members, leads = fields.shape[:2]
    start = datetime(2024, 7, 1, 12)
    exporter = exporters.initialize_forecast_exporter_netcdf(
        str(folder), "made", start, 5, leads, fields.shape[2:], metadata, members
    )
    rows = fields[:, :, ::-1] if origin == "upper" else fields
    exporters.export_forecast_dataset(rows if members > 1 else rows[0], exporter)
    exporters.close_forecast_files(exporter)
    return folder / "made.nc"


def truth(members: int = 2) -> np.ndarray:
    return np.repeat(rain(15)[None, 10:], members, 0)


@pytest.mark.parametrize("origin", ["upper", "lower"])
def test_a_nowcast_by_pysteps_is_a_forecast(tmp_path, origin):
    fields = truth()
    fields[1] *= 2
    forecast = open_forecast(nowcast(tmp_path, fields, origin=origin))
    assert forecast["vil"].dims == ("case", "member", "lead_time", "y", "x") and forecast.sizes["member"] == 2
    assert forecast.attrs["quantity"] == RAIN_RATE and forecast.attrs["model"] == "pysteps"
    assert forecast["event"].item() == "made" and forecast["init_time"].values[0] == INIT
    assert (forecast["lead_time"].values == STEP * np.arange(1, 6)).all()
    assert (forecast["valid_time"].values[0, -1] - INIT) == 5 * STEP
    np.testing.assert_allclose(forecast["y"], SOUTH + 500 + 1000 * np.arange(ROWS))
    np.testing.assert_allclose(forecast["vil"][0], rain_rate_to_counts(fields), atol=1 / 128)
    lat = forecast["latitude"].values[0]
    assert lat[-1, 0] > lat[0, 0] and lat.shape == (ROWS, COLUMNS)


@pytest.mark.parametrize(
    ("unit", "values"),
    [
        ("mm/h", lambda rate: rate),
        ("mm", lambda rate: rate / 12),
        ("dBZ", lambda rate: np.where(rate > 0, 10 * np.log10(200 * np.maximum(rate, 1e-9) ** 1.6), -32)),
    ],
)
@pytest.mark.parametrize("members", [1, 2])
def test_a_perfect_nowcast_has_a_perfect_score(tmp_path, unit, values, members):
    made = nowcast(tmp_path, values(truth(members)), unit=unit)
    assert open_forecast(made).attrs["quantity"] == (REFLECTIVITY if unit == "dBZ" else RAIN_RATE)
    scores = verify(made, radar(tmp_path / "radar.nc"), samples=0)
    assert scores.attrs["forecast_model"] == "pysteps"
    np.testing.assert_allclose(scores["rmse"], 0, atol=0.6)  # observed counts are whole
    assert scores["csi"].sizes["lead_time"] == 5 and (scores["csi"].sel(threshold=74) == 1).all()


def test_kilometres(tmp_path):
    made = nowcast(tmp_path, truth(), proj=f"{PROJ} +units=km", km=True)
    scores = verify(made, radar(tmp_path / "radar.nc"), samples=0)
    np.testing.assert_allclose(scores["rmse"], 0, atol=0.6)


@pytest.mark.parametrize("members", [1, 2])
def test_it_is_not_taken_for_observed_radar(tmp_path, members):
    with pytest.raises(InputError, match=r"made\.nc cannot be read: it is a forecast by pysteps; expected observed"):
        read_header(nowcast(tmp_path, truth(members)))
