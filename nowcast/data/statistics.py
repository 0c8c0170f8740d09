"""Statistics of an ensemble's members, one definition for summaries, maps and pages, and the echo of a forecast."""

import numpy as np
import xarray as xr

from nowcast.data.conventions import ECHO


def ensemble_mean(members: np.ndarray) -> np.ndarray:
    """Mean of the members, float32, shape (...) from (member, ...); NaN where a member is missing."""
    return members.mean(axis=0, dtype="float64").astype("float32")


def ensemble_spread(members: np.ndarray) -> np.ndarray:
    """Standard deviation of the members (M - 1 in the denominator), float32, shape (...) from (member, ...).

    NaN where a member is missing. Summed in double precision: equal members have a spread of exactly zero.
    """
    deviation = members - ensemble_mean(members)
    total = np.square(deviation, out=deviation).sum(axis=0, dtype="float64")
    return np.sqrt(total / (len(members) - 1)).astype("float32")


def ensemble_probability(members: np.ndarray, threshold: float) -> np.ndarray:
    """Share of the members at or above a threshold in counts, float32, shape (...) from (member, ...).

    NaN where a member is missing.
    """
    share = (members >= threshold).mean(axis=0, dtype="float32")
    return np.where(np.isnan(members).any(axis=0), np.float32(np.nan), share)


def echo_shares(counts: xr.DataArray) -> np.ndarray:
    """Share of pixels and lead times with echo in the first member of each case, missing pixels taken as none.

    Args:
        counts: Counts with dims case, member and others, which are read one case at a time.
    """
    first = counts.isel(member=0)
    return np.array([float((first.isel(case=case) >= ECHO).mean()) for case in range(first.sizes["case"])])
