"""The eight ways to turn and flip frames, of arrays whose last two axes are y and x."""

import numpy as np

WAYS = 8


def turned(fields: np.ndarray, way: int) -> np.ndarray:
    """Quarter turns, `way` modulo 4 of them, and from 4 on a flip after them."""
    fields = np.rot90(fields, way % 4, axes=(-2, -1))
    return fields[..., ::-1] if way >= WAYS // 2 else fields


def turned_back(fields: np.ndarray, way: int) -> np.ndarray:
    """The inverse of `turned`."""
    fields = fields[..., ::-1] if way >= WAYS // 2 else fields
    return np.rot90(fields, -(way % 4), axes=(-2, -1))
