"""A store of the two real SEVIR events of sevir_real_128.nc: twenty frames from the first and from the sixth of each.

python tests/benchmarks/real_sevir.py sevir_real_128.nc STORE

The file has neither place nor time, so both are nominal here. Its counts may be one too low and are raised by one.
"""

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import xarray as xr

from pipelines.building.engine import build
from pipelines.store.protocol import load_protocol
from pipelines.store.schema import Event, attributes

_FRAMES, _STARTS = 20, (0, 5)
_PROTOCOL = "sevir-128-10-10@center"  # of DiffCast, whose demonstration these frames are from
_LAEA = "+proj=laea +lat_0=38 +lon_0=-98 +a=6370997 +b=6370997 +units=m +no_defs"


def main(source: str, store: str) -> None:
    """Write the store."""
    with xr.open_dataset(source, mask_and_scale=False) as file:
        counts = file["vil"].values
    raised = np.where((counts > 0) & (counts < 254), counts + 1, counts).astype("uint8")
    pieces = {f"S{event}-{start}": raised[event, start : start + _FRAMES] for event in (0, 1) for start in _STARTS}
    first = datetime(2019, 7, 1)
    offsets = tuple(300.0 * frame for frame in range(_FRAMES))
    events = [
        Event(id=name, time=first + timedelta(days=day), offsets=offsets, split="test", proj=_LAEA)
        for day, name in enumerate(pieces)
    ]
    protocol = load_protocol(_PROTOCOL)
    attrs = attributes(
        events,
        protocol=protocol.name,
        reducer=protocol.reducer,
        cadence_minutes=protocol.cadence_minutes,
        source_files=[f"{Path(source).name} {Path(source).stat().st_size}"],
    )

    def read(some: Sequence[Event]) -> np.ndarray:
        return np.stack([pieces[event.id] for event in some])

    build(Path(store), events, read, side=counts.shape[-1], pixel_m=3000, attrs=attrs)


if __name__ == "__main__":
    main(*sys.argv[1:])
