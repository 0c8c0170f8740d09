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
# %config InlineBackend.print_figure_kwargs = {"dpi": 80, "bbox_inches": "tight"}
import json
import os
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipelines.sevir.prepare import prepare
from pipelines.simulation.storms import simulate_archive

os.chdir(tempfile.mkdtemp())  # a folder for the files of this notebook
archive = simulate_archive(Path("archive"), events=4, seed=0)
print(prepare(archive, "sevir.zarr", protocol="sevir-128-10-10"))

# %% [markdown]
# ## A configuration is a training run
#
# A run is one YAML file in `configs/`. It is checked before anything starts: unknown keys are refused. `demo` is the
# smallest model that learns; we take still fewer steps. On the command line the same is
# `nowcast train demo --store sevir.zarr --run run --set stages.autoencoder.steps=8 ...`.

# %%
from nowcast.training.config import load_config

short = [
    f"stages.{name}.{key}={value}"
    for name in ("autoencoder", "diffusion")
    for key, value in {"steps": 8, "batch": 2, "validate_every": 8}.items()
]
config = load_config("demo", short)
for name, stage in config.stages.items():
    print(f"{name}: {stage.steps} steps of {stage.batch} windows")

# %% [markdown]
# There are two stages. The **autoencoder** learns to encode a clip of frames as a few small maps of numbers, the
# *latents*, and to decode them. Most frames are masked while it learns, so that the latents of one frame also describe
# its neighbours in time. The **diffusion** stage learns to turn noise into the latents of the future, given those of
# the past. Each member starts from its own noise, which is removed step by step.
#
# Training writes a run folder: the configuration, the model, a record of every step, and pictures. A run that was
# stopped is resumed, and ends with exactly the same weights.

# %%
from nowcast.training.run import train

run = Path("run")
train(config, [Path("sevir.zarr")], run, device="cpu")
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
# `nowcast.load` opens any model by its name (`nowcast models` lists them), run folder or checkpoint. *persistence*
# repeats the last frame, *advection* moves it along the motion that it has seen; both make one member. `predldm` comes
# with the package, trained on real radar of three national services.
#
# A history is a DataArray with dims (time, y, x) and its units: here the first 34 frames of the test event. Any radar
# of yours in counts, kg m⁻², mm h⁻¹ or dBZ serves as well.

# %%
import nowcast
from pipelines.store.schema import open_store

event = open_store("sevir.zarr")["vil"].isel(event=-1)
radar = event.swap_dims(frame="valid_time").rename(valid_time="time")
history = radar[:34]

# %%
advection = nowcast.load("advection", device="cpu").forecast(history)
nowcast.plot(advection, radar)

# %% [markdown]
# Advection keeps the storms as they were and moves them. Now an ensemble: the observation, the mean of the members, one
# member, the share of members above a threshold, and their spread.

# %%
model = nowcast.load("predldm", device="cpu")
forecast = model.forecast(history, members=20)
nowcast.plot(forecast, radar)

# %% [markdown]
# The forecast is a DataArray too. How likely are 74 counts in the pixel where the storm was strongest?

# %%
y, x = np.unravel_index(np.nanargmax(history[-1]), history.shape[1:])
chance = (forecast[:, :, y, x] >= 74).mean("member")
for lead, share in zip(chance["lead_time"].values, chance.values, strict=True):
    print(f"{lead / np.timedelta64(1, 'm'):2.0f} minutes: {share:4.0%}")

# %% [markdown]
# `nowcast forecast predldm sevir.zarr forecast.nc` writes such forecasts for all test windows of a store, as a CF
# NetCDF file with latitude and longitude that any tool for weather data opens.
#
# The model that we trained above has seen a few dozen windows, and its members do not look like storms yet. Fine-tuning
# the shipped weights on your own archive takes a fraction of the time:
# `nowcast train finetune --init predldm --store sevir.zarr --run run`.

# %%
ours = nowcast.load(run, device="cpu")
many = ours.forecast(history, members=4)
nowcast.plot(many, radar)

# %% [markdown]
# ## The same seed, the same member
#
# Member 1 of a case is the same field, up to rounding, whether it is made with three others or a hundred, in any batch,
# on any machine: its noise depends only on the seed, the case and the number of the member. So an ensemble can be made
# in parts and put together, and a forecast can be repeated.

# %%
few = ours.forecast(history, members=2)
difference = np.abs(few - many[:2]).max().item()
print(f"largest difference of members 0 and 1: {difference:.3f} counts")

# %% [markdown]
# Is any of it good? That is a question for [verification](3-verification-and-calibration.ipynb).
