"""The table of models: one line adds one, as `"module:Class"` so that a name costs no import.

Other packages add models by entry points of the group `nowcast.models`: a name and `module:Class`.

A class is a `Forecaster` without training (nowcast.models.forecaster), or a `Network`, most simply a
`RegressionNetwork` (nowcast.models.regression), which has `Settings` and is trained by `nowcast train`. CONTRIBUTING.md
has a worked example of each.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipelines.errors import InputError
from pipelines.store.plugins import plugins
from pipelines.store.settings import describe

if TYPE_CHECKING:
    from nowcast.models.network import Network

MODELS: dict[str, str] = {
    "persistence": "nowcast.models.persistence:Persistence",
    "advection": "nowcast.models.advection:Advection",
    "sprog": "nowcast.models.sprog:Sprog",
    "steps": "nowcast.models.steps:Steps",
    "pysteps": "nowcast.models.pysteps:PySteps",
    "predldm": "nowcast.models.predldm.network:PredLDM",
    "corrector": "nowcast.models.corrector:Corrector",
    "unet": "nowcast.models.unet:UNet",
    "convlstm": "nowcast.models.convlstm:ConvLSTM",
    "predrnn": "nowcast.models.predrnn:PredRNN",
    "predrnn_plus": "nowcast.models.predrnn_plus:PredRNNPlus",
    "motionrnn": "nowcast.models.motionrnn:MotionRNN",
    "simvp": "nowcast.models.simvp.network:SimVP",
    "simvp_gsta": "nowcast.models.simvp.gsta:SimVPGSTA",
    "mcvd": "nowcast.models.mcvd.network:MCVD",
    "pvdm": "nowcast.models.pvdm.network:PVDM",
}


def added_models() -> dict[str, Any]:
    """The classes of models of other packages, by name."""
    return plugins("nowcast.models", needs=("source", "deterministic"), taken=tuple(MODELS))


def model_names() -> list[str]:
    """The names of the table, then those of other packages."""
    return [*MODELS, *added_models()]


def model_class(name: str) -> Any:
    """The class of a model of the table or of another package, imported now.

    Raises:
        InputError: for a name that is neither.
    """
    if not isinstance(name, str) or name not in MODELS:
        if isinstance(name, str) and name in added_models():
            return added_models()[name]
        expected = f"a run folder, a checkpoint or one of {', '.join(model_names())}"
        raise InputError(f"no model {name!r}", expected=expected)
    module, _, attribute = MODELS[name].partition(":")
    return getattr(import_module(module), attribute)


def is_trainable(cls: Any) -> bool:
    """Whether a model of the table is a network, which `nowcast train` trains."""
    return hasattr(cls, "Settings")


def build_network(model: str, network: Mapping[str, Any], *, pretrained: bool = True) -> "Network":
    """An untrained network.

    Args:
        model: Its name in the table.
        network: Its settings, the `network` section of a configuration.
        pretrained: Whether to fetch the pretrained parts that it names, which a checkpoint brings itself.

    Raises:
        InputError: when the model has nothing to train, or a setting is unknown or wrong.
    """
    cls = model_class(model)
    if not is_trainable(cls):
        raise InputError(f"model {model} has nothing to train", remedy="give its name to `nowcast forecast`")
    try:
        settings = cls.Settings(**network)
    except ValidationError as error:
        raise InputError(f"network settings of {model}: {describe(error)}") from error
    return cls(settings, pretrained=pretrained)
