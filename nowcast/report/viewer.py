"""The case viewer's controls and frames, which viewer.js fills with the data of `cases`."""

from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element

from nowcast.report.cases import threshold_label
from nowcast.report.markup import node
from nowcast.report.shades import all_shades

_FRAMES = {
    "observed": "Observed",
    "mean": "Ensemble mean",
    "member": "Member",
    "probability": "Probability",
    "spread": "Spread",
}


def viewer(viewed: dict[str, Any], threshold: int) -> Element:
    """The controls and frames of the cases.

    Args:
        viewed: See `cases.viewer_data`.
        threshold: Number of the threshold to begin with.
    """
    controls = [
        _picker("case", "Case", [case["label"] for case in viewed["cases"]]),
        _picker("model", "Model", [model["name"] for model in viewed["models"]]),
        _picker("member", "Member", ["1"]),
        _picker("threshold", "Event", [threshold_label(level) for level in viewed["thresholds"]], threshold),
    ]
    panels = [_frame(name, words, viewed["width"], viewed["height"]) for name, words in _FRAMES.items()]
    unused = {"vil"} if viewed["video"] else set()
    unused |= set() if viewed["thresholds"] else {"probability"}
    bars = (node("div", shades.bar(), class_=name) for name, shades in all_shades().items() if name not in unused)
    return node(
        "div",
        node("noscript", node("p", "The pictures of the cases need JavaScript; nothing else on this page does.")),
        node("div", *controls, class_="controls"),
        _slider(viewed["frames"] - 1),
        node("div", *panels, node("div", *bars, class_="bars"), class_="frames"),
        node("p", _note(viewed), class_="note"),
        id="viewer",
    )


def _note(viewed: dict[str, Any]) -> str:
    members = max(model["members"] for model in viewed["models"])
    note = (
        f"Cases shown: {len(viewed['cases'])}, of each model {members} member{'s' * (members > 1)} at most: the "
        "first case, and the first of the events in which the forecast's CRPS is lowest, median and highest. "
    )
    if viewed["averaged"] > 1:
        note += f"Pictures are averaged over {viewed['averaged']} × {viewed['averaged']} pixels. "
    return note if viewed["video"] else note + "Missing pixels are black; lines are coasts and borders."


def _slider(last: int) -> Element:
    return node(
        "div",
        node("label", "Lead time", for_="lead"),
        node("input", type="range", id="lead", min=0, max=last, step=1, value=0),
        node("output", for_="lead", id="time"),
        node("button", "Play", type="button", id="play"),
        class_="lead",
    )


def _picker(name: str, label: str, options: Sequence[str], chosen: int = 0) -> Element:
    listed = [node("option", text, value=place, selected=place == chosen) for place, text in enumerate(options)]
    return node("div", node("label", label, for_=name), node("select", *listed, id=name), class_="picker")


def _frame(name: str, words: str, width: int, height: int) -> Element:
    canvas = node("canvas", id=f"{name}-picture", width=width, height=height, role="img", aria_label=words)
    lines = node("svg", node("path"), viewBox="0 0 100 100", preserveAspectRatio="none", aria_hidden="true")
    return node("figure", node("figcaption", words), node("div", canvas, lines, class_="frame"), id=f"{name}-frame")
