"""What a count is, and what dimensions are called: shared by every part of nowcast."""

MAX_COUNT = 254
THRESHOLDS = (16.0, 74.0, 133.0, 160.0, 181.0, 219.0)

FORECAST_DIMS = ("case", "member", "lead_time", "y", "x")

COORDINATE_ATTRS = {
    "member": {"standard_name": "realization", "long_name": "ensemble member", "units": "1"},
    "lead_time": {"standard_name": "forecast_period", "long_name": "time since the init time"},
    "init_time": {"standard_name": "forecast_reference_time", "long_name": "time of the last observed frame"},
    "valid_time": {"standard_name": "time", "long_name": "time for which the forecast is made"},
    "latitude": {"standard_name": "latitude", "units": "degrees_north"},
    "longitude": {"standard_name": "longitude", "units": "degrees_east"},
}
