"""Models of nowcast where pysteps has a nowcast method, and as the external nowcast of pysteps' blending.

    members = forecast(precip, None, 12, n_ens_members=20, kmperpixel=1, timestep=5, transform="dB", model="predldm")
    pysteps.blending.steps.forecast(
        ..., precip_nowcast=external_nowcast(precip, members), nowcasting_method="external_nowcast", noise_method=None)

The arrays are pysteps' own: rain rates in mm/h, or in dB, 10 log10 of these (`transform="dB"`); row 0 in the north, NaN
missing. pysteps itself is not needed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

import nowcast
from pipelines.errors import InputError

if TYPE_CHECKING:
    from nowcast.forecasting.door import Model

_LEAST = 0.1  # mm h-1; less is no rain, as in pysteps


def forecast(
    precip: np.ndarray,
    velocity: np.ndarray | None,
    timesteps: int | Sequence[float],
    n_ens_members: int = 24,
    *,
    kmperpixel: float,
    timestep: float,
    model: "str | Path | Model" = "predldm",
    transform: Literal["dB"] | None = None,
    zerovalue: float = -15.0,
    seed: int | None = None,
    **options: Any,
) -> np.ndarray:
    """Forecast with the signature of `pysteps.nowcasts.steps.forecast`.

    Args:
        precip: Shape (t, m, n), the newest frame last; ten frames are best, three enough.
        velocity: Not used: a model finds its own motion.
        timesteps: Number of time steps, or the wanted ones in ascending order, whole numbers from 1 on.
        n_ens_members: Ensemble size; a deterministic model makes one member.
        kmperpixel: Kilometres along a side of a pixel.
        timestep: Minutes between frames.
        model: What `nowcast.load` takes, or a model that it gave, which is then not loaded again.
        transform: "dB" where precip is in dB; the forecast then is, too.
        zerovalue: Decibels where there is no rain.
        seed: Seed of the random draws; by default another one each time.
        options: Other options of pysteps' methods, which are not used.

    Returns:
        Shape (n_ens_members, timesteps, m, n), float64, in the unit of precip; NaN where nothing was observed. Rain
        rates end at 416 mm/h.

    Raises:
        InputError: when precip has another shape, too few frames or impossible values, or a time step is not whole.
    """
    precip = np.asarray(precip, "float64")
    if precip.ndim != 3:
        raise InputError("precip has another shape", got=precip.shape, expected="(t, m, n)")
    wanted = np.asarray(timesteps)
    wanted = wanted if wanted.ndim else np.arange(1, int(wanted) + 1)
    if not wanted.size or (wanted != np.rint(wanted)).any() or wanted.min() < 1:
        raise InputError("time steps are not whole numbers from 1 on", got=timesteps)
    rate = np.where(precip >= 10 * np.log10(_LEAST), 10 ** (precip / 10), 0) if transform else precip
    history = _history(np.where(np.isnan(precip), np.nan, rate), kmperpixel, timestep)
    loaded = nowcast.load(model) if isinstance(model, str | Path) else model
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    made = loaded.forecast(history, n_ens_members, lead_times=int(wanted.max()), seed=seed)
    rates = made.transpose("member", "lead_time", "y", "x").values[:, wanted.astype(int) - 1].astype("float64")
    if not transform:
        return rates
    decibels = np.where(rates >= _LEAST, 10 * np.log10(np.maximum(rates, _LEAST)), zerovalue)
    return np.where(np.isnan(rates), np.nan, decibels)


def external_nowcast(precip: np.ndarray, members: np.ndarray) -> np.ndarray:
    """What pysteps' blending takes as `precip_nowcast`: the newest frame, then the forecast, of each member.

    Args:
        precip: Shape (t, m, n), as for `forecast`.
        members: Shape (n_ens_members, timesteps, m, n), as `forecast` gives it for all time steps.

    Returns:
        Shape (n_ens_members, timesteps + 1, m, n), in the unit of both.
    """
    newest = np.broadcast_to(precip[-1], (len(members), 1, *precip.shape[1:]))
    return np.concatenate([newest, members], axis=1)


def _history(rate: np.ndarray, kmperpixel: float, timestep: float) -> xr.DataArray:
    """Rain rates as `Model.forecast` takes them; their times count from no particular day."""
    frames, rows, columns = rate.shape
    step = np.timedelta64(round(timestep * 60_000), "ms")
    y, x = (1000.0 * kmperpixel * np.arange(number) for number in (rows, columns))
    return xr.DataArray(
        rate,
        dims=("time", "y", "x"),
        coords={
            "time": (np.datetime64("2000-01-01", "ms") + step * np.arange(frames)).astype("datetime64[ns]"),
            "y": ("y", y[::-1], {"units": "m"}),
            "x": ("x", x, {"units": "m"}),
        },
        attrs={"standard_name": "rainfall_rate", "units": "mm h-1"},
    )
