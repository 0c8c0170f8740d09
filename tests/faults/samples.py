"""Sound small inputs of every kind that nowcast reads from outside, made anew in a folder."""

import csv
import gzip
import json
import struct
from pathlib import Path

import av
import cv2
import h5py
import numpy as np
import xarray as xr

from pipelines.store.geo import SEVIR_PROJ, grid_mapping, lat_lon

SIDE, FRAMES, START = 16, 6, np.datetime64("2019-07-01T10:00", "ns")
PROTOCOL = """source: a test
grid: 16
reducer: none
history: 2
lead: 2
stride: 1
cadence_minutes: 5
val_from: 2018-01-01T00:00:00
test_from: 2019-01-01T00:00:00
thresholds: [16, 74]
"""
RUN = """model: unet
protocol: sevir-128-10-10
network: {offset: 0.0, scale: 50.0, history: 2, lead: 2, side: 16, widths: [2], centre: 2}
stages:
  regression: {steps: 3, batch: 1}
"""
POINTS = 'name,lat,lon\nGeneva,38.05,-97.95\n"Ab, c",38.1,-97.9\n'
AREAS = {"type": "FeatureCollection", "features": [
    {"type": "Feature", "properties": {"name": "A"}, "geometry": {"type": "Polygon", "coordinates":
        [[[-97.99, 38.01], [-97.95, 38.01], [-97.95, 38.05], [-97.99, 38.01]]]}},
    {"type": "Feature", "id": 3, "properties": None, "geometry": {"type": "Point", "coordinates": [-97.9, 38.1]}},
]}  # fmt: skip


def counts(*shape: int) -> np.ndarray:
    """Counts with a few missing pixels."""
    drawn = np.random.default_rng(0).integers(0, 255, shape, dtype="uint8")
    drawn[..., 0] = 255
    return drawn


