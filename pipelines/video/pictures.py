"""A clip of a video, and how its pictures are read.

Pictures are cut to their largest centred square and resized, in grey or colour: made smaller by the mean over area, and
larger by bilinear interpolation. Grey is luma (ITU-R BT.601).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipelines.errors import InputError
from pipelines.store.schema import Event
from pipelines.video.footage import read


@dataclass(frozen=True, kw_only=True)
class Clip(Event):
    """An event and where its frames are.

    Attributes:
        path: The video.
        file: Its name below the data set.
        frames: Numbers of its frames in the video.
        fault: Why the video cannot be read; empty when it can.
    """

    path: Path
    file: str
    frames: range
    fault: str = ""


def read_clips(side: int, channels: int, clips: Sequence[Clip]) -> np.ndarray:
    """The pictures of clips, uint8 with shape (clip, frame, channel, side, side); every video is opened once.

    Raises:
        InputError: when one of them cannot be read.
    """
    faults = [clip.fault for clip in clips if clip.fault]
    if faults:
        raise InputError(faults[0])
    pixels = np.empty((len(clips), len(clips[0].frames), channels, side, side), np.uint8)
    for path in {clip.path for clip in clips}:
        members = [(place, clip.frames) for place, clip in enumerate(clips) if clip.path == path]
        wanted = sorted({number for _, frames in members for number in frames})
        for number, picture in zip(wanted, read(path, wanted), strict=True):
            small = squared(picture, side, channels)
            for place, frames in members:
                if number in frames:
                    pixels[place, frames.index(number)] = small
    return pixels


def squared(picture: np.ndarray, side: int, channels: int) -> np.ndarray:
    """The largest centred square of a picture, resized.

    Args:
        picture: RGB, uint8 with shape (y, x, 3).
        side: Pixels along a side of the result.
        channels: 3, or 1 for grey.

    Returns:
        uint8 with shape (channel, side, side).
    """
    height, width = picture.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = np.ascontiguousarray(picture[top : top + edge, left : left + edge])
    if channels == 1:
        square = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA if edge > side else cv2.INTER_LINEAR)
    return np.moveaxis(small.reshape(side, side, channels), -1, 0)
