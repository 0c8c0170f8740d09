"""The table of metrics: one line adds one."""

from nowcast.verification.categorical import contingency, csi, csi_m, far, frequency_bias, pod
from nowcast.verification.continuous import mae, mean_errors, mse, rmse
from nowcast.verification.contract import Metric, counted_fraction
from nowcast.verification.ensemble import crps, crps_fair, crps_standard, spread, spread_skill, variance

METRICS: dict[str, Metric] = {
    "pod": Metric("probability of detection", (contingency,), pod, best=1),
    "far": Metric("false alarm ratio", (contingency,), far, best=0),
    "csi": Metric("critical success index", (contingency,), csi, best=1),
    "frequency_bias": Metric("frequency bias", (contingency,), frequency_bias, best=None),
    "csi_m": Metric("mean of CSI over the thresholds", (contingency,), csi_m, best=1),
    "mae": Metric("mean absolute error of the ensemble mean", (mean_errors,), mae, best=0),
    "mse": Metric("mean squared error of the ensemble mean", (mean_errors,), mse, best=0),
    "rmse": Metric("root mean squared error of the ensemble mean", (mean_errors,), rmse, best=0),
    "crps_fair": Metric("fair CRPS", (crps,), crps_fair, best=0),
    "crps_standard": Metric("standard CRPS", (crps,), crps_standard, best=0),
    "spread": Metric("root mean ensemble variance", (variance,), spread, best=None),
    "spread_skill": Metric("spread/skill, M members", (variance, mean_errors), spread_skill, best=None),
    "counted_fraction": Metric("fraction of pixels counted", (), counted_fraction, best=None),
}
