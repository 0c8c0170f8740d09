"""How forecasts look: LPIPS of fields, FVD and KVD of forecasts as videos. The networks come from outside, as functions
(`load_perception` fetches them), so that importing this imports no torch.

A field is a grey image: counts / 255 on [0, 1], stretched to [-1, 1] and repeated for the three colours, as DiffCast
does, first row first; a pixel that does not count is 0. A field of three channels is an image in colour. Three scores,
all 0 at best:

    LPIPS  distance of an image and the observed one (Zhang et al. 2018, https://arxiv.org/abs/1801.03924), averaged
           over fields: of the ensemble mean (`mean`) and of members (`member`).
    FVD    |m - n|^2 + tr(C + D - 2 (C D)^(1/2)) of the means m, n and the covariances C, D of the features of forecast
           and of observed videos (Unterthiner et al. 2018, https://arxiv.org/abs/1812.01717).
    KVD    E k(x, x') + E k(y, y') - 2 E k(x, y) of the features x of forecast and y of observed videos, with the
           kernel k(x, y) = (x.y / d + 1)^3 in d dimensions (same paper; Binkowski et al. 2018, section 4).

A video is a member, or the observation, over all lead times. FVD and KVD are no functions of sums that add up, so
a state carries the features themselves (1.6 kB per video), and the score is that of all its cases. KVD takes pairs of
different events only (Gretton et al. 2012, equation 4, with events for samples): it is unbiased although members of a
case resemble each other and the observation; KID and others take all pairs of different videos. FVD falls as videos
grow in number, so compare it only with that of as many. Neither has an interval: to draw an event twice biases both.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nowcast.verification.contract import DATA_RANGE, Arrays, Metric, ratio
from nowcast.verification.metrics.categorical import SUMMARIES

_ROWS = 256  # of the kernel matrix at a time


@dataclass(frozen=True)
class Perception:
    """Networks that look at forecasts.

    Attributes:
        distance: LPIPS with dims (field,) of counts with dims (field, y, x) from one field with dims (y, x).
        features: Features with dims (video, feature) of counts with dims (video, lead_time, y, x). Both also take
            fields with a channel before y.
        attrs: Which weights they have, for the files.
    """

    distance: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    features: Callable[[np.ndarray], np.ndarray] | None = None
    attrs: Mapping[str, str] = field(default_factory=dict)

    def distances(self, fields: Sequence[np.ndarray], obs: np.ndarray) -> list[Arrays]:
        """Of each forecast of one case: LPIPS by lead time, of the mean and averaged over members, and how many images.

        Args:
            fields: Counts of each forecast, dims (member, lead_time, y, x) or (member, lead_time, channel, y, x).
            obs: Counts, dims (lead_time, y, x) or (lead_time, channel, y, x).
        """
        if self.distance is None:
            return [{} for _ in fields]
        values, images = np.zeros((len(fields), len(obs), 2)), np.zeros(len(obs))
        for lead in range(len(obs)):
            counted, (truth, *ensembles) = _filled([members[:, lead] for members in fields], obs[lead])
            images[lead] = counted.any()
            for number, members in enumerate(ensembles if counted.any() else ()):
                distances = self.distance(np.concatenate([members.mean(axis=0, keepdims=True), members]), truth[0])
                values[number, lead] = distances[0], distances[1:].mean()
        coords: Arrays = {"summary": (("summary",), SUMMARIES), "images": (("lead_time",), images)}
        return [{**coords, "lpips": (("lead_time", "summary"), of_forecast)} for of_forecast in values]

    def video_features(self, fields: Sequence[np.ndarray], obs: np.ndarray) -> list[np.ndarray]:
        """Features of one case: of the observation, dims (feature,), then of each forecast, dims (member, feature).

        Args:
            fields: See `distances`.
            obs: See `distances`.
        """
        if self.features is None:
            return []
        _, videos = _filled(fields, obs)
        features = [self.features(ensemble) for ensemble in videos]
        return [features[0][0], *features[1:]]


def load_perception(lpips: Path | None, i3d: Path | None) -> Perception:
    """The networks of LPIPS, and of FVD and KVD, of which either may be left out.

    Raises:
        InputError: when a file is not what it should be (see `nowcast.perception`), and later for fields that are too
            small for LPIPS, or lead times that are too few for FVD.
    """
    from nowcast.perception.networks import image_distance, video_features

    files = {"lpips": lpips, "i3d": i3d}
    return Perception(
        distance=image_distance(lpips, DATA_RANGE) if lpips else None,
        features=video_features(i3d, DATA_RANGE) if i3d else None,
        attrs={f"{name}_weights_sha256": _hash(file) for name, file in files.items() if file},
    )


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:16]


def _filled(fields: Sequence[np.ndarray], obs: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Where pixels count, and the observation (as a single member) and the forecasts with 0 where they do not."""
    counted = np.isfinite(obs)
    for members in fields:
        counted &= np.isfinite(members).all(axis=0)
    return counted, [np.where(counted, members, np.float32(0)) for members in (obs[None], *fields)]


