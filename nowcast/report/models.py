"""The models that a report compares: the name of each, and its looks in every chart."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import xarray as xr

from nowcast.report.charts import MARKERS

SUMMARIZED = {"csi_m": "CSI-M", "lpips": "LPIPS"}  # scores of the ensemble mean and of the members, of one value each


@dataclass(frozen=True)
class Model:
    """One model and its scores.

    Attributes:
        role: forecast, reference, reference 2, ...
        name: Its name, which no other model has.
        members: Ensemble size.
        style: Its class in style.css.
        scores: Its scores, without the dim `forecast`.
    """

    role: str
    name: str
    members: int
    style: str
    scores: xr.Dataset

    @property
    def is_ensemble(self) -> bool:
        """Whether it has probabilities and spread."""
        return self.members > 1

    def has(self, name: str, **where: object) -> bool:
        """Whether a score has any value."""
        return name in self.scores and bool(np.isfinite(self.score(name, **where)).any())

    def score(self, name: str, **where: object) -> xr.DataArray:
        """A score, at some coordinates."""
        return self.scores[name].sel(where)

    def interval(self, name: str, **where: object) -> tuple[np.ndarray, np.ndarray] | None:
        """Lower and upper bound of a score, where it has them."""
        if f"{name}_interval" not in self.scores:
            return None
        bounds = self.score(f"{name}_interval", **where)
        return bounds.sel(bound="lower").values, bounds.sel(bound="upper").values


def models_of(scores: xr.Dataset) -> list[Model]:
    """The forecast and its references, in this order."""
    roles = scores["forecast"].values.tolist() if "forecast" in scores.dims else ["forecast"]
    parts = [scores.sel(forecast=role) for role in roles] if "forecast" in scores.dims else [scores]
    names = [str(part["model"].item()) for part in parts]
    times = Counter(names)
    styles = [f"m{place % len(MARKERS)}" for place in range(len(names))]
    return [
        Model(role, f"{name} ({role})" if times[name] > 1 else name, int(part["members"]), style, part)
        for role, name, style, part in zip(roles, names, styles, parts, strict=True)
    ]


def thresholds_of(scores: xr.Dataset) -> list[float]:
    """The thresholds; none where there are no scores by threshold."""
    return scores["threshold"].values.tolist() if "threshold" in scores.coords else []


def observed_share(scores: xr.Dataset) -> np.ndarray:
    """Share of the pixels where each threshold was reached."""
    share = scores["observed_frequency_pooled"] * scores["forecast_share_pooled"]
    return share.sum("probability").transpose("threshold").values
