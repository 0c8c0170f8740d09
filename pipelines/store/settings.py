"""Settings: YAML files found by name or path, read safely, and the words for those that are wrong."""

from math import inf
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipelines.errors import InputError

_ROOT = Path(__file__).resolve().parents[2]
_MOST = 100_000  # values of a file
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
    raise InputError(f"no configuration {name!r}", expected=f"a YAML file or one of {', '.join(config_names(folder))}")


def config_names(folder: str = "") -> list[str]:
    """The names of the configurations in a folder of configs/."""
    return sorted({path.stem for base in _CONFIG_FOLDERS for path in (base / folder).glob("*.yaml")})


def read_yaml(path: Path) -> dict:
    """The mapping in a YAML file.

    Raises:
        InputError: when the file is not YAML or not a mapping.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not valid YAML", got=error) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no settings", got=type(content).__name__, expected="a mapping of keys")
    if others := [key for key in content if not isinstance(key, str)]:
        raise InputError(f"{path} has a key that is no text", got=repr(others[0]))
    return content


def parse_yaml(text: str, source: str) -> Any:
    """The value that YAML says.

    Args:
        text: The YAML.
        source: Its name in messages.

    Raises:
        InputError: when it is not YAML, or its aliases make it larger than any settings are.
    """
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{source} is not valid YAML", got=error) from error
    if _size(content, {}) > _MOST:
        raise InputError(f"{source} holds too many values, by aliases of aliases", expected=f"at most {_MOST:,}")
    return content


def _size(value: Any, sizes: dict[int, float]) -> float:
    """Number of values within a value, those that it shares counted each time; infinite where it holds itself."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in sizes:
        sizes[id(value)] = inf  # until it is known
        sizes[id(value)] = 1 + sum(_size(one, sizes) for one in (value.values() if isinstance(value, dict) else value))
    return sizes[id(value)]


def describe(error: ValidationError) -> str:
    """The first problem of a failed pydantic validation, as `key: message`, or the message of what concerns all."""
    first = error.errors()[0]
    return ": ".join([*filter(None, [".".join(map(str, first["loc"]))]), first["msg"].removeprefix("Value error, ")])
