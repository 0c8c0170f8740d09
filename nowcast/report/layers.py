"""The fields that a nowcast's page holds: statistics of all members, some members themselves, and what was observed.

A field is stored as one byte a pixel: a count, a percentage or the number of a lead time, 255 where it is missing. The
fields of a layer are written north up, each pixel as its difference from the one north of it, deflated and in base64.
The page's script undoes this when a layer is first shown.
"""

import base64
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from nowcast.data.statistics import ensemble_onset, ensemble_probability, mean_counts
from pipelines.store.units import MISSING

QUANTILES = {"q10": 0.1, "q25": 0.25, "median": 0.5, "q75": 0.75, "q90": 0.9}
_LARGEST = 130_000_000  # pixels of the statistics of all lead times; larger grids are averaged
_MEMBER_BYTES = 6_000_000  # of the members that are held, packed

Progress = Callable[[Sequence[Any]], Iterable[Any]]


class Ensemble(NamedTuple):
    """The layers of one case.

    Attributes:
        layers: Packed fields of all lead times by the layer's name: mean, those of QUANTILES, p0, p1, ... of the
            thresholds, and m0, m1, ... of the members that are held; of one member only m0.
        onsets: Per threshold the packed fields of the share of members that ever reach it in percent, and of the
            numbers of the lead times by which 10, 50 and 90 % of these have.
        held: How many members are held, the first ones.
    """

    layers: dict[str, str]
    onsets: list[str]
    held: int


def ensemble_layers(
    members: np.ndarray, thresholds: Sequence[float], quantity: str, progress: Progress = iter
) -> Ensemble:
    """The layers of the members of one case.

    Args:
        members: Counts with shape (member, lead_time, y, x), NaN missing, row 0 in the south.
        thresholds: Counts, `>=`.
        quantity: One of `pipelines.store.units.QUANTITIES`, in whose unit the mean is taken, of reflectivities of Z.
        progress: Wraps the lead times to show how many are done.
    """
    layers: dict[str, str] = {}
    if len(members) > 1:
        by_lead = [_statistics(members[:, lead], thresholds, quantity) for lead in progress(range(members.shape[1]))]
        layers = {name: pack([fields[name] for fields in by_lead]) for name in by_lead[0]}
    onsets = []
    for threshold in thresholds:
        share, numbers = ensemble_onset(members, threshold)
        onsets.append(pack([percents(share), *codes(numbers)]))
    held = {f"m{number}": text for number, text in enumerate(_within(members, _MEMBER_BYTES))}
    return Ensemble(layers | held, onsets, len(held))


def _statistics(counts: np.ndarray, thresholds: Sequence[float], quantity: str) -> dict[str, np.ndarray]:
    """The statistics of one lead time as codes, of counts with shape (member, y, x)."""
    fields = {"mean": codes(mean_counts(counts, quantity))}
    fields |= zip(QUANTILES, codes(np.quantile(counts, list(QUANTILES.values()), axis=0)), strict=True)
    for number, threshold in enumerate(thresholds):
        fields[f"p{number}"] = percents(ensemble_probability(counts, threshold))
    return fields


def _within(members: np.ndarray, most: int) -> Iterator[str]:
    """The first members, packed: one, and as many more as take no more than `most` bytes together."""
    used = 0
    for member in members:
        text = pack(list(codes(member)))
        used += len(text)
        if used > most and used > len(text):
            return
        yield text


def averaging(shape: tuple[int, ...], thresholds: int) -> int:
    """Side in pixels of the blocks that a large grid is averaged over, 1 for one that fits a page.

    Args:
        shape: Of the members: member, lead_time, y, x.
        thresholds: How many there are.
    """
    members, leads, rows, columns = shape
    layers = 1 + len(QUANTILES) + thresholds if members > 1 else 1
    return max(1, math.ceil(math.sqrt(layers * leads * rows * columns / _LARGEST)))


def codes(fields: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 to 254 as bytes, of values of any shape; NaN becomes 255."""
    return np.where(np.isnan(fields), MISSING, np.rint(np.clip(fields, 0, MISSING - 1))).astype("uint8")


def percents(shares: np.ndarray) -> np.ndarray:
    """Shares of the members as whole percent in bytes, never 0 or 100 where some members differ; NaN becomes 255."""
    return codes(np.where((shares > 0) & (shares < 1), np.clip(100 * shares, 1, 99), 100 * shares))


def pack(fields: Sequence[np.ndarray]) -> str:
    """Bytes with shape (field, y, x), row 0 in the south, as text (see the module)."""
    down = np.diff(np.stack(fields)[:, ::-1], axis=1, prepend=np.uint8(0))  # modulo 256
    return base64.b64encode(zlib.compress(down.tobytes())).decode()
