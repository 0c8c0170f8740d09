"""Grids of radar fields: their place, square pixels for other grids, and tiles cut from them.

A grid in a map projection keeps its pixels; where these are square within a percent, its rows are sampled anew. A
latitude-longitude grid, such as that of MRMS, is sampled at the nearest pixel onto a local Lambert azimuthal equal-area
grid about its centre, on SEVIR's sphere, because models are trained on square pixels. The size of these is a step in
latitude in metres, rounded to one digit (0.01 degree: 1 km). Row 0 is in the south everywhere.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from pipelines.errors import InputError
from pipelines.store.geo import SEVIR_PROJ, lat_lon, pixel_centres, projection
from pipelines.store.schema import TILE
from pipelines.store.units import MISSING

_RADIUS = 6370997.0  # of SEVIR's sphere
_SAME = 1e-3  # of a pixel, between two grids that are the same
_MOST_PIXELS = 2**28  # a GiB as numbers of four bytes; the grid of MRMS has a tenth
_SQUARE = 1e-2  # by how much the sides of a pixel that is taken as square may differ


@dataclass(frozen=True)
class Grid:
    """A regular grid of pixels, row 0 in the south.

    Attributes:
        proj: PROJ string in metres; for longlat all lengths below are in degrees.
        west: Western edge in projected metres.
        south: Southern edge in projected metres.
        width_m: Metres from column to column.
        height_m: Metres from row to row.
        rows: Number of rows.
        columns: Number of columns.
    """

    proj: str
    west: float
    south: float
    width_m: float
    height_m: float
    rows: int
    columns: int

    @property
    def is_lat_lon(self) -> bool:
        """Whether rows are latitudes and columns longitudes."""
        return "proj=longlat" in self.proj

    def check(self) -> None:
        """Refuse what no radar's grid is.

        Raises:
            InputError: for edges or steps that are no numbers, steps that are not above 0, no pixel, or too many.
        """
        told = f"{self.rows} x {self.columns} pixels of {self.height_m:g} x {self.width_m:g}"
        numbers = self.west, self.south, self.width_m, self.height_m
        if not np.isfinite(numbers).all() or min(self.width_m, self.height_m, self.rows, self.columns) <= 0:
            raise InputError("its grid is none", got=f"{told} from {self.west:g}, {self.south:g}")
        if self.rows * self.columns > _MOST_PIXELS:
            raise InputError("its grid is too large", got=told, expected=f"at most {_MOST_PIXELS:,} pixels")

    def same_as(self, other: "Grid") -> bool:
        """Whether both are one grid, except for rounding."""
        mine, theirs = ((g.west, g.south, g.west + g.width_m * g.columns, g.south + g.height_m * g.rows)
                        for g in (self, other))  # fmt: skip
        same_place = np.allclose(mine, theirs, rtol=0, atol=_SAME * self.width_m)
        return same_place and (self.proj, self.rows, self.columns) == (other.proj, other.rows, other.columns)

    def difference(self, other: "Grid") -> str:
        """How another grid differs, by the first of size, pixel, projection and origin that does; empty if none."""
        unit = "degrees" if self.is_lat_lon else "m"
        for what, form in (
            ("{} pixels (rows x columns)", lambda grid: f"{grid.rows} x {grid.columns}"),
            ("pixels of {} " + unit, lambda grid: f"{grid.height_m:.10g} x {grid.width_m:.10g}"),
            ("the projection {}", lambda grid: grid.proj),
            ("its south-west corner at {} " + unit, lambda grid: f"{grid.west:.10g}, {grid.south:.10g}"),
        ):
            if form(self) != form(other):
                return f"{what.format(form(other))}, not {form(self)}"
        return ""


@dataclass(frozen=True)
class Tiling:
    """Whole tiles of 128 x 128 pixels about the middle of a grid, whose pixels are first averaged over blocks.

    Attributes:
        grid: Grid of square pixels.
        coarsen: Pixels of the grid along each side of a pixel of a tile.
    """

    grid: Grid
    coarsen: int

    @property
    def shape(self) -> tuple[int, int]:
        """Tiles from south to north, and from west to east."""
        side = TILE * self.coarsen
        return self.grid.rows // side, self.grid.columns // side

    @property
    def pixel_m(self) -> float:
        """Metres along a side of a pixel of a tile."""
        return self.coarsen * self.grid.width_m

    def corner(self, row: int, column: int) -> tuple[float, float]:
        """Projected (x, y) in metres of the south-west corner of a tile."""
        side, (south, west) = TILE * self.coarsen, self._margins
        return (
            self.grid.west + (west + side * column) * self.grid.width_m,
            self.grid.south + (south + side * row) * self.grid.height_m,
        )

    def average(self, counts: np.ndarray) -> np.ndarray:
        """Counts of all tiles beside each other, from those of the grid, both uint8 with dims (y, x), 255 missing.

        The mean of the pixels of a block that are not missing, rounded half up; missing when more than half of them
        are: the rule of `resample.mean`.
        """
        (rows, columns), (south, west) = self.shape, self._margins
        height, width = TILE * rows, TILE * columns
        part = counts[south : south + height * self.coarsen, west : west + width * self.coarsen]
        if self.coarsen == 1:
            return part
        blocks = part.reshape(height, self.coarsen, width, self.coarsen)
        seen = (blocks != MISSING).sum((1, 3), dtype=np.uint32)
        total = np.where(blocks != MISSING, blocks, 0).sum((1, 3), dtype=np.uint32)
        mean = (2 * total + seen) // np.maximum(2 * seen, 1)
        return np.where(2 * seen >= self.coarsen**2, mean, MISSING).astype(np.uint8)

    @property
    def _margins(self) -> tuple[int, int]:
        """Pixels of the grid south and west of the tiles."""
        side, (rows, columns) = TILE * self.coarsen, self.shape
        return (self.grid.rows - rows * side) // 2, (self.grid.columns - columns * side) // 2


def around(grid: Grid, latitude: float, longitude: float, km: float) -> tuple[slice, slice]:
    """The rows and columns of a grid of square pixels that lie in a square about a place, or what the grid has of them.

    Args:
        grid: The grid (see `square`).
        latitude: Degrees north.
        longitude: Degrees east.
        km: Kilometres along a side of the square.

    Raises:
        InputError: when the place lies outside of the grid.
    """
    x, y = projection(grid.proj)(longitude, latitude)
    row, column, half = (y - grid.south) / grid.height_m, (x - grid.west) / grid.width_m, 500 * km / grid.width_m
    if not (0 <= row < grid.rows and 0 <= column < grid.columns):
        east, north = grid.west + grid.columns * grid.width_m, grid.south + grid.rows * grid.height_m
        lon, lat = projection(grid.proj)((grid.west + east) / 2, (grid.south + north) / 2, inverse=True)
        raise InputError(
            f"{latitude:g}, {longitude:g} lies outside of the radar's grid",
            expected=f"a place about {lat:.1f}, {lon:.1f}",
        )
    rows, columns = (
        slice(max(0, round(middle - half)), min(size, round(middle + half)))
        for middle, size in ((row, grid.rows), (column, grid.columns))
    )
    return rows, columns


@lru_cache
def square(grid: Grid) -> Grid:
    """The grid of square pixels for a grid: itself, or a local one for a latitude-longitude grid.

    Raises:
        InputError: when the pixels of a projected grid are not square, or a local one cannot be laid.
    """
    if not grid.is_lat_lon:
        if abs(grid.width_m / grid.height_m - 1) > _SQUARE:
            raise InputError("pixels are not square", got=f"{grid.width_m:g} x {grid.height_m:g} m")
        rows = round(grid.rows * grid.height_m / grid.width_m)
        return replace(grid, height_m=grid.width_m, rows=rows)
    lon, lat = (round(sum(edges) / 2, 2) for edges in _edges(grid))
    proj = SEVIR_PROJ.replace("+lat_0=38 +lon_0=-98", f"+lat_0={lat:g} +lon_0={lon:g}")
    pixel = float(f"{np.radians(grid.height_m) * _RADIUS:.0e}")
    (west, east), (south, north) = _edges(grid)
    lons, lats = np.linspace(west, east, 200), np.linspace(south, north, 200)
    border = np.concatenate([np.c_[lons, np.full(200, side)] for side in (south, north)]
                            + [np.c_[np.full(200, side), lats] for side in (west, east)])  # fmt: skip
    x, y = projection(proj)(*border.T)
    if not np.isfinite([x, y]).all():
        raise InputError("its grid is not on the earth", got=f"{south:g} to {north:g} N, {west:g} to {east:g} E")
    left, bottom = np.floor(x.min() / pixel), np.floor(y.min() / pixel)
    rows, columns = int(np.ceil(y.max() / pixel) - bottom), int(np.ceil(x.max() / pixel) - left)
    laid = Grid(proj, float(left * pixel), float(bottom * pixel), pixel, pixel, rows, columns)
    laid.check()
    return laid


_ALL = slice(None)


def on_square(counts: np.ndarray, grid: Grid, rows: slice = _ALL, columns: slice = _ALL) -> np.ndarray:
    """Counts on `square(grid)`, or some of its rows and columns, of counts on `grid`.

    Returns:
        uint8 with dims (y, x); 255 is missing, or outside of `grid`.
    """
    target = square(grid)
    if grid.is_lat_lon:
        window = (*rows.indices(target.rows)[:2], *columns.indices(target.columns)[:2])
        return np.append(counts, np.uint8(MISSING))[_nearest(grid, *window)]
    if target.height_m != grid.height_m:
        nearest = (np.arange(target.rows) + 0.5) * target.height_m / grid.height_m
        counts = counts[np.minimum(nearest.astype(int), grid.rows - 1)]
    return counts[rows, columns]


@lru_cache(maxsize=1)
def _nearest(grid: Grid, bottom: int, top: int, left: int, right: int) -> np.ndarray:
    """Flat index of the pixel of `grid` under pixels of the square grid, with dims (y, x); -1 outside of `grid`."""
    target = square(grid)
    x = pixel_centres(target.columns, target.width_m)[left:right]
    nearest = np.empty((top - bottom, right - left), np.int32)
    for number, y in enumerate(pixel_centres(target.rows, target.height_m)[bottom:top]):  # all at once takes a gigabyte
        lat, lon = lat_lon(target.proj, target.west, target.south, x, y)
        row, column = (lat - grid.south) / grid.height_m, (lon - grid.west) % 360 / grid.width_m
        inside = (row >= 0) & (row < grid.rows) & (column < grid.columns)
        nearest[number] = np.where(inside, np.floor(row) * grid.columns + np.floor(column), -1)
    return nearest


def _edges(grid: Grid) -> tuple[tuple[float, float], tuple[float, float]]:
    """West and east, south and north edge."""
    east, north = grid.west + grid.columns * grid.width_m, grid.south + grid.rows * grid.height_m
    return (grid.west, east), (grid.south, north)
