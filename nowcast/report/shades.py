"""Fields as pictures of a page: PNGs with a palette of a few steps of colour, and the numbers of their colour bars."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.colors import Colormap, to_hex, to_rgb
from PIL import Image

from nowcast.plots.panels import Look, probability_look, spread_look, vil_look

_SPREAD_LEVELS = (0.0, 1.0, 2.0, 4.0, 6.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0)  # counts; the same in every report


@dataclass(frozen=True)
class Shades:
    """Colours of steps: `levels` has one value more than `colours`; values beyond take the nearest colour.

    Attributes:
        label: Label of the colour bar, with the unit.
        levels: The value at which each colour begins, and the end of the last.
        ticks: Text at each level, may be empty.
        colours: As #rrggbb.
        missing: Colour of missing pixels.
        second: Text at each level on the other side of the colour bar, or none.
    """

    label: str
    levels: tuple[float, ...]
    ticks: tuple[str, ...]
    colours: tuple[str, ...]
    missing: str
    second: Sequence[str] = ()

    def picture(self, fields: np.ndarray) -> str:
        """Fields with shape (lead_time, y, x), row 0 in the south, as one PNG in a data URI.

        Lead times lie one below the other, each with the north up.
        """
        step = np.clip(np.digitize(fields, self.levels) - 1, 0, len(self.colours) - 1)
        index = np.where(np.isnan(fields), len(self.colours), step).astype("uint8")
        image = Image.fromarray(index[:, ::-1].reshape(-1, index.shape[-1]), mode="P")
        image.putpalette([round(255 * part) for colour in (*self.colours, self.missing) for part in to_rgb(colour)])
        return _data_uri(image, bits=4)


def photograph(fields: np.ndarray) -> str:
    """Pictures on [0, 1] with shape (lead_time, channel, y, x), row 0 at the top, as one PNG in a data URI.

    One channel is grey, three are red, green and blue; lead times lie one below the other.
    """
    pixels = np.rint(255 * np.nan_to_num(fields).clip(0, 1)).astype("uint8")
    rows = np.moveaxis(pixels, 1, -1).reshape(-1, fields.shape[-1], fields.shape[1])
    return _data_uri(Image.fromarray(rows[..., 0] if rows.shape[-1] == 1 else rows))


def all_shades() -> dict[str, Shades]:
    """The colours of counts, probabilities and spread."""
    spread = spread_look(np.zeros(1))
    steps = spread.cmap.resampled(len(_SPREAD_LEVELS) - 1)
    ticks = (*(f"{level:g}" for level in _SPREAD_LEVELS[:-1]), "")
    return {
        "vil": shades_of(vil_look()),
        "probability": shades_of(replace(probability_look(), label="probability")),
        "spread": Shades(spread.label, _SPREAD_LEVELS, ticks, _colours(steps), _missing(spread.cmap)),
    }


def shades_of(look: Look) -> Shades:
    """The colours of a look whose norm has boundaries."""
    levels = tuple(float(level) for level in look.norm.boundaries)  # type: ignore[attr-defined]
    texts = look.ticks or {level: f"{level:g}" for level in levels}
    ticks = tuple(texts.get(level, "") for level in levels)
    label, second = look.second or ("", ())
    both = f"{look.label}, {label} above" if label else look.label
    return Shades(both, levels, ticks, _colours(look.cmap), _missing(look.cmap), second)


def _colours(cmap: Colormap) -> tuple[str, ...]:
    return tuple(to_hex(colour) for colour in cmap(range(cmap.N)).tolist())


def _missing(cmap: Colormap) -> str:
    return to_hex(cmap.get_bad().tolist())


def _data_uri(image: Image.Image, **options: int) -> str:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True, **options)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
