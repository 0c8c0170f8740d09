"""A small store, a toy network, histories worked out by hand, and storms of known motion."""

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from pydantic import BaseModel, ConfigDict
from pyproj import CRS
from torch import nn

import nowcast.models
from nowcast.diffusion.samplers import draw_noise
from nowcast.models.network import Network, NetworkSettings, Stage
from nowcast.training.config import RunConfig, parse_config
from pipelines.store import schema as store

SIDE, FRAMES = 16, 30
PROJ = "+proj=laea +lat_0=38 +lon_0=-98 +a=6370997 +units=m +no_defs"


class Sampling(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    member_batch: int = 3
    gain: float = 1.0


class Settings(NetworkSettings):
    offset: float = 0.0
    scale: float = 1.0
    echo: float = -1e9
    rate_of_nan: float = 0.0
    sampling: Sampling = Sampling()

    @property
    def members_at_once(self) -> int:
        return self.sampling.member_batch


class ToyStage(Stage):
    """Learns one linear layer: the gain alone, or the offset beside it."""

    def __init__(self, network, name):
        self.network, self.name = network, name

    @property
    def trained(self):
        return getattr(self.network, self.name)

    def begin(self, batches):
        self.network.scale.fill_(torch.stack([batch.history.frames.mean() for batch in batches]).mean())

    def loss(self, batch, draws):
        network = self.network
        noise = draw_noise(batch.future.frames.shape[1:], draws.cases)
        last = batch.history.frames[:, -1:, ..., None] / 50
        out = network.gain(last) + (network.offset(last) if self.name == "offset" else 0)
        loss = ((out[..., 0] - batch.future.frames / 50 - 0.1 * noise) ** 2).mean()
        return {"loss": loss * (float("nan") if network.settings.rate_of_nan else 1), "noise": noise.mean()}

    def preview(self, batch, draws):
        return batch.history.frames[:, -1:].expand(-1, self.network.settings.lead, -1, -1, -1)


class Toy(Network):
    """Two scalars: stage one learns a gain, stage two an offset."""

    Settings = Settings

    def __init__(self, settings: Settings, *, pretrained: bool = True):
        super().__init__(settings, pretrained=pretrained)
        self.gain = nn.Linear(1, 1, bias=False)
        self.offset = nn.Linear(1, 1)
        self.register_buffer("scale", torch.zeros(()))
        self.stages = {name: ToyStage(self, name) for name in ("gain", "offset")}

    def condition(self, history):
        return history.frames

    def generate(self, history, draws):
        last = history[:, None, -1:].expand(-1, len(draws.generators[0]), self.settings.lead, -1, -1, -1)
        noise = draw_noise(last.shape[2:], draws.flat).view(last.shape)
        return last + self.settings.sampling.gain * noise


@pytest.fixture
def toy_config(monkeypatch) -> RunConfig:
    """A configuration of the toy network, which is in the table of models while the test runs."""
    module = ModuleType("toy_network")
    module.Toy = Toy
    monkeypatch.setitem(sys.modules, "toy_network", module)
    monkeypatch.setitem(nowcast.models.MODELS, "toy", "toy_network:Toy")
    stage = {"steps": 20, "batch": 2, "rate": 0.01, "validate_every": 10, "schedule": "cosine", "warmup": 5}
    content = {"model": "toy", "protocol": "sevir-128-10-10", "augment": True, "network": {"side": 16}}
    return parse_config({**content, "stages": {"gain": stage, "offset": stage}}, "toy")


@pytest.fixture(scope="session")
def small_store(tmp_path_factory) -> Path:
    """Six events of 30 frames, 16x16: three of train, one of val, two of test; event 4 ends in missing frames."""
    path = tmp_path_factory.mktemp("store") / "small.zarr"
    dates = ["2018-05-01", "2018-06-01", "2018-07-01", "2019-02-01", "2019-07-01", "2019-08-01"]
    splits = ["train", "train", "train", "val", "test", "test"]
    events = [
        store.Event(
            id=f"E{number}",
            time=datetime.fromisoformat(date),
            offsets=tuple(300 * frame - 3600 for frame in range(FRAMES)),
            proj=PROJ,
            corner_x=100_000.0 * number,
            corner_y=-50_000.0,
            split=split,
        )
        for number, (date, split) in enumerate(zip(dates, splits, strict=True))
    ]
    attrs = store.attributes(
        events, protocol="sevir-128-10-10", reducer="mean", cadence_minutes=5, source_files=["made.h5 1"]
    )
    store.create(path, events, side=SIDE, pixel_m=3000.0, attrs=attrs)
    counts = np.random.default_rng(0).integers(0, 255, (6, FRAMES, SIDE, SIDE), dtype="uint8")
    counts[:, :, :2, :2] = 255
    counts[4, 25:] = 255
    group = zarr.open_group(path, mode="r+")
    group["vil"][:] = counts
    group["missing_fraction"][:] = (counts == 255).mean((2, 3))
    return path


@pytest.fixture(scope="session")
def to_history():
    """A history of counts with shape (case, frame, y, x), NaN missing, one init time for all cases."""

    def build(counts: np.ndarray) -> xr.DataArray:
        init = np.datetime64("2019-07-01T12:00:00", "s")
        times = init - np.arange(counts.shape[1] - 1, -1, -1) * np.timedelta64(300, "s")
        coords = {
            "event": ("case", [f"S{number}" for number in range(len(counts))]),
            "init_time": ("case", [init] * len(counts)),
            "valid_time": (("case", "frame"), [times] * len(counts)),
        }
        return xr.DataArray(counts.astype("float32"), dims=("case", "frame", "y", "x"), coords=coords)

    return build


@pytest.fixture(scope="session")
def lead_times():
    """The first lead times, every five minutes."""
    return lambda steps: (np.arange(1, steps + 1) * 300).astype("timedelta64[s]")


@pytest.fixture(scope="session")
def moving_storm():
    """A Gaussian storm with a peak of 150 counts that moves on by `velocity` (x, y) pixels a frame."""

    def build(start: tuple[float, float], velocity: tuple[float, float], frames: int, size: int = 64) -> np.ndarray:
        y, x = np.mgrid[:size, :size]
        centre_x, centre_y = (np.asarray(start) + np.arange(frames)[:, None] * np.asarray(velocity)).T[..., None, None]
        counts = 150 * np.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / (2 * 6.0**2))
        return np.where(counts > 5, counts, 0).astype("float32")

    return build


