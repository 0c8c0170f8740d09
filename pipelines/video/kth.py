"""KTH actions (Schuldt, Laptev, Caputo 2004): six folders of PERSON_ACTION_SCENARIO_uncomp.avi, 25 frames a second.

Where the published list of sequences, 00sequences.txt, is in the folder, clips are cut from its sequences only, which
leaves out the frames in which nobody is there.
"""

import re
from pathlib import Path

from pipelines.building.plan import LeftOut, Plan
from pipelines.errors import InputError
from pipelines.video.clips import Video, plan_clips, protocol_of_video

TRAIN_PERSONS = range(1, 17)  # 17 to 25 for the test

_NAME = re.compile(r"(person(\d\d)_([a-z]+)_d\d)(_uncomp)?")
_SEQUENCES = re.compile(r"^(person\d\d_[a-z]+_d\d)\s+frames\s+([-\d, \t]+)", re.MULTILINE)


def plan_kth(source: str | Path, protocol: str = "kth-128-10-10") -> Plan:
    """The clips of KTH's folder, or of a part of it.

    Raises:
        InputError: when there is no such video in it, or the protocol is not one of video.
    """
    root = Path(source)
    rules = protocol_of_video(protocol)
    found = [(path, _NAME.fullmatch(path.stem)) for path in sorted(root.rglob("*.avi"))]
    spans = _sequences(root)
    videos = [
        Video(
            id=name[1],
            path=path,
            file=path.relative_to(root).as_posix(),
            split="train" if int(name[2]) in TRAIN_PERSONS else "test",
            kind=name[3],
            spans=spans.get(name[1], ()),
        )
        for path, name in found
        if name
    ]
    if not videos:
        raise InputError(f"no video of KTH in {root}", expected="files such as boxing/person01_boxing_d1_uncomp.avi")
    others = [path.relative_to(root).as_posix() for path, name in found if not name]
    return plan_clips(videos, rules, [LeftOut(name, "its name is none of KTH's") for name in others])


def _sequences(root: Path) -> dict[str, tuple[tuple[int, int], ...]]:
    """First frame, from 0, and the one after the last, of the sequences of each video; empty without the list."""
    files = sorted(root.rglob("00sequences.txt"))
    listed = _SEQUENCES.findall(files[0].read_text(encoding="latin-1")) if files else []
    return {
        name: tuple((int(first) - 1, int(last)) for first, last in re.findall(r"(\d+)\s*-\s*(\d+)", text))
        for name, text in listed
    }
