"""The networks of the perceptual scores, from weights that the user points at to plain functions of counts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from nowcast.checkpoint import file_hash
from nowcast.devices import best_device
from nowcast.models.i3d import FEWEST_FRAMES, load_i3d
from nowcast.models.perceptual import FEWEST_PIXELS, load_lpips
from nowcast.verification.contract import DATA_RANGE
from nowcast.verification.perceptual import Perception
from pipelines.errors import InputError

_IMAGES, _VIDEOS = 64, 4  # at once


def load_perception(lpips: Path | None, i3d: Path | None) -> Perception:
    """The networks of LPIPS, and of FVD and KVD, of which either may be left out.

    Raises:
        InputError: when a file is not what it should be (see `load_lpips`, `load_i3d`), and later for fields that are
            too small for LPIPS, or lead times that are too few for FVD.
    """
    files = {"lpips": lpips, "i3d": i3d}
    return Perception(
        distance=_distance(lpips) if lpips else None,
        features=_features(i3d) if i3d else None,
        attrs={f"{name}_weights_sha256": file_hash(file) for name, file in files.items() if file},
    )


def _distance(file: Path) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    device = best_device()
    network = load_lpips(str(file)).to(device)

    def distance(fields: np.ndarray, truth: np.ndarray) -> np.ndarray:
        if min(truth.shape[-2:]) < FEWEST_PIXELS:
            raise InputError("the fields are too small for LPIPS", got=truth.shape, expected=f"{FEWEST_PIXELS} pixels")
        x, y = (_scaled(images).reshape(len(images), -1, *truth.shape[-2:]) for images in (fields, truth[None]))
        y = y.to(device)
        with torch.inference_mode():
            return torch.cat([network(batch.to(device), y) for batch in x.split(_IMAGES)]).double().cpu().numpy()

    return distance


def _features(file: Path) -> Callable[[np.ndarray], np.ndarray]:
    device = best_device()
    network = load_i3d(str(file)).to(device)

    def features(videos: np.ndarray) -> np.ndarray:
        if videos.shape[1] < FEWEST_FRAMES:
            raise InputError("too few lead times for FVD", got=videos.shape[1], expected=f"{FEWEST_FRAMES} or more")
        colour = videos.ndim == 5
        clips = _scaled(np.moveaxis(videos, 2, 1) if colour else videos[:, None])
        with torch.inference_mode():
            return torch.cat([network(batch.to(device)) for batch in clips.split(_VIDEOS)]).float().cpu().numpy()

    return features


def _scaled(counts: np.ndarray) -> torch.Tensor:
    """Counts on [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(counts)).float() / DATA_RANGE * 2 - 1
