"""Calls one function for many items on dask: in this process, in others of this machine, or on a cluster."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import dask
from dask.callbacks import Callback

from pipelines.errors import InputError
from pipelines.store.progress import progress

_ORPHAN_CHECK_S = 0.2
_CONNECT_S = 10


def run(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    workers: int = 1,
    scheduler: str | None = None,
    label: str,
) -> None:
    """Call `function` once for each item, with a progress bar.

    Args:
        function: Must be picklable unless it runs in this process.
        items: Its arguments.
        workers: Processes of this machine; no more are started than there are items.
        scheduler: Address of a dask scheduler whose workers do the work instead, such as tcp://10.0.0.1:8786.
        label: Stands beside the progress bar.

    Raises:
        InputError: when no scheduler answers.
    """
    workers = min(workers, len(items))
    with progress(label, len(items)) as advance:
        if scheduler:
            _run_on_cluster(scheduler, function, items, advance)
        elif workers > 1:
            tasks = [dask.delayed(partial(function, item), pure=False, traverse=False)() for item in items]
            pool = {"scheduler": "processes", "num_workers": workers, "initializer": partial(_end_with, os.getpid())}
            with dask.config.set({"multiprocessing.context": "spawn"}), Callback(posttask=lambda *_: advance()):
                dask.compute(*tasks, **pool, chunksize=1)  # by default six tasks go to one worker
        else:
            for item in items:
                function(item)
                advance()


def _run_on_cluster(address: str, function: Callable[[Any], Any], items: Sequence[Any], advance: Callable) -> None:
    from distributed import Client, as_completed

    try:
        client = Client(address, timeout=_CONNECT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(f"no dask scheduler at {address}", got=error, remedy="start one, or say --workers") from error
    with client:
        for future in as_completed(client.map(function, items, pure=False)):
            future.result()
            advance()


def _end_with(parent: int) -> None:
    """Have this worker end soon after the process that started it: one that was killed cannot stop its workers."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_ORPHAN_CHECK_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
