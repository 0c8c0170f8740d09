"""MRMS GRIB2 read from small files written here by its specification, numbers by hand."""

import gzip
import struct
from datetime import datetime

import cv2
import numpy as np
import pytest

from pipelines.errors import InputError
from pipelines.radar.files import read_counts, read_header, read_values
from pipelines.store.units import RAIN_RATE, REFLECTIVITY


def grib2(
    raw: np.ndarray,
    *,
    parameter=(209, 6, 1),
    scan: int = 0,
    packing: int = 41,
    bits: int = 16,
    minute: int = 2,
    ahead=0,
) -> bytes:
    """One message of values (raw - 30) / 10 on a grid of 0.01 degree whose first pixel is at 54.995 N, 230.005 E."""
    rows, columns = raw.shape[:2]
    first, last = 54_995_000, 54_995_000 - 10_000 * (rows - 1)
    first, last = (first, last) if scan == 0 else (last, first)
    grid = struct.pack(">HBBIBIBIIIII", 0, 2, 0, 0, 0, 0, 0, 0, columns, rows, 0, 0)
    grid += struct.pack(
        ">IIBIIIIB", first, 230_005_000, 48, last, 230_005_000 + 10_000 * (columns - 1), 10_000, 10_000, scan
    )
    data = cv2.imencode(".png", raw)[1].tobytes() if packing == 41 else raw.astype(">u2").tobytes()
    bodies = {
        1: struct.pack(">HHBBBH5BBB", 161, 0, 255, 1, 3, 2019, 6, 10, 0, minute, 36, 0, 7),
        3: struct.pack(">BIBBH", 0, rows * columns, 0, 0, 0)[:7] + grid,
        4: struct.pack(">HHBB7xI12x", 0, 0, *parameter[1:], ahead),
        5: struct.pack(">IHfHHBB", rows * columns, packing, -30.0, 0, 1, bits, 0),
        6: bytes([255]),
        7: data,
    }
    sections = b"".join(struct.pack(">IB", len(body) + 5, number) + body for number, body in bodies.items())
    return b"GRIB\0\0" + bytes([parameter[0], 2]) + struct.pack(">Q", len(sections) + 20) + sections + b"7777"


@pytest.mark.parametrize("packing", [41, 0])
def test_mrms_by_hand(tmp_path, packing):
    raw = np.array([[0, 30], [31, 1030], [40, 29]], np.uint16)
    path = tmp_path / "m.grib2"
    path.write_bytes(grib2(raw, packing=packing))
    header = read_header(path)
    assert header.quantity == RAIN_RATE
    assert header.times == (datetime(2019, 6, 10, 0, 2, 36),)
    grid = header.grid
    assert (grid.proj, grid.rows, grid.columns) == ("+proj=longlat", 3, 2)
    assert (grid.west, grid.south, grid.width_m) == pytest.approx((-130, 54.97, 0.01))
    np.testing.assert_allclose(read_values(path, 0), [[1, -0.1], [0.1, 100], [np.nan, 0]], atol=1e-5)


def test_negative_numbers_of_grib_have_a_sign_and_a_size(tmp_path):
    """10.005 S to 10.025 S, and a binary scale of -1: the value is (raw / 2 - 30) / 10."""
    content = grib2(np.array([[60, 62], [64, 66], [68, 70]], np.uint16))
    for old, new in (
        (struct.pack(">I", 54_995_000), struct.pack(">I", 2**31 + 10_005_000)),
        (struct.pack(">I", 54_975_000), struct.pack(">I", 2**31 + 10_025_000)),
        (struct.pack(">fHH", -30, 0, 1), struct.pack(">fHH", -30, 2**15 + 1, 1)),
    ):
        assert content.count(old) == 1
        content = content.replace(old, new)
    (tmp_path / "m.grib2").write_bytes(content)
    assert read_header(tmp_path / "m.grib2").grid.south == pytest.approx(-10.03)
    np.testing.assert_allclose(read_values(tmp_path / "m.grib2", 0), [[0.4, 0.5], [0.2, 0.3], [0, 0.1]], atol=1e-5)


def test_mrms_gzipped_and_from_the_south(tmp_path):
    raw = np.array([[31, 32], [33, 34]], np.uint16)
    path = tmp_path / "MRMS_PrecipRate_00.00_20190610-000236.grib2.gz"
    path.write_bytes(gzip.compress(grib2(raw, scan=64)))
    assert read_header(path).grid.south == pytest.approx(54.98)
    np.testing.assert_allclose(read_values(path, 0), [[0.1, 0.2], [0.3, 0.4]], atol=1e-5)


