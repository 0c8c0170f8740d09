"""Clips to a store, and any folder of videos to clips.

Pictures are cut to their largest centred square and resized, in grey or colour: made smaller by the mean over area, and
larger by bilinear interpolation. Grey is luma (ITU-R BT.601).
"""

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from pipelines.building import engine
from pipelines.errors import InputError
from pipelines.sevir.prepare import Summary
from pipelines.store.kind import VIDEO
from pipelines.store.rejects import read_rejects
from pipelines.store.schema import attributes
from pipelines.video.clips import CHANNELS, Clip, ClipPlan, Video, plan_clips, protocol_of_video
from pipelines.video.footage import PICTURES, VIDEOS, read

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")


def prepare(
    plan: ClipPlan,
    store: str | Path,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    overwrite: bool = False,
    tell: Callable[[str], None] = log.info,
) -> Summary:
    """Make the store of a plan; run again, it goes on, mends, or does nothing.

    A video that cannot be read costs its clips only: they are the summary's rejects.

    Args:
        plan: Of `pipelines.video.kth`, `pipelines.video.kitti` or `plan_folder`.
        store: Where the store will appear.
        workers: Processes.
        scheduler: Address of a dask scheduler that does the work instead.
        overwrite: Replace a store made from other clips or otherwise.
        tell: Is given the plan in words before the work begins.

    Raises:
        InputError: when something else is at `store`, or no video can be read.
    """
    tell(str(plan))
    rules, store = plan.rules, Path(store)
    channels = CHANNELS[rules.reducer]
    attrs = attributes(
        plan.clips,
        protocol=rules.name,
        reducer=rules.reducer,
        cadence_minutes=rules.cadence_minutes,
        source_files=[f"{name} {size} bytes" for name, size in plan.files],
        kind=VIDEO,
    )
    written = engine.build(
        store,
        plan.clips,
        partial(read_clips, rules.grid, len(channels)),
        side=rules.grid,
        channels=channels,
        attrs=attrs | {"left_out": [f"{row.id}: {row.reason}" for row in plan.left_out]},
        workers=workers,
        scheduler=scheduler,
        overwrite=overwrite,
    )
    splits = dict(Counter(clip.split for clip in plan.clips))
    rejects = tuple(read_rejects(store))
    return Summary(store, len(plan.clips), written, splits, len(plan.left_out), rejects, source="videos")


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


def plan_folder(
    source: str | Path,
    *,
    protocol: str = "video-256-10-10",
    size: int | None = None,
    fps: float | None = None,
    grey: bool = False,
    split_rule: str = "80/10/10",
) -> ClipPlan:
    """The clips of any folder: of every video file, and of every folder of pictures, in it or below.

    Args:
        source: The folder.
        protocol: Name or file of a protocol of video.
        size: Pixels along a side instead of the protocol's.
        fps: Frames a second instead of the protocol's.
        grey: Grey instead of the protocol's colours.
        split_rule: Percentages of the videos for train, val and test, by a hash of the video's name; or "folders":
            videos are in folders called train, val and test.

    Raises:
        InputError: for anything wrong with the folder or the options.
    """
    root = Path(source)
    rules = protocol_of_video(protocol)
    rules = rules.of_pictures(size or rules.grid, fps or rules.fps, "square-grey" if grey else rules.reducer)
    split_of = _rule(split_rule)
    names = [path.relative_to(root).as_posix() for path in _videos_below(root)]
    if not names:
        raise InputError(f"no video in {root}", expected=f"pictures, or files ending in {', '.join(sorted(VIDEOS))}")
    return plan_clips([Video(name, root / name, name, split_of(name)) for name in names], rules)


def _videos_below(root: Path) -> Iterator[Path]:
    for folder, _, files in os.walk(root, followlinks=True):
        suffixes = {Path(file).suffix.lower() for file in files}
        if suffixes & PICTURES:
            yield Path(folder)
        yield from (Path(folder, file) for file in files if Path(file).suffix.lower() in VIDEOS)


def _rule(text: str) -> Callable[[str], str]:
    """From the name of a video to its split."""
    if text == "folders":
        return _folder_split
    shares = [int(share) for share in text.split("/")] if re.fullmatch(r"\d+/\d+/\d+", text) else []
    if sum(shares) != 100:
        raise InputError("wrong split rule", got=text, expected="folders, or three percentages such as 80/10/10")
    hundred = [split for split, share in zip(SPLITS, shares, strict=True) for _ in range(share)]
    return lambda name: hundred[int(hashlib.sha256(name.encode()).hexdigest(), 16) % 100]


def _folder_split(name: str) -> str:
    split = name.partition("/")[0]
    if split not in SPLITS:
        raise InputError(f"{name} is in no split", expected=f"a folder called {', '.join(SPLITS)}")
    return split
