"""DWD's RADOLAN, from files written here byte by byte after DWD's description; places by its table of corners."""

import bz2
import gzip
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import InputError
from pipelines.radar.files import product, read_counts, read_header, read_values
from pipelines.store.geo import projection
from pipelines.store.units import RAIN_RATE, REFLECTIVITY

NO_DATA, CLUTTER, SECONDARY = 2500 | 0x2000, 2490 | 0x8000, 0x1000  # flags are the four bits above the value


def radolan(path: Path, raw: np.ndarray, kind: str = "RY", *, version=3, digits=2, minutes=5, more="") -> Path:
    """A composite of 1 July 2024, 12:00 UTC, row 0 in the south."""
    places = "<asb,boo,ros>"
    body = raw.astype("u1" if raw.dtype == "u1" else "<u2").tobytes()

    def head(size: int) -> bytes:
        grid = f"{raw.shape[0]:4d}x{raw.shape[1]:4d}"
        text = (
            f"{kind}011200100000724BY{size:7d}VS{version:2d}SW   2.29.1PR E-{digits:02d}INT{minutes:4d}GP{grid}{more}"
        )
        return f"{text}MS{len(places):3d}{places}".encode() + b"\x03"

    content = head(len(head(0)) + len(body)) + body
    opener = {".gz": gzip.compress, ".bz2": bz2.compress}.get(path.suffix, bytes)
    path.write_bytes(opener(content))
    return path


def corners(path: Path) -> list[tuple[float, float]]:
    """Latitudes and longitudes of the south-west and north-east corner of the grid."""
    grid = read_header(path).grid
    east, north = grid.west + 1000 * grid.columns, grid.south + 1000 * grid.rows
    inverse = [projection(grid.proj)(x, y, inverse=True) for x, y in ((grid.west, grid.south), (east, north))]
    return [(lat, lon) for lon, lat in inverse]


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
def test_rain_of_five_minutes_by_hand(tmp_path, suffix):
    raw = np.zeros((900, 900), int)
    raw[0, :4] = 50, NO_DATA, CLUTTER, 10 | SECONDARY
    raw[899, 899] = 4095
    path = radolan(tmp_path / f"raa01-ry_10000-2407011200-dwd---bin{suffix}", raw)
    header = read_header(path)
    assert (header.quantity, header.times) == (RAIN_RATE, (datetime(2024, 7, 1, 12),))
    values = read_values(path, 0)
    np.testing.assert_allclose(values[0, :5], [6, np.nan, np.nan, 1.2, 0], rtol=1e-6)  # 0.5 mm in 5 minutes
    assert values[899, 899] == pytest.approx(491.4)
    assert read_counts(path, 0, RAIN_RATE)[0, 1] == 255
    assert product(path) == "raa01-ry_10000--dwd"


def test_the_grid_of_900_kilometres_lies_where_dwd_says(tmp_path):
    (south, west), (north, east) = corners(radolan(tmp_path / "ry2407011200---bin", np.zeros((900, 900))))
    assert (south, west) == pytest.approx((46.9526, 3.5889), abs=1e-4)
    assert (north, east) == pytest.approx((54.7405, 15.7208), abs=1e-4)


def test_hourly_sums_and_the_grid_of_yw(tmp_path):
    hourly = radolan(tmp_path / "rw2407011200---bin", np.full((900, 900), 25), "RW", digits=1, minutes=60)
    assert read_values(hourly, 0)[5, 5] == pytest.approx(2.5)
    daily = radolan(tmp_path / "rz2407011200---bin", np.full((900, 900), 24), "RZ", digits=0, minutes=2, more="U1")
    assert read_values(daily, 0)[5, 5] == pytest.approx(0.5)  # 24 mm in two days
    adjusted = radolan(tmp_path / "yw2407011200---bin", np.full((1100, 900), 25), "YW")
    assert read_values(adjusted, 0)[5, 5] == pytest.approx(3.0)
    (south, west), (north, east) = corners(adjusted)
    assert (south, west) == pytest.approx((46.1929, 4.6759), abs=1e-4)
    assert (north, east) == pytest.approx((55.5342, 17.1128), abs=1e-4)


def test_reflectivity_on_wgs84(tmp_path):
    """The north-west pixel of DWD's WGS84 grid lies about its projection's origin, 55.8621 N 1.4633 E at its corner."""
    raw = np.full((1200, 1100), 745)
    raw[0, 1] = NO_DATA
    path = radolan(tmp_path / "wn2407011200---bin", raw, "WN", version=5, digits=1, more="VV 000MF 00000002")
    assert read_header(path).quantity == REFLECTIVITY
    np.testing.assert_allclose(read_values(path, 0)[0, :2], [4.75, np.nan])  # 745 / 10 / 2 - 32.5
    grid = read_header(path).grid
    north = grid.south + 1000 * grid.rows
    lon, lat = projection(grid.proj)(grid.west, north, inverse=True)
    assert (lat, lon) == pytest.approx((55.8621, 1.4633), abs=2e-4)
    assert "ellps=sphere" not in grid.proj and "6370040" not in grid.proj


@pytest.mark.parametrize(
    ("kind", "more", "reason"),
    [
        ("RV", "VV 030MF 00000002", "it is a forecast, 30 minutes after its time; expected observed radar"),
        ("SF", "", "RADOLAN's SF is not read; expected one of RY, RW, "),
    ],
)
def test_others_are_refused(tmp_path, kind, more, reason):
    path = radolan(tmp_path / "a2407011200---bin", np.zeros((900, 900)), kind, more=more)
    with pytest.raises(InputError, match=reason):
        read_header(path)


def test_reflectivity_in_one_byte(tmp_path):
    raw = np.full((900, 900), 145, "uint8")
    raw[0, :3] = 249, 250, 255
    path = radolan(tmp_path / "rx2407011200---bin", raw, "RX", digits=0)
    assert read_header(path).quantity == REFLECTIVITY
    np.testing.assert_array_equal(read_values(path, 0)[0, :4], [np.nan, np.nan, np.nan, 40])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content[:5000], r"it has 49\d\d bytes of pixels; expected 900 x 900 x 2"),
        (lambda content: content[:50], "it is no RADOLAN composite; got b'RY0112"),
        (lambda content: b"\x89HDF" + content, "it is no RADOLAN composite"),
        (lambda content: content.replace(b"900x 900", b"901x 900"), "a grid of 901 x 900 pixels is not known"),
    ],
)
def test_damaged_files_are_one_line(tmp_path, change, reason):
    path = radolan(tmp_path / "a---bin", np.zeros((900, 900)))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=f"^a---bin cannot be read: {reason}") as caught:
        read_header(path)
        read_values(path, 0)
    assert "\n" not in str(caught.value)


def test_a_compressed_file_cut_off_is_one_line(tmp_path):
    path = radolan(tmp_path / "a---bin.bz2", np.zeros((900, 900)))
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(InputError, match=r"^a---bin\.bz2 cannot be read: "):
        read_header(path)
