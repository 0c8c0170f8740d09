"""Small stores and forecasts, as plain xarray makes them: no attributes and no code of ours."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

START = np.datetime64("2019-07-01T00:00", "s")
STEP = np.timedelta64(300, "s")


@pytest.fixture
def make_store() -> Callable[..., xr.Dataset]:
    """A store in memory from counts with dims (event, frame, y, x): events e0, e1, ..., a day apart."""

    def make(counts: np.ndarray) -> xr.Dataset:
        events, frames = counts.shape[:2]
        days = np.arange(events) * np.timedelta64(1, "D")
        return xr.Dataset(
            {"vil": (("event", "frame", "y", "x"), np.asarray(counts, "float32"))},
            {
                "event": [f"e{number}" for number in range(events)],
                "valid_time": (("event", "frame"), START + days[:, None] + np.arange(frames) * STEP),
            },
        )

    return make


@pytest.fixture
def make_forecast() -> Callable[..., xr.Dataset]:
    """A forecast in memory of events e0, e1, ... from frame `last`, dims (case, member, lead_time, y, x)."""

    def make(counts: np.ndarray, last: int = 0) -> xr.Dataset:
        cases, _, leads = counts.shape[:3]
        days = np.arange(cases) * np.timedelta64(1, "D")
        return xr.Dataset(
            {"vil": (("case", "member", "lead_time", "y", "x"), np.asarray(counts, "float32"))},
            {
                "event": ("case", [f"e{number}" for number in range(cases)]),
                "init_time": ("case", START + days + last * STEP),
                "lead_time": np.arange(1, leads + 1) * STEP,
            },
        )

    return make
