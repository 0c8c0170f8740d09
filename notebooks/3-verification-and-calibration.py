# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. Verification and calibration
#
# A forecast is judged twice here: is it *right*, and does it *know how sure it may be*? The first is the business of
# errors and hits, the second of calibration: when an ensemble says 70 percent, it should happen seven times in ten.
#
# nowcast scores anybody's forecast file. To show it, the ensemble below is made in a few lines of xarray, and the file
# has only the names that a reader needs.

# %%
# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 80, "bbox_inches": "tight"}
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from scipy.ndimage import shift

from nowcast.forecasting.forecast import Request, load_forecaster, write_forecast
from pipelines.sevir.prepare import prepare
from pipelines.simulation.storms import simulate_archive

os.chdir(tempfile.mkdtemp())  # a folder for the files of this notebook
store = Path("sevir.zarr")
print(prepare(simulate_archive(Path("archive"), events=4, seed=0), store, protocol="sevir-128-10-10"))

# %% [markdown]
# Two reference forecasts: persistence repeats the last frame, advection moves it on. Neither was trained, so we may
# score them on the *training* split, where this tiny archive has two events. Trained models are scored on `test`.

# %%
files = {}
for name in ("persistence", "advection"):
    forecaster, described = load_forecaster(name)
    files[name] = write_forecast(forecaster, store, Path(f"{name}.nc"), Request(split="train"), described=described)

# %% [markdown]
# And an ensemble of twelve, on the assumption that advection errs in *place*: each member is the advected field, pushed
# in its own direction, farther with every minute.

# %%
advection = xr.open_dataset(files["advection"]).isel(member=0, drop=True)
fields = advection["vil"].transpose("case", "lead_time", "y", "x").values
members = np.empty((12, *fields.shape), "float32")
rng = np.random.default_rng(0)
for member in members:
    y, x = rng.normal(0, 0.6, 2)  # pixels (3 km) for each five minutes
    for lead in range(10):
        member[:, lead] = shift(fields[:, lead], (0, y * (lead + 1), x * (lead + 1)), order=0)

pushed = xr.Dataset(
    {"vil": (("member", "case", "lead_time", "y", "x"), members)},
    {name: advection[name] for name in ("event", "init_time", "lead_time")},
    {"model": "pushed advection"},
)
pushed.to_netcdf("pushed.nc")
pushed

# %% [markdown]
# ## Scores
#
# One call scores the ensemble beside its references, on the same cases and pixels. On the command line: `nowcast verify
# pushed.nc sevir.zarr --reference advection.nc --reference persistence.nc --out scores.nc --report page` prints the
# tables, writes the scores, and makes a page for the browser.

# %%
from nowcast.verification import save, verify

scores = verify("pushed.nc", store, reference=[files["advection"], files["persistence"]])
save(scores, Path("scores.nc"))
for key in ("protocol", "split", "events", "coverage"):
    print(f"{key}: {scores.attrs[key]}")

# %%
one_each = {str(scores["model"][number].item()): scores.isel(forecast=number) for number in range(3)}
names = {"mae_pooled": "MAE", "crps_fair_pooled": "CRPS", "ssim_pooled": "SSIM", "spread_skill_pooled": "spread/skill"}
rows = {model: [part[name].item() for name in names] for model, part in one_each.items()}
pd.DataFrame.from_dict(rows, orient="index", columns=list(names.values())).round(3)

# %% [markdown]
# MAE and SSIM are those of the ensemble *mean*. CRPS is the error of the whole ensemble, in counts too; of a single
# forecast it equals the MAE, so one column compares all three. "Pooled" scores are computed from sums over all cases
# and lead times, divided once at the end. The mean of the scores of each lead time (`..._lead_averaged`) is there as
# well: for CSI the two differ in the second digit, and papers differ in which they print.

# %%
from nowcast.plots.curves import plot_scores

plot_scores(one_each)

# %% [markdown]
# The ensemble has the smaller CRPS and still the lower CSI. CSI is computed from the *mean* here, as in papers, and a
# mean blurs: the less certain the place of the rain, the fewer pixels reach 74. One score never tells all.
#
# Every score and every difference of two scores has an interval. Both come from resampling *events*, because the
# windows of one storm are not independent. Two events are no more than a demonstration, but even here the difference of
# two forecasts is known much better than either score, since both face the same storms.

