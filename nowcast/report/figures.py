"""The charts of a report: curves by lead time, then reliability, ranks, spread, ROC and energy by scale."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nowcast.report.charts import Axis, Chart, Plot, Series, spanning
from nowcast.report.models import SUMMARIZED, Model, observed_share, thresholds_of

LEAD_CURVES = {  # metric: title, label of the axis
    "crps_fair": ("CRPS, fair", "counts"),
    "mae": ("MAE of the ensemble mean", "counts"),
    "rmse": ("RMSE of the ensemble mean", "counts"),
    "bias": ("Bias of the ensemble mean", "counts"),
    "ssim": ("SSIM of the ensemble mean", "SSIM"),
    "lpips": ("LPIPS of the ensemble mean", "LPIPS"),
    "csi_m": ("CSI-M: CSI averaged over thresholds", "CSI-M"),
}
THRESHOLD_CURVES = {
    "csi": "Critical success index (CSI)",
    "pod": "Probability of detection (POD)",
    "far": "False alarm ratio (FAR)",
}
RARE = 1e-5  # share of the pixels below which a threshold has no chart
_CLASSES = 10  # of probability that a reliability diagram shows, beside zero
_DIAGONAL = Series("", "", np.array([0.0, 1.0]), np.array([0.0, 1.0]))


def lead_charts(models: Sequence[Model]) -> Iterator[Chart]:
    """Errors and probabilistic scores by lead time."""
    for metric, (title, label) in LEAD_CURVES.items():
        where: dict[str, Any] = {"summary": "mean"} if metric in SUMMARIZED else {}
        if any(model.has(metric, **where) for model in models):
            yield _by_lead(title, label, metric, models, **where)


def threshold_charts(models: Sequence[Model], metric: str) -> Iterator[Chart]:
    """A score of the ensemble mean at thresholds by lead time, one chart per threshold that was reached."""
    for threshold in _reached(models):
        title = f"{metric.upper()}, ≥ {threshold:g} counts"
        yield _by_lead(title, metric.upper(), metric, models, summary="mean", threshold=threshold)


def neighbourhood_charts(models: Sequence[Model]) -> Iterator[Chart]:
    """Fractions skill score by the side of the neighbourhood, one chart per threshold that was reached."""
    for threshold in _reached(models):
        curves = [_curve(model, "fss_pooled", "scale", threshold=threshold) for model in models]
        x = spanning("side of the neighbourhood (pixels)", [one.x for one in curves], log=True)
        yield Chart(f"FSS, ≥ {threshold:g} counts", [Plot(x, _zero_up("FSS", curves), curves)])


def reliability_charts(models: Sequence[Model]) -> Iterator[Chart]:
    """Observed frequency of each forecast probability, and how often it was forecast; one chart per threshold."""
    ensembles = [model for model in models if model.is_ensemble]
    x = Axis("forecast probability", 0, 1)
    for threshold in _reached(models) if ensembles else ():
        tables = [_reliability(model, threshold) for model in ensembles]
        curves, shares = [], []
        for model, (probability, frequency, share) in zip(ensembles, tables, strict=True):
            curves.append(Series(model.name, model.style, probability, frequency))
            shares.append(Series(model.name, model.style, probability, share))
        sharpness = spanning("share of forecasts", [one.y for one in shares], start=1, log=True)
        plots = [
            Plot(x, Axis("observed frequency", 0, 1), curves, guide=_DIAGONAL),
            Plot(x, sharpness, shares, height=130),
        ]
        yield Chart(f"Reliability, ≥ {threshold:g} counts", plots)


def _reliability(model: Model, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean probability, observed frequency and share of forecasts, of the tenths that were forecast.

    Classes that lie nearest to one tenth are merged, weighted by their shares: their sums stay exact.
    """
    probability = model.scores["probability"].values
    share = model.score("forecast_share_pooled", threshold=threshold).values
    frequency = model.score("observed_frequency_pooled", threshold=threshold).values
    forecast = share > 0  # NaN where only another model has such a probability
    probability, share, frequency = probability[forecast], share[forecast], frequency[forecast]
    tenth = np.floor(probability * _CLASSES + 0.5 + 1e-9).astype(int)  # halves go up, or classes would be unlike
    total, of_probability, of_events = (
        np.bincount(tenth, weights=share * values) for values in (1, probability, frequency)
    )
    filled = total > 0
    return of_probability[filled] / total[filled], of_events[filled] / total[filled], total[filled]


def rank_charts(models: Sequence[Model]) -> Iterator[Chart]:
    """The rank histogram of each ensemble."""
    for model in (model for model in models if model.is_ensemble):
        bars = _curve(model, "rank_histogram_pooled", "rank")
        x = Axis("rank of the observation", -0.5, model.members + 0.5)
        flat = Series("", "", np.array([x.low, x.high]), np.full(2, 1 / (model.members + 1)))
        y = _zero_up("share of pixels", [bars, flat])
        yield Chart(f"Rank histogram, {model.name}", [Plot(x, y, bars=[bars], guide=flat)])


