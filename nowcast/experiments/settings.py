"""Experiments as configs/experiments/NAME.yaml sets them, and the scales at which they run.

A scale (configs/experiments/scales/NAME.yaml) says which configuration of a model is trained and what is changed in it,
so that the rows of one table differ in nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from nowcast.experiments.columns import COLUMNS
from nowcast.forecasting.forecast import MODELS, is_trainable, model_class
from nowcast.training.config import RunConfig, config_names, describe, find_config, load_config, parse_config, read_yaml
from pipelines.errors import InputError

SCALES = ("tiny", "small", "paper")
SHIPPED = "shipped"  # stands in rows and --models for the model that comes with the package
_SHIPPED_MODEL = "predldm"
_OUR_OWN = ("corrector",)  # networks that are in no table of the paper
_FOLDER = "experiments"


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Row(_Settings):
    """One row of a table, or several alike.

    Attributes:
        model: A name of the table of models; or references (all without training), shipped, trainable (all networks of
            the paper).
        label: Name of the row, in which NAME stands for the model's; the model's by default.
        network: Settings of the network that replace those of the scale.
        later: The same, for settings that no first stage reads: rows that differ in these alone share that stage.
    """

    model: str
    label: str = ""
    network: dict[str, Any] = {}
    later: dict[str, Any] = {}


class Sweep(_Settings):
    """Each row several times, with another value of one setting.

    Attributes:
        setting: `noise`, the standard deviation of noise added to the history as a share of the data range; the dotted
            path of a setting of the sampling (sampling.stop), with which a model is trained once and sampled several
            times; or that of another network setting, of networks that are trained here alone.
        label: Label of the figure's axis.
        values: The values.
    """

    setting: str
    label: str
    values: tuple[float, ...]


class Experiment(_Settings):
    """One table or figure.

    Attributes:
        name: File stem.
        title: What it shows.
        measure: What is measured of each variant, a key of `nowcast.experiments.run.MEASURES`.
        rows: The rows.
        sweep: A setting that is varied within each row.
        columns: Headings of scores (see `nowcast.experiments.columns`), by kind of store.
        figure: How the figure is drawn, a key of `nowcast.experiments.figures.FIGURES`.
        members: Ensemble size at every scale; by default that of the scale.
        cases: Largest number of cases at every scale; by default that of the scale.
        lead: Frames to forecast; by default as many as the models were trained for.
        beside: Rows whose labels end in a comma and this stand once more beside those without, with the difference.
        published: The paper's numbers by data set (sevir, kth, kitti), then by label or model, then by heading.
        differs: In which ways it differs from the paper's, beyond what every page says.
        minutes: Measured minutes of processor time by scale, with the runs and forecasts of table1 in the same folder.
    """

    name: str
    title: str
    measure: str = "scores"
    rows: tuple[Row, ...]
    sweep: Sweep | None = None
    columns: dict[Literal["radar", "video"], tuple[str, ...]] = {}
    figure: str = "dots"
    members: int | None = None
    cases: int | None = None
    lead: int | None = None
    beside: str = ""
    published: dict[str, dict[str, dict[str, float]]] = {}
    differs: tuple[str, ...] = ()
    minutes: dict[str, float] = {}


class Scale(_Settings):
    """What is trained and forecast at one scale.

    Attributes:
        members: Ensemble size.
        cases: Largest number of test cases; None for all.
        config: Name of a model's configuration, with NAME for the model's.
        configs: Names of configurations of models that do not follow `config`.
        stage: Settings of every stage that replace those of the configuration.
        radar: Settings of the run on radar that replace those of the configuration.
        video: The same on video.
        models: Settings of single models that replace those of the configuration, last of all.
    """

    members: int
    cases: int | None = None
    config: str
    configs: dict[str, str] = {}
    stage: dict[str, Any] = {}
    radar: dict[str, Any] = {}
    video: dict[str, Any] = {}
    models: dict[str, dict[str, Any]] = {}

    def config_of(self, model: str) -> str:
        """Name of the configuration of a model."""
        return self.configs.get(model, self.config.replace("NAME", model))


@dataclass(frozen=True)
class Variant:
    """One line of a table: a model as it is trained and forecast.

    Attributes:
        label: Name of the row.
        model: Name in the table of models, or `shipped`.
        config: Its training; None of a model that is not trained here.
        base: The same without the settings that no first stage reads.
        noise: Standard deviation of noise added to the history, as a share of the data range.
        sampling: Settings of the sampling that replace those of the training.
        x: Value of the setting that is varied; None without one.
    """

    label: str
    model: str
    config: RunConfig | None = None
    base: RunConfig | None = None
    noise: float = 0.0
    sampling: Mapping[str, Any] = field(default_factory=dict)
    x: float | None = None

    @property
    def forecaster(self) -> str:
        """Name of a model that is not trained here, for `load_forecaster`."""
        return _SHIPPED_MODEL if self.model == SHIPPED else self.model

    @property
    def name(self) -> str:
        """The label, with the value of the setting that is varied."""
        return self.label if self.x is None else f"{self.label}, {self.x:g}"


def experiment_names() -> list[str]:
    """The names of all experiments."""
    return config_names(_FOLDER)


def load_experiment(name: str) -> Experiment:
    """The experiment called `name` in configs/experiments/, or in the YAML file at that path.

    Raises:
        InputError: when it does not exist, or has an unknown key or wrong value.
    """
    path = find_config(name, _FOLDER)
    experiment = _parsed(Experiment, {"name": path.stem, **read_yaml(path)}, path)
    for heading in (heading for headings in experiment.columns.values() for heading in headings):
        if heading not in COLUMNS:
            raise InputError(f"{path}: no column {heading!r}", expected=f"one of {', '.join(COLUMNS)}")
    return experiment


def load_scale(name: str) -> Scale:
    """The scale called `name`, or in the YAML file at that path.

    Raises:
        InputError: see `load_experiment`.
    """
    path = find_config(name, f"{_FOLDER}/scales")
    return _parsed(Scale, read_yaml(path), path)


def _parsed(kind: Any, content: dict[str, Any], path: Path) -> Any:
    try:
        return kind(**content)
    except ValidationError as error:
        raise InputError(f"{path}: {describe(error)}") from error


def expand(
    experiment: Experiment, scale: Scale, kind: Literal["radar", "video"], models: Sequence[str] = ()
) -> tuple[list[Variant], list[str]]:
    """The variants of an experiment, and a line about each model that has no configuration at this scale.

    Args:
        experiment: The experiment.
        scale: The scale.
        kind: Kind of the stores.
        models: Only these models; all by default.

    Raises:
        InputError: for a model that no row has, or a setting that a model has not.
    """
    variants: list[Variant] = []
    lacking: list[str] = []
    rows = [one for row in experiment.rows for one in _each_model(row)]
    known = list(dict.fromkeys(row.model for row in rows))
    if unknown := [name for name in models if name not in known]:
        raise InputError(f"{experiment.name} has no model {unknown[0]!r}", expected=f"one of {', '.join(known)}")
    for row in rows:
        if models and row.model not in models:
            continue
        try:
            if _is_trained(row.model):
                find_config(scale.config_of(row.model))
        except InputError as error:
            lacking.append(f"{row.label or row.model} is left out: {error}".partition(";")[0])
            continue
        variants += _swept(row, scale, kind, experiment.sweep)
    return variants, lacking


def _each_model(row: Row) -> Iterator[Row]:
    groups: dict[str, list[str]] = {
        "references": [name for name in MODELS if not is_trainable(model_class(name))],
        "trainable": [name for name in MODELS if is_trainable(model_class(name)) and name not in _OUR_OWN],
    }
    for name in groups.get(row.model, [row.model]):
        yield row.model_copy(update={"model": name, "label": row.label.replace("NAME", name)})


def _is_trained(model: str) -> bool:
    return model != SHIPPED and is_trainable(model_class(model))


def _swept(row: Row, scale: Scale, kind: str, sweep: Sweep | None) -> list[Variant]:
    label = row.label or (f"{_SHIPPED_MODEL} ({SHIPPED})" if row.model == SHIPPED else row.model)
    if sweep is None or (sweep.setting != "noise" and not _is_trained(row.model)):
        return [_variant(row, label, scale, kind)]
    if sweep.setting == "noise":
        return [_variant(row, label, scale, kind, noise=value, x=value) for value in sweep.values]
    section, _, key = sweep.setting.rpartition(".")
    if section == "sampling":
        return [_variant(row, label, scale, kind, sampling={key: value}, x=value) for value in sweep.values]
    changed = [
        row.model_copy(update={"network": merged(row.network, _nested(sweep.setting, value))}) for value in sweep.values
    ]
    return [_variant(one, label, scale, kind, x=value) for one, value in zip(changed, sweep.values, strict=True)]


def _variant(row: Row, label: str, scale: Scale, kind: str, **more: Any) -> Variant:
    if not _is_trained(row.model):
        return Variant(label, row.model, **more)
    base = run_config(row.model, scale, kind, row.network)
    return Variant(label, row.model, run_config(row.model, scale, kind, merged(row.network, row.later)), base, **more)


def run_config(model: str, scale: Scale, kind: str, network: Mapping[str, Any]) -> RunConfig:
    """The training of a model at a scale, on radar or video, with some network settings replaced."""
    name = scale.config_of(model)
    content = load_config(name).model_dump(mode="json", exclude_unset=True)
    own = deepcopy(scale.models.get(model, {}))
    for stage in content["stages"].values():
        stage |= scale.stage
    content = merged(merged(merged(content, getattr(scale, kind)), own), {"network": network})
    return parse_config(content, f"{name} at its scale")


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of both; where both are sections, merged in turn, else the second's."""
    both = dict(first)
    for key, value in second.items():
        are_sections = isinstance(value, Mapping) and isinstance(both.get(key), Mapping)
        both[key] = merged(both[key], value) if are_sections else value
    return both


def _nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    return value
