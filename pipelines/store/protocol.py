"""Evaluation protocols: the dates, windows, reducer and thresholds under which scores may be compared.

A protocol is one YAML file in configs/protocols/; its name is a contract and is written into every store,
forecast and score file made under it.
"""

import math
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipelines.errors import InputError
from pipelines.store.settings import describe, find_config, read_yaml

FACTOR = 3  # archive pixels along a side of a pixel of the store, unless the reducer is none
_PICTURES = re.compile(r"(\d+),(\d+(?:\.\d+)?),([\w-]+)")
_RADAR = re.compile(r"([\d.]+)min,(\w+)")


class Protocol(BaseModel):
    """The settings that must be equal for two sets of scores to be comparable.

    Attributes:
        name: File stem of the protocol.
        source: Where its numbers come from.
        grid: Pixels along a side of the scored field.
        reducer: How 384 becomes `grid` (see pipelines.building.resample), or a picture does (see
            pipelines.video.prepare).
        history: Frames given to the model.
        lead: Frames forecast.
        stride: Frames between the starts of two evaluation windows of an event.
        cadence_minutes: Minutes between frames; a file may give `fps`, frames a second, instead.
        val_from: First UTC time of the validation split; events before it are the training split. A protocol of video
            has no dates: its splits are those of the data set.
        test_from: First UTC time of the test split.
        id_shares: In place of dates, the shares of the training and of the validation split among all events, sorted
            by id; the rest is the test split.
        image_types: Image types that the catalog must have of an event.
        frames: The frames of an event that are taken, its first; None for all.
        max_missing: Events with a larger share of missing pixels, by the catalog, are left out.
        thresholds: Event thresholds on the count scale, `>=`; without any there are no scores of events.
        scaling: Counts that make 1 where the source gives errors on [0, 1], and the range of PSNR and SSIM; by default
            the store's data_range.
        mean: How the source takes a score over lead times: of the sums pooled, or averaged over lead times.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    grid: int
    reducer: str
    history: int
    lead: int
    stride: int
    cadence_minutes: float
    val_from: datetime | None = None
    test_from: datetime | None = None
    id_shares: tuple[float, float] | None = None
    image_types: tuple[str, ...] = ()
    frames: int | None = Field(default=None, gt=0)
    max_missing: float | None = None
    thresholds: tuple[float, ...] = ()
    scaling: float | None = None
    mean: Literal["pooled", "lead_averaged"] = "pooled"

    @model_validator(mode="before")
    @classmethod
    def _cadence_of_rate(cls, values: dict[str, Any]) -> dict[str, Any]:
        if "fps" not in values:
            return values
        if not (fps := float(values["fps"])) > 0:
            raise ValueError("fps must be positive")
        return {**{key: value for key, value in values.items() if key != "fps"}, "cadence_minutes": 1 / (60 * fps)}

    @model_validator(mode="after")
    def _one_rule_of_splits(self) -> "Protocol":
        if self.id_shares and (self.val_from or self.test_from):
            raise ValueError("splits are by id_shares or by val_from and test_from, not by both")
        if self.id_shares and not (min(self.id_shares) >= 0 and sum(self.id_shares) <= 1):
            raise ValueError("id_shares are two shares, 1 at most together")
        return self

    @property
    def fps(self) -> float:
        """Frames a second."""
        return 1 / (60 * self.cadence_minutes)

    @property
    def factor(self) -> int:
        """Archive pixels along a side of a pixel of the grid."""
        return 1 if self.reducer == "none" else FACTOR

    def by(self, reducer: str) -> "Protocol":
        """This protocol with another reducer, which is then part of its name: NAME@REDUCER."""
        if reducer == self.reducer:
            return self
        name = f"{self.name.partition('@')[0]}@{reducer}"
        factor = 1 if reducer == "none" else FACTOR
        return self.model_copy(update={"name": name, "reducer": reducer, "grid": self.grid * self.factor // factor})

    def of_pictures(self, grid: int, fps: float, reducer: str) -> "Protocol":
        """This protocol of video for pictures of another size, rate or reducer: NAME@SIZE,RATE,REDUCER."""
        if (grid, round(fps, 6), reducer) == (self.grid, round(self.fps, 6), self.reducer):
            return self
        change = {"grid": grid, "cadence_minutes": 1 / (60 * fps), "reducer": reducer}
        return self.model_copy(update={"name": f"{self.name.partition('@')[0]}@{grid},{fps:g},{reducer}", **change})

    def of_radar(self, cadence_minutes: float, reducer: str) -> "Protocol":
        """This protocol for radar of another cadence or reducer: NAME@MINUTESmin,REDUCER."""
        if (cadence_minutes, reducer) == (self.cadence_minutes, self.reducer):
            return self
        name = f"{self.name.partition('@')[0]}@{cadence_minutes:.10g}min,{reducer}"
        return self.model_copy(update={"name": name, "cadence_minutes": cadence_minutes, "reducer": reducer})

    def split(self, time: datetime) -> str:
        """The split ("train", "val" or "test") of an event whose reference time (UTC) is `time`.

        Raises:
            InputError: when the protocol has no dates.
        """
        if self.val_from is None or self.test_from is None:
            raise InputError(f"protocol {self.name} gives no dates of splits", expected="a protocol of radar")
        if time >= self.test_from:
            return "test"
        return "val" if time >= self.val_from else "train"

    def splits(self, ids: Iterable[str]) -> dict[str, str]:
        """The split of each event of a protocol with `id_shares`, whose events are all of these; empty for others."""
        if self.id_shares is None:
            return {}
        ordered = sorted(set(ids))
        train, val = (math.floor(len(ordered) * end) for end in (self.id_shares[0], sum(self.id_shares)))
        splits = ["train"] * train + ["val"] * (val - train) + ["test"] * (len(ordered) - val)
        return dict(zip(ordered, splits, strict=True))


def load_protocol(name: str) -> Protocol:
    """The protocol called `name` in configs/protocols/, or in the YAML file at that path.

    NAME@REDUCER is the same protocol by another reducer (see `Protocol.by`), NAME@SIZE,RATE,REDUCER for other
    pictures (see `Protocol.of_pictures`), and NAME@MINUTESmin,REDUCER for other radar (see `Protocol.of_radar`).

    Raises:
        InputError: for an unknown name, an unknown key or a wrong value.
    """
    base, _, change = (name, "", "") if Path(name).is_file() else name.partition("@")
    path = find_config(base, "protocols")
    try:
        protocol = Protocol(name=path.stem, **read_yaml(path))
        if pictures := _PICTURES.fullmatch(change):
            grid, fps, reducer = pictures.groups()
            return protocol.of_pictures(int(grid), float(fps), reducer)
        if radar := _RADAR.fullmatch(change):
            return protocol.of_radar(float(radar[1]), radar[2])
        return protocol.by(change) if change else protocol
    except ValidationError as error:
        raise InputError(f"protocol {path}: {describe(error)}") from error
