"""Draw README's picture: observed, S-PROG, a STEPS member, a PredLDM member, and PredLDM's probability of 74 counts.

python tests/benchmarks/picture.py STORE PREDLDM.nc STEPS.nc SPROG.nc OUT.png [CASE]
"""

import sys
from pathlib import Path

import numpy as np

from nowcast.data.forecast_file import open_forecast
from nowcast.data.observations import Observations
from nowcast.data.statistics import ensemble_probability
from nowcast.plots.maps import plot_rows
from nowcast.plots.panels import EVENT_THRESHOLD, probability_look, vil_look
from nowcast.plots.rows import Row, observed_row, one_case

_LEADS = np.array([10, 20, 30, 50], "timedelta64[m]")


def main(store: str, predldm: str, steps: str, sprog: str, out: str, case: str = "0") -> None:
    """Draw and save the picture."""
    ours, theirs, guess = (
        one_case(open_forecast(Path(file)), int(case)).sel(lead_time=_LEADS).load() for file in (predldm, steps, sprog)
    )
    probability = ensemble_probability(ours["vil"].values, EVENT_THRESHOLD)
    look = vil_look()
    rows = [
        observed_row(Observations.open(Path(store)), ours),
        Row("S-PROG", guess["vil"].values[0], look),
        Row("STEPS, a member", theirs["vil"].values[0], look),
        Row("PredLDM, a member", ours["vil"].values[0], look),
        Row("PredLDM, probability", probability, probability_look()),
    ]
    plot_rows(rows, ours).savefig(out, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:])