def archive(folder: Path) -> Path:
    """SEVIR's layout: a catalog, two events in an HDF5 file, and a protocol for it."""
    (folder / "data/vil").mkdir(parents=True)
    (folder / "tiny.yaml").write_text(PROTOCOL)
    ids = ["A", "B"]
    with h5py.File(folder / "data/vil/one.h5", "w") as file:
        file["id"] = np.array(ids, "S")
        shape = (len(ids), SIDE, SIDE, FRAMES)
        file.create_dataset("vil", data=counts(*shape), chunks=(1, *shape[1:]), compression="gzip", shuffle=True)
    rows = [
        {
            "id": name, "file_name": "vil/one.h5", "file_index": number, "img_type": "vil",
            "time_utc": f"2019-07-01 1{number}:00:00", "minute_offsets": "0:5:10:15:20:25", "event_type": "Hail",
            "llcrnrlat": 38, "llcrnrlon": -98, "proj": SEVIR_PROJ, "size_x": SIDE, "width_m": 1000 * SIDE,
            "urcrnrlat": 38.144, "urcrnrlon": -97.818, "pct_missing": 0,
        }
        for number, name in enumerate(ids)
    ]  # fmt: skip
    with (folder / "CATALOG.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def odim(path: Path) -> Path:
    """A composite of rain rates in OPERA's model."""
    where = {"projdef": SEVIR_PROJ, "LL_lon": -98.0, "LL_lat": 38.0, "xscale": 1000.0, "yscale": 1000.0}
    with h5py.File(path, "w") as file:
        file.create_group("what").attrs.update({"date": "20210704", "time": "155000", "object": "COMP"})
        file.create_group("where").attrs.update(where)
        file.create_dataset("dataset1/data1/data", data=counts(8, 8), compression="gzip", chunks=(4, 8))
        file.create_group("dataset1/data1/what").attrs["quantity"] = np.bytes_("RATE")
        file.create_group("dataset1/what").attrs.update({"gain": 0.5, "offset": 0.0, "nodata": 255.0, "undetect": 0.0})
    return path


def knmi(path: Path) -> Path:
    """An accumulation of five minutes in KNMI's format."""
    text = {"product_datetime_start": "25-AUG-2010;23:55:00.000", "product_datetime_end": "26-AUG-2010;00:00:00.000"}
    sizes = {"geo_pixel_size_x": 1.0, "geo_pixel_size_y": -1.0, "geo_number_rows": 8, "geo_number_columns": 8,
             "geo_row_offset": 3650.0, "geo_column_offset": 10.0}  # fmt: skip
    proj = "+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +a=6378.14 +b=6356.75 +x_0=0 y_0=0"
    calibration = {"calibration_formulas": "GEO=0.01*PV+0.0", "calibration_missing_data": np.array([255]),
                   "calibration_out_of_image": np.array([255])}  # fmt: skip
    with h5py.File(path, "w") as file:
        file.create_group("overview").attrs.update(text)
        file.create_group("geographic").attrs.update({"geo_dim_pixel": "KM,KM"} | sizes)
        file.create_group("geographic/map_projection").attrs["projection_proj4_params"] = proj
        file.create_group("image1").attrs["image_geo_parameter"] = "ACCUMULATED_PRECIPITATION_[MM]"
        file["image1/image_data"] = counts(8, 8)
        file.create_group("image1/calibration").attrs.update(calibration)
    return path


def cf_radar(frames: int = FRAMES, side: int = SIDE) -> xr.Dataset:
    """Rain rates by CF."""
    metres = 1000.0 * (np.arange(side) + 0.5)
    axes = {name: (name, metres, {"standard_name": f"projection_{name}_coordinate", "units": "m"}) for name in "yx"}
    times = START + np.arange(frames) * np.timedelta64(300, "s")
    rate = counts(frames, side, side).astype("float32") / 10
    attrs = {"units": "mm h-1", "standard_name": "rainfall_rate", "grid_mapping": "crs"}
    crs = ((), np.int32(0), grid_mapping(SEVIR_PROJ))
    return xr.Dataset({"rate": (("time", "y", "x"), rate, attrs), "crs": crs}, {"time": times, **axes})


def forecast(leads: int = 2, members: int = 3) -> xr.Dataset:
    """An ensemble of two events of `archive`."""
    centres = 1000.0 * (np.arange(SIDE) + 0.5)
    lat, lon = lat_lon(SEVIR_PROJ, 0.0, 0.0, centres, centres)
    steps = np.arange(1, leads + 1) * np.timedelta64(300, "s").astype("timedelta64[ns]")
    init = np.array([START + np.timedelta64(60 * hour + 10, "m") for hour in range(2)])
    field = counts(2, members, leads, SIDE, SIDE).astype("float32")
    field[field == 255] = np.nan
    return xr.Dataset(
        {"vil": (("case", "member", "lead_time", "y", "x"), field, {"units": "1"})},
        {
            "event": ("case", ["A", "B"]), "init_time": ("case", init), "member": np.arange(members),
            "valid_time": (("case", "lead_time"), init[:, None] + steps), "lead_time": steps,
            "latitude": (("case", "y", "x"), np.stack([lat, lat])), "y": centres, "x": centres,
            "longitude": (("case", "y", "x"), np.stack([lon, lon])),
            "proj": ("case", [SEVIR_PROJ] * 2), "corner_x": ("case", [0.0, 0.0]), "corner_y": ("case", [0.0, 0.0]),
        },
        {"model": "made", "Conventions": "CF-1.8", "config": json.dumps({"model": "made"})},
    )  # fmt: skip


def grib2(path: Path) -> Path:
    """A field of MRMS's rain rates, gzipped where the name says so."""
    raw = counts(8, 8).astype(np.uint16) + 30
    first, last = 54_995_000, 54_995_000 - 10_000 * 7
    grid = struct.pack(">HBBIBIBIIIII", 0, 2, 0, 0, 0, 0, 0, 0, 8, 8, 0, 0)
    grid += struct.pack(">IIBIIIIB", first, 230_005_000, 48, last, 230_075_000, 10_000, 10_000, 0)
    bodies = {
        1: struct.pack(">HHBBBH5BBB", 161, 0, 255, 1, 3, 2019, 6, 10, 0, 2, 36, 0, 7),
        3: struct.pack(">BIBBH", 0, 64, 0, 0, 0)[:7] + grid,
        4: struct.pack(">HHBB7xI12x", 0, 0, 6, 1, 0),
        5: struct.pack(">IHfHHBB", 64, 41, -30.0, 0, 1, 16, 0),
        6: bytes([255]),
        7: cv2.imencode(".png", raw)[1].tobytes(),
    }
    parts = b"".join(struct.pack(">IB", len(body) + 5, number) + body for number, body in bodies.items())
    message = b"GRIB\0\0" + bytes([209, 2]) + struct.pack(">Q", len(parts) + 20) + parts + b"7777"
    path.write_bytes(gzip.compress(message, mtime=0) if path.suffix == ".gz" else message)
    return path


def radolan(path: Path) -> Path:
    """A composite of 900 x 900 pixels, gzipped."""
    text = "RY011200100000724BY1620000VS 3SW   2.29.1PR E-02INT   5GP 900x 900MS  5<asb>"
    path.write_bytes(gzip.compress(text.encode() + b"\x03" + bytes(2 * 900 * 900), mtime=0))
    return path


def geotiff(path: Path) -> Path:
    """A band of rain rates."""
    import rasterio
    from rasterio.transform import from_origin

    profile = {"driver": "GTiff", "count": 1, "height": 8, "width": 8, "dtype": "float32", "crs": "EPSG:3035"}
    with rasterio.open(path, "w", transform=from_origin(4100e3, 2800e3, 1000, 1000), **profile) as file:
        file.write(counts(1, 8, 8).astype("float32") / 10)
        file.units = ["mm/h"]
    return path


def video(folder: Path) -> Path:
    """A video, a folder of pictures, and a file of sequences."""
    frames = [np.full((16, 16, 3), 10 * number, np.uint8) for number in range(22)]
    (folder / "pictures").mkdir(parents=True)
    with av.open(folder / "a.mkv", "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    coded = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames]
    for number, picture in enumerate(coded):
        (folder / f"pictures/{number}.jpg").write_bytes(picture)
    header = bytearray(1024)
    struct.pack_into("<II", header, 568, 102, len(frames))
    records = [struct.pack("<I", len(picture) + 4) + picture + bytes([1] * 8) for picture in coded]
    (folder / "b.seq").write_bytes(bytes(header) + b"".join(records))
    return folder


def checkpoint(path: Path) -> Path:
    """A tiny U-Net."""
    import yaml

    from nowcast.models import build_network
    from nowcast.models.checkpoint import save_tensors

    config = yaml.safe_load(RUN)
    network = build_network(config["model"], config["network"])
    save_tensors(path, network.state_dict(), {"config": config, "stages": ["regression"]})
    return path
