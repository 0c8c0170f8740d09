"""Errors by place: the absolute error of the ensemble mean along x, accumulated over the lead times (Figure 4).

The paper shows an error accumulated along x without a formula. Here it is the sum over lead times of |mean of the
members - observation| / data range, averaged over rows, channels and cases, at each column of pixels.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nowcast.experiments.bench import Bench, Made
from nowcast.experiments.results import scored
from nowcast.verification import open_pairs

_HEADING = "MAE"  # the column whose curve runs along x


def along_x(made: Sequence[Made], bench: Bench, headings: Sequence[str]) -> xr.Dataset:
    """The scores of `scored`; the curve of the mean absolute error runs along x."""
    result = scored(made, bench, headings).drop_vars(["curve", "along"])
    errors = np.stack([accumulated_error(*open_pairs(one.forecast, bench.test)) for one in made])
    curves = np.full((len(headings), *errors.shape), np.nan)
    curves[list(headings).index(_HEADING)] = errors / result.attrs["data_range"]
    result["curve"] = (("column", "row", "along"), curves)
    return result.assign_coords(along=("along", np.arange(errors.shape[1]), {"long_name": "x", "units": "pixels"}))


def accumulated_error(forecast: xr.DataArray, observed: xr.DataArray) -> np.ndarray:
    """Sum over lead times of the mean absolute error of the ensemble mean, dims (x,); see the module."""
    error = abs(forecast.mean("member") - observed)
    across = [dim for dim in error.dims if dim not in ("lead_time", "x")]
    return error.mean(across).sum("lead_time").values
