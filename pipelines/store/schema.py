"""THE schema of an archive store: dims, coordinates, encoding; create, open, validate.

A store is a Zarr v3 group with one variable (see `pixels`), uint8. An inner chunk is one event by one 128x128 tile, a
shard 16 events, so that any window of an event is one read and an archive is thousands of objects.

- Radar: `vil`, counts 0 to 254 with `_FillValue` 255, dims (event, frame, y, x), row 0 in the south.
- Video: `video`, values 0 to 255, none of them missing, dims (event, frame, channel, y, x), row 0 at the top; an event
  is a clip of a video.

Coordinates:

    event                    id, text
    valid_time               (event, frame) UTC; of a video counted from 1 January 2000
    y, x                     pixel centres; metres north and east of the event's south-west corner, of a video pixels
                             down and right of its top left corner
    channel                  grey; or red, green, blue. Video only
    corner_x, corner_y       (event) the south-west corner in projected metres. Radar only, as the next two
    proj                     (event) PROJ string
    crs                      CF grid mapping, where all events share one projection
    split                    (event) train, val or test, by the protocol
    event_type               (event) as in the catalog, may be empty
    missing_fraction         (event, frame) share of missing pixels

Attributes: schema, schema_version, protocol, reducer, cadence_minutes, kind (radar or video), data_range (the largest
value: a larger one is missing), source_files (name and bytes), event_list_hash, code_version; left_out (what of the
source is not in it, and why). Frames that could not be read are missing, by missing_fraction, and listed
in the file rejects.jsonl.
"""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import dask.array
import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec

from pipelines import __version__
from pipelines.errors import InputError
from pipelines.store import geo, rejects
from pipelines.store.inside import check_inside
from pipelines.store.kind import RADAR, VIDEO, Kind, kind_of
from pipelines.store.reading import Pixels, guarded, readable
from pipelines.store.units import COUNTS, MISSING, QUANTITIES

SCHEMA, SCHEMA_VERSION = "nowcast-archive", 1
TILE = 128
SHARD_EVENTS = 16
_CODEC = BloscCodec(cname="lz4", clevel=5, shuffle="noshuffle", typesize=1)  # a fifth larger than zstd, twice as fast

