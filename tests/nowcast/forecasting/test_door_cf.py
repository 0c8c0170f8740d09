"""Datasets in memory, with all that CF allows, forecast by the door for Python."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from pyproj import CRS, Transformer

import nowcast

LAEA = CRS.from_epsg(3035)
X, Y = 4100e3 + 2000 * np.arange(20.0), 2700e3 + 2000 * np.arange(16.0)
LON, LAT = Transformer.from_crs(LAEA, LAEA.geodetic_crs, always_xy=True).transform(*np.meshgrid(X, Y))
PX, PY = ({"standard_name": f"projection_{axis}_coordinate", "units": "m"} for axis in "xy")
TIMES = np.datetime64("2024-07-01T12:00", "ns") + np.arange(12) * np.timedelta64(5, "m")


def rates() -> np.ndarray:
    y, x = np.mgrid[:16, :20]
    cells = [30 * np.exp(-((y - 6) ** 2 + (x - 5 - t / 2) ** 2) / 12) for t in range(12)]
    return np.where(np.array(cells) < 0.2, 0, cells).astype("float32")


def plain() -> xr.Dataset:
    attrs = {"standard_name": "rainfall_rate", "units": "mm h-1", "grid_mapping": "crs"}
    coords = {"time": TIMES, "y": ("y", Y, PY), "x": ("x", X, PX)}
    return xr.Dataset({"rr": (("time", "y", "x"), rates(), attrs), "crs": ((), 0, LAEA.to_cf())}, coords)


def in_thousands(made: xr.Dataset) -> xr.Dataset:
    return made.assign_coords(
        y=("y", Y / 1000, PY | {"units": "1000 m"}), x=("x", X / 1000, PX | {"units": "kilometers"})
    )


def by_name(made: xr.Dataset) -> xr.Dataset:
    made = made.assign_coords(y=("y", Y, {"units": "m"}), x=("x", X, {"axis": "X", "units": "m"}))
    return made.rename(y="northing", x="a")


def by_index(made: xr.Dataset) -> xr.Dataset:
    made = made.rename(y="nj", x="ni", time="step").drop_vars(["nj", "ni", "step"])
    return made.assign(yc=("nj", Y, PY), xc=("ni", X, PX), time=("step", TIMES, {"standard_name": "time"}))


def flat(made: xr.Dataset) -> xr.Dataset:
    north, east = {"units": "degrees_north"}, {"units": "degrees_east"}
    return made.drop_vars(["y", "x"]).assign(lat=(("y", "x"), LAT, north), lon=(("y", "x"), LON, east))


def of_sums(made: xr.Dataset) -> xr.Dataset:
    made["rr"] = (made["rr"] / 12).assign_attrs(standard_name="rainfall_amount", units="kg m-2", grid_mapping="crs")
    return made


def by_cftime(made: xr.Dataset) -> xr.Dataset:
    times = xr.date_range("2024-07-01 12:00", periods=12, freq="5min", calendar="noleap", use_cftime=True)
    return made.assign_coords(time=times)


def extended(made: xr.Dataset) -> xr.Dataset:
    made["rr"].attrs["grid_mapping"] = "wgs84: lat lon crs: x y"
    return made.assign(wgs84=((), 0, CRS.from_epsg(4326).to_cf()))


def other_units(made: xr.Dataset) -> xr.Dataset:
    made["rr"] = (24 * made["rr"]).assign_attrs(long_name="rain rate", units="mm day-1", grid_mapping="crs")
    return made


CHANGES = [lambda made: made, in_thousands, by_name, by_index, flat, of_sums, by_cftime, extended, other_units]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_dataset_is_forecast_however_its_axes_units_and_times_are_written(change: Callable) -> None:
    given = change(plain())
    before = given.copy(deep=True)
    forecast = nowcast.load("persistence").forecast(given, lead_times=2, units="mm/h")
    xr.testing.assert_identical(given, before)
    assert forecast.dims == ("member", "lead_time", "y", "x") and forecast.shape == (1, 2, 16, 20)
    assert (forecast["init_time"].values, forecast["valid_time"].values[0]) == (
        TIMES[-1],
        TIMES[-1] + np.timedelta64(5, "m"),
    )
    np.testing.assert_allclose(forecast[0, 0], rates()[-1], rtol=0.02, atol=0.2)  # counts are whole
    np.testing.assert_allclose(forecast["latitude"], LAT, atol=1e-5)
    np.testing.assert_allclose(forecast["longitude"], LON, atol=1e-5)


def test_degrees_have_their_places() -> None:
    lat, lon = 46 + 0.02 * np.arange(16), 7 + 0.02 * np.arange(20)
    made = plain().drop_vars(["crs", "y", "x"]).rename(y="lat", x="lon").assign_coords(lat=lat[::-1], lon=lon)
    del made["rr"].attrs["grid_mapping"]
    before = made.copy(deep=True)
    forecast = nowcast.load("persistence").forecast(made, lead_times=2, units="mm/h")
    xr.testing.assert_identical(made, before)
    np.testing.assert_allclose(forecast["latitude"][:, 3], lat[::-1])
    np.testing.assert_allclose(forecast["longitude"][3], lon)
    np.testing.assert_allclose(forecast[0, 0], rates()[-1], rtol=0.02, atol=0.2)
