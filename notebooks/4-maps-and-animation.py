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
# # 4. Maps and animation
#
# A forecast file knows where it lies: latitude and longitude of every pixel, and the projection of its event. This
# notebook draws it with cartopy, first with the pictures that come with nowcast, then piece by piece with your own. It
# works without a network: cartopy would fetch its coastlines, nowcast brings its own outlines.

# %%
# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 80, "bbox_inches": "tight"}
import os
import tempfile
from pathlib import Path

import cartopy.crs as ccrs
import numpy as np
import xarray as xr
from IPython.display import Image
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from scipy.ndimage import shift

from nowcast.forecasting.forecast import Request, load_forecaster, write_forecast
from pipelines.sevir.prepare import prepare
from pipelines.simulation.storms import simulate_archive
from pipelines.store.schema import open_store

os.chdir(tempfile.mkdtemp())  # a folder for the files of this notebook
prepare(simulate_archive(Path("archive"), events=4, seed=0), "sevir.zarr", protocol="sevir-128-10-10")
store = open_store("sevir.zarr")

# %% [markdown]
# An ensemble to look at: advection, and sixteen members that are pushed off its path, as in the [notebook
# before](3-verification-and-calibration.ipynb).

# %%
forecaster, described = load_forecaster("advection")
file = write_forecast(forecaster, Path("sevir.zarr"), Path("advection.nc"), Request(limit=1), described=described)
advection = xr.open_dataset(file).isel(member=0, drop=True)
members = np.empty((16, *advection["vil"].shape), "float32")
rng = np.random.default_rng(0)
for member in members:
    y, x = rng.normal(0, 0.8, 2)
    for lead in range(10):
        member[:, lead] = shift(advection["vil"][:, lead], (0, y * (lead + 1), x * (lead + 1)), order=0)

forecast = advection.assign(vil=(("member", *advection["vil"].dims), members)).assign_coords(member=np.arange(16))
forecast.attrs["model"] = "pushed advection"

# %% [markdown]
# ## All at once
#
# `nowcast plot forecast.nc map.png --store sevir.zarr`, or in Python:

# %%
import nowcast

nowcast.plot(forecast, store)

# %% [markdown]
# ## One panel on your own axes
#
# A `Look` holds colours and their meaning, a `Place` the projection and edges of a field, and `draw_panel` draws a
# field on axes of yours. They are ordinary cartopy axes: here the chance of 74 counts in half an hour in colours, and a
# red line around the pixels that were then observed above it.

# %%
from nowcast.data.observations import Observations
from nowcast.plots.panels import draw_panel, find_place, probability_look
from nowcast.plots.rows import observed_row

half_an_hour = forecast.isel(case=0, lead_time=5)
probability = (half_an_hour["vil"] >= 74).mean("member").values
observed = observed_row(Observations.open(store), forecast.isel(case=0)).fields[5]

place = find_place(forecast.isel(case=0))
figure = Figure(figsize=(6.5, 5.4))
ax = figure.add_subplot(projection=place.crs())
look = probability_look()
draw_panel(ax, probability, look, place, ["left", "bottom"])
figure.colorbar(ScalarMappable(look.norm, look.cmap), ax=ax, label=look.label, shrink=0.7, pad=0.02)
west, east, south, north = place.extent
x, y = np.linspace(west, east, 2 * 128 + 1)[1::2], np.linspace(south, north, 2 * 128 + 1)[1::2]
ax.contour(x, y, observed, levels=[74], colors="#c1121f", linewidths=1.2)
ax.set_title("Chance of 74 counts in half an hour, and where it came (red)", fontsize=10)
figure

# %% [markdown]
# ## Any other projection
#
# With latitude and longitude in the file no part of nowcast is needed at all. `pcolormesh` puts the pixels wherever
# cartopy can; here latitude and longitude are the axes, and north is up.

# %%
from nowcast.plots.outlines import outlines_within
from nowcast.plots.panels import vil_look

look = vil_look()
longitude, latitude = (forecast[name].values[0] for name in ("longitude", "latitude"))
figure = Figure(figsize=(7, 4.6))
ax = figure.add_subplot(projection=ccrs.PlateCarree())
mean = half_an_hour["vil"].mean("member")
pixels = ax.pcolormesh(longitude, latitude, mean, cmap=look.cmap, norm=look.norm, transform=ccrs.PlateCarree())
extent = (longitude.min(), longitude.max(), latitude.min(), latitude.max())
for degrees in outlines_within("+proj=longlat", extent).values():
    ax.plot(*degrees.T, color="white", linewidth=0.8)
ax.set_extent(extent, crs=ccrs.PlateCarree())
ax.gridlines(draw_labels={"left": "y", "bottom": "x"}, linewidth=0.4, linestyle=":")
figure.colorbar(pixels, ax=ax, label="counts", shrink=0.8)
ax.set_title("Ensemble mean in half an hour", fontsize=10)
figure

# %% [markdown]
# ## In motion
#
# `nowcast animate forecast.nc storm.gif --store sevir.zarr` writes a GIF, or an MP4 if the name ends in .mp4. It begins
# with the past, which is the same in every panel; the panels differ from the init time on.

# %%
from nowcast.plots.animation import save_animation

forecast.to_netcdf("pushed.nc")
Image(save_animation(Path("pushed.nc"), Path("storm.gif"), store=Path("sevir.zarr")))

# %% [markdown]
# Watch the observed storm and one member side by side: the member keeps its shape and drifts, the storm also grows and
# dies. The mean blurs, and the spread grows. `animate_forecast` gives the frames as arrays, should you want to cut your
# own film.
#
# Next: [video of people and streets](5-kth-and-kitti.ipynb), on which such models are compared too.
