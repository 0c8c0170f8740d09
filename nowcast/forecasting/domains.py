"""The pixels of a forecast in which points and areas lie.

A point is the pixel that contains it: by the map projection of the forecast where it says one, else the pixel whose
centre is nearest, if the point is no farther from it than its corners are. An area is the pixels whose centres it
contains; its edges are straight in longitude and latitude, as GeoJSON has them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import shapely
import shapely.affinity
import xarray as xr
from shapely.geometry.base import BaseGeometry

from nowcast.data.footprint import Footprint, footprints
from nowcast.forecasting.places import Place, degrees_text
from pipelines.errors import InputError
from pipelines.store.geo import lat_lon, pixel_centres, projection

_EARTH_RADIUS_KM = 6371.0
_HALF_DIAGONAL = 0.75  # of a pixel's side, with a margin for projections


class Cells(NamedTuple):
    """The pixels of a place: rows and columns, and the share of the place that lies inside of the domain."""

    rows: np.ndarray
    columns: np.ndarray
    inside: float


@dataclass(frozen=True, eq=False)
class Domain:
    """Where the pixels of a case lie.

    Attributes:
        footprint: By a map projection; None where the forecast says none.
        centres: Else latitudes and longitudes in degrees, each with dims (y, x).
    """

    footprint: Footprint | None
    centres: Sequence[xr.DataArray] = ()

    @cached_property
    def degrees(self) -> tuple[np.ndarray, np.ndarray]:
        """Latitudes and longitudes of the pixels' centres, each with dims (y, x)."""
        place = self.footprint
        if place is None:
            lat, lon = (array.transpose("y", "x").values for array in self.centres)
            return lat, lon
        x, y = (pixel_centres(number, place.pixel_m) for number in (place.columns, place.rows))
        return lat_lon(place.proj, place.west, place.south, x, y)

    def cells(self, place: Place) -> Cells | None:
        """The pixels of a place; None where it lies outside.

        Raises:
            InputError: for an area inside that contains no pixel's centre.
        """
        if place.area is None:
            found = self._by_projection(place) if self.footprint else self._nearest(place)
            return None if found is None else Cells(np.array([found[0]]), np.array([found[1]]), 1.0)
        rows, columns, inside = self._of_area(place.area)
        if rows.size:
            return Cells(rows, columns, min(1.0, inside))
        if self.cells(Place(place.name, place.latitude, place.longitude)) is None:
            return None
        raise InputError(f"{place.name} contains no pixel's centre", remedy="give it as a point")

    def _of_area(self, area: BaseGeometry) -> tuple[np.ndarray, np.ndarray, float]:
        """Rows and columns of the pixels' centres in an area, and the share of the area among the pixels."""
        lat, lon = self.degrees[0], self._longitudes
        edged = (_with_edges(_with_edges(a).T).T for a in (lon, lat))
        ring = [np.concatenate([a[:, 0], a[-1], a[::-1, -1], a[0, ::-1]]) for a in edged]
        domain = shapely.polygons(np.stack(ring, 1)).buffer(0)
        held, shared = np.zeros(lat.shape, bool), 0.0
        for turn in (-360, 0, 360):  # an area across the date line has a part on either side
            held |= shapely.contains_xy(area, lon + turn, lat)
            shared += shapely.affinity.translate(domain, turn).intersection(area).area
        return *np.nonzero(held), shared / area.area

    @cached_property
    def _longitudes(self) -> np.ndarray:
        """Longitudes without a jump at the date line."""
        lon = self.degrees[1]
        middle = lon[lon.shape[0] // 2, lon.shape[1] // 2]
        return middle + (lon - middle + 180) % 360 - 180

    def _by_projection(self, place: Place) -> tuple[int, int] | None:
        at = self.footprint
        assert at is not None
        x, y = projection(at.proj)(place.longitude, place.latitude)
        if not np.isfinite([x, y]).all():
            return None
        row, column = (int(np.floor(metres / at.pixel_m)) for metres in (y - at.south, x - at.west))
        return (row, column) if 0 <= row < at.rows and 0 <= column < at.columns else None

    def _nearest(self, place: Place) -> tuple[int, int] | None:
        lat, lon = self.degrees
        away = kilometres(lat, lon, place.latitude, place.longitude)
        row, column = (int(number) for number in np.unravel_index(np.argmin(away), away.shape))
        return (row, column) if away[row, column] <= _HALF_DIAGONAL * _pixel_km(lat, lon, row, column) else None

    def away_km(self, place: Place) -> float:
        """Kilometres from a place to the nearest pixel's centre."""
        return float(kilometres(*self.degrees, place.latitude, place.longitude).min())

    def __str__(self) -> str:
        lat, lon = self.degrees[0], self._longitudes
        corners = ((lat.min(), lon.min()), (lat.max(), lon.max()))
        return " and ".join(degrees_text(*(round(float(number), 2) for number in corner)) for corner in corners)


def _with_edges(centres: np.ndarray) -> np.ndarray:
    """Rows of pixels' centres, and before the first and after the last of them the outer edges of the pixels."""
    return np.concatenate([1.5 * centres[:1] - 0.5 * centres[1:2], centres, 1.5 * centres[-1:] - 0.5 * centres[-2:-1]])


def kilometres(lat: np.ndarray, lon: np.ndarray, latitude: float, longitude: float) -> np.ndarray:
    """Great-circle distances in km of places from one, degrees."""
    a, b, step = np.radians(lat), np.radians(latitude), np.radians(lon - longitude)
    haversine = np.sin((a - b) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(step / 2) ** 2
    return 2 * _EARTH_RADIUS_KM * np.arcsin(np.sqrt(haversine))


def _pixel_km(lat: np.ndarray, lon: np.ndarray, row: int, column: int) -> float:
    """The distance in km from a pixel to its farther neighbour in a row or column."""
    others = [(row - 1 if row else 1, column), (row, column - 1 if column else 1)]
    return max(float(kilometres(lat[place], lon[place], lat[row, column], lon[row, column])) for place in others)


def domains(forecast: xr.Dataset) -> list[Domain]:
    """Where the cases of a forecast lie, dims (case, ...); cases that share a footprint share their domain.

    Raises:
        InputError: when the forecast says neither a projection nor latitudes and longitudes.
    """
    known = footprints(forecast, "case")
    has_degrees = {"latitude", "longitude"} <= set(forecast.coords)
    if None in known and not has_degrees:
        raise InputError(
            "the forecast has no latitude and longitude",
            expected="coordinates of each pixel",
            remedy="forecast a Dataset with a CF grid mapping, as xarray.open_dataset reads it, or assign them",
        )
    made: dict[Footprint | int, Domain] = {}
    for case, footprint in enumerate(known):
        centres = () if footprint else [_of_case(forecast[name], case) for name in ("latitude", "longitude")]
        made.setdefault(footprint or case, Domain(footprint, centres))
    return [made[footprint or case] for case, footprint in enumerate(known)]


def _of_case(array: xr.DataArray, case: int) -> xr.DataArray:
    return array.isel(case=case) if "case" in array.dims else array


def located(
    forecast: xr.Dataset, places: Sequence[Place], case: int | None = None
) -> tuple[list[tuple[Place, int, Cells]], list[str]]:
    """Each place in each case that holds it, and why the other places are left out.

    Args:
        forecast: A forecast with dim case.
        places: The places.
        case: Number of the only case to look in.

    Returns:
        The place, the number of the case, and its pixels, for each of them; and one line for each place that no case
        holds, or which contains no pixel's centre.

    Raises:
        InputError: with the first of these lines when no place is left, and for a case that is not there.
    """
    all_cases = range(forecast.sizes["case"])
    if case is not None and case not in all_cases:
        raise InputError(f"no case {case} in the forecast", expected=f"0 to {all_cases[-1]}")
    grids = domains(forecast)
    cases = all_cases if case is None else [case]
    found: list[tuple[Place, int, Cells]] = []
    left_out: list[str] = []
    for place in places:
        try:
            held = _held(place, {grids[number] for number in cases})
        except InputError as error:
            left_out.append(str(error))
        else:
            found += [(place, number, held[grids[number]]) for number in cases if grids[number] in held]
    if not found:
        raise InputError(left_out[0])
    return found, left_out


def _held(place: Place, grids: Collection[Domain]) -> dict[Domain, Cells]:
    """The pixels of a place in each domain that holds it.

    Raises:
        InputError: for a place that none of them holds.
    """
    held = {grid: cells for grid in grids if (cells := grid.cells(place)) is not None}
    if held:
        return held
    nearest = min(grids, key=lambda grid: grid.away_km(place))
    where = degrees_text(round(place.latitude, 4), round(place.longitude, 4))
    swapped = Place(place.name, place.longitude, place.latitude)
    inside = abs(place.longitude) <= 90 and any(grid.cells(swapped) for grid in grids)
    raise InputError(
        f"{place.name}{'' if place.name == where else f' ({where})'} lies outside of the forecast",
        got=f"{nearest.away_km(place):.0f} km to its nearest pixel",
        expected=f"between {nearest}",
        remedy="with latitude and longitude swapped it lies inside" if inside else None,
    )
