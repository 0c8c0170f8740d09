"""Files of radar as a store of one event, named as their product, its frames read when they are asked for.

The files are of any format of `pipelines.radar.files`, with one frame each or several, and of one series (see
`pipelines.radar.series`). What they measure becomes counts as in `pipelines.radar.loops`, and a latitude-longitude grid
square pixels as in `pipelines.radar.grid`. The whole grid is one event, however large it is. A frame that is damaged is
missing.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import dask
import dask.array
import numpy as np
import xarray as xr
import zarr

from nowcast.data.conventions import TIME
from pipelines.building.plan import LeftOut, counted
from pipelines.errors import InputError
from pipelines.radar.files import UnreadableError, find_files, read_counts, read_header
from pipelines.radar.grid import around as cut_out
from pipelines.radar.grid import on_square, square
from pipelines.radar.series import Frame, Series, find_series, scan, scan_newest
from pipelines.store.inside import check_inside
from pipelines.store.kind import RADAR
from pipelines.store.paths import near
from pipelines.store.reading import open_dataset
from pipelines.store.schema import Event, open_store, template
from pipelines.store.units import MISSING, QUANTITIES

Sources = str | Path | Sequence[str | Path]
"""Files, folders of files and wildcards such as radar/*.h5: one, or several."""

Around = tuple[float, float, float]
"""A square about a place: latitude and longitude in degrees, and kilometres along a side."""

Tell = Callable[[str], object]

log = logging.getLogger(__name__)


class SeveralProductsError(InputError):
    """Files of radar of several products, where those of one are expected.

    Attributes:
        files: The files of each product that can be read, by its name.
    """

    def __init__(self, series: Sequence[Series]):
        self.files = {one.name: sorted({Path(frame.file) for frame in one.frames.values()}) for one in series}
        names = ", ".join(one.name for one in series[:4]) + ", ..." * (len(series) > 4)
        remedy = "name them by a wildcard in quotes, as in 'radar/RATE*.h5'"
        super().__init__("the files are of several products", got=names, expected="one", remedy=remedy)


def is_store(path: Path) -> bool:
    """Whether a path is an archive store, of this or another version of its schema."""
    try:
        if not any((path / name).is_file() for name in ("zarr.json", ".zgroup")):
            return False
        check_inside(path)
        return "schema" in zarr.open_group(path, mode="r").attrs
    except Exception:  # the libraries have exceptions of their own for damaged files
        return False


def is_forecast(path: Path) -> bool:
    """Whether a path is a NetCDF or Zarr file with the dimensions of a forecast."""
    try:
        with open_dataset(path, decode_cf=False) as dataset:
            return {"case", "lead_time"} <= set(dataset.dims)
    except Exception:  # the libraries have exceptions of their own for damaged files
        return False


def is_wildcard(path: Path) -> bool:
    """Whether a path stands for the files that match it."""
    return any(sign in str(path) for sign in "*?[")


def forecasts_first(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Forecasts and observations apart: one or several paths of each, the forecasts first."""
    split = len(paths) - 1
    while split > 1 and not is_forecast(paths[split - 1]):
        split -= 1
    return list(paths[:split]), list(paths[split:])


def is_radar(path: Path) -> bool:
    """Whether a path is a file of radar that can be read."""
    try:
        read_header(path)
    except InputError:
        return False
    return True


def several(sources: Sources) -> list[Path]:
    """The paths of sources that are one path or several."""
    return [Path(sources)] if isinstance(sources, str | Path) else list(map(Path, sources))


def open_radar(
    sources: Sources,
    *,
    newest: int | None = None,
    until: np.datetime64 | None = None,
    around: Around | None = None,
    tell: Tell = log.warning,
) -> xr.Dataset:
    """Files of radar as a store of one event, all their frames in order of time, none of them read yet.

    Args:
        sources: Files, folders or wildcards.
        newest: Number of frames of interest, the newest ones: only the headers of their files are read, where the names
            of the files tell the time.
        until: Time of the last frame of interest, UTC.
        around: The square to take; by default the whole grid.
        tell: Called with a line about files that are left out, and about frames that turn out to be damaged when they
            are read.

    Returns:
        Dims (event, frame, y, x), as `pipelines.store.schema.open_store` gives them, without protocol and reducer. The
        attribute source_name is the name of the file or product for messages.

    Raises:
        InputError: when there are no such files, none can be read, they are of several products, stores or forecasts,
            or `around` lies outside of their grid.
    """
    paths = _files(several(sources))
    scanned = (
        scan_newest(paths, newest, None if until is None else until.astype(TIME).item()) if newest else scan(paths)
    )
    left_out: list[LeftOut] = []
    series = _only(find_series(scanned, left_out))
    frames = {time: frame for time, frame in sorted(series.frames.items()) if not frame.fault}
    _tell_left_out(series, left_out, tell)
    (name, event) = (paths[0].name, paths[0].stem) if len(paths) == 1 else (series.name, series.name)
    header, times = series.header, list(frames)
    grid = square(header.grid)
    rows, columns = cut_out(grid, *around) if around else (slice(0, grid.rows), slice(0, grid.columns))
    place = Event(
        id=event,
        time=times[-1],
        offsets=tuple((time - times[-1]).total_seconds() for time in times),
        split="test",
        proj=grid.proj,
        corner_x=grid.west + columns.start * grid.width_m,
        corner_y=grid.south + rows.start * grid.height_m,
    )
    attrs = {
        "kind": RADAR.name,
        "data_range": RADAR.data_range,
        "counts_from": f"{header.quantity} of {name}: {QUANTITIES[header.quantity].relation}",
        "source_name": name,
    }
    shape = rows.stop - rows.start, columns.stop - columns.start
    store = template([place], side=max(shape), pixel_m=grid.width_m, attrs=attrs)
    store = store.isel(y=slice(shape[0]), x=slice(shape[1])).drop_vars("missing_fraction")
    read = dask.delayed(_Reader(series, rows, columns, tell), traverse=False)
    fields = [dask.array.from_delayed(read(frame), shape, "float32") for frame in frames.values()]
    store["vil"] = store["vil"].copy(data=dask.array.stack(fields)[None])
    return store


def open_archive(sources: Sources, tell: Tell = log.warning) -> xr.Dataset:
    """A store, or files of radar as a store of one event.

    Args:
        sources: A store; or files of radar, folders or wildcards.
        tell: Called with a line about files that are left out.

    Raises:
        InputError: when they cannot be read.
    """
    paths = several(sources)
    return open_store(paths[0]) if len(paths) == 1 and is_store(paths[0]) else open_radar(paths, tell=tell)


def _files(sources: Sequence[Path]) -> list[Path]:
    """The files of some sources.

    Raises:
        InputError: see `open_radar`.
    """
    for source in sources:
        if not source.exists() and not is_wildcard(source):
            raise InputError(f"no store and no file of radar at {source}{near(source)}")
    paths = find_files(sources)
    if len(paths) == 1 and is_forecast(paths[0]):
        raise InputError(f"{paths[0].name} is a forecast", expected="a store, or a file of radar that was observed")
    if stores := [path.name for path in paths if is_store(path)]:
        raise InputError(f"{stores[0]} is a store", expected="one store alone, or files of radar")
    return paths


def _only(series: Sequence[Series]) -> Series:
    """The one series.

    Raises:
        SeveralProductsError: when there are several.
    """
    if len(series) > 1:
        raise SeveralProductsError(series)
    return series[0]


def _tell_left_out(series: Series, left_out: Sequence[LeftOut], tell: Tell) -> None:
    """One line about files that cannot be read, and one about times that are there twice."""
    faults = [frame.fault for frame in series.frames.values() if frame.fault]
    faults += [str(part) for part in left_out if not part.id]
    doubled = [str(part) for part in left_out if part.id]
    for lines, what in ((faults, "cannot be used and are missing"), (doubled, "are left out")):
        if len(lines) == 1:
            tell(lines[0])
        elif lines:
            tell(f"{counted(len(lines), 'frame')} of {series.name} {what}: {lines[0]}, and others")


class _Reader:
    """Reads frames of a series as counts, float32 with dims (y, x), NaN missing; says once of each that is damaged."""

    def __init__(self, series: Series, rows: slice, columns: slice, tell: Tell):
        self._header, self._window = series.header, (rows, columns)
        self._tell, self._told = tell, set[Frame]()

    def __call__(self, frame: Frame) -> np.ndarray:
        try:
            whole = read_counts(Path(frame.file), frame.number, self._header.quantity)
        except UnreadableError as error:
            if frame not in self._told:
                self._tell(f"{error}; its frame is missing")
            self._told.add(frame)
            rows, columns = self._window
            return np.full((rows.stop - rows.start, columns.stop - columns.start), np.float32(np.nan))
        counts = on_square(whole, self._header.grid, *self._window)
        return np.where(counts == MISSING, np.float32(np.nan), counts).astype("float32")
