"""Files of answers for places: tables as CSV, and CF NetCDF."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nowcast.forecasting.sentences import sentence
from pipelines.errors import InputError
from pipelines.store.whole import whole

_MINUTES = {"units": "minutes", "dtype": "float64"}
_TIMES = {"units": "minutes since 1970-01-01", "dtype": "float64"}
_SHORT = {"amount_quantile": "q", "probability": "p_ge_", "accumulation_quantile": "accumulation_mm_q"}


def save_answers(answered: xr.Dataset, path: Path, *, by_threshold: bool = False, overwrite: bool = False) -> Path:
    """Write answers as CF NetCDF (.nc) or as a table (.csv); the file appears whole or not at all.

    Args:
        answered: See `nowcast.forecasting.answers.answer`.
        path: File to write.
        by_threshold: Whether a table is by threshold (see `threshold_table`) and not by lead time.
        overwrite: Replace `path` where it exists.

    Raises:
        InputError: for a `path` of another suffix, or that exists.
    """
    if path.suffix not in {".nc", ".csv"}:
        raise InputError(f"cannot write {path}", expected="a name ending in .csv or .nc")
    with whole(path, overwrite=overwrite) as growing:
        if path.suffix == ".nc":
            answered.to_netcdf(growing, encoding=_encoding(answered))
        else:
            table = threshold_table if by_threshold else lead_table
            table(answered).to_csv(growing, index=False, float_format="%.6g")
    return path


def _encoding(answered: xr.Dataset) -> dict[str, dict[str, Any]]:
    """No 64-bit integers, and no fill value of coordinates."""
    rules: dict[str, dict[str, Any]] = {"M": _TIMES, "m": _MINUTES, "i": {"dtype": "int32"}}
    kinds = {str(name): variable.dtype.kind for name, variable in answered.variables.items()}
    return {
        name: rules.get(kind, {}) | ({"_FillValue": None} if name in answered.coords and kind != "U" else {})
        for name, kind in kinds.items()
    }


def lead_table(answered: xr.Dataset) -> pd.DataFrame:
    """One row for each place and lead time."""
    columns = ["amount_quantile", "probability", "accumulation_quantile", "observed", "reached"]
    frames = []
    for number in range(answered.sizes["place"]):
        one = answered.isel(place=number)
        frame = _beginning(one, one.sizes["lead_time"])
        frame["valid_time"] = one["valid_time"].values
        frame["lead_minutes"] = one["lead_time"].values / np.timedelta64(1, "m")
        frame["units"] = one["amount"].attrs["units"]
        for name in columns:
            if name in one.variables:
                _add(frame, name, one[name])
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def threshold_table(answered: xr.Dataset) -> pd.DataFrame:
    """One row for each place and threshold: chance, onset, end and the sentence."""
    with_case = len(np.unique(answered["case"])) > 1
    frames = []
    for number in range(answered.sizes["place"]):
        one = answered.isel(place=number)
        frame = _beginning(one, one.sizes["threshold"])
        frame["threshold"], frame["units"] = one["threshold"].values, one["amount"].attrs["units"]
        frame["probability"] = one["probability_any"].values
        for name in ("onset", "end"):
            for quantile in one["time_quantile"].values:
                frame[f"{name}_q{100 * quantile:02.0f}"] = one[name].sel(time_quantile=quantile).values
        frame["sentence"] = [sentence(one, place, with_case=with_case) for place in range(one.sizes["threshold"])]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _beginning(one: xr.Dataset, rows: int) -> pd.DataFrame:
    """The columns that say of which place a row is."""
    names = ("name", "series", "latitude", "longitude", "case", "event", "init_time")
    return pd.DataFrame({name: [one[name].values[()]] * rows for name in names})


def _add(frame: pd.DataFrame, name: str, values: xr.DataArray) -> None:
    """Columns of a variable by lead time: one for each quantile or threshold."""
    level = next((str(dim) for dim in values.dims if dim != "lead_time"), None)
    if level is None:
        frame[name] = values.values
        return
    for value in values[level].values:
        label = f"{100 * value:02.0f}" if level == "quantile" else f"{value:g}"
        frame[f"{_SHORT[name]}{label}"] = values.sel({level: value}).values
