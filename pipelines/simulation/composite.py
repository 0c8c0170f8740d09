"""A simulated composite, as large as a country's: several storms with dry air between them, in one CF NetCDF file."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import xarray as xr

from pipelines.simulation.fields import SIZE, simulate_counts
from pipelines.store.geo import SEVIR_PROJ, grid_mapping, pixel_centres
from pipelines.store.units import COUNTS, MISSING, QUANTITIES
from pipelines.store.whole import whole

_FADE = 32  # pixels within which a storm ends at the edges of its part of the domain
_FIRST = 20  # frame of the event that is the first of the file


def simulate_composite(out: Path, rows: int = 640, columns: int = 710, *, frames: int = 10, seed: int = 0) -> Path:
    """Write counts of pixels of 1 km, every 5 minutes, with dims (time, y, x).

    Args:
        out: File to write, .nc.
        rows: Pixels from south to north.
        columns: Pixels from west to east.
        frames: Number of frames, up to 29.
        seed: Seed of the storms.

    Raises:
        InputError: see `pipelines.store.whole.whole`.
    """
    counts = np.zeros((frames, rows, columns), "uint8")
    number = 0
    for y in _parts(rows):
        for x in _parts(columns):
            part = counts[:, y, x]
            storm = simulate_counts(np.random.default_rng([seed, number]))[: part.shape[1], : part.shape[2]]
            storm = np.where(storm == MISSING, 0, storm)[..., _FIRST : _FIRST + frames]
            part[:] = (storm * np.outer(*map(_fading, part.shape[1:]))[..., None]).transpose(2, 0, 1)
            number += 1
    times = np.datetime64("2019-07-01T12:00", "ns") + np.arange(frames) * np.timedelta64(5, "m")
    centres = {axis: pixel_centres(size, 1000.0) for axis, size in (("y", rows), ("x", columns))}
    attrs = {axis: {"units": "m", "standard_name": f"projection_{axis}_coordinate"} for axis in centres}
    dataset = xr.Dataset(
        {"vil": (("time", "y", "x"), counts, QUANTITIES[COUNTS].attrs | {"grid_mapping": "crs"})},
        {"time": times, **{axis: (axis, values, attrs[axis]) for axis, values in centres.items()}},
        {"Conventions": "CF-1.8"},
    )
    dataset["crs"] = (), np.int32(0), grid_mapping(SEVIR_PROJ)
    with whole(out, overwrite=True) as growing:
        dataset.to_netcdf(growing, encoding={"vil": {"_FillValue": np.uint8(MISSING), "zlib": True}})
    return out


def _parts(length: int) -> list[slice]:
    """Equal parts of a side, none longer than a storm's."""
    ends = np.linspace(0, length, -(-length // SIZE) + 1).astype(int).tolist()
    return [slice(*pair) for pair in pairwise(ends)]


def _fading(length: int) -> np.ndarray:
    """Weights along a side, from 0 at its ends to 1."""
    steps = np.arange(length)
    return np.clip(np.minimum(steps, steps[::-1]) / _FADE, 0, 1)
