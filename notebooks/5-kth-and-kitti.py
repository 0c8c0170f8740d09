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
# # 5. People and streets: KTH and KITTI
#
# Nothing in a model that continues a radar film knows that it is radar. Papers on such models, PredLDM's among them,
# therefore also report how they continue video: people who walk, box and wave (KTH, grey), and the view from a driving
# car (KITTI to train on, Caltech Pedestrian to test on, in colour). Ten frames in, ten out, 128 x 128 pixels.
#
# Both data sets are for you to download. Here we draw tiny ones in their layout, and take them the whole way: films to
# a store, a store to forecasts, forecasts to scores.

# %%
# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 80, "bbox_inches": "tight"}
import os
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np
import xarray as xr

os.chdir(tempfile.mkdtemp())  # a folder for the files of this notebook

# %% [markdown]
# ## KTH: who is in the test?
#
# KTH has six folders of films of 25 people, and the name of a film says who does what:
# `walking/person17_walking_d1_uncomp.avi`. The split is by *person*, 1 to 16 for training and 17 to 25 for the test, so
# that a model is tested on people it has never seen.


# %%
def walker(frame: int, speed: float) -> np.ndarray:
    """A person of sticks on a lawn, with shape (120, 160)."""
    picture = np.full((120, 160), 150, np.uint8)
    picture[95:] = 120
    x, swing = int(40 + speed * frame) % 180 - 10, int(9 * np.sin(0.5 * frame))
    cv2.circle(picture, (x, 35), 7, 60, -1)
    for start, end in (((x, 42), (x, 70)), ((x, 48), (x + swing, 64)), ((x, 48), (x - swing, 64))):
        cv2.line(picture, start, end, 60, 5)
    for end in ((x + swing, 98), (x - swing, 98)):
        cv2.line(picture, (x, 70), end, 40, 6)
    return cv2.GaussianBlur(picture, (5, 5), 0)


def film(path: Path, frames: list[np.ndarray], fps: int) -> None:
    """Grey pictures as an AVI file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=fps)
        stream.height, stream.width = frames[0].shape
        stream.bit_rate = 2_000_000
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        file.mux(stream.encode())


for person, speed in ((1, 2.0), (2, 3.0), (17, 2.5)):
    name = f"walking/person{person:02}_walking_d1_uncomp.avi"
    film(Path("kth") / name, [walker(frame, speed) for frame in range(45)], fps=25)

# %% [markdown]
# On the command line: `nowcast prepare-kth kth kth.zarr`. A film is cut into clips of twenty frames, which never
# overlap.

# %%
from pipelines.building.prepare import prepare
from pipelines.video.kth import plan_kth

print(prepare(plan_kth("kth"), "kth.zarr"))

# %%
from pipelines.store.schema import open_store

kth = open_store("kth.zarr")
kth

# %% [markdown]
# The store is like that of radar, with three differences: a pixel is a brightness from 0 to 255, none of them missing;
# there is a dimension `channel`, and no place on the map; and the first row is at the *top*, as films have it.
#
# ## KITTI: in colour
#
# KITTI's raw data are folders of PNG files, ten per second, one folder per drive and camera.


# %%
def street(frame: int) -> np.ndarray:
    """A road that comes nearer, with shape (94, 310, 3)."""
    picture = np.empty((94, 310, 3), np.uint8)
    picture[:45], picture[45:] = (150, 190, 230), (90, 140, 80)
    cv2.fillPoly(picture, [np.array([[150, 45], [160, 45], [250, 94], [60, 94]])], (110, 110, 110))
    for tree in range(8):
        near = ((tree * 12 + frame) % 96) / 96  # 0 at the horizon, 1 beside us
        size, side = int(4 + 50 * near**2), (-1) ** tree
        foot = (155 + int(side * (8 + 130 * near**2)), int(45 + 40 * near**2))
        cv2.line(picture, foot, (foot[0], foot[1] - size), (90, 60, 40), 1 + size // 10)
        cv2.circle(picture, (foot[0], foot[1] - size), 1 + size // 2, (30, 90 + 10 * tree, 40), -1)
    return picture


drive = Path("kitti") / "2011_09_26" / "2011_09_26_drive_0001_sync" / "image_02" / "data"
drive.mkdir(parents=True)
for frame in range(40):
    cv2.imwrite(str(drive / f"{frame:010}.png"), street(frame)[..., ::-1])  # OpenCV writes blue first

# %% [markdown]
# `nowcast prepare-kitti kitti kitti.zarr --caltech caltech`; without Caltech's films there is no test split. The
# largest square in the middle of each picture is taken and reduced to 128 x 128 pixels.

# %%
from pipelines.video.kitti import plan_kitti

print(prepare(plan_kitti("kitti"), "kitti.zarr"))
kitti = open_store("kitti.zarr")

# %%
from matplotlib.figure import Figure

figure = Figure(figsize=(11, 2.4), layout="constrained")
for ax, frame in zip(figure.subplots(1, 5), range(0, 20, 4), strict=False):
    ax.imshow(kitti["video"][0, frame].transpose("y", "x", "channel"))
    ax.set(xticks=[], yticks=[], title=f"{frame / 10:g} s")
figure

# %% [markdown]
# ## Forecasts
#
# A trained model works on such a store as on radar (`nowcast train CONFIG --store kth.zarr --set
# protocol=kth-128-10-10`). So do the two that need no training: persistence and advection.

# %%
from nowcast.forecasting.forecast import Request, load_forecaster, write_forecast

files = {}
for model in ("persistence", "advection"):
    forecaster, described = load_forecaster(model)
    files[model] = write_forecast(forecaster, Path("kth.zarr"), Path(f"{model}.nc"), Request(), described=described)
xr.open_dataset(files["advection"])

# %%
import nowcast

nowcast.plot(files["advection"], kth)

# %% [markdown]
# Optical flow carries the body along, but it does not swing arms and legs, and it drags the lawn along with the feet.
# To do better, a model has to learn how people walk.
#
# ## Scores
#
# For video the papers report the squared error (MSE), its logarithm (PSNR), structural similarity (SSIM) and perceptual
# distances (LPIPS, FVD). There are no thresholds, and so no hits and misses.

# %%
import pandas as pd

import nowcast

scores = nowcast.verify(files["advection"], "kth.zarr", reference=files["persistence"], samples=0)
names = {"mse_pooled": "MSE", "psnr_pooled": "PSNR (dB)", "ssim_pooled": "SSIM"}
rows = {str(scores["model"][k].item()): [scores[name][k].item() for name in names] for k in range(2)}
pd.DataFrame.from_dict(rows, orient="index", columns=list(names.values())).round(3)

# %% [markdown]
# FVD and LPIPS need networks whose weights you download: `nowcast verify` takes them with `--lpips-weights` and
# `--i3d-weights`; a wrong file is refused with a line that says where to get the right one. `nowcast animate
# advection.nc walk.gif --store kth.zarr` shows it in motion.
#
# Next: [your own radar](6-my-own-radar.ipynb), from a folder of files to a forecast and a page.
