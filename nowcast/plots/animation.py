"""One case in motion: the observed past, then every lead time of the forecast, on the maps of `plots`.

One panel each for the observation, the ensemble mean, each member asked for, the probability of a threshold and the
spread. Only the panel of the observation shows the past; the others say that there is no forecast yet. Maps are drawn
once, pixels and the time in every frame.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import av
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text
from PIL import Image

from nowcast.data.conventions import lead_label
from nowcast.data.forecast_file import open_forecast
from nowcast.data.observations import Observations
from nowcast.plots.panels import Place, draw_colour_bar, draw_legend, draw_panel, find_place, write_note
from nowcast.plots.rows import (
    Row,
    Terms,
    check_picture,
    chosen_leads,
    clock_text,
    forecast_title,
    observed_row,
    one_case,
    panel_rows,
)
from pipelines.store.kind import RADAR, kind_of
from pipelines.store.whole import whole

_WIDTH, _LARGEST_PANEL = 11.0, 4.6  # of all panels and of one, inches, as all sizes here
_GAP, _LEFT, _RIGHT, _TOP, _BOTTOM = 0.1, 0.5, 0.2, 0.95, 1.0
_BAR_OFFSET, _BAR, _BAR_MARGIN = 0.52, 0.1, 0.12
_DPI = 100
_FRAMES_PER_SECOND, _HELD = 5, 8  # the last frame is held this many times as long as the others
_PAST_COLOUR, _FORECAST_COLOUR = "dimgrey", "firebrick"

Progress = Callable[[Sequence[Any]], Iterable[Any]]


def save_animation(
    forecast: Path,
    out: Path,
    *,
    store: Path | None = None,
    case: int | None = None,
    members: Sequence[int] | None = None,
    lead_times: Sequence[np.timedelta64] | None = None,
    threshold: str | float | None = None,
    units: str | None = None,
    overwrite: bool = False,
    progress: Progress = iter,
) -> Path:
    """Write the frames of `animate_forecast` for a forecast file; the animation appears whole or not at all.

    Raises:
        InputError: for an `out` that exists or is neither GIF nor MP4, or inputs that `animate_forecast` refuses.
    """
    check_picture(out, list(_WRITERS), overwrite)
    drawn = animate_forecast(
        open_forecast(forecast),
        store,
        case,
        progress,
        members=members,
        lead_times=lead_times,
        threshold=threshold,
        units=units,
    )
    frames = list(drawn)
    with whole(out, overwrite=overwrite) as growing:
        _WRITERS[out.suffix](growing, [*frames, *[frames[-1]] * (_HELD - 1)])
    return out


def animate_forecast(
    forecast: xr.Dataset,
    store: Path | xr.Dataset | None = None,
    case: int | None = None,
    progress: Progress = iter,
    *,
    members: Sequence[int] | None = None,
    lead_times: Sequence[np.timedelta64] | None = None,
    threshold: str | float | None = None,
    units: str | None = None,
) -> Iterator[np.ndarray]:
    """The frames of one case in order of time.

    Args:
        forecast: A forecast file: `vil` in counts, dims (case, member, lead_time, y, x).
        store: The observed frames: a store or a file of radar, by path or open. As much past is shown as there is
            forecast, where the store has it; without a store there is neither past nor an observed panel.
        case: Number of the case in the file; by default the case with the most echo.
        progress: Wraps the frames that are drawn, to show how many are done.
        members: Numbers of the members to show, a panel each; by default the first in the file.
        lead_times: Lead times to show; by default all.
        threshold: As for `maps.plot_forecast`.
        units: As for `maps.plot_forecast`.

    Yields:
        Colours, uint8 with shape (height, width, 3), both even.

    Raises:
        InputError: as `maps.plot_forecast` does.
    """
    terms = Terms.of(forecast, threshold, units)
    shown = one_case(forecast, case)
    if lead_times is not None:
        shown = shown.isel(lead_time=chosen_leads(shown["lead_time"].values, lead_times))
    leads = shown["lead_time"].values
    observations = None if store is None else Observations.open(store)
    observed = None if observations is None else observed_row(observations, shown, terms.quantity)
    rows = panel_rows(shown, observed, members, terms)
    if observations is not None:
        offsets, seen = _past(observations, shown)
        rows = [_preceded(row, seen) for row in rows]
        leads = np.concatenate([offsets, leads])
    figure, panels = _figure(rows, find_place(shown))
    height = figure.get_figheight()
    figure.text(
        _LEFT / figure.get_figwidth(), 1 - 0.12 / height, forecast_title(shown), va="top", fontsize=10, parse_math=False
    )
    clock = figure.text(_LEFT / figure.get_figwidth(), 1 - 0.38 / height, "", va="top", fontsize=12, weight="bold")
    if kind_of(shown) is RADAR:
        draw_legend(figure)
    images = [ax.get_images()[0] for ax in panels]
    notes = [write_note(ax, "") for ax in panels]
    draw = _redraw(figure, images, [clock, *notes])
    for frame, lead in enumerate(progress(list(leads))):
        for image, note, row in zip(images, notes, rows, strict=True):
            image.set_data(np.ma.masked_invalid(row.fields[frame]))
            note.set_text(row.notes[frame] if row.notes else "")
        _set_clock(clock, shown, lead)
        yield draw()


def _past(observations: Observations, shown: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Times before the init time, negative up to zero, and the fields observed then, shape (time, y, x[, 3])."""
    leads = shown["lead_time"].values
    offsets = (leads[0] - leads)[::-1]
    times = shown["init_time"].values + offsets
    seen = observed_row(observations, shown.assign_coords(valid_time=("lead_time", times))).fields
    there = np.isfinite(seen).any(axis=tuple(range(1, seen.ndim)))
    return offsets[there], seen[there]


