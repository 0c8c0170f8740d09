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
# # 2. Train a model and forecast with it
#
# Where will it rain in half an hour? For so short a time a physical model of the atmosphere has hardly begun to turn;
# the best guide is the radar's last hour. Moving the echoes on along their paths is hard to beat for ten minutes. After
# that storms grow and decay, and nobody can tell exactly where; an honest forecast is then not one picture but many, an
# *ensemble*, each of which might come true.
#
# We train **PredLDM** here, a latent diffusion model, for as long as a notebook should take, which is far too short to
# be good, and set it beside two models that need no training.

# %%
# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 110, "bbox_inches": "tight"}
import json
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipelines.sevir.prepare import prepare
from pipelines.simulation.storms import simulate_archive

work = Path(tempfile.mkdtemp())
store = work / "sevir.zarr"
archive = simulate_archive(work / "archive", events=4, seed=0)
print(prepare(archive, store, protocol="sevir-128-10-10"))

# %% [markdown]
# ## A configuration is a training run
#
# A run is one YAML file in `configs/`, checked before anything starts: a key that does not exist is refused rather than
# passed over. `demo` is the smallest model that learns; we take still fewer steps. On the command line the same is
# `nowcast train demo --store sevir.zarr --run run --set stages.autoencoder.steps=16 ...`.

# %%
from nowcast.training.config import load_config

short = [
    f"stages.{name}.{key}={value}"
    for name in ("autoencoder", "diffusion")
    for key, value in {"steps": 16, "batch": 2, "validate_every": 16}.items()
]
config = load_config("demo", short)
for name, stage in config.stages.items():
    print(f"{name}: {stage.steps} steps of {stage.batch} windows")

# %% [markdown]
# There are two stages. The **autoencoder** learns to write a clip of frames as a few small maps of numbers, the
# *latents*, and to read them back. It hides most frames from itself while it learns, so that the latents of one time
# know of the others. The **diffusion** stage learns to make the latents of the future out of noise, given those of the
# past. To draw a member is to draw noise and clear it up step by step; other noise, another member.
#
# Training writes a folder: the configuration, the model, a record of every step, and pictures. Stopped, it goes on from
# where it was, to the same end to the bit.

# %%
from nowcast.training.run import train

run = work / "run"
train(config, [store], run, device="cpu")
sorted(path.name for path in run.iterdir())

# %%
records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
figure = Figure(figsize=(8, 2.6), layout="constrained")
for ax, stage in zip(figure.subplots(1, 2), config.stages, strict=True):
    steps = [record for record in records if record["stage"] == stage and "loss" in record]
    ax.plot([record["step"] for record in steps], [record["loss"] for record in steps])
    ax.set(title=stage, xlabel="step", ylabel="loss", ylim=(0, None))
figure

# %% [markdown]
# ## Forecasts
#
# Every model is asked in the same way, trained or not, by its run folder or by its name (`nowcast models` lists them):
# *persistence* says that all stays as it is, *advection* moves the last frame along the motion it has seen. Both make a
# single member. `predldm` is a model that comes with the package, trained on real radar of three services. The forecast
# is a CF NetCDF file with latitude and longitude that any tool for weather data opens.
#
# On the command line: `nowcast forecast predldm sevir.zarr predldm.nc --ensemble 10 --limit 1`.

# %%
import xarray as xr

from nowcast.forecasting.forecast import Request, load_forecaster, write_forecast


def forecast(model: str, name: str, **request) -> Path:
    """A forecast file of the first test window."""
    forecaster, described = load_forecaster(model, device="cpu")
    return write_forecast(forecaster, store, work / name, Request(limit=1, **request), described=described)


files = {
    "ours": forecast(str(run), "ours.nc", members=4),
    "shipped": forecast("predldm", "predldm.nc", members=10),
    "advection": forecast("advection", "advection.nc"),
}
xr.open_dataset(files["shipped"])

# %%
from nowcast.plots.maps import plot_forecast
from pipelines.store.schema import open_store

plot_forecast(xr.open_dataset(files["advection"]), open_store(store))

# %% [markdown]
# Advection keeps the storms as they were and moves them. Now the ensemble: what was observed, the mean of the members,
# one member, the share of members above a threshold, and how far they spread.

# %%
plot_forecast(xr.open_dataset(files["shipped"]), open_store(store))

# %% [markdown]
# The model that we trained above has seen a few dozen windows, and its members do not look like storms yet. To go on
# from the shipped weights on one's own archive takes a fraction of the time:
# `nowcast train finetune --init predldm --store sevir.zarr --run run`.

# %%
plot_forecast(xr.open_dataset(files["ours"]), open_store(store))

# %% [markdown]
# ## The same seed, the same member
#
# Member 1 of a case is the same field whether it is made with three others or a hundred, in which batch, or on which
# machine, for its noise comes from the seed, the case and its own number, and from nothing else. So an ensemble can be
# made in parts and put together, and a forecast can be repeated.

# %%
few = xr.open_dataset(forecast(str(run), "few.nc", members=2))
many = xr.open_dataset(files["ours"])
difference = np.abs(few["vil"] - many["vil"].isel(member=slice(2)))
print(f"largest difference of members 0 and 1 in counts: {difference.max().item():g}")

# %% [markdown]
# Is any of it good? That is a question for [verification](3-verification-and-calibration.py).