@pytest.fixture(scope="session")
def radar_case(shared_data) -> np.ndarray:
    """Twenty frames of 128 x 128 counts of real radar, none missing."""
    with xr.open_dataset(shared_data / "radar" / "fmi_20160928.nc", mask_and_scale=False) as file:
        counts = file["vil"].values[:20, 500:628, 300:428]
    assert (counts < 255).all() and (counts >= 16).mean() > 0.1
    return counts.astype("float32")


START = np.datetime64("2019-07-01T00:00", "s")
STEP = np.timedelta64(300, "s")


@pytest.fixture
def make_store() -> Callable[..., xr.Dataset]:
    """A store in memory from counts with dims (event, frame, y, x): events e0, e1, ..., a day apart."""

    def make(counts: np.ndarray) -> xr.Dataset:
        events, frames = counts.shape[:2]
        days = np.arange(events) * np.timedelta64(1, "D")
        return xr.Dataset(
            {"vil": (("event", "frame", "y", "x"), np.asarray(counts, "float32"))},
            {
                "event": [f"e{number}" for number in range(events)],
                "valid_time": (("event", "frame"), START + days[:, None] + np.arange(frames) * STEP),
            },
        )

    return make


@pytest.fixture
def make_forecast() -> Callable[..., xr.Dataset]:
    """A forecast in memory of events e0, e1, ... from frame `last`, dims (case, member, lead_time, y, x)."""

    def make(counts: np.ndarray, last: int = 0) -> xr.Dataset:
        cases, _, leads = counts.shape[:3]
        days = np.arange(cases) * np.timedelta64(1, "D")
        return xr.Dataset(
            {"vil": (("case", "member", "lead_time", "y", "x"), np.asarray(counts, "float32"))},
            {
                "event": ("case", [f"e{number}" for number in range(cases)]),
                "init_time": ("case", START + days + last * STEP),
                "lead_time": np.arange(1, leads + 1) * STEP,
            },
        )

    return make


@pytest.fixture(scope="session")
def cf_radar():
    """A CF dataset of counts (frame, y, x), NaN missing, pixels of 1 km, every five minutes from noon."""

    def build(counts: np.ndarray, times: np.ndarray | None = None, **attrs: str) -> xr.Dataset:
        _, rows, columns = counts.shape
        if times is None:
            times = np.datetime64("2024-07-01T12:00") + np.arange(len(counts)) * np.timedelta64(300, "s")
        proj = "+proj=laea +lat_0=52 +lon_0=10 +R=6371000 +units=m"
        place = {axis: {"units": "m", "standard_name": f"projection_{axis}_coordinate"} for axis in "yx"}
        return xr.Dataset(
            {
                "vil": (("time", "y", "x"), counts, {"units": "1", "grid_mapping": "crs", **attrs}),
                "crs": ((), 0, CRS.from_string(proj).to_cf()),
            },
            {
                "time": times.astype("datetime64[ns]"),
                "y": ("y", 1000.0 * np.arange(rows) - 1500, place["y"]),
                "x": ("x", 1000.0 * np.arange(columns) + 4500, place["x"]),
            },
        )

    return build
