"""A small store and a toy network, for tests of everything that is not the network."""

import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import zarr
from pydantic import BaseModel, ConfigDict
from torch import nn

import nowcast.models
from nowcast.config import RunConfig, parse_config
from nowcast.models.network import Network, NetworkSettings
from pipelines import store

SIDE, FRAMES = 16, 30
PROJ = "+proj=laea +lat_0=38 +lon_0=-98 +a=6370997 +units=m +no_defs"


class Sampling(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    member_batch: int = 3
    gain: float = 1.0


class Settings(NetworkSettings):
    rate_of_nan: float = 0.0
    sampling: Sampling = Sampling()

    @property
    def members_at_once(self) -> int:
        return self.sampling.member_batch


class Toy(Network):
    """Two scalars: stage one learns a gain, stage two an offset."""

    Settings = Settings
    stages = ("gain", "offset")

    def __init__(self, settings: Settings, *, pretrained: bool = True):
        super().__init__(settings, pretrained=pretrained)
        self.gain = nn.Linear(1, 1, bias=False)
        self.offset = nn.Linear(1, 1)
        self.register_buffer("scale", torch.zeros(()))

    def trained_modules(self, stage):
        return [getattr(self, stage)]

    def begin(self, stage, batches):
        self.scale.fill_(torch.stack([batch.history.mean() for batch in batches]).mean())

    def loss(self, stage, batch, generator):
        noise = torch.randn(batch.future.shape, generator=generator)
        last = batch.history[:, -1:, :, :, None] / 50
        out = self.gain(last) + (self.offset(last) if stage == "offset" else 0)
        loss = ((out[..., 0] - batch.future / 50 - 0.1 * noise) ** 2).mean()
        return {"loss": loss * (float("nan") if self.settings.rate_of_nan else 1), "noise": noise.mean()}

    def preview(self, stage, batch, generator):
        return batch.history[:, -1:].expand(-1, self.settings.lead, -1, -1)

    def condition(self, history, observed):
        return history

    def generate(self, history, steps, generators):
        last = history[:, None, -1:].expand(-1, len(generators[0]), steps, -1, -1)
        noise = [[torch.randn(last.shape[2:], generator=g) for g in row] for row in generators]
        return last + self.settings.sampling.gain * torch.stack([torch.stack(row) for row in noise])


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
