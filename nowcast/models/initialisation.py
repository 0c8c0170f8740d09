"""Networks whose first weights are not drawn: for a checkpoint to fill, or to be counted."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode


class Uninitialised(TorchFunctionMode):
    """A context in which `torch.nn.init` leaves tensors as they are: arbitrary numbers, which take no time."""

    def __torch_function__(
        self, function: Callable, types: Sequence[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function of torch, unless it initialises a tensor."""
        if getattr(function, "__module__", None) == "torch.nn.init":
            return args[0] if args else (kwargs or {})["tensor"]
        return function(*args, **(kwargs or {}))


@contextmanager
def weightless() -> Iterator[None]:
    """A context in which networks are built whose parameters have shapes and no memory.

    Under `torch.device("meta")` constants would have no numbers either, and arithmetic on these imports much of torch.
    """
    hook = register_module_parameter_registration_hook(_without_memory)  # type: ignore[arg-type]
    try:
        with Uninitialised():
            yield
    finally:
        hook.remove()


def _without_memory(module: nn.Module, name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
    return None if parameter is None else nn.Parameter(parameter.to("meta"), parameter.requires_grad)
