"""Compare trials, scene by scene, with one of them: python tests/benchmarks/lab/compare.py OUT "PEER" "TRIAL" ...

Printed are the mean of the ratios of fair CRPS over the scenes that all trials have, whole and reached, with the 95 %
interval of resampled scenes; spread/skill; bias; CSI of the decided warning; and processor time. Options: --domain,
--split, --by service (ratios by service), --by lead.
"""

import argparse
from pathlib import Path

import numpy as np
import xarray as xr

from nowcast.data.seeds import numpy_generator
from nowcast.verification.metrics.continuous import bias
from nowcast.verification.metrics.ensemble import crps_fair, spread_skill
from nowcast.verification.metrics.probability import csi_decided

SAMPLES = 2000


def main() -> None:
    """Print the tables."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("out", type=Path)
    words.add_argument("trials", nargs="+")
    words.add_argument("--split", default="fit")
    words.add_argument("--domain", default="composite")
    words.add_argument("--by", choices=("service", "lead"))
    asked = words.parse_args()
    found = {trial: _scenes(asked.out / asked.domain / trial, asked.split) for trial in asked.trials}
    common = sorted(set.intersection(*(set(scenes) for scenes in found.values())))
    print(f"{len(common)} scenes of {asked.split}, {asked.domain}; CRPS beside {asked.trials[0]}, whole / reached")
    print("| trial | CRPS | spread/skill | bias | CSI 16 74 133 | seconds |\n|---|---|---|---|---|---|")
    all_sums = {trial: xr.concat([scenes[name] for name in common], "scene") for trial, scenes in found.items()}
    peer = all_sums[asked.trials[0]]
    for trial, sums in all_sums.items():
        pooled = sums.sum(("scene", "lead_time"))
        whole = pooled.isel(region=0)
        csi = " ".join(f"{value:.3f}" for value in csi_decided(whole).values)
        ratios = " / ".join(_interval(_crps(sums, region) / _crps(peer, region)) for region in (0, 1))
        levels = " / ".join(f"{value:.3f}" for value in crps_fair(pooled).values)
        print(
            f"| {trial} | {levels}; {ratios} | {float(spread_skill(whole)):.2f} | {float(bias(whole)):+.2f} | {csi} "
            f"| {float(sums['seconds'].sum('scene').max()):.0f} |"
        )
    if asked.by:
        services = [found[asked.trials[0]][name].attrs["service"] for name in common]
        for trial, sums in all_sums.items():
            print(trial, _parts(sums, peer, services, asked.by))


def _scenes(folder: Path, split: str) -> dict[str, xr.Dataset]:
    scenes = {file.stem: xr.load_dataset(file) for file in sorted(folder.glob("*.nc"))}
    return {name: sums for name, sums in scenes.items() if sums.attrs["split"] == split}


def _crps(sums: xr.Dataset, region: int) -> np.ndarray:
    return crps_fair(sums.isel(region=region).sum("lead_time")).values


def _interval(ratios: np.ndarray) -> str:
    drawn = numpy_generator(0, "lab").integers(len(ratios), size=(SAMPLES, len(ratios)))
    low, high = np.quantile(ratios[drawn].mean(axis=1), (0.025, 0.975)) - 1
    return f"{ratios.mean() - 1:+.1%} ({low:+.1%} to {high:+.1%})"


def _parts(sums: xr.Dataset, peer: xr.Dataset, services: list[str], by: str) -> str:
    if by == "lead":
        ratios = (crps_fair(sums) / crps_fair(peer)).mean("scene") - 1
        return "; ".join(" ".join(f"{value:+.1%}" for value in row) for row in ratios.values)
    ratios = [_crps(sums, region) / _crps(peer, region) - 1 for region in (0, 1)]
    return "; ".join(
        f"{name} {' / '.join(f'{each[np.array(services) == name].mean():+.1%}' for each in ratios)}"
        for name in dict.fromkeys(services)
    )


if __name__ == "__main__":
    main()
