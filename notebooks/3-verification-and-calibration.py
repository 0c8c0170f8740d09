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
# `nowcast.verification` scores anybody's file. To show it, the ensemble below is not made by nowcast at all but in a
# few lines of xarray, and the file has nothing but the names that a reader needs.

# %%
# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 110, "bbox_inches": "tight"}
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

work = Path(tempfile.mkdtemp())
store = work / "sevir.zarr"
print(prepare(simulate_archive(work / "archive", events=4, seed=0), store, protocol="sevir-128-10-10"))

# %% [markdown]
# Two forecasts for reference: nothing changes, and everything moves on as it did. Neither has learned anything, so we
# may score them on the *training* split, where this tiny archive has two events. What was trained is scored on `test`.

# %%
files = {}
for name in ("persistence", "advection"):
    forecaster, described = load_forecaster(name)
    files[name] = write_forecast(forecaster, store, work / f"{name}.nc", Request(split="train"), described=described)

# %% [markdown]
# And an ensemble of twelve, from the thought that advection errs in *where*: each member is the advected field, pushed
# somewhere else, farther with every minute.

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
pushed.to_netcdf(work / "pushed.nc")
pushed

# %% [markdown]
# ## Scores
#
# One call scores the ensemble beside its references, on the same cases and pixels. On the command line: `nowcast verify
# pushed.nc sevir.zarr --reference advection.nc --reference persistence.nc --out scores.nc --report page` prints the
# tables, writes the scores, and makes a page to look at in a browser.

# %%
from nowcast.verification import save, verify

scores = verify(work / "pushed.nc", store, reference=[files["advection"], files["persistence"]])
save(scores, work / "scores.nc")
print({key: scores.attrs[key] for key in ("protocol", "split", "events", "coverage")})

# %%
one_each = {str(scores["model"][number].item()): scores.isel(forecast=number) for number in range(3)}
names = {"mae_pooled": "MAE", "crps_fair_pooled": "CRPS", "ssim_pooled": "SSIM", "spread_skill_pooled": "spread/skill"}
rows = {model: [part[name].item() for name in names] for model, part in one_each.items()}
pd.DataFrame.from_dict(rows, orient="index", columns=list(names.values())).round(3)

# %% [markdown]
# MAE and SSIM are of the ensemble's *mean*. CRPS is the error of the whole ensemble, in counts too: for a single
# forecast it is its MAE, so one column compares all three. "Pooled" says how scores of many cases became one:
# everything is summed first, and divided once, at the end. The mean of each lead time's own score is there as well, and
# is called so (`..._lead_averaged`); for CSI the two differ in the second digit, and papers differ in which they print.

# %%
from nowcast.plots.curves import plot_scores

plot_scores(one_each)

# %% [markdown]
# The ensemble has the smaller CRPS and still the lower CSI. CSI is taken of the *mean* here, as papers do, and a mean
# blurs: the more honest about where it will rain, the fewer pixels reach 74. One score never tells all.
#
# Every score has an interval, and so has every difference of two. Both come from drawing *events* anew, because the
# windows of one storm are not independent. With the two events here that is no more than a demonstration; but even so
# the difference of two forecasts is much better known than either score, for they meet the same storms.

# %%
for what, part in {"ensemble": scores.isel(forecast=0), "minus advection": scores.isel(forecast=1)}.items():
    name = "crps_fair_pooled" if what == "ensemble" else "crps_fair_pooled_difference"
    low, high = part[f"{name}_interval"].values
    print(f"CRPS, {what}: {part[name].item():.2f}, from {low:.2f} to {high:.2f}")

# %% [markdown]
# ## Does it know how sure it may be?
#
# Four pictures tell, and each sees something that the others do not.
#
# - **Reliability**: of all pixels for which it said 30 percent, did it happen in 30 percent? The diagonal is honest;
#   flatter than the diagonal is too sure of itself.
# - **Ranks**: put the observation in line with the twelve members. It should come out at every place equally often. A U
#   says that it falls outside too often. (Dry pixels, where all are equal, take a place by lot.)
# - **Spread and skill**: the members' spread should be as large as the error of their mean.
# - **Energy by scale**: does a member have as much fine detail as what was observed? A mean never has.

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
# Pushing an advected field about gives some of the spread that is needed and keeps the detail, but storms also grow and
# decay, and no amount of pushing knows of that. For this a model has to learn.
#
# LPIPS, FVD and KVD say how *real* the pictures look. They need networks whose weights you bring: `nowcast verify ...
# --lpips-weights FILE --i3d-weights FILE`; without, it tells which files, and where they are.
#
# Next: [maps and animation](4-maps-and-animation.py).