def test_mrms_reflectivity_has_another_value_of_no_coverage(tmp_path):
    message = bytearray(grib2(np.array([[0, 30]], np.uint16), parameter=(209, 10, 0)))
    at = message.index(struct.pack(">f", -30.0))
    message[at : at + 4] = struct.pack(">f", -9990.0)
    (tmp_path / "m.grib2").write_bytes(message)
    assert read_header(tmp_path / "m.grib2").quantity == REFLECTIVITY
    np.testing.assert_allclose(read_values(tmp_path / "m.grib2", 0), [[np.nan, -996]])


def test_mrms_cut_off_in_its_gzip(tmp_path):
    path = tmp_path / "m.grib2.gz"
    path.write_bytes(gzip.compress(grib2(np.full((2, 2), 30, np.uint16)))[:-20])
    with pytest.raises(InputError, match=r"m\.grib2\.gz cannot be read"):
        read_header(path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda good: b"not GRIB at all" + good, "not GRIB2"),
        (lambda good: good[:-9], "it ends after"),
        (lambda good: good[:12], "cannot be read"),
        (lambda good: good.replace(b"\x89PNG", b"\x89PNX"), "PNG is damaged"),
        (lambda good: grib2(np.zeros((2, 2), np.uint16), parameter=(0, 1, 8)), "none of PrecipRate"),
        (lambda good: grib2(np.zeros((2, 2), np.uint16), packing=40), "packing template 5.40"),
    ],
)
def test_mrms_that_cannot_be_read_says_why(tmp_path, spoil, reason):
    path = tmp_path / "m.grib2"
    path.write_bytes(spoil(grib2(np.full((2, 2), 30, np.uint16))))
    with pytest.raises(InputError, match=reason):
        read_header(path)
        read_values(path, 0)


def test_mrms_of_24_bits_has_red_first(tmp_path):
    """The number 0x010203 is a pixel of red 1, green 2 and blue 3; OpenCV writes blue first."""
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0, 1] = [3, 2, 1]
    (tmp_path / "m.grib2").write_bytes(grib2(picture, bits=24))
    np.testing.assert_allclose(read_values(tmp_path / "m.grib2", 0)[1, 1], (0x010203 - 30) / 10)


@pytest.mark.parametrize("suffix", [".grib2", ".grib2.gz"])
def test_every_message_of_a_file_is_a_frame(tmp_path, suffix):
    content = b"".join(grib2(np.full((2, 2), 30 + 10 * n, np.uint16), minute=2 * n) for n in range(3)) + b"\n"
    path = tmp_path / f"m{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    assert read_header(path).times == tuple(datetime(2019, 6, 10, 0, minute, 36) for minute in (0, 2, 4))
    assert [read_values(path, number)[0, 0] for number in range(3)] == [0, 1, 2]


def test_every_field_of_a_message_is_a_frame(tmp_path):
    """GRIB2 may repeat the sections 4 to 7 in one message."""
    one, two = (grib2(np.full((2, 2), 30 + 10 * n, np.uint16)) for n in range(2))
    at = two.index(struct.pack(">HHBB", 0, 0, 6, 1)) - 5
    content = one[:-4] + two[at:]
    content = content[:8] + struct.pack(">Q", len(content)) + content[16:]
    (tmp_path / "m.grib2").write_bytes(content)
    assert len(read_header(tmp_path / "m.grib2").times) == 2
    assert [read_values(tmp_path / "m.grib2", number)[0, 0] for number in range(2)] == [0, 1]


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (
            grib2(np.full((2, 2), 30, np.uint16), parameter=(209, 3, 41)),
            "message 2 of 2 is of another",
        ),
        (grib2(np.full((2, 3), 30, np.uint16)), "message 2 of 2 is of another"),
        (grib2(np.full((2, 2), 30, np.uint16))[:-9], "it ends after .* bytes of a message"),
        (b"something else", "it is not GRIB2 from byte .* on"),
        (grib2(np.full((2, 2), 30, np.uint16), ahead=15), "it is a forecast, 15 steps after its reference time"),
    ],
)
def test_messages_that_do_not_fit_the_first_are_named(tmp_path, second, reason):
    (tmp_path / "m.grib2").write_bytes(grib2(np.full((2, 2), 30, np.uint16)) + second)
    with pytest.raises(InputError, match=rf"m\.grib2 cannot be read: {reason}"):
        read_header(tmp_path / "m.grib2")


def test_no_coverage_is_missing_no_echo_is_dry_and_other_codes_are_refused(tmp_path):
    path = tmp_path / "m.grib2"
    path.write_bytes(grib2(np.array([[0, 20], [30, 130]], np.uint16)))  # -3, -1, 0 and 10
    assert read_counts(path, 0, RAIN_RATE).tolist() == [[0, 121], [255, 0]]
    path.write_bytes(grib2(np.array([[0, 10], [30, 130]], np.uint16)))  # -2
    with pytest.raises(InputError, match=r"m\.grib2: rain rate in mm h-1 cannot be -2; got 25\.0% of pixels"):
        read_counts(path, 0, RAIN_RATE)
