"""How fields become pictures in a page: colours of a few steps, PNGs that have a palette of them, colour bars."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np
from matplotlib.colors import Colormap, to_hex, to_rgb
from PIL import Image

from nowcast.plots.panels import Look, probability_look, spread_look, vil_look
from nowcast.report.markup import node

_SPREAD_LEVELS = (0.0, 1.0, 2.0, 4.0, 6.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0)  # counts; the same in every report


@dataclass(frozen=True)
class Shades:
    """Colours of steps: `levels` has one value more than `colours`, and what is beyond takes the nearest.

    Attributes:
        label: What a colour bar says, with the unit.
        levels: Where a colour begins, and the last one's end.
        ticks: Text at each level, may be empty.
        colours: As #rrggbb.
        missing: Colour of missing pixels.
    """

    label: str
    levels: tuple[float, ...]
    ticks: tuple[str, ...]
    colours: tuple[str, ...]
    missing: str

    def picture(self, fields: np.ndarray) -> str:
        """Fields with shape (lead_time, y, x), row 0 in the south, as one PNG in a data URI.

        Lead times lie one below the other, each with the north up.
        """
        step = np.clip(np.digitize(fields, self.levels) - 1, 0, len(self.colours) - 1)
        index = np.where(np.isnan(fields), len(self.colours), step).astype("uint8")
        image = Image.fromarray(index[:, ::-1].reshape(-1, index.shape[-1]), mode="P")
        image.putpalette([round(255 * part) for colour in (*self.colours, self.missing) for part in to_rgb(colour)])
        return _data_uri(image, bits=4)

    def bar(self) -> Element:
        """A colour bar, lying, with a step for missing pixels."""
        step, steps = 30, len(self.colours)
        inside = [
            node("rect", x=15 + step * place, y=0, width=step, height=12, fill=colour)
            for place, colour in enumerate(self.colours)
        ]
        inside += [
            node("text", tick, x=15 + step * place, y=26, text_anchor="middle") for place, tick in enumerate(self.ticks)
        ]
        words = f"Colour bar of {self.label}, from {self.ticks[0]} to {[t for t in self.ticks if t][-1]}"
        drawing = node("svg", *inside, viewBox=f"0 0 {step * (steps + 1)} 30", role="img", aria_label=words)
        return node("div", node("span", self.label), drawing, class_="colours")


def photograph(fields: np.ndarray) -> str:
    """Pictures on [0, 1] with shape (lead_time, channel, y, x), row 0 at the top, as one PNG in a data URI.

    One channel is grey, three are red, green and blue; lead times lie one below the other.
    """
    pixels = np.rint(255 * np.nan_to_num(fields).clip(0, 1)).astype("uint8")
    rows = np.moveaxis(pixels, 1, -1).reshape(-1, fields.shape[-1], fields.shape[1])
    return _data_uri(Image.fromarray(rows[..., 0] if rows.shape[-1] == 1 else rows))


def all_shades() -> dict[str, Shades]:
    """How counts, probabilities and spread are shown."""
    vil = vil_look()
    spread = spread_look(np.zeros(1))
    steps = spread.cmap.resampled(len(_SPREAD_LEVELS) - 1)
    return {
        "vil": _shades("VIL (kg m⁻²)", vil, list((vil.ticks or {}).values())),
        "probability": _shades("probability", probability_look(), [f"{tenth / 10:g}" for tenth in range(11)]),
        "spread": Shades(
            "spread (counts)",
            _SPREAD_LEVELS,
            (*(f"{level:g}" for level in _SPREAD_LEVELS[:-1]), ""),
            _colours(steps),
            _missing(spread.cmap),
        ),
    }


def _shades(label: str, look: Look, ticks: Sequence[str]) -> Shades:
    levels = tuple(float(level) for level in look.norm.boundaries)  # type: ignore[attr-defined]
    return Shades(label, levels, tuple(ticks), _colours(look.cmap), _missing(look.cmap))


def _colours(cmap: Colormap) -> tuple[str, ...]:
    return tuple(to_hex(colour) for colour in cmap(range(cmap.N)).tolist())


def _missing(cmap: Colormap) -> str:
    return to_hex(cmap.get_bad().tolist())


def _data_uri(image: Image.Image, **options: int) -> str:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True, **options)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
