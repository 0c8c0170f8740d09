"""Videos to a checked plan of clips: which frames of which file make an event, in which split, and what is left out.

A clip has as many frames as the protocol's history and lead together. Clips begin at every `stride`-th frame, and what
is left at the end of a video is dropped: the plan says how much. Of a video with more frames a second than the protocol
every n-th is taken; where the rates are no multiples the video is left out. A folder of pictures is taken to
have the protocol's rate. All clips of a video are in its split.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from pipelines.building.plan import LeftOut, Plan, amount, counted
from pipelines.errors import InputError
from pipelines.store.progress import progress
from pipelines.store.protocol import Protocol, load_protocol
from pipelines.video.footage import inspect
from pipelines.video.pictures import Clip, read_clips

EPOCH = datetime(2000, 1, 1)  # of a video's first frame, since nothing tells when it was taken
CHANNELS = {"square-grey": ("grey",), "square-rgb": ("red", "green", "blue")}
_RATE_TOLERANCE = 0.02


@dataclass(frozen=True)
class Video:
    """One video of a data set.

    Attributes:
        id: Its name, unique in the data set.
        path: A video file or a folder of pictures.
        file: Its name below the data set.
        split: "train", "val" or "test".
        kind: Its subject; may be empty.
        fps: Frames a second, where the data set knows better than the file.
        spans: Parts to take clips from: the first frame, from 0, and the one after the last. All of it when empty.
    """

    id: str
    path: Path
    file: str
    split: str
    kind: str = ""
    fps: float | None = None
    spans: tuple[tuple[int, int], ...] = ()


def protocol_of_video(name: str) -> Protocol:
    """The protocol of this name.

    Raises:
        InputError: when there is none, or it is not one of video.
    """
    rules = load_protocol(name)
    if rules.reducer not in CHANNELS:
        what = f"protocol {rules.name} is not one of video"
        raise InputError(what, got=f"reducer {rules.reducer}", expected=f"one of {', '.join(CHANNELS)}")
    return rules


def plan_clips(videos: Iterable[Video], rules: Protocol, left_out: Sequence[LeftOut] = ()) -> Plan:
    """Look into every video and cut it into clips; nothing is decoded.

    A video that cannot be opened stands in the plan as one clip with a fault.

    Args:
        videos: The videos of the data set.
        rules: Gives length, distance and rate of the clips.
        left_out: Parts of the data set that were left out before.

    Raises:
        InputError: when two videos have one name, or there is no clip.
    """
    chosen = sorted(videos, key=lambda video: video.id)
    doubled = [name for name, number in Counter(video.id for video in chosen).items() if number > 1]
    if doubled:
        raise InputError(f"two videos are called {doubled[0]}", remedy="take one of them out of the folder")
    clips: list[Clip] = []
    files: list[tuple[str, int]] = []
    gone, dropped = list(left_out), 0
    with progress("looking into videos", len(chosen)) as advance:
        for video in chosen:
            try:
                cut, size, rest = _look_into(video, rules)
                clips += cut
                files.append((video.file, size))
                dropped += rest
            except _UnfitError as error:
                gone.append(LeftOut(video.id, str(error)))
            advance()
    if not clips:
        raise InputError("no video to take", got=f"{len(gone)} left out", remedy=gone[0].reason if gone else None)
    channels = CHANNELS[rules.reducer]
    return Plan(
        title=f"{counted(len(clips), 'clip')} of {rules.history} + {rules.lead} frames at {rules.fps:g} a second, one "
        f"every {rules.stride}, from {amount(files, 'video')}",
        events=tuple(clips),
        read=partial(read_clips, rules.grid, len(channels)),
        rules=rules,
        files=tuple(files),
        left_out=tuple(gone),
        source="video",
        faults=tuple(LeftOut(clip.id, clip.fault) for clip in clips if clip.fault),
        notes=(f"  dropped at the ends of videos: {counted(dropped, 'frame')}",),
        channels=channels,
    )


class _UnfitError(Exception):
    """A sound video that does not fit the protocol."""


def _look_into(video: Video, rules: Protocol) -> tuple[list[Clip], int, int]:
    """The clips of a video, its bytes, and how many frames at its end no clip has."""
    try:
        footage = inspect(video.path)
    except InputError as error:
        return [_clip(video, range(rules.history + rules.lead), 1, rules, fault=str(error))], 0, 0
    every = _every(video.fps or footage.fps or rules.fps, rules.fps)
    spans = [range(first, min(end, footage.frames), every) for first, end in video.spans or ((0, footage.frames),)]
    parts = [part for span in spans for part in _parts(span, rules)]
    if not parts:
        raise _UnfitError(f"shorter than {rules.history + rules.lead} frames at {rules.fps:g} a second")
    rest = sum(len(span) for span in spans) - len({frame for part in parts for frame in part})
    return [_clip(video, part, every, rules) for part in parts], footage.size, rest


def _every(fps: float, wanted: float) -> int:
    every = max(1, round(fps / wanted))
    if abs(fps / wanted / every - 1) > _RATE_TOLERANCE:
        raise _UnfitError(f"{fps:.4g} frames a second, no multiple of {wanted:g}")
    return every


def _parts(span: range, rules: Protocol) -> Iterator[range]:
    length = rules.history + rules.lead
    for first in range(0, len(span) - length + 1, rules.stride):
        yield span[first : first + length]


def _clip(video: Video, frames: range, every: int, rules: Protocol, fault: str = "") -> Clip:
    step = round(6e7 * rules.cadence_minutes)  # whole microseconds, so that frames are evenly spaced
    start = round(frames.start / every * step)
    return Clip(
        id=f"{video.id}/{frames.start:04d}",
        time=EPOCH,
        offsets=tuple((start + number * step) / 1e6 for number in range(len(frames))),
        split=video.split,
        event_type=video.kind,
        path=video.path,
        file=video.file,
        frames=frames,
        fault=fault,
    )
