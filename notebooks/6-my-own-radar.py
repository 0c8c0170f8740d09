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
# # 6. My own radar
#
# You have a folder of radar files, as your service publishes them or as you wrote them. This notebook answers three
# questions about it: *What comes next, and how sure is it? When does it rain at my place? Is the model better than
# what I run now?* No store is made, and nothing is trained.
#
# Put your folder in place of `None`. GRIB2, HDF5 (ODIM, KNMI), NetCDF, Zarr and more are read, one frame to a file or
# many, and times are taken from the files. Without a folder, the notebook makes one: three hours of simulated storms
# over Switzerland, one NetCDF file every five minutes, in mm h⁻¹.

# %%
# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 80, "bbox_inches": "tight"}
import os
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from pipelines.simulation.fields import simulate_counts
from pipelines.store.geo import grid_mapping
from pipelines.store.units import RAIN_RATE, from_counts

MY_RADAR = None  # such as "/data/radar/2026-07-01"
MY_PLACES = {"Bern": (46.948, 7.447), "Zurich": (47.377, 8.542), "Lugano": (46.004, 8.951)}

os.chdir(tempfile.mkdtemp())  # a folder for the files of this notebook
os.environ["FORCE_COLOR"] = ""  # the commands below print plain text, without moving progress bars


def make_radar(folder: Path) -> Path:
    """Write 37 frames of rain rates, 128 x 128 pixels of 3 km, one CF NetCDF file each."""
    folder.mkdir()
    counts = np.moveaxis(simulate_counts(np.random.default_rng(7))[1::3, 1::3, :37], -1, 0)
    rates = from_counts(counts.astype("float32"), RAIN_RATE)
    metres = (np.arange(128) - 63.5) * 3000
    axes = {name: (name, metres, {"standard_name": f"projection_{name}_coordinate", "units": "m"}) for name in "yx"}
    crs = ((), 0, grid_mapping("+proj=laea +lat_0=46.9 +lon_0=8.2 +units=m"))
    for number, rate in enumerate(rates):
        time = np.datetime64("2026-07-01T12:00", "ns") + number * np.timedelta64(5, "m")
        variable = (("time", "y", "x"), rate[None], {"units": "mm h-1", "grid_mapping": "crs"})
        frame = xr.Dataset({"rainfall_rate": variable, "crs": crs}, {"time": [time], **axes})
        frame.to_netcdf(folder / f"rain_{np.datetime_as_string(time, 'm').replace(':', '')}.nc")
    return folder


radar = Path(MY_RADAR) if MY_RADAR else make_radar(Path("radar"))
print(*sorted(file.name for file in radar.iterdir())[:3], "...", sep="\n")

# %% [markdown]
# ## Is it understood?
#
# Ask before you forecast: grid, projection, cadence, gaps, units, the largest value, the share that is missing.

# %%
# !nowcast info radar

# %% [markdown]
# ## What comes next?
#
# `--init` names the newest frame that the model may see. Left out, it is the newest frame there is; here we stop fifty
# minutes before the end, so that we can look at what came. Eight members are enough for a notebook; the default is 100.

# %%
# !nowcast forecast predldm radar forecast.nc --init 2026-07-01T14:10 --ensemble 8

# %% [markdown]
# The forecast is in the radar's own units, and so are its maps. A threshold may have any unit of radar.

# %%
import nowcast

leads = [np.timedelta64(minutes, "m") for minutes in (10, 30, 50)]
nowcast.plot("forecast.nc", radar, lead_times=leads, members=[0, 1], threshold="5mm/h")

# %% [markdown]
# On the command line: `nowcast plot forecast.nc map.png --store radar --member 0 --member 1 --threshold 5mm/h
# --lead-time 10 --lead-time 30 --lead-time 50`. The same in dBZ takes `--units dBZ`; here is the chance of 35 dBZ.

# %%
nowcast.plot("forecast.nc", radar, lead_times=leads[2:], threshold="35dBZ", units="dBZ")

# %% [markdown]
# ## When does it rain at my place?
#
# `nowcast.at` answers for the pixel that contains a point, and for polygons such as catchments. The times and amounts
# are those of the members, so "80 %" means four of five of them.

# %%
from nowcast.forecasting.sentences import sentences
from nowcast.plots.plume import plot_plume

answered = nowcast.at("forecast.nc", MY_PLACES, obs=radar, thresholds=["1mm/h", "5mm/h"])
print(*sentences(answered), sep="\n")

# %%
plot_plume(answered)

# %% [markdown]
# On the command line: `nowcast at forecast.nc --point Bern=46.948,7.447 --threshold 1mm/h --store radar --out bern`,
# which writes the answers as CSV and NetCDF and draws the plume.
#
# ## A page to look at
#
# One HTML file without server or network: a map with a time slider and layers. A click anywhere shows that pixel's
# plume, probabilities and onset. Mail it, or put it on a screen in the office.

# %%
# !nowcast page forecast.nc --store radar --out nowcast.html --threshold 1mm/h --threshold 5mm/h

# %% [markdown]
# ## Is it better than what I run now?
#
# `nowcast compare` chooses wet cases from the folder, forecasts with each model, scores, and answers in one sentence
# with an interval, and on one page. In earnest you would compare with pysteps' STEPS on days of radar: `nowcast compare
# radar --models predldm --reference pysteps --out compared`. Three hours are too few to tell, and it says so.

# %%
# !nowcast compare radar --models advection --reference persistence --out compared

# %% [markdown]
# `nowcast watch radar --out live` does all this by itself while files come in: it forecasts as soon as the newest frame
# is complete, and writes forecast, page and a link to the latest.
