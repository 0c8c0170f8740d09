"""Frames as they come, by their number: video files, folders of pictures, and Caltech Pedestrian's .seq files.

A .seq file (of StreamPix; see seqIo of P. Dollar's toolbox) has a header of 1024 bytes, little-endian: at 568 the
format of the pictures, where 102 and 201 mean JPEG, and at 572 the number of frames, 0 where it was not known. Of each
frame there follow the number of bytes of its picture and of that number itself (4), the picture, and a time (8), in
some files with 8 empty bytes after it.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av
import cv2
import numpy as np

from pipelines.errors import InputError

PICTURES = {".png", ".jpg", ".jpeg", ".bmp"}
VIDEOS = {".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".seq"}

# By their names in FFmpeg; without playlists, which have it read other files.
_CONTAINERS = "avi,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpeg,mpegvideo,mpegts,m4v"
_SEQ_HEADER, _SEQ_FORMAT, _SEQ_FRAMES, _SEQ_JPEG = 1024, 568, 572, {102, 201}
_SEQ_TIME = 8


@dataclass(frozen=True)
class Footage:
    """Length, rate and size of a video.

    Attributes:
        frames: How many frames there should be.
        fps: Frames a second; None where it does not say.
        size: Bytes on disk.
    """

    frames: int
    fps: float | None
    size: int


def inspect(path: Path) -> Footage:
    """Inspect a video file, a folder of pictures or a .seq file; no frame is decoded.

    Raises:
        InputError: when it cannot be read.
    """
    if path.is_dir():
        pictures = _pictures(path)
        return Footage(len(pictures), None, sum(picture.stat().st_size for picture in pictures))
    if not path.is_file():
        raise InputError(f"{path} is no file")
    size = path.stat().st_size
    if path.suffix == ".seq":
        with path.open("rb") as file:
            return Footage(len(_seq_places(file, path)), None, size)
    try:
        with _opened(path) as container:
            stream = container.streams.video[0]
            fps = float(stream.average_rate) if stream.average_rate else None
            frames = stream.frames or sum(packet.size > 0 for packet in container.demux(stream))
            return Footage(frames, fps, size)
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{path} cannot be read", got=error, remedy="fetch it anew and run again") from error


def _opened(path: Path) -> Any:
    """A video file, open for reading, whatever its suffix says; only containers that hold their frames themselves."""
    return av.open(str(path.resolve()), options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"})


def read(path: Path, numbers: Sequence[int]) -> Iterator[np.ndarray]:
    """The frames of these numbers (ascending, from 0), RGB, uint8 with shape (y, x, 3), row 0 at the top.

    A video file is decoded from its start to the last of them.

    Raises:
        InputError: at a frame that cannot be read.
    """
    frames = _of_folder if path.is_dir() else _of_seq if path.suffix == ".seq" else _of_video
    return frames(path, numbers)


def _pictures(folder: Path) -> list[Path]:
    """The pictures of a folder by the numbers in their names, so that 10 comes after 9."""
    pictures = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.is_file()]
    return sorted(pictures, key=lambda path: [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", path.name)])


def _of_folder(path: Path, numbers: Sequence[int]) -> Iterator[np.ndarray]:
    pictures = _pictures(path)
    for number in numbers:
        yield _decoded(pictures[number].read_bytes(), f"{pictures[number]}")


def _decoded(content: bytes, name: str) -> np.ndarray:
    buffer = np.frombuffer(content, np.uint8)
    picture = cv2.imdecode(buffer, cv2.IMREAD_COLOR) if buffer.size else None
    if picture is None:
        raise InputError(f"{name} cannot be read", expected="a picture", remedy="fetch it anew and run again")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _of_video(path: Path, numbers: Sequence[int]) -> Iterator[np.ndarray]:
    left = list(numbers)
    try:
        with _opened(path) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number == left[0]:
                    yield frame.to_ndarray(format="rgb24")
                    left.pop(0)
                if not left:
                    return
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{path} cannot be read", got=error, remedy="fetch it anew and run again") from error
    raise InputError(f"{path} ends before frame {left[0]}", remedy="fetch it anew and run again")


def _of_seq(path: Path, numbers: Sequence[int]) -> Iterator[np.ndarray]:
    with path.open("rb") as file:
        places = _seq_places(file, path)
        for number in numbers:
            start, size = places[number]
            file.seek(start)
            yield _decoded(file.read(size), f"frame {number} of {path}")


def _seq_places(file: BinaryIO, path: Path) -> list[tuple[int, int]]:
    """First byte and number of bytes of the picture of each frame."""
    header = file.read(_SEQ_HEADER)
    if len(header) < _SEQ_HEADER or _number(header, _SEQ_FORMAT) not in _SEQ_JPEG:
        raise InputError(f"{path} is not a .seq file of JPEG pictures", remedy="fetch it anew and run again")
    frames = _number(header, _SEQ_FRAMES)
    places: list[tuple[int, int]] = []
    start, gap = _SEQ_HEADER, _SEQ_TIME
    while not frames or len(places) < frames:
        file.seek(start)
        field = file.read(4)
        if not frames and not field:
            break
        if len(field) < 4 or (size := _number(field)) <= 4:
            raise InputError(f"{path} ends before frame {len(places)}", remedy="fetch it anew and run again")
        places.append((start + 4, size - 4))
        if len(places) == 1:
            file.seek(start + size + gap)
            gap += 8 * (file.read(4) == bytes(4))
        start += size + gap
    return places


def _number(content: bytes, place: int = 0) -> int:
    return struct.unpack_from("<I", content, place)[0]
