"""Every random draw of a run derives from one integer, keyed by the draw and not by its time or place."""

import hashlib

import numpy as np


def entropy(seed: int, *keys: str | int) -> np.random.SeedSequence:
    """The seed sequence of a draw, from the run's seed and the keys of the draw (stage, case, member, step, ...)."""
    words = [int.from_bytes(hashlib.sha256(str(key).encode()).digest()[:8], "little") for key in keys]
    return np.random.SeedSequence([seed, *words])


def numpy_generator(seed: int, *keys: str | int) -> np.random.Generator:
    """A NumPy generator for the draw that `keys` name."""
    return np.random.default_rng(entropy(seed, *keys))


def integer_seed(seed: int, *keys: str | int) -> int:
    """A 63-bit integer seed for the draw that `keys` name, for libraries that take no NumPy generator."""
    return int(entropy(seed, *keys).generate_state(1, np.uint64)[0] >> 1)
