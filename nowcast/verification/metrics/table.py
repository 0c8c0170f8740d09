"""The table of metrics: one line adds one."""

from nowcast.verification.contract import Metric, counted_fraction
from nowcast.verification.metrics.blocks import block_contingency, csi_block, csi_m_block
from nowcast.verification.metrics.categorical import contingency, csi, csi_m, ets, far, frequency_bias, hss, pod, sucr
from nowcast.verification.metrics.continuous import bias, mae, mean_errors, mse, psnr, rmse
from nowcast.verification.metrics.ensemble import crps, crps_fair, crps_standard, spread, spread_skill, variance
from nowcast.verification.metrics.neighbourhood import fractions, fss, fss_mean
from nowcast.verification.metrics.probability import (
    brier,
    brier_reliability,
    brier_resolution,
    brier_uncertainty,
    csi_decided,
    csi_warned,
    forecast_share,
    observed_frequency,
    probabilities,
    roc_area,
    roc_pod,
    roc_pofd,
)
from nowcast.verification.metrics.ranks import rank_histogram, ranks
from nowcast.verification.metrics.similarity import similarity, ssim
from nowcast.verification.metrics.spectrum import energies, energy, energy_ratio

METRICS: dict[str, Metric] = {
    "pod": Metric("probability of detection", (contingency,), pod, best=1),
    "far": Metric("false alarm ratio", (contingency,), far, best=0),
    "sucr": Metric("success ratio", (contingency,), sucr, best=1),
    "csi": Metric("critical success index", (contingency,), csi, best=1),
    "frequency_bias": Metric("frequency bias", (contingency,), frequency_bias, best=None),
    "hss": Metric("Heidke skill score", (contingency,), hss, best=1),
    "ets": Metric("equitable threat score", (contingency,), ets, best=1),
    "csi_m": Metric("mean of CSI over the thresholds", (contingency,), csi_m, best=1),
    "csi_block": Metric("CSI of coarsened fields", (block_contingency,), csi_block, best=1),
    "csi_m_block": Metric("mean of the coarsened fields' CSI", (block_contingency,), csi_m_block, best=1),
    "fss": Metric("fractions skill score of the neighbourhood probability", (fractions,), fss, best=1),
    "fss_mean": Metric("fractions skill score of the ensemble mean", (fractions,), fss_mean, best=1),
    "mae": Metric("mean absolute error of the ensemble mean", (mean_errors,), mae, best=0),
    "mse": Metric("mean squared error of the ensemble mean", (mean_errors,), mse, best=0),
    "rmse": Metric("root mean squared error of the ensemble mean", (mean_errors,), rmse, best=0),
    "bias": Metric("mean error of the ensemble mean", (mean_errors,), bias, best=None),
    "psnr": Metric("peak signal-to-noise ratio of the ensemble mean, dB", (mean_errors,), psnr, best=None),
    "ssim": Metric("structural similarity of the ensemble mean", (similarity,), ssim, best=1),
    "crps_fair": Metric("fair CRPS", (crps,), crps_fair, best=0),
    "crps_standard": Metric("standard CRPS", (crps,), crps_standard, best=0),
    "spread": Metric("root mean ensemble variance", (variance,), spread, best=None),
    "spread_skill": Metric("spread/skill, M members", (variance, mean_errors), spread_skill, best=None),
    "rank_histogram": Metric("share of pixels whose observation has a rank", (ranks,), rank_histogram, best=None),
    "brier": Metric("Brier score", (probabilities,), brier, best=0),
    "brier_reliability": Metric("reliability term of the Brier score", (probabilities,), brier_reliability, best=0),
    "brier_resolution": Metric("resolution term of the Brier score", (probabilities,), brier_resolution, best=None),
    "brier_uncertainty": Metric("uncertainty term of the Brier score", (probabilities,), brier_uncertainty, best=None),
    "observed_frequency": Metric("event frequency at a probability", (probabilities,), observed_frequency, best=None),
    "forecast_share": Metric("share of forecasts of a probability", (probabilities,), forecast_share, best=None),
    "roc_pod": Metric("detection when warned from a probability on", (probabilities,), roc_pod, best=None),
    "roc_pofd": Metric("false detection when warned from a probability on", (probabilities,), roc_pofd, best=None),
    "csi_warned": Metric("CSI when warned from a probability on", (probabilities,), csi_warned, best=None),
    "csi_decided": Metric("CSI of the warning that forecasts expect most of", (probabilities,), csi_decided, best=1),
    "roc_area": Metric("area under the ROC curve", (probabilities,), roc_area, best=1),
    "energy": Metric("energy at a scale", (energies,), energy, best=None),
    "energy_ratio": Metric("energy at a scale over that observed", (energies,), energy_ratio, best=None),
    "counted_fraction": Metric("fraction of pixels counted", (), counted_fraction, best=None),
}

EVENT_STATISTICS = {contingency, block_contingency, fractions, probabilities}


def metrics(with_thresholds: bool) -> dict[str, Metric]:
    """The metrics that can be taken: without thresholds, as of a video, none of events."""
    events = set() if with_thresholds else EVENT_STATISTICS
    return {name: metric for name, metric in METRICS.items() if not events & set(metric.statistics)}
