"""Points and areas as people write them: in text, in CSV files, and in GeoJSON (RFC 7946)."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
import shapely.affinity
import shapely.geometry
from shapely.geometry.base import BaseGeometry

from pipelines.errors import InputError

_COLUMNS = {"latitude": "lat", "lng": "lon", "long": "lon", "longitude": "lon"}
_TITLES = ("name", "station", "place", "site", "title", "id")  # of the column of names, the first that there is
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_NAMES = ("name", "name_3", "name_2", "name_1", "title", "id")  # of a feature, the first that it has
_DEGREES = re.compile(r".*\b(CRS84|4326|4269|4258)")  # WGS 84, and NAD83 and ETRS89, which are within two metres of it
_POINT = re.compile(r"(?:(.*)=)?\s*([-+.\d]+)\s*,\s*([-+.\d]+)\s*")


@dataclass(frozen=True)
class Place:
    """A point or an area.

    Attributes:
        name: Its name.
        latitude: Degrees north; of an area of a point within it.
        longitude: Degrees east.
        area: Polygon or multipolygon of longitudes and latitudes; None of a point.
    """

    name: str
    latitude: float
    longitude: float
    area: BaseGeometry | None = None


def point(text: str) -> Place:
    """The place that "46.2,6.1" or "Geneva=46.2,6.1" says, latitude first.

    Raises:
        InputError: when it is no such text, or not on Earth.
    """
    match = _POINT.fullmatch(text)
    if match is None:
        raise InputError("no point", got=repr(text), expected="LATITUDE,LONGITUDE or NAME=LATITUDE,LONGITUDE")
    return _at(match[1], match[2], match[3], f"the point {text}")


def points_of(points: Mapping[str, Sequence[float]] | Sequence[Any] | str | Path) -> list[Place]:
    """Places of pairs of latitude and longitude, of the same by name, of texts (see `point`), or of a CSV file.

    Raises:
        InputError: see `point` and `read_points`.
    """
    if isinstance(points, str | Path):
        return [point(points)] if isinstance(points, str) and _POINT.fullmatch(points) else read_points(Path(points))
    if isinstance(points, Mapping):
        return [_pair(str(name), where) for name, where in points.items()]
    return [point(each) if isinstance(each, str) else _pair(None, each) for each in points]


def _pair(name: str | None, where: Sequence[float]) -> Place:
    if len(where) != 2:
        raise InputError(f"the point {name or ''} is no pair", got=where, expected="latitude and longitude")
    return _at(name, where[0], where[1], f"the point {name or where}")


def read_points(path: Path) -> list[Place]:
    """Places of a CSV file with the columns name, lat and lon, in any order and case.

    The name may also be headed station, place, site, title or id. Semicolons or tabs may stand for the commas.

    Raises:
        InputError: when the file cannot be read or lacks a column; for a wrong row, by the number of its line.
    """
    lines = _text(path).splitlines()
    separator = max(_SEPARATORS, key=lines[0].count) if lines else ","
    rows = csv.reader(lines, delimiter=separator)
    titles = [title.strip().lower() for title in next(rows, [])]
    names = next((title for title in _TITLES if title in titles), "name")
    header = ["name" if title == names else _COLUMNS.get(title, title) for title in titles]
    if lacking := [column for column in ("name", "lat", "lon") if header.count(column) != 1]:
        got = f"{lines[0]}, separated by {_SEPARATORS[separator]}" if lines else "an empty file"
        raise InputError(f"{path.name} has not one column {lacking[0]}", got=got, expected="name, lat and lon")
    places = []
    for row in rows:
        if any(cell.strip() for cell in row):
            said = dict(zip(header, row, strict=False))
            name, lat, lon = (said.get(column, "").strip() for column in ("name", "lat", "lon"))
            if separator != ",":
                lat, lon = lat.replace(",", "."), lon.replace(",", ".")
            places.append(_at(name, lat, lon, f"line {rows.line_num} of {path.name}"))
    if not places:
        raise InputError(f"{path.name} has no point")
    return places


def read_areas(source: Path | Mapping[str, Any]) -> list[Place]:
    """Places of GeoJSON: polygons, multipolygons and points, alone or as features, in degrees, longitude first.

    Raises:
        InputError: when it cannot be read, holds no area, or one that is not valid.
    """
    name = source.name if isinstance(source, Path) else "the GeoJSON"
    try:
        content = json.loads(_text(source)) if isinstance(source, Path) else source
        _check_degrees(content.get("crs"), name)
        features = content.get("features", [content])
        if not features:
            raise InputError(f"{name} has no area")
        return [_feature(feature, number, name) for number, feature in enumerate(features, 1)]
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError, shapely.errors.ShapelyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name} is no GeoJSON", got=f"{type(error).__name__}: {error}") from error


def _check_degrees(crs: Mapping[str, Any] | None, file: str) -> None:
    """Refuse the `crs` that older GeoJSON declares, unless it is longitude and latitude."""
    if crs is None:
        return
    named = crs.get("properties", {}).get("name", crs)
    if not _DEGREES.fullmatch(str(named)):
        raise InputError(
            f"{file} is not in degrees of WGS 84",
            got=named,
            expected="longitude and latitude (RFC 7946)",
            remedy="convert it: ogr2ogr -t_srs EPSG:4326 degrees.geojson FILE",
        )


def _feature(feature: Mapping[str, Any], number: int, file: str) -> Place:
    said = {**{key.lower(): value for key, value in (feature.get("properties") or {}).items()}}
    said = {**({"id": feature["id"]} if "id" in feature else {}), **said}
    name = next((str(said[key]) for key in _NAMES if said.get(key) not in (None, "")), f"area {number}")
    geometry = feature.get("geometry", feature)
    area = shapely.geometry.shape(geometry)
    if area.geom_type not in {"Polygon", "MultiPolygon", "Point"} or area.is_empty:
        got = f"{geometry.get('type')}{' without coordinates' if area.is_empty else ''}"
        raise InputError(f"{name} of {file} is no area", got=got, expected="Polygon, MultiPolygon or Point")
    if not area.is_valid:
        raise InputError(f"{name} of {file} is no valid area", got=shapely.is_valid_reason(area))
    west, south, east, north = area.bounds
    for latitude, longitude in ((south, west), (north, east)):
        _at(name, latitude, longitude, f"{name} of {file}")
    inside = area.representative_point()
    return Place(name, inside.y, inside.x, None if area.geom_type == "Point" else area)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read", got=f"{type(error).__name__}: {error}") from error


def _at(name: str | None, latitude: str | float, longitude: str | float, where: str) -> Place:
    """A point on Earth; one without a name is called by its degrees."""
    degrees = []
    for what, value, least, most in (("latitude", latitude, -90, 90), ("longitude", longitude, -180, 360)):
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise InputError(f"{where} has no {what}", got=repr(value), expected="degrees, such as 46.2") from None
        if not least <= number <= most:
            swapped = what == "latitude" and -180 <= number <= 360
            raise InputError(
                f"{where} has no such {what}",
                got=f"{number:g}",
                expected=f"{least} to {most} degrees",
                remedy="are latitude and longitude swapped?" if swapped else None,
            )
        degrees.append(number)
    return Place((name or "").strip() or degrees_text(*degrees), *degrees)


def degrees_text(latitude: float, longitude: float) -> str:
    """A place in degrees, such as 46.2 N 6.1 E."""
    longitude = longitude - 360 * (longitude > 180)
    return f"{abs(latitude):g} {'NS'[latitude < 0]} {abs(longitude):g} {'EW'[longitude < 0]}"
