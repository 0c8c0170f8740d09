"""Any folder of videos or of pictures to a plan of clips."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from pipelines.building.plan import Plan
from pipelines.errors import InputError
from pipelines.video.clips import Video, plan_clips, protocol_of_video
from pipelines.video.footage import PICTURES, VIDEOS

SPLITS = ("train", "val", "test")


def plan_folder(
    source: str | Path,
    *,
    protocol: str = "video-256-10-10",
    size: int | None = None,
    fps: float | None = None,
    grey: bool = False,
    split_rule: str = "80/10/10",
) -> Plan:
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
