"""Table 5: operations, parameters, seconds and memory of a forecast, by networks with fresh weights."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nowcast.experiments.bench import Bench
from nowcast.experiments.settings import Variant
from nowcast.forecasting.costs import Cost, cost


def cost_of(bench: Bench, variant: Variant) -> tuple[Variant, Cost]:
    """The cost of one member of the first test case.

    Raises:
        InputError: when the model cannot forecast it.
    """
    bench.tell(f"measure {variant.name}")
    network = None if variant.config is None else dict(variant.config.network)
    if network is not None:
        network |= {"channels": bench.store.sizes.get("channel", 1)}
    return variant, cost(variant.forecaster, network, bench.test, bench.options.device)


def costs(measured: Sequence[tuple[Variant, Cost]], bench: Bench, headings: Sequence[str]) -> xr.Dataset:
    """The result, without intervals and curves."""
    values = [[one.gflops, one.parameters / 1e6, one.seconds, one.memory] for _, one in measured]
    attrs = {"protocol": bench.store.attrs["protocol"], "split": "test", "cases": 1, "events": 1}
    return xr.Dataset({"score": (("row", "column"), np.array(values))}, attrs=attrs)
