"""The networks of the perceptual scores, from weights that the user points at to plain functions of fields."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from nowcast.perception.i3d import FEWEST_FRAMES, load_i3d
from nowcast.perception.lpips import FEWEST_PIXELS, load_lpips
from pipelines.errors import InputError

_IMAGES, _VIDEOS = 64, 4  # at once


def image_distance(file: Path, data_range: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """LPIPS of fields from 0 to `data_range`: of (field, ..., y, x) from one field (..., y, x), shape (field,).

    Raises:
        InputError: when the file is not what it should be (see `load_lpips`), and later for fields that are too small.
    """
    device = _device()
    network = load_lpips(str(file)).to(device)

    def distance(fields: np.ndarray, truth: np.ndarray) -> np.ndarray:
        if min(truth.shape[-2:]) < FEWEST_PIXELS:
            raise InputError("the fields are too small for LPIPS", got=truth.shape, expected=f"{FEWEST_PIXELS} pixels")
        x, y = (
            _scaled(images, data_range).reshape(len(images), -1, *truth.shape[-2:]) for images in (fields, truth[None])
        )
        y = y.to(device)
        with torch.inference_mode():
            return torch.cat([network(batch.to(device), y) for batch in x.split(_IMAGES)]).double().cpu().numpy()

    return distance


def video_features(file: Path, data_range: float) -> Callable[[np.ndarray], np.ndarray]:
    """I3D's features (video, feature) of videos from 0 to `data_range` with shape (video, lead_time, ..., y, x).

    Raises:
        InputError: when the file is not what it should be (see `load_i3d`), and later for lead times that are too few.
    """
    device = _device()
    network = load_i3d(str(file)).to(device)

    def features(videos: np.ndarray) -> np.ndarray:
        if videos.shape[1] < FEWEST_FRAMES:
            raise InputError("too few lead times for FVD", got=videos.shape[1], expected=f"{FEWEST_FRAMES} or more")
        colour = videos.ndim == 5
        clips = _scaled(np.moveaxis(videos, 2, 1) if colour else videos[:, None], data_range)
        with torch.inference_mode():
            return torch.cat([network(batch.to(device)) for batch in clips.split(_VIDEOS)]).float().cpu().numpy()

    return features


def _scaled(fields: np.ndarray, data_range: float) -> torch.Tensor:
    """Fields on [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(fields)).float() / data_range * 2 - 1


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