_TEXT = ("event", "channel", "proj", "split", "event_type")
_ATTRS = {
    "event": {"long_name": "event id"},
    "valid_time": {"standard_name": "time", "long_name": "time of the frame, UTC"},
    "split": {"long_name": "split of the protocol"},
    "event_type": {"long_name": "type of the event, by its source"},
    "missing_fraction": {"long_name": "fraction of missing pixels", "units": "1"},
}
_RADAR_ATTRS = {
    "vil": QUANTITIES[COUNTS].attrs,
    "y": {"long_name": "distance north of the event's south-west corner", "units": "m", "axis": "Y"},
    "x": {"long_name": "distance east of the event's south-west corner", "units": "m", "axis": "X"},
    "corner_y": {"long_name": "projected y of the event's south-west corner", "units": "m"},
    "corner_x": {"long_name": "projected x of the event's south-west corner", "units": "m"},
    "proj": {"long_name": "PROJ string of the event's map projection"},
    **_ATTRS,
}
_VIDEO_ATTRS = {
    "video": {"long_name": "pixel value of the video", "units": "1"},
    "channel": {"long_name": "colour"},
    "y": {"long_name": "pixels below the top of the picture", "units": "1", "positive": "down"},
    "x": {"long_name": "pixels right of the left edge of the picture", "units": "1"},
    **_ATTRS,
}
_VARIABLES = {RADAR: _RADAR_ATTRS, VIDEO: _VIDEO_ATTRS}


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of a store.

    Attributes:
        id: Its name, unique in the store.
        time: Reference time, UTC, which decides the split.
        offsets: Seconds from `time` to each frame.
        split: "train", "val" or "test".
        proj: PROJ string; empty for a video, which has no place.
        corner_x: South-west corner in projected metres.
        corner_y: South-west corner in projected metres.
        event_type: Type of storm event, may be empty.
    """

    id: str
    time: datetime
    offsets: tuple[float, ...]
    split: str
    proj: str = ""
    corner_x: float = 0.0
    corner_y: float = 0.0
    event_type: str = ""

    @property
    def valid_times(self) -> np.ndarray:
        """UTC time of each frame, datetime64[us]."""
        return np.datetime64(self.time, "us") + np.rint(1e6 * np.array(self.offsets)).astype("timedelta64[us]")


def event_list_hash(events: Sequence[Event]) -> str:
    """SHA-256 of what the events are, where, when, and in which split: equal for equal lists in equal order."""
    lines = [
        f"{e.id}|{e.time.isoformat()}|{e.offsets}|{e.split}|{e.proj}|{e.corner_x:.0f}|{e.corner_y:.0f}|{e.event_type}"
        for e in events
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def attributes(
    events: Sequence[Event],
    *,
    protocol: str,
    reducer: str,
    cadence_minutes: float,
    source_files: Sequence[str],
    kind: Kind = RADAR,
) -> dict:
    """The attributes of a store, which record its origin."""
    return {
        "Conventions": "CF-1.11",
        "title": f"{kind.name.capitalize()} archive for nowcasting: {len(events)} events, protocol {protocol}",
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "protocol": protocol,
        "reducer": reducer,
        "cadence_minutes": cadence_minutes,
        "kind": kind.name,
        "data_range": kind.data_range,
        "source_files": list(source_files),
        "event_list_hash": event_list_hash(events),
        "code_version": __version__,
    }


def create(
    path: Path, events: Sequence[Event], *, side: int, pixel_m: float = 1.0, channels: Sequence[str] = (), attrs: dict
) -> None:
    """Write a store whose pixels are all missing yet.

    Args:
        path: Where; must not exist.
        events: Its events, in order, all with the same number of frames.
        side: Pixels along a side.
        pixel_m: Metres along a side of a pixel; of a video 1.
        channels: Names of the channels of a video; none for radar.
        attrs: See `attributes`.
    """
    dataset = template(events, side=side, pixel_m=pixel_m, channels=channels, attrs=attrs)
    array = pixels(dataset)
    tile = min(side, TILE)
    inner = (*array.shape[1:-2], tile, tile)
    encoding: dict = {
        name: {"chunks": variable.shape, "_FillValue": None} for name, variable in dataset.variables.items()
    }
    fill = np.uint8(MISSING) if kind_of(dataset).data_range < MISSING else None
    encoding[array.name] = {
        "chunks": (1, *inner),
        "shards": (SHARD_EVENTS, *inner),
        "_FillValue": fill,
        "fill_value": np.uint8(0) if fill is None else fill,
        "compressors": [_CODEC],
    }
    encoding["valid_time"] |= {"units": "microseconds since 1970-01-01", "dtype": "int64"}
    dataset.to_zarr(path, mode="w-", zarr_format=3, consolidated=False, compute=False, encoding=encoding)
    consolidate(path)


def consolidate(path: Path) -> None:
    """Copy the metadata of a complete Zarr store into its root, without which xarray warns whoever opens it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata is currently not part")
        zarr.consolidate_metadata(path)


def template(
    events: Sequence[Event], *, side: int, pixel_m: float = 1.0, channels: Sequence[str] = (), attrs: dict
) -> xr.Dataset:
    """A store in memory whose pixels are all missing, without any memory for them (see `create`)."""
    kind = VIDEO if channels else RADAR
    sizes = dict(zip(VIDEO.dims, (len(events), len(events[0].offsets), len(channels), side, side), strict=True))
    shape = tuple(sizes[dim] for dim in kind.dims)
    centres = geo.pixel_centres(side, pixel_m)
    dataset = xr.Dataset(
        {kind.variable: (kind.dims, dask.array.full(shape, MISSING, dtype="uint8", chunks=(SHARD_EVENTS, *shape[1:])))},
        {
            "event": ("event", _text(event.id for event in events)),
            "valid_time": (("event", "frame"), np.stack([event.valid_times for event in events])),
            "y": ("y", centres),
            "x": ("x", centres),
            "split": ("event", _text(event.split for event in events)),
            "event_type": ("event", _text(event.event_type for event in events)),
            "missing_fraction": (("event", "frame"), np.ones(shape[:2], "float32")),
            **({"channel": ("channel", _text(channels))} if channels else _places(events)),
        },
        attrs,
    )
    for variable, variable_attrs in _VARIABLES[kind].items():
        dataset[variable].attrs = dict(variable_attrs)
    if not channels and len({event.proj for event in events}) == 1:
        dataset.coords["crs"] = ((), np.int32(0), geo.grid_mapping(events[0].proj))
        dataset["vil"].attrs["grid_mapping"] = "crs"
    return dataset