def _preceded(row: Row, seen: np.ndarray) -> Row:
    """A row that begins with the observed past where it is that of the observation, else with empty fields."""
    is_observed = row.name == "observed"
    past = seen if is_observed else np.full((len(seen), *row.fields.shape[1:]), np.nan, "float32")
    notes = ["" if is_observed else "no forecast yet"] * len(seen) + [*(row.notes or [""] * len(row.fields))]
    return row._replace(fields=np.concatenate([past, row.fields]), notes=notes)


def _figure(rows: Sequence[Row], place: Place | None) -> tuple[Figure, list[Axes]]:
    """Panels side by side with their names, their first fields, and colour bars beneath."""
    panel = min(_LARGEST_PANEL, _WIDTH / len(rows))
    tallness = rows[0].fields.shape[1] / rows[0].fields.shape[2]
    width = _even(_LEFT + len(rows) * (panel + _GAP) - _GAP + _RIGHT)
    height = _even(_TOP + panel * tallness + _BOTTOM)
    figure = Figure(figsize=(width, height), dpi=_DPI)
    panels = []
    for column, row in enumerate(rows):
        left = (_LEFT + column * (panel + _GAP)) / width
        box = (left, _BOTTOM / height, panel / width, panel * tallness / height)
        ax = figure.add_axes(box, **({"projection": place.crs()} if place else {}))
        ax.set_title(row.name, fontsize=9, parse_math=False)
        panels.append(draw_panel(ax, row.fields[0], row.look, place, ["left", "bottom"] if column == 0 else ["bottom"]))
    for label, group in groupby(zip(rows, panels, strict=True), key=lambda pair: pair[0].look.label):
        members = [(row.look, ax.get_position()) for row, ax in group]
        (look, first), (_, last) = members[0], members[-1]
        low, margin = (_BOTTOM - _BAR_OFFSET - _BAR) / height, _BAR_MARGIN / width
        if label:
            draw_colour_bar(figure, (first.x0 + margin, low, last.x1 - first.x0 - 2 * margin, _BAR / height), look)
    return figure, panels


def _even(inches: float) -> float:
    """Rounded up to an even number of pixels, as video needs."""
    return float(np.ceil(inches * _DPI / 2) * 2 / _DPI)


def _redraw(figure: Figure, images: Sequence[AxesImage], texts: Sequence[Text]) -> Callable[[], np.ndarray]:
    """A function that draws the images and the texts anew and returns the colours of the whole figure.

    Drawing lines on maps is slow. The colour that they add and the share of the image that they let through are the
    same in all frames; both follow from drawing them once on black and once on white.
    """
    canvas = FigureCanvasAgg(figure)
    for text in texts:
        text.set_animated(True)
    on_black, on_white = (_on_plain(canvas, images, colour) for colour in (0.0, 1.0))
    through = (on_white - on_black) / 255

    def draw() -> np.ndarray:
        for image in images:
            figure.draw_artist(image)
        colours = np.asarray(canvas.buffer_rgba())[..., :3]
        colours[...] = np.rint(on_black + through * colours)
        for text in texts:
            figure.draw_artist(text)
        return colours.copy()

    return draw


def _on_plain(canvas: FigureCanvasAgg, images: Sequence[AxesImage], colour: float) -> np.ndarray:
    for image in images:
        image.set_data(np.full((1, 1, 3), colour))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype("float32")


def _set_clock(clock: Text, shown: xr.Dataset, lead: np.timedelta64) -> None:
    now = np.timedelta64(0, "s")
    what, colour = ("forecast", _FORECAST_COLOUR) if lead > now else ("observed", _PAST_COLOUR)
    sign = "+" if lead > now else "−" if lead < now else ""
    text = f"{sign}{lead_label(abs(lead))}, {what}"
    clock.set_text(clock_text(shown, np.datetime64(shown["init_time"].item(), "ns") + lead, text))
    clock.set_color(colour)


def _write_gif(path: Path, frames: Sequence[np.ndarray]) -> None:
    """With one palette for all frames, so that no colour flickers."""
    images = [Image.fromarray(frame) for frame in frames]
    some = np.concatenate(frames[:: max(1, len(frames) // 4)])
    palette = Image.fromarray(some).quantize(method=Image.Quantize.MAXCOVERAGE)
    first, *others = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    first.save(path, save_all=True, append_images=others, duration=1000 // _FRAMES_PER_SECOND, loop=0)


def _write_mp4(path: Path, frames: Sequence[np.ndarray]) -> None:
    height, width, _ = frames[0].shape
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", rate=_FRAMES_PER_SECOND)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        file.mux(stream.encode())


_WRITERS = {".gif": _write_gif, ".mp4": _write_mp4}
