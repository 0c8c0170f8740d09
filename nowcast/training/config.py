"""The configuration of a run: one YAML file in configs/, checked key by key, resolved once and stored everywhere.

Rooms above take from here how the files of configs/ are found and read.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from pipelines.errors import InputError
from pipelines.store.settings import config_names, describe, find_config, parse_yaml, read_yaml

__all__ = [
    "RunConfig",
    "StageConfig",
    "config_names",
    "describe",
    "find_config",
    "load_config",
    "parse_config",
    "read_yaml",
]


class StageConfig(BaseModel):
    """How one stage of a network is trained.

    Attributes:
        steps: Training steps.
        batch: Windows per step, shared by all processes.
        optimizer: adam, adamw (weight decay 0.01) or muon (on matrices, AdamW on the rest).
        rate: Peak learning rate.
        schedule: constant, or cosine down to zero at the last step.
        warmup: Steps of linear warm-up.
        ema: Decay of the averaged weights, reached gradually from the first step on.
        clip: Largest norm of the gradient.
        validate_every: Steps between validations, pictures and checkpoints.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: PositiveInt
    batch: PositiveInt
    optimizer: Literal["adam", "adamw", "muon"] = "adamw"
    rate: float = 1e-4
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: int = 0
    ema: float = 0.999
    clip: float = 1.0
    validate_every: PositiveInt = 1000


class SceneSettings(BaseModel):
    """Scenes in which first guesses are made, and windows cut out of them (see nowcast.training.scenes).

    Attributes:
        sides: Pixels along a side, of tiles of the store side by side; fewer where a domain ends, or is one tile.
            Scenes take these sides in turn. Of small ones fewer windows are cut, and as many more scenes are made.
        number: Scenes to train on, each with `windows` windows.
        windows: Windows cut out of a large scene.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sides: tuple[PositiveInt, ...] = Field(default=(640, 128), min_length=1)
    number: PositiveInt = 400
    windows: PositiveInt = 12


class RunConfig(BaseModel):
    """The configuration of a training run.

    Attributes:
        model: A trainable name of the table of models.
        protocol: The protocol whose training and validation splits and window lengths are used.
        seed: The seed of every random draw of the run.
        augment: Whether training windows are cut out of larger frames, flipped and turned by right angles at random.
        reverse: Whether time runs backwards in half of the training windows, at random.
        liquid: Intensity augmentation: VIL is multiplied by a random factor between 1/liquid and liquid.
        cadence: Allowed frame spacing in minutes, (min, max). Each store is subsampled to every spacing in this range;
            windows may miss up to a quarter of their frames. None takes the frames of a store as they are.
        least_echo: Events are trained on when at least this share of their pixels reaches 16 counts.
        scenes: Where first guesses are made on more than a window, once before training; None makes them in each step,
            on the window alone.
        network: Settings of the network, checked by the model itself.
        stages: How each stage of the network is trained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    protocol: str
    seed: int = Field(default=0, ge=0, lt=2**63)
    augment: bool = False
    reverse: bool = False
    liquid: float = Field(default=1.0, ge=1)
    cadence: tuple[float, float] | None = None
    least_echo: float = Field(default=0.0, ge=0, le=1)
    scenes: SceneSettings | None = None
    network: dict[str, Any]
    stages: dict[str, StageConfig]


def parse_config(content: dict[str, Any], source: str) -> RunConfig:
    """The configuration in a mapping.

    Raises:
        InputError: for an unknown key, a missing one or a wrong value; names the key and `source`.
    """
    try:
        return RunConfig(**content)
    except ValidationError as error:
        raise InputError(f"configuration {source}: {describe(error)}") from error


def load_config(name: str, overrides: list[str] | None = None) -> RunConfig:
    """The configuration called `name` in configs/, or in the YAML file at that path.

    Args:
        name: Name or path.
        overrides: `key=value` texts; a key is a dotted path, a value is YAML.

    Raises:
        InputError: when it does not exist, does not parse, or has an unknown key or wrong value.
    """
    path = find_config(name)
    content = read_yaml(path)
    for override in overrides or []:
        key, equals, value = override.partition("=")
        if not equals:
            raise InputError(f"--set {override}", expected="key=value, such as stages.diffusion.steps=100")
        *parents, last = key.split(".")
        section = content
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                raise InputError(f"--set {override}: {parent} is a value, not a section")
        section[last] = parse_yaml(value, f"--set {override}")
    return parse_config(content, str(path))
