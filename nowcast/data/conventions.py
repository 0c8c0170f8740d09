"""Counts, names of dimensions and texts of times, shared by every part of nowcast."""

import numpy as np

from pipelines.store.units import COUNTS, RAIN_RATE, REFLECTIVITY, VIL
from pipelines.store.units import ECHO as ECHO

THRESHOLDS = (16.0, 74.0, 133.0, 160.0, 181.0, 219.0)
# Weak, moderate and heavy, in the unit of each quantity.
DEFAULT_THRESHOLDS = {RAIN_RATE: (1, 5, 20), REFLECTIVITY: (20, 35, 45), VIL: (0.15, 0.8, 3.5), COUNTS: (16, 74, 133)}

FORECAST_DIMS = ("case", "member", "lead_time", "y", "x")

TIME, DURATION = "datetime64[us]", "timedelta64[us]"  # frames of a video are less than a second apart

COORDINATE_ATTRS = {
    "member": {"standard_name": "realization", "long_name": "ensemble member", "units": "1"},
    "lead_time": {"standard_name": "forecast_period", "long_name": "time since the init time"},
    "init_time": {"standard_name": "forecast_reference_time", "long_name": "time of the last observed frame"},
    "valid_time": {"standard_name": "time", "long_name": "time for which the forecast is made"},
    "latitude": {"standard_name": "latitude", "units": "degrees_north"},
    "longitude": {"standard_name": "longitude", "units": "degrees_east"},
}


def lead_times(cadence_minutes: float, number: int) -> np.ndarray:
    """The first `number` lead times of frames so many minutes apart."""
    return (np.arange(1, number + 1) * minutes(cadence_minutes)).astype(DURATION)


def minutes(number: float) -> np.timedelta64:
    """A duration of some minutes, to the microsecond."""
    return np.timedelta64(round(6e7 * number), "us")


def time_text(time: np.datetime64) -> str:
    """A time to the second, or to the microsecond where it is none: part of the names of cases and so of seeds."""
    return str(time.astype(TIME)).removesuffix(".000000")


def minute_text(time: np.datetime64) -> str:
    """A time for people, to the minute, or to the second where it is none."""
    text = time_text(time).replace("T", " ")
    return text.removesuffix(":00") if "." not in text else text


def lead_label(lead_time: np.timedelta64) -> str:
    """A lead time for people: in minutes, or in seconds where it is less than one."""
    seconds = lead_time.astype(DURATION).astype(int) / 1e6
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def duration_text(lead_time: np.timedelta64) -> str:
    """A lead time in whole seconds, or microseconds: part of the names of pairs and so of seeds."""
    seconds = lead_time.astype("timedelta64[s]")
    return str(seconds if seconds == lead_time else lead_time.astype(DURATION))
