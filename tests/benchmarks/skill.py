"""Print the tables of RESULTS.md from score files.

python tests/benchmarks/skill.py SCORES.nc REACHED.nc

`nowcast verify ... --out` writes SCORES.nc, and with --reached REACHED.nc. For CSI, an ensemble is summarised by the
warning whose expected CSI is largest by the ensemble's own probabilities (`csi_decided`).
"""

import sys

import numpy as np
import xarray as xr

_THRESHOLDS = [16.0, 74.0, 133.0]
_WAVENUMBERS = [1, 2, 4, 8, 16, 24, 32]


def main(scores: str, reached: str) -> None:
    """Print CRPS, spread/skill and CSI per forecast, differences from each reference, CSI by lead time, and energy."""
    whole, inner = (xr.open_dataset(path, decode_timedelta=False) for path in (scores, reached))
    print("| | CRPS fair | first, middle, last lead | reached | spread/skill | CSI 16 / 74 / 133 |")
    print("|---|---|---|---|---|---|")
    for name in whole.forecast.values:
        one, reach = whole.sel(forecast=name), inner.sel(forecast=name)
        leads = one.crps_fair.values[[0, len(one.lead_time) // 2 - 1, -1]]
        columns = [
            one.model.item(),
            f"{one.crps_fair_pooled.item():.3f}",
            _row(leads),
            f"{reach.crps_fair_pooled.item():.3f}",
            f"{one.spread_skill_lead_averaged.item():.2f}",
            _row(one.csi_decided_pooled.sel(threshold=_THRESHOLDS).values),
        ]
        print(f"| {' | '.join(columns)} |")
    for region, data in (("whole", whole), ("reached", inner)):
        for name in data.forecast.values[1:]:
            one = data.sel(forecast=name)
            low, high = one.crps_fair_pooled_difference_interval.values
            share = -one.crps_fair_pooled_skill.item()
            print(f"{region}, beside {one.model.item()}: {share:+.1%}, {low:+.3f} to {high:+.3f}")
    for threshold in _THRESHOLDS:
        for name in whole.forecast.values:
            one = whole.sel(forecast=name)
            print(f"CSI {threshold:3.0f} by lead, {one.model.item():12}", end="")
            print(_row(one.csi_decided.sel(threshold=threshold).values))
    energy = whole.isel(forecast=0).energy_ratio.sel(summary="member", wavenumber=_WAVENUMBERS)
    for lead in (0, len(energy.lead_time) // 2 - 1, -1):
        print(
            f"energy of members, lead {lead}, wavenumbers {_WAVENUMBERS}: {_row(energy.isel(lead_time=lead).values, 2)}"
        )


def _row(values: np.ndarray, digits: int = 3) -> str:
    return " ".join(f"{value:.{digits}f}" for value in values)


if __name__ == "__main__":
    main(*sys.argv[1:3])
