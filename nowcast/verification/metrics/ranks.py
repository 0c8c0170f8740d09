"""The rank histogram: where the observation falls among the sorted members, flat for a reliable ensemble.

Hamill (2001), doi:10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2. An observation that equals members, as zero echo
mostly does, takes at random one of the ranks it could have: else the many ties would look like bias. The draw is seeded
with the case and the lead time, so that the histogram is the same every time.
"""

import numpy as np
import xarray as xr

from nowcast.data.seeds import numpy_generator
from nowcast.verification.contract import Pair, Sums, ratio


def ranks(pair: Pair) -> Sums:
    """Pixels whose observation has each rank, 0 (below all members) to M; dims (rank,)."""
    truth = pair.truth[:, None].astype(pair.ordered.dtype)
    below = np.count_nonzero(pair.ordered < truth, axis=1)
    ties = np.count_nonzero(pair.ordered == truth, axis=1)
    rank = below + numpy_generator(0, "rank", pair.name).integers(0, ties, endpoint=True)
    size = len(pair.members) + 1
    return {
        "rank": (("rank",), np.arange(size)),
        "pixels_of_rank": (("rank",), np.bincount(rank, minlength=size) * 1.0),
    }


def rank_histogram(totals: xr.Dataset) -> xr.DataArray:
    """Share of the pixels whose observation has a rank, 1 / (M + 1) each if reliable; dims (rank,). Hamill (2001)."""
    return ratio(totals["pixels_of_rank"], totals["pixels"])