def lpips(totals: xr.Dataset) -> xr.DataArray:
    """LPIPS of the ensemble mean and of its members, averaged over fields; dims (summary,)."""
    return ratio(totals["lpips"], totals["images"])


LPIPS = Metric("LPIPS", (), lpips, best=0)


def feature_coords(rows: Sequence[Sequence[np.ndarray]], forecast: int) -> dict[str, Any]:
    """Coordinates by which a state carries the features of its cases: the observed and those of one forecast.

    Args:
        rows: One `Perception.video_features` per case.
        forecast: Number of the forecast.
    """
    if not rows or not rows[0]:
        return {}
    return {
        "observed_features": (("case", "feature"), np.stack([row[0] for row in rows])),
        "forecast_features": (("case", "member", "feature"), np.stack([row[1 + forecast] for row in rows])),
    }


def video_scores(state: xr.Dataset) -> dict[str, xr.DataArray]:
    """FVD and KVD of all cases of a state, and how many videos were forecast and observed; empty without features."""
    if "observed_features" not in state.coords:
        return {}
    observed = state["observed_features"].transpose("case", "feature").values.astype("float64")
    forecast = state["forecast_features"].transpose("case", "member", "feature").values.astype("float64")
    events = np.array([str(case).rpartition("@")[0] for case in state["case"].values])
    members, videos = forecast.shape[1], forecast.reshape(-1, forecast.shape[2])
    values = {
        "fvd": (frechet_distance(*_gaussian(videos), *_gaussian(observed)), "Frechet video distance"),
        "kvd": (kernel_distance(videos, observed, np.repeat(events, members), events), "kernel video distance"),
        "videos": (float(len(videos)), "number of forecast videos"),
    }
    return {name: xr.DataArray(v, attrs={"long_name": words, "units": "1"}) for name, (v, words) in values.items()}


def frechet_distance(mean: np.ndarray, covariance: np.ndarray, mean2: np.ndarray, covariance2: np.ndarray) -> float:
    """Squared 2-Wasserstein distance of two Gaussians (Dowson & Landau 1982); NaN where a covariance is.

    The trace of (C D)^(1/2) is taken from the eigenvalues of C^(1/2) D C^(1/2), which are the same, real and >= 0.
    """
    if not np.isfinite([covariance, covariance2]).all():
        return float("nan")
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    common = np.sqrt(np.linalg.eigvalsh(root @ covariance2 @ root).clip(0)).sum()
    return float(((mean - mean2) ** 2).sum() + np.trace(covariance) + np.trace(covariance2) - 2 * common)


def kernel_distance(x: np.ndarray, y: np.ndarray, x_events: np.ndarray, y_events: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of features with dims (video, feature), over pairs of different events.

    NaN where all are of one event.
    """
    within_x, within_y = _kernel_mean(x, x, x_events, x_events), _kernel_mean(y, y, y_events, y_events)
    return within_x + within_y - 2 * _kernel_mean(x, y, x_events, y_events)


def _gaussian(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and unbiased covariance, NaN for a single video."""
    deviation = features - features.mean(axis=0)
    many = len(features) - 1
    return features.mean(axis=0), deviation.T @ deviation / (many or np.nan)


def _kernel_mean(x: np.ndarray, y: np.ndarray, x_events: np.ndarray, y_events: np.ndarray) -> float:
    total, pairs = 0.0, 0
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        apart = x_events[rows, None] != y_events
        kernel = (x[rows] @ y.T / x.shape[1] + 1) ** 3
        total += float(kernel[apart].sum())
        pairs += int(apart.sum())
    return total / pairs if pairs else float("nan")
