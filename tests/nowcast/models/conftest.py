"""Histories small enough to work out by hand, and storms of known motion; each fixture is a function."""

import numpy as np
import pytest
import xarray as xr


@pytest.fixture(scope="session")
def to_history():
    """A history of counts with shape (case, frame, y, x), NaN missing, one init time for all cases."""

    def build(counts: np.ndarray) -> xr.DataArray:
        init = np.datetime64("2019-07-01T12:00:00", "s")
        times = init - np.arange(counts.shape[1] - 1, -1, -1) * np.timedelta64(300, "s")
        coords = {
            "event": ("case", [f"S{number}" for number in range(len(counts))]),
            "init_time": ("case", [init] * len(counts)),
            "valid_time": (("case", "frame"), [times] * len(counts)),
        }
        return xr.DataArray(counts.astype("float32"), dims=("case", "frame", "y", "x"), coords=coords)

    return build


@pytest.fixture(scope="session")
def lead_times():
    """The first lead times, every five minutes."""
    return lambda steps: (np.arange(1, steps + 1) * 300).astype("timedelta64[s]")


@pytest.fixture(scope="session")
def moving_storm():
    """A Gaussian storm with a peak of 150 counts that moves on by `velocity` (x, y) pixels a frame."""

    def build(start: tuple[float, float], velocity: tuple[float, float], frames: int, size: int = 64) -> np.ndarray:
        y, x = np.mgrid[:size, :size]
        centre_x, centre_y = (np.asarray(start) + np.arange(frames)[:, None] * np.asarray(velocity)).T[..., None, None]
        counts = 150 * np.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / (2 * 6.0**2))
        return np.where(counts > 5, counts, 0).astype("float32")

    return build


@pytest.fixture(scope="session")
def radar_case(shared_data) -> np.ndarray:
    """Twenty frames of 128 x 128 counts of real radar, none missing."""
    with xr.open_dataset(shared_data / "radar" / "fmi_20160928.nc", mask_and_scale=False) as file:
        counts = file["vil"].values[:20, 500:628, 300:428]
    assert (counts < 255).all() and (counts >= 16).mean() > 0.1
    return counts.astype("float32")
