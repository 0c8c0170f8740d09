"""KITTI (Geiger et al. 2013) to train on, Caltech Pedestrian (Dollar et al. 2012) to test on, in colour.

Of KITTI's raw data both colour cameras are taken: DATE/DATE_drive_NUMBER_sync/image_02|03/data/*.png, 10 frames a
second. Of Caltech its test sets 06 to 10, at 30 frames a second: setNN/VNNN.seq, or a folder setNN/VNNN of frames.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pipelines.building.plan import LeftOut, Plan
from pipelines.errors import InputError
from pipelines.video.clips import Video, plan_clips, protocol_of_video

VAL_DRIVES = ("2011_09_26_drive_0005_sync",)  # PredNet's, Lotter et al. (2017), doi:10.48550/arXiv.1605.08104
TEST_SETS = range(6, 11)
KITTI_FPS, CALTECH_FPS = 10, 30

_VIDEO = re.compile(r"(?:.*/)?(set(\d\d)/V\d\d\d)(?:\.seq)?")


def plan_kitti(
    source: str | Path, caltech: str | Path | None = None, protocol: str = "kitti-caltech-128-10-10"
) -> Plan:
    """The clips of KITTI's folder, and of Caltech's where it is given; each may be a part of the whole.

    Raises:
        InputError: when a folder has none of its videos, or the protocol is not one of video.
    """
    rules = protocol_of_video(protocol)
    videos = list(_drives(Path(source)))
    if not videos:
        raise InputError(f"no drive of KITTI in {source}", expected="DATE/DATE_drive_NUMBER_sync/image_02/data/*.png")
    left_out: list[LeftOut] = []
    if caltech is not None:
        found = list(_videos(Path(caltech)))
        if not found:
            raise InputError(f"no video of Caltech Pedestrian in {caltech}", expected="set06/V000.seq and the like")
        others = [video for video in found if int(video.kind.removeprefix("set")) not in TEST_SETS]
        left_out = [LeftOut(video.id, "of Caltech's training sets") for video in others]
        videos += [video for video in found if video not in others]
    return plan_clips(videos, rules, left_out)


def _drives(root: Path) -> Iterator[Video]:
    for folder in sorted(root.rglob("image_0[23]/data")):
        camera = folder.parent
        drive = camera.parent.name
        yield Video(
            id=f"{drive}/{camera.name}",
            path=folder,
            file=folder.relative_to(root).as_posix(),
            split="val" if drive in VAL_DRIVES else "train",
            kind="kitti",
            fps=KITTI_FPS,
        )


def _videos(root: Path) -> Iterator[Video]:
    for path in sorted(root.rglob("V[0-9][0-9][0-9]*")):
        name = path.relative_to(root).as_posix()
        found = _VIDEO.fullmatch(f"{root.name}/{name}")
        if found and (path.is_dir() or path.suffix == ".seq"):
            yield Video(found[1], path, name, "test", kind=f"set{found[2]}", fps=CALTECH_FPS)
