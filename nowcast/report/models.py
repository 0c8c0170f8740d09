"""The models that a report compares: what each is called, and how it looks in every chart."""

from collections import Counter
from dataclasses import dataclass

import xarray as xr

from nowcast.report.charts import STYLES


@dataclass(frozen=True)
class Model:
    """One model and its scores.

    Attributes:
        role: forecast, reference, reference 2, ...
        name: What it is called, by one name only.
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


def models_of(scores: xr.Dataset) -> list[Model]:
    """The forecast and its references, in this order."""
    roles = scores["forecast"].values.tolist() if "forecast" in scores.dims else ["forecast"]
    parts = [scores.sel(forecast=role) for role in roles] if "forecast" in scores.dims else [scores]
    names = [str(part["model"].item()) for part in parts]
    times = Counter(names)
    return [
        Model(role, f"{name} ({role})" if times[name] > 1 else name, int(part["members"]), f"m{place % STYLES}", part)
        for place, (role, name, part) in enumerate(zip(roles, names, parts, strict=True))
    ]
