"""Statistics of an ensemble's members, one definition for summaries, maps and pages, and the echo of a forecast."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nowcast.data.conventions import ECHO
from pipelines.store.units import COUNTS, QUANTITIES, REFLECTIVITY, from_counts

TIME_QUANTILES = (0.1, 0.5, 0.9)  # of onset and end


def additive(amounts: np.ndarray, quantity: str) -> np.ndarray:
    """Amounts whose mean means something: of reflectivities in dBZ their Z in mm6 m-3; any other quantity as it is."""
    return 10 ** (amounts.astype("float64") / 10) if quantity == REFLECTIVITY else amounts


def from_additive(amounts: np.ndarray, quantity: str) -> np.ndarray:
    """Inverse of `additive`."""
    return 10 * np.log10(amounts) if quantity == REFLECTIVITY else amounts


def ensemble_mean(members: np.ndarray, quantity: str = COUNTS) -> np.ndarray:
    """Mean of the members, float32, shape (...) from (member, ...); NaN where a member is missing.

    Args:
        members: Amounts of a quantity of `pipelines.store.units.QUANTITIES`, in its unit.
        quantity: That quantity. The mean of reflectivities is the mean of Z, in dBZ.
    """
    return from_additive(additive(members, quantity).mean(axis=0, dtype="float64"), quantity).astype("float32")


def mean_counts(members: np.ndarray, quantity: str) -> np.ndarray:
    """The counts of the mean that members in counts have in the unit of a quantity; shapes as in `ensemble_mean`."""
    mean = ensemble_mean(from_counts(members, quantity), quantity)
    return QUANTITIES[quantity].to_counts(mean).astype("float32")


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


def quantiles_of_some(numbers: np.ndarray, some: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Quantiles over some of the members, float32, shape (level, ...); NaN where there are none of them.

    A quantile is the least number that at least that share of these members do not exceed.

    Args:
        numbers: Shape (member, ...).
        some: Which members count, bool, same shape.
        levels: Levels of the quantiles.
    """
    ordered = np.where(some, numbers.astype("float32"), np.float32(np.inf))
    ordered.sort(axis=0)
    of = some.sum(axis=0)
    ranks = [np.maximum(np.ceil(level * of - 1e-9).astype(int) - 1, 0) for level in levels]
    found = np.stack([np.take_along_axis(ordered, rank[None], axis=0)[0] for rank in ranks])
    return np.where(of > 0, found, np.float32(np.nan))


def ensemble_onset(
    members: np.ndarray, threshold: float, levels: Sequence[float] = TIME_QUANTILES
) -> tuple[np.ndarray, np.ndarray]:
    """When a threshold in counts is first reached: the share of members that ever do, and quantiles of their times.

    Args:
        members: Counts with shape (member, lead_time, ...).
        threshold: Counts, `>=`.
        levels: Levels of the quantiles.

    Returns:
        The share, float32 with shape (...), and numbers of lead times, the first being 0, float32 with shape
        (level, ...). A quantile is the least number by which at least that share of the members that ever reach the
        threshold have reached it. NaN where a member is missing; the numbers also where no member reaches it.
    """
    at_or_above = members >= threshold
    ever = np.asarray(at_or_above.any(axis=1))
    numbers = quantiles_of_some(at_or_above.argmax(axis=1), ever, levels)
    share = np.where(np.isnan(members).any(axis=(0, 1)), np.float32(np.nan), ever.mean(axis=0, dtype="float32"))
    return share, np.where(np.isnan(share), np.float32(np.nan), numbers)


def echo_shares(counts: xr.DataArray) -> np.ndarray:
    """Share of pixels and lead times with echo in the first member of each case, missing pixels taken as none.

    Args:
        counts: Counts with dims case, member and others, which are read one case at a time.
    """
    first = counts.isel(member=0)
    return np.array([float((first.isel(case=case) >= ECHO).mean()) for case in range(first.sizes["case"])])


def unseen_chance(members: int) -> str:
    """A sentence on what it means that no member has an event; empty for a single member, which says nothing of chance.

    A share of members is given as it is, also where it is 0: scores and thresholds of decisions need the plain share.
    But 0 of M is not never. If the ensemble is calibrated, the truth is one more draw beside the members, and it is
    the only one of the M + 1 with an event in one of M + 1 cases at most (Laplace's rule of succession: in M + 2).
    """
    if members < 2:
        return ""
    return f"0 of {members} members is not never: a chance of up to 1 in {members + 1} looks the same."
