"""The command models. Heavy libraries are imported inside it, as in `nowcast.cli.app`."""

from typing import TYPE_CHECKING

from nowcast.cli.console import tell
from nowcast.training.config import config_names

if TYPE_CHECKING:
    from nowcast.models.network import Network
    from nowcast.training.config import RunConfig


def published(model: str) -> "RunConfig | None":
    """The configuration of a model at its published size, MODEL-paper or MODEL; None where there is neither."""
    from nowcast.training.config import load_config

    name = next((name for name in (f"{model}-paper", model) if name in config_names()), None)
    return None if name is None else load_config(name)


def outline(config: "RunConfig") -> "Network":
    """The network of a configuration without its weights, to count them."""
    from nowcast.models import build_network
    from nowcast.models.initialisation import weightless

    with weightless():
        return build_network(config.model, config.network, pretrained=False)


def _package(name: str) -> str:
    """The module of a model of another package, in words; empty of a model of the table."""
    from nowcast.models import added_models

    return f"Of the module {added_models()[name].__module__}." if name in added_models() else ""


def models() -> None:
    """List the models that `nowcast forecast` and `nowcast train` know by name.

    Of those that are trained: the number of parameters at the published size.
    """
    from nowcast.forecasting.trained_on import shipped_card
    from nowcast.models import is_trainable, model_class, model_names

    for name in model_names():
        cls, card, size = model_class(name), shipped_card(name), "-"
        state = "ready"
        if card:
            state += " (weights included; train your own with `nowcast train`)"
        elif is_trainable(cls):
            state = "to be trained with `nowcast train`"
        if is_trainable(cls) and (config := published(name)):
            size = f"{sum(p.numel() for p in outline(config).parameters()):,}"
        tell(f"{name:12} {size:>11}  {state}")
        about = (cls.__doc__ or "").splitlines()[0]
        for line in (about, _package(name), cls.source, f"Trained on {card}." if card else ""):
            if line:
                tell(f"{'':25} {line}")