def _places(events: Sequence[Event]) -> dict[str, tuple[str, np.ndarray]]:
    return {
        "corner_x": ("event", np.array([event.corner_x for event in events])),
        "corner_y": ("event", np.array([event.corner_y for event in events])),
        "proj": ("event", _text(event.proj for event in events)),
    }


def _text(values) -> np.ndarray:
    return np.array(list(values), dtype=object)


def pixels(dataset: xr.Dataset) -> xr.DataArray:
    """The one variable of a store, or of a forecast of it: `video` of a video, else `vil`."""
    return dataset[kind_of(dataset).variable]


def data_range(attrs: Mapping[str, Any]) -> int:
    """The largest value of a store with these attributes; those from before it was written down are of radar."""
    return attrs.get("data_range", RADAR.data_range)


def open_pixels(path: Path, mode: Literal["r", "r+"] = "r") -> Pixels:
    """The pixels of a store on disk as they are, uint8.

    Raises:
        InputError: when the store cannot be read.
    """
    with readable(path):
        group = zarr.open_group(path, mode=mode)
        array = group[kind_of(group).variable]
    assert isinstance(array, zarr.Array)
    return Pixels(path, array)


def open_store(path: str | Path) -> xr.Dataset:
    """Open a store lazily: `vil` is float32 counts, NaN missing, and `video` uint8, read when indexed and computed.

    Raises:
        InputError: when there is no store at `path`, one of another schema, or one that is damaged; also in reading
            the pixels, where they are damaged.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"no store at {path}", remedy="make one with a prepare- command of nowcast")
    if not any((path / name).is_file() for name in ("zarr.json", ".zgroup")):
        raise InputError(f"{path} is not a Zarr store", remedy="make one with a prepare- command of nowcast")
    check_inside(path)
    with readable(path), warnings.catch_warnings():
        warnings.filterwarnings("ignore", f"Object at {rejects.FILE} is not recognized")
        dataset = xr.open_zarr(path, chunks=None, consolidated=False, decode_coords="all")
        for name in dataset.coords:
            dataset.variables[name].load()
        try:
            validate(dataset)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        # Zarr text arrives as NumPy's StringDType, which neither netCDF nor older readers can write.
        names = [name for name in _TEXT if name in dataset.variables]
        text = {name: (dataset[name].dims, dataset[name].values.astype(object).astype(str)) for name in names}
        dataset = dataset.assign_coords({name: (*value, dataset[name].attrs) for name, value in text.items()})
    return guarded(dataset, path)


def validate(dataset: xr.Dataset) -> None:
    """Check that a dataset is a store of this schema.

    Raises:
        InputError: naming the first thing that is not as it should be.
    """
    found = f"{dataset.attrs.get('schema', 'no schema')} {dataset.attrs.get('schema_version', '')}".strip()
    if found != f"{SCHEMA} {SCHEMA_VERSION}":
        raise InputError(
            "a store of another schema",
            got=found,
            expected=f"{SCHEMA} {SCHEMA_VERSION}",
            remedy="prepare the archive again",
        )
    kind = kind_of(dataset)
    absent = [name for name in _VARIABLES[kind] if name not in dataset.variables]
    if absent:
        raise InputError("an incomplete store", got=f"no {', '.join(absent)}", remedy="prepare the archive again")
    array = pixels(dataset)
    if array.dims != kind.dims:
        raise InputError(f"{array.name} has the wrong dimensions", got=array.dims, expected=kind.dims)
