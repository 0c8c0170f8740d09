"""Scores and states as NetCDF files, which appear whole or not at all."""

from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nowcast import __version__
from nowcast.verification.aggregate import add
from nowcast.verification.scores import described, roles
from pipelines.errors import InputError
from pipelines.store.inside import check_inside
from pipelines.store.whole import whole

MINUTES = {"units": "minutes", "dtype": "float64", "_FillValue": None}
MICROSECONDS = {"units": "microseconds", "dtype": "int32"}  # of video


def save(scores: xr.Dataset, path: Path, *, overwrite: bool = False) -> Path:
    """Write scores as CF NetCDF.

    Raises:
        InputError: see `check_target`.
    """
    return _write(path, overwrite, lambda part: scores.to_netcdf(part, encoding=_encoding(scores)))


def save_states(states: Sequence[xr.Dataset], path: Path, *, overwrite: bool = False) -> Path:
    """Write the sums of a forecast and its references as NetCDF, a group each: forecast, reference, ...

    Raises:
        InputError: see `check_target`.
    """

    def write(part: Path) -> None:
        title = f"Sums that the scores of the forecast of {states[0].attrs['model']} are taken from"
        xr.Dataset(attrs={"Conventions": "CF-1.8", "title": title, "source": f"nowcast {__version__}"}).to_netcdf(part)
        for role, state in zip(roles(len(states)), states, strict=True):
            _in_words(state).to_netcdf(part, mode="a", group=role.replace(" ", "_"), encoding=_encoding(state))

    return _write(path, overwrite, write)


def merge_states(paths: Sequence[Path]) -> list[xr.Dataset]:
    """The sums of several files of different cases, added up: the forecast's, then those of the references.

    Raises:
        InputError: when a file holds no sums, or they are not of the same forecasts under the same protocol.
    """
    parts = [_load_states(path) for path in paths]
    if len({len(states) for states in parts}) > 1:
        raise InputError("the files have sums of different numbers of forecasts", got=[len(states) for states in parts])
    return [reduce(add, states) for states in zip(*parts, strict=True)]


def _load_states(path: Path) -> list[xr.Dataset]:
    try:
        check_inside(path)
        groups = xr.load_datatree(path, decode_timedelta=True)
    except MemoryError:
        raise
    except Exception as error:  # the libraries have exceptions of their own for damaged files
        raise InputError(f"{path} cannot be read", got=error, expected="sums written by verify --sums") from error
    states = [groups[name].to_dataset() for role in roles(len(groups)) if (name := role.replace(" ", "_")) in groups]
    if not states or "case" not in states[0].coords:
        raise InputError(f"{path} holds no sums", expected="a file written by verify --sums")
    return states


def _in_words(state: xr.Dataset) -> xr.Dataset:
    words = {name: f"sum over what counts: {str(name).replace('_', ' ')}" for name in state}
    sums = {name: state[name].assign_attrs(long_name=long_name, units="1") for name, long_name in words.items()}
    return described(state.assign(sums))


def _encoding(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Coordinates as CF requires them: no 64-bit integers, nothing missing."""
    whole = {"_FillValue": None}
    rules: dict[str, dict[str, Any]] = {"int64": {"dtype": "int32"}, "float64": whole, "float32": whole}
    encoding = {str(name): rules.get(str(coord.dtype), {}) for name, coord in dataset.coords.items()}
    whole_seconds = bool((dataset["lead_time"] % np.timedelta64(1, "s") == np.timedelta64(0, "s")).all())
    return {**encoding, "lead_time": MINUTES if whole_seconds else MICROSECONDS}


def check_target(path: Path, overwrite: bool) -> None:
    """Refuse a name that no scores or sums can have.

    Raises:
        InputError: for a path that exists, or has another suffix.
    """
    if path.suffix != ".nc":
        raise InputError(f"cannot write {path}", expected="a name ending in .nc")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists", remedy="say --overwrite to replace it")


def _write(path: Path, overwrite: bool, write: Callable[[Path], object]) -> Path:
    check_target(path, overwrite)
    with whole(path, overwrite=overwrite) as growing:
        write(growing)
    return path