# %%
for what, part in {"ensemble": scores.isel(forecast=0), "minus advection": scores.isel(forecast=1)}.items():
    name = "crps_fair_pooled" if what == "ensemble" else "crps_fair_pooled_difference"
    low, high = part[f"{name}_interval"].values
    print(f"CRPS, {what}: {part[name].item():.2f}, from {low:.2f} to {high:.2f}")

# %% [markdown]
# ## With xskillscore and scores
#
# `open_pairs` gives forecast and observation as xarray on the same coordinates, with the dims of
# [xskillscore](https://xskillscore.readthedocs.io) and [scores](https://scores.readthedocs.io), so nothing needs
# renaming. All three agree on the CRPS: here the standard one; the table above has the fair one, which does not depend
# on the number of members.

# %%
import scores as scores_library
import xskillscore

from nowcast.verification import open_pairs

forecast, observed = (field.compute() for field in open_pairs("pushed.nc", store))
print(f"nowcast      CRPS {one_each['pushed advection']['crps_standard_pooled'].item():.4f}")
print(f"xskillscore  CRPS {xskillscore.crps_ensemble(observed, forecast).item():.4f}")
print(f"scores       CRPS {scores_library.probability.crps_for_ensemble(forecast, observed, 'member').item():.4f}")

# %% [markdown]
# ## Does it know how sure it may be?
#
# Four pictures tell, and each shows something that the others do not.
#
# - **Reliability**: of all pixels forecast with 30 percent, did 30 percent reach the threshold? A reliable ensemble is
#   on the diagonal; an overconfident one is flatter.
# - **Ranks**: sort the observation among the twelve members. Every rank should be equally frequent. A U shape means
#   that the observation falls outside the ensemble too often. (Ties, such as dry pixels, are ranked at random.)
# - **Spread and skill**: the members' spread should be as large as the error of their mean.
# - **Energy by scale**: a member should have as much fine detail as the observation. A mean never has.

# %%
ensemble = one_each["pushed advection"]
minutes = ensemble["lead_time"] / np.timedelta64(1, "m")
figure = Figure(figsize=(11, 6.5), layout="constrained")
(reliability, ranks), (calibration, energy) = figure.subplots(2, 2)

for threshold in (16, 74):
    frequency = ensemble["observed_frequency_pooled"].sel(threshold=threshold)
    reliability.plot(frequency["probability"], frequency, marker="o", markersize=3, label=f"≥ {threshold} counts")
reliability.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle="--")
reliability.set(title="reliability", xlabel="forecast probability", ylabel="observed frequency")
reliability.legend(frameon=False)

ranks.bar(ensemble["rank"], ensemble["rank_histogram_pooled"])
ranks.axhline(1 / 13, color="black", linewidth=0.8, linestyle="--")
ranks.set(title="rank of the observation", xlabel="members below it", ylabel="share")

calibration.plot(minutes, ensemble["rmse"], label="error of the mean (RMSE)")
calibration.plot(minutes, ensemble["spread"], label="spread")
calibration.set(title="spread and skill", xlabel="lead time (min)", ylabel="counts", ylim=(0, None))
calibration.legend(frameon=False)

last = ensemble["energy"].isel(lead_time=-1, wavenumber=slice(1, None))
for kind in last["kind"].values:
    energy.loglog(384 / last["wavenumber"], last.sel(kind=kind), label=kind)
energy.set(title="energy after 50 minutes", xlabel="wavelength (km)", ylabel="counts²")
energy.invert_xaxis()
energy.legend(frameon=False)
figure

# %% [markdown]
# Pushing an advected field gives some of the spread that is needed and keeps the detail, but storms also grow and
# decay. That has to be learned.
#
# LPIPS, FVD and KVD measure how *real* the pictures look. They need networks whose weights you download: `nowcast
# verify ... --lpips-weights FILE --i3d-weights FILE`. A wrong file is refused with a line that says where to
# get the right one.
#
# Next: [maps and animation](4-maps-and-animation.ipynb).
