"""CSI of coarsened fields, the papers' "pooled CSI" (CSI-pool4, CSI-pool16): close is good enough.

Field and observation are cut into blocks of 4x4 and of 16x16 pixels, each block becomes its maximum or its average, and
the contingency table is taken from the blocks. Ravuri et al. (2021), doi:10.1038/s41586-021-03854-z; on SEVIR
PreDiff (Gao et al. 2023), doi:10.48550/arXiv.2307.10422. "Pooled" already means over lead times here, hence "block".

Blocks do not overlap and start in the south-west; pixels left over at the north and east edges enter none, as in
torch's pooling. A block with a pixel that does not count does not count. `mean` is the ensemble mean, then coarsened;
`member` are the members, each coarsened.
"""

import numpy as np
import xarray as xr

from nowcast.verification.contract import Pair, Sums, ratio
from nowcast.verification.metrics.categorical import CELLS, SUMMARIES, cells

REDUCTIONS = {"max": np.maximum, "mean": np.add}
SIZES = (4, 16)
BLOCKS = np.array([f"{reduction} {size}" for reduction in REDUCTIONS for size in SIZES])


def block_contingency(pair: Pair) -> Sums:
    """Hits, misses, false alarms and correct negatives of blocks; dims (block, summary, threshold)."""
    fields = {"obs": pair.on_grid(pair.truth)[None], "mean": pair.on_grid(pair.mean)[None], "member": pair.filled}
    tables = [_tables(pair, fields, reduction, size) for reduction in REDUCTIONS for size in SIZES]
    dims = ("block", "summary", "threshold")
    sums = {f"block_{name}": (dims, np.stack(tables)[:, :, column]) for column, name in enumerate(CELLS)}
    coords = {"block": BLOCKS, "summary": SUMMARIES, "threshold": pair.levels}
    return {**{name: ((name,), values) for name, values in coords.items()}, **sums}


def _tables(pair: Pair, fields: dict[str, np.ndarray], reduction: str, size: int) -> np.ndarray:
    """Dims (summary, cell, threshold)."""
    whole = coarsened(pair.counted[None], np.logical_and, size)[0]
    blocks = {name: coarsened(field, REDUCTIONS[reduction], size)[:, whole] for name, field in fields.items()}
    levels = pair.levels * (size**2 if reduction == "mean" else 1)
    events = {name: [np.count_nonzero(values >= level, axis=0) for level in levels] for name, values in blocks.items()}
    counts = {name: np.stack(rows) for name, rows in events.items()}
    observed = counts["obs"] > 0
    return np.stack([cells(counts[name], observed, len(fields[name])) for name in SUMMARIES])


def coarsened(fields: np.ndarray, reduction: np.ufunc, size: int) -> np.ndarray:
    """Fields with dims (field, y, x), reduced over blocks of `size` x `size` pixels; the remainder is dropped."""
    count, rows, columns = fields.shape[0], fields.shape[1] // size, fields.shape[2] // size
    whole = fields[:, : rows * size, : columns * size]
    by_rows = reduction.reduce(whole.reshape(count, rows, size, columns * size), axis=2)
    return reduction.reduce(by_rows.reshape(count, rows, columns, size), axis=3)


def csi_block(totals: xr.Dataset) -> xr.DataArray:
    """Critical success index of blocks, hits / (hits + misses + false alarms); dims (block, summary, threshold)."""
    hits = totals["block_hits"]
    return ratio(hits, hits + totals["block_misses"] + totals["block_false_alarms"])


def csi_m_block(totals: xr.Dataset) -> xr.DataArray:
    """Mean of the blocks' CSI over the thresholds, NaN where one of them is; dims (block, summary)."""
    return csi_block(totals).mean("threshold", skipna=False)
