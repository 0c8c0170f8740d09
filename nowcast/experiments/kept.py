"""Forecasts and sums that are made once: each in a file whose name says what it was made from."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import xarray as xr

from nowcast import verification


def digest(told: object) -> str:
    """Twelve signs that differ where what is told differs."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def made_once(out: Path, make: Callable[[], object]) -> Path:
    """The file `out`, made where it is absent."""
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        make()
    return out


def sums_once(out: Path, make: Callable[[], Sequence[xr.Dataset]]) -> list[xr.Dataset]:
    """The sums in the file `out`, taken where it is absent."""
    made_once(out, lambda: verification.save_states(make(), out))
    return verification.merge_states([out])
