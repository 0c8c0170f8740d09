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
# # 1. The archive and the store
#
# SEVIR is an archive of storms over the United States: some 20,000 events, each four hours of radar in 49 frames of 384
# x 384 pixels of 1 km. The radar gives *vertically integrated liquid* (VIL), the mass of water in the column of air
# above a pixel, in kg m⁻². It tells a storm's core from drizzle better than rain at the ground.
#
# This notebook walks from that archive to the *store* that everything else in nowcast works on. So that it runs
# anywhere in a few seconds, it first simulates a tiny archive in SEVIR's own layout. With the real one, put its folder
# or `s3://sevir/data` in place of `archive` below; nothing else changes.

# %%
# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 80, "bbox_inches": "tight"}
import os
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from pipelines.simulation.storms import simulate_archive

os.chdir(tempfile.mkdtemp())  # a folder for the files of this notebook
archive = simulate_archive(Path("archive"), events=4, seed=0)
for path in sorted(archive.rglob("*")):
    if path.is_file():
        print(f"{path.relative_to(archive)}  {path.stat().st_size / 1e6:.1f} MB")

# %% [markdown]
# On the command line this is `nowcast simulate-sevir archive --events 4`. There are HDF5 files by year, and a catalog
# with one row per event and sensor. We need the rows of VIL only: place, time, file, and the number of the event in
# that file.

# %%
catalog = pd.read_csv(archive / "CATALOG.csv")
catalog[["id", "file_name", "file_index", "time_utc", "event_type", "llcrnrlat", "llcrnrlon", "pct_missing"]]

# %%
with h5py.File(archive / "data" / catalog["file_name"][0]) as file:
    print({name: (dataset.shape, dataset.dtype.name) for name, dataset in file.items()})

# %% [markdown]
# ## Counts, and what they mean
#
# A pixel is one byte: a *count* from 0 to 254, or 255 where it is missing. Counts are not proportional to water: from
# 18 on, each count adds 2.6 percent of liquid, so that most values are spent where storms differ. nowcast gives fields,
# thresholds and errors in counts, as the papers do. `pipelines.store.units` converts counts to kg m⁻², and the colour
# bars of maps have both.

# %%
from pipelines.store.units import counts_to_vil

counts = np.arange(255, dtype="float32")
figure = Figure(figsize=(6, 2.6), layout="constrained")
ax = figure.add_subplot(xlabel="count", ylabel="VIL (kg m$^{-2}$)", yscale="log", ylim=(0.01, 120))
ax.plot(counts[6:], counts_to_vil(counts)[6:])
for threshold in (16, 74, 133, 160, 181, 219):  # the thresholds that the papers score
    ax.axvline(threshold, color="grey", linewidth=0.7, linestyle=":")
    ax.text(threshold, 0.012, f" {threshold}", fontsize=8, color="grey")
figure

# %% [markdown]
# ## Looking without converting
#
# `open_archive` gives the archive as an xarray Dataset. Nothing has been read yet; an event is read when you ask for
# its numbers. That works on the bucket, too: looking at one event there fetches that event and not the terabyte around
# it.

# %%
from pipelines.sevir.prepare import open_archive

lazy = open_archive(archive)
lazy

# %% [markdown]
# The event's map projection is known, so its frames can be drawn where they belong. The first row of the array is the
# *south*. Outlines of coasts and states come with the package; nothing is downloaded.

# %%
from nowcast.plots.panels import Place, draw_panel, vil_look


def tile(event) -> Place:
    """Where an event lies: its projection, and its edges in projected metres."""
    west, south, side = float(event["corner_x"]), float(event["corner_y"]), 384_000.0
    return Place(str(event["proj"].values), (west, west + side, south, south + side))


event, look = lazy.isel(event=0), vil_look()
figure = Figure(figsize=(11, 3.4))
for column, frame in enumerate((0, 16, 32, 48)):
    ax = figure.add_subplot(1, 4, column + 1, projection=tile(event).crs())
    draw_panel(ax, event["vil"][frame].values, look, tile(event), ["left", "bottom"] if not column else ["bottom"])
    ax.set_title(f"{event['valid_time'][frame].dt.strftime('%Y-%m-%d %H:%M').item()} UTC", fontsize=9)
bar = figure.colorbar(ScalarMappable(look.norm, look.cmap), ax=figure.axes, label=look.label, shrink=0.8, pad=0.02)
bar.set_ticks(list(look.ticks), labels=list(look.ticks.values()), fontsize=7)
figure

# %% [markdown]
# ## The store
#
# Training reads the same windows over and over in random order, which HDF5 files of hundreds of events are bad at. So
# the archive is turned, once, into a Zarr store: chunked by event, sharded into few files, reduced to 128 x 128 pixels
# if you like, with times, places and splits beside the counts.
#
# What the store must look like is written down in a *protocol*, a small YAML file: grid, reducer, the dates that part
# training from test, the windows and the thresholds. Scores of two models can be compared only under the same protocol,
# so every forecast and every score file carries its name. The plan comes first, and says which events are left out and
# why:

# %%
from pipelines.sevir.prepare import plan_archive, prepare

print(plan_archive(archive, protocol="sevir-128-10-10"))

# %%
print(prepare(archive, "sevir.zarr", protocol="sevir-128-10-10"))

# %% [markdown]
# On the command line: `nowcast prepare-sevir archive sevir.zarr`, with `--dry-run` for the plan alone. A second run has
# nothing to do, and a run that was killed is resumed. `nowcast info` describes any store, run, forecast or score file:

# %%
# !nowcast info sevir.zarr

# %% [markdown]
# ## How 384 becomes 128
#
# "128 x 128" means different things in different papers: the average of nine pixels, their maximum, or the middle one.
# A maximum makes storms wider and stronger; the middle pixel leaves them ragged. Scores cannot be compared between
# reducers, so the reducer is a part of the protocol. Here are 48 km around the strongest pixel of one frame.

# %%
frame = event["vil"][24].values
row, column = np.unravel_index(np.nanargmax(frame), frame.shape)
row, column = (int(np.clip(place // 3 - 8, 0, 112)) for place in (row, column))

figure = Figure(figsize=(11, 3))
full = figure.add_subplot(1, 5, 1)
draw_panel(full, frame[3 * row : 3 * row + 48, 3 * column : 3 * column + 48], look).set_title("384", fontsize=9)
for number, reducer in enumerate(("mean", "max", "center", "antialias")):
    reduced = open_archive(archive, reducer=reducer)["vil"][0, 24, row : row + 16, column : column + 16]
    ax = figure.add_subplot(1, 5, number + 2)
    draw_panel(ax, reduced.values, look).set_title(f"128, {reducer}", fontsize=9)
figure

# %% [markdown]
# ## Windows
#
# A model sees ten frames and forecasts the ten that follow. A *window* is such a piece of one event. It never crosses
# the end of an event, so no window mixes two splits.

# %%
from nowcast.data.windows import evaluation_windows
from pipelines.store.protocol import load_protocol
from pipelines.store.schema import open_store

store = open_store("sevir.zarr")
protocol = load_protocol("sevir-128-10-10")
for split in ("train", "val", "test"):
    windows = evaluation_windows(store, protocol, split)
    print(f"{split}: {len(windows)} windows, such as {windows[0]}")

# %% [markdown]
# Next: [train a model on such a store and forecast with it](2-train-and-forecast.ipynb).
