"""Where fields lie on a map, and which pixels two of them share."""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import xarray as xr
from pyproj import CRS

from pipelines.errors import InputError
from pipelines.radar.cf_mapping import proj_of
from pipelines.store.geo import SEVIR_PROJ
from pipelines.store.inside import check_proj
from pipelines.store.unit_text import metres

_PLACING = ("proj", "corner_x", "corner_y")
_CENTRE = re.compile(r"\+(lat|lon)_0=\S+")
_OFF_GRID = 0.05  # pixels between two grids that are the same


@dataclass(frozen=True)
class Footprint:
    """Where the pixels of a field lie on a map; row 0 is in the south.

    Attributes:
        proj: PROJ string.
        west: Western edge in projected metres.
        south: Southern edge in projected metres.
        pixel_m: Metres along a side of a pixel.
        rows: Number of rows.
        columns: Number of columns.
    """

    proj: str
    west: float
    south: float
    pixel_m: float
    rows: int
    columns: int

    def offset(self, other: "Footprint") -> tuple[int, int] | None:
        """Rows north and columns east from this south-west corner to the other's; None if they share no pixels."""
        longest = max(self.rows, self.columns, other.rows, other.columns)
        if abs(other.pixel_m / self.pixel_m - 1) * longest > _OFF_GRID or not _same_projection(self.proj, other.proj):
            return None
        exact = np.array([other.south - self.south, other.west - self.west]) / self.pixel_m
        row, column = np.rint(exact)
        if np.abs(exact - (row, column)).max() > _OFF_GRID:
            return None
        overlap = -other.rows < row < self.rows and -other.columns < column < self.columns
        return (int(row), int(column)) if overlap else None

    def same_as(self, other: "Footprint") -> bool:
        """Whether both have the same pixels."""
        return self.offset(other) == (0, 0) and (self.rows, self.columns) == (other.rows, other.columns)

    def is_beside(self, other: "Footprint") -> bool:
        """Whether both are squares laid on grids of latitude and longitude (`pipelines.radar.grid.square`) apart."""
        shapes = {_CENTRE.sub("", footprint.proj) for footprint in (self, other)}
        return shapes == {_CENTRE.sub("", SEVIR_PROJ)} and len({self.proj, other.proj, SEVIR_PROJ}) == 3

    def __str__(self) -> str:
        size = f"{self.rows} x {self.columns} pixels of {self.pixel_m:g} m"
        return f"{size} from x {self.west:.0f} m, y {self.south:.0f} m in {self.proj}"


@lru_cache
def _same_projection(one: str, two: str) -> bool:
    return one == two or CRS.from_string(one) == CRS.from_string(two)


def footprints(dataset: xr.Dataset, dim: str) -> list[Footprint | None]:
    """Where each event of a store, or each case of a forecast, lies; None where the dataset does not say.

    Args:
        dataset: With proj, corner_x, corner_y of dim `dim`, and y, x in metres from the corner or, where they are CF's
            projection coordinates, from the origin of the projection. Or, for all alike, with a CF grid mapping `crs`
            and projection coordinates in metres or km.
        dim: "event" or "case".

    Raises:
        InputError: when a projection names a file.
    """
    if "proj" not in dataset.variables and "crs" in dataset.variables:
        dataset = _projected(dataset)
    if not {*_PLACING, "y", "x"} <= set(dataset.variables) or max(dataset.sizes["y"], dataset.sizes["x"]) < 2:
        return [None] * dataset.sizes[dim]
    columns = [np.broadcast_to(dataset[name].values, dataset.sizes[dim]) for name in _PLACING]
    y, x = dataset["y"], dataset["x"]
    longer = y.values if y.size > x.size else x.values
    pixel = float(longer[-1] - longer[0]) / (len(longer) - 1)
    projected = "standard_name" in x.attrs
    found: list[Footprint | None] = []
    for proj, corner_x, corner_y in zip(*columns, strict=True):
        west, south = (0.0, 0.0) if projected else (float(corner_x), float(corner_y))
        west, south = west + float(x[0]) - pixel / 2, south + float(y[0]) - pixel / 2
        known = str(proj) and np.isfinite([west, south]).all()
        found.append(Footprint(check_proj(str(proj)), west, south, pixel, y.size, x.size) if known else None)
    return found


def _projected(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with the projection of its CF grid mapping, and y, x in metres; unchanged where it has no such."""
    scales = {axis: metres(dataset[axis].attrs.get("units")) for axis in "yx" if axis in dataset.variables}
    if len(scales) < 2 or not all(scales.values()):
        return dataset
    try:
        proj = proj_of(dataset["crs"], dict(dataset["crs"].attrs), (scales["y"], scales["x"]))
    except InputError:
        return dataset
    placed = {axis: (axis, scale * dataset[axis].values, dataset[axis].attrs) for axis, scale in scales.items()}
    return dataset.assign_coords(placed).assign(proj=((), proj), corner_x=((), 0.0), corner_y=((), 0.0))


def footprint_of(case: xr.Dataset) -> Footprint | None:
    """Where one case of a forecast lies; None where the dataset does not say. Its fields are not read.

    Args:
        case: As `footprints` takes it, without the dim "case".
    """
    placing = case.drop_vars(set(case.data_vars) - {*_PLACING, "crs"})
    (footprint,) = footprints(placing.expand_dims(case=[0]), "case")
    return footprint
