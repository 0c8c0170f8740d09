"""What a forecast costs: operations, parameters, seconds and memory of one member of one case.

Operations are counted by `torch.utils.flop_counter`: matrix products, convolutions and attention, a multiplication and
an addition as two, nothing else; the work of models without a network is not counted. A sampled network calls its
denoiser the same way in every step, so that a network of many steps is measured at few and extrapolated.

Every measurement has a process of its own, which on a CPU may use the memory that is free and no more.
"""

import multiprocessing
import resource
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
import psutil
import torch
import xarray as xr
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nowcast.data.conventions import lead_times as lead_times_of
from nowcast.data.windows import history_of
from nowcast.forecasting.cases import Request, find_cases
from nowcast.forecasting.forecast import load_forecaster
from nowcast.models import build_network, model_class
from nowcast.models.device import best_device
from nowcast.models.forecaster import Forecaster
from nowcast.models.trained import TrainedForecaster
from pipelines.errors import InputError

P = ParamSpec("P")
T = TypeVar("T")

_FEW = (1, 2)  # sampling steps that are measured
_REPEATS, _ENOUGH_S = 3, 10.0  # the fastest of so many repeats counts, or of as many as take so long


class Cost(NamedTuple):
    """The cost of one member of one case.

    Attributes:
        gflops: Billions of operations of the network.
        parameters: Of the network, those that training finds; NaN of a model without.
        seconds: From the history in memory to the forecast in memory.
        memory: Peak memory in GiB: of the process, or of the graphics card where one is used.
    """

    gflops: float
    parameters: float
    seconds: float
    memory: float


def cost(model: str, network: Mapping[str, Any] | None, store: Path, device: str | None) -> Cost:
    """The cost of one member of the first test case of a store, measured in a process of its own.

    Args:
        model: A name of the table of models.
        network: Settings of a network to build with fresh weights; None of a model that is ready.
        store: A store.
        device: cpu or cuda; by default the best there is.

    Raises:
        InputError: when the store has no test case, the model cannot forecast it, or memory is too short.
    """
    device = best_device(device)
    return alone(device, _measured, model, network, store, device)


def alone(device: str, measure: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """The result of a function that is called in a process of its own.

    Raises:
        InputError: when memory is too short for it.
    """
    free = psutil.virtual_memory().available
    limit = free if device == "cpu" else resource.RLIM_INFINITY  # a GPU's address space is no memory
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _limit_memory, (limit,))
    with pool as process:
        try:
            return process.submit(measure, *arguments, **options).result()
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, MemoryError | BrokenProcessPool) or "memory" in str(error) or "alloc" in str(error):
                raise InputError("memory is too short", got=f"{free / 2**30:.1f} GiB that are free") from error
            raise


def _limit_memory(limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))


def fastest(action: Callable[[], object]) -> float:
    """Seconds of an action: of its fastest repeat, since other work on the machine can only add time."""
    seconds: list[float] = []
    while len(seconds) < _REPEATS and sum(seconds) < _ENOUGH_S:
        start = time.perf_counter()
        action()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def peak_memory(device: str) -> float:
    """Peak memory in GiB: of the process, or of the GPU where one is used."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return torch.cuda.max_memory_allocated() / 2**30


def _measured(model: str, network: Mapping[str, Any] | None, store: Path, device: str) -> Cost:
    length = None if network is None else (network.get("history", 10), network.get("lead", 10))
    cases = find_cases(store, length, Request(limit=1), lambda text: None)
    history = history_of(cases.store, cases.windows, cases.history).load()
    lead_times = lead_times_of(cases.store.attrs["cadence_minutes"], cases.lead)
    if network is None:
        return _one(load_forecaster(model, device=device)[0], history, lead_times)
    sampling = getattr(model_class(model).Settings(**network), "sampling", None)
    steps = getattr(sampling, "steps", 1)
    if steps <= _FEW[-1]:
        return _one(_fresh(model, network, device), history, lead_times)
    few, more = (
        _one(
            _fresh(model, {**network, "sampling": {**network.get("sampling", {}), "steps": n}}, device),
            history,
            lead_times,
        )
        for n in _FEW
    )
    calls = (steps - _FEW[0]) / (_FEW[1] - _FEW[0])
    gflops, seconds = (a + calls * (b - a) for a, b in ((few.gflops, more.gflops), (few.seconds, more.seconds)))
    return Cost(gflops, few.parameters, seconds, max(few.memory, more.memory))


def _fresh(model: str, network: Mapping[str, Any], device: str) -> Forecaster:
    torch.manual_seed(0)
    return TrainedForecaster(build_network(model, network, pretrained=False), device)


def _one(forecaster: Forecaster, history: xr.DataArray, lead_times: np.ndarray) -> Cost:
    """The cost of a forecast in this process."""
    network = getattr(forecaster, "network", None)
    with (
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):  # it knows no fused attention on a CPU
        forecaster.begin(history, lead_times, 0).members([0])
    seconds = fastest(lambda: forecaster.begin(history, lead_times, 0).members([0]))
    parameters = float("nan") if network is None else float(sum(p.numel() for p in network.parameters()))
    device = "cpu" if network is None else next(network.parameters()).device.type
    return Cost(counter.get_total_flops() / 1e9, parameters, seconds, peak_memory(device))