def spread_charts(models: Sequence[Model]) -> Iterator[Chart]:
    """Spread over skill by lead time, and both of them."""
    ensembles = [model for model in models if model.is_ensemble]
    if not ensembles:
        return
    yield _by_lead("Spread over skill", "ratio", "spread_skill", ensembles, perfect=1)
    curves = [
        Series(f"{model.name}, {name}", model.style, _leads(model), model.scores[metric].values, dashed=dashed)
        for model in ensembles
        for metric, name, dashed in (("rmse", "RMSE of the mean", False), ("spread", "spread", True))
    ]
    plot = Plot(_lead_axis(models), _zero_up("counts", curves), curves)
    yield Chart("Spread (dashed) and RMSE of the mean", [plot])


def roc_charts(models: Sequence[Model]) -> Iterator[Chart]:
    """Detection by false detection when warned from each probability on, one chart per threshold."""
    x, y = (Axis(label, 0, 1) for label in ("false detection (POFD)", "detection (POD)"))
    for threshold in _reached(models):
        curves = []
        for model in models:
            rates = (model.score(f"roc_{name}_pooled", threshold=threshold) for name in ("pofd", "pod"))
            pofd, pod = (np.append(rate.dropna("probability").values, 0.0) for rate in rates)
            curves.append(Series(model.name, model.style, pofd, pod, marked=len(pod) <= 12))
        yield Chart(f"ROC, ≥ {threshold:g} counts", [Plot(x, y, curves, guide=_DIAGONAL)])


def energy_charts(models: Sequence[Model], side_km: float | None) -> Iterator[Chart]:
    """Energy by wavelength of the observations, of the members and of their mean, one chart per model.

    Args:
        models: The models.
        side_km: Longer side of the grid; None where pixels have no size.
    """
    drawn = []
    for model in models:
        energy = model.scores["energy_pooled"].sel(wavenumber=slice(1, None))
        waves = energy["wavenumber"].values.astype("float64")
        x = side_km / waves if side_km else waves
        kinds = {"observed": ("observed", "obs"), "member": (model.name, model.style)}
        if model.is_ensemble:
            kinds |= {"member": ("members", model.style), "mean": ("ensemble mean", model.style)}
        drawn.append([
            Series(name, style, x, energy.sel(kind=kind).values, dashed=kind == "mean", marked=False)
            for kind, (name, style) in kinds.items()
        ])  # fmt: skip
    energies = spanning("energy (counts²)", [one.y for curves in drawn for one in curves], log=True)
    for model, curves in zip(models, drawn, strict=True):
        x = curves[0].x
        across = Axis("wavelength (km)" if side_km else "wavenumber", float(x[0]), float(x[-1]), log=True)
        yield Chart(f"Energy by scale, {model.name}", [Plot(across, energies, curves)], keys=curves)


def _reached(models: Sequence[Model]) -> list[float]:
    """The thresholds that were reached often enough for a chart."""
    levels = thresholds_of(models[0].scores)
    shares = observed_share(models[0].scores) if levels else np.zeros(0)
    return [level for level, share in zip(levels, shares, strict=True) if share >= RARE]


def _leads(model: Model) -> np.ndarray:
    """Lead times in the unit of their axis."""
    return model.scores["lead_time"].values / _lead_unit(model)


def _lead_unit(model: Model) -> np.timedelta64:
    """A minute; of a video, whose frames are less than that apart, a second."""
    minute = np.timedelta64(1, "m")
    return minute if model.scores["lead_time"].values[0] >= minute else np.timedelta64(1, "s")


def _lead_axis(models: Sequence[Model]) -> Axis:
    unit = "min" if _lead_unit(models[0]) == np.timedelta64(1, "m") else "s"
    return Axis(f"lead time ({unit})", 0, float(_leads(models[0]).max()))


def _zero_up(label: str, curves: Sequence[Series]) -> Axis:
    return spanning(label, [one.y for one in curves], start=0)


def _curve(model: Model, score: str, dim: str, **where: object) -> Series:
    values = model.score(score, **where).dropna(dim)
    return Series(model.name, model.style, values[dim].values.astype("float64"), values.values)


def _by_lead(
    title: str, label: str, metric: str, models: Sequence[Model], perfect: float | None = None, **where: object
) -> Chart:
    """One curve per model, the first with its interval where it has one."""
    curves = [Series(m.name, m.style, _leads(m), m.score(metric, **where).values) for m in models]
    curves[0] = replace(curves[0], band=models[0].interval(metric, **where))
    x = _lead_axis(models)
    guide = None if perfect is None else Series("", "", np.array([x.low, x.high]), np.full(2, perfect))
    shown = [part for one in curves for part in (one.y, *(one.band or ()))] + ([guide.y] if guide else [])
    return Chart(title, [Plot(x, spanning(label, shown, start=0), curves, guide=guide)])
