"""Evaluation protocols: the dates, windows, reducer and thresholds under which scores may be compared.

A protocol is one YAML file in configs/protocols/; its name is a contract and is written into every store,
forecast and score file made under it.
"""

from datetime import datetime
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.errors import InputError

FACTOR = 3  # archive pixels along a side of a pixel of the store, unless the reducer is none
_ROOT = Path(__file__).resolve().parents[1]
_CONFIG_FOLDERS = (_ROOT / "configs", _ROOT / "nowcast" / "configs")  # a checkout, an installed wheel


def find_config(name: str, folder: str = "") -> Path:
    """Path of a configuration given by path, or by name from configs/ (checkout or installed wheel).

    Raises:
        InputError: when there is no such file; lists the names that exist.
    """
    if Path(name).is_file():
        return Path(name)
    folders = [base / folder for base in _CONFIG_FOLDERS]
    stem = Path(name).stem if Path(name).suffix in {".yaml", ".yml"} else name
    if Path(stem).name == stem:
        for base in folders:
            if (base / f"{stem}.yaml").is_file():
                return base / f"{stem}.yaml"
    known = sorted({path.stem for base in folders for path in base.glob("*.yaml")})
    raise InputError(f"no configuration {name!r}", expected=f"a YAML file or one of {', '.join(known)}")


def read_yaml(path: Path) -> dict:
    """The mapping in a YAML file.

    Raises:
        InputError: when the file is not YAML or not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML", got=error) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no settings", got=type(content).__name__, expected="a mapping of keys")
    return content


def describe(error: ValidationError) -> str:
    """The first problem of a failed pydantic validation, as `key: message`."""
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


class Protocol(BaseModel):
    """What must be equal for two sets of scores to be comparable.

    Attributes:
        name: File stem of the protocol.
        source: Where its numbers come from.
        grid: Pixels along a side of the scored field.
        reducer: How 384 becomes `grid` (see pipelines.resample).
        history: Frames given to the model.
        lead: Frames forecast.
        stride: Frames between the starts of two evaluation windows of an event.
        cadence_minutes: Minutes between frames.
        val_from: First UTC time of the validation split; events before it are the training split.
        test_from: First UTC time of the test split.
        max_missing: Events with a larger share of missing pixels, by the catalog, are left out.
        thresholds: Event thresholds on the count scale, `>=`.
        scaling: Counts that make 1 where the source gives errors on [0, 1].
        mean: How the source takes a score over lead times: of the sums pooled, or averaged over lead times.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    grid: int
    reducer: str
    history: int
    lead: int
    stride: int
    cadence_minutes: float
    val_from: datetime
    test_from: datetime
    max_missing: float | None = None
    thresholds: tuple[float, ...]
    scaling: float = 255.0
    mean: Literal["pooled", "lead_averaged"] = "pooled"

    @property
    def factor(self) -> int:
        """Archive pixels along a side of a pixel of the grid."""
        return 1 if self.reducer == "none" else FACTOR

    def by(self, reducer: str) -> "Protocol":
        """This protocol with another reducer, which is then part of its name: NAME@REDUCER."""
        if reducer == self.reducer:
            return self
        name = f"{self.name.partition('@')[0]}@{reducer}"
        factor = 1 if reducer == "none" else FACTOR
        return self.model_copy(update={"name": name, "reducer": reducer, "grid": self.grid * self.factor // factor})

    def split(self, time: datetime) -> str:
        """The split ("train", "val" or "test") of an event whose reference time (UTC) is `time`."""
        if time >= self.test_from:
            return "test"
        return "val" if time >= self.val_from else "train"


def load_protocol(name: str) -> Protocol:
    """The protocol called `name` in configs/protocols/, or in the YAML file at that path.

    NAME@REDUCER is the same protocol by another reducer (see `Protocol.by`).

    Raises:
        InputError: for an unknown name, an unknown key or a wrong value.
    """
    base, _, reducer = (name, "", "") if Path(name).is_file() else name.partition("@")
    path = find_config(base, "protocols")
    try:
        protocol = Protocol(name=path.stem, **read_yaml(path))
        return protocol.by(reducer) if reducer else protocol
    except ValidationError as error:
        raise InputError(f"protocol {path}: {describe(error)}") from error
