"""CF grid mappings: the one that goes with the axes of a field, and its PROJ string in metres.

A mapping is described by well-known text (crs_wkt or spatial_ref), by the parameters of CF, by a PROJ string or by an
EPSG code, of which the first that can be read counts.
"""

import logging
import re
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import xarray as xr
from pyproj import CRS
from pyproj.exceptions import CRSError

from pipelines.errors import InputError
from pipelines.store.geo import in_metres
from pipelines.store.inside import check_proj

log = logging.getLogger(__name__)
_TEXT = ("crs_wkt", "spatial_ref")
_PROJ = ("proj4", "proj4_params", "proj4text", "proj4_string", "proj4string", "proj_params")
_EPSG = ("epsg_code", "epsg", "EPSG", "EPSG_code")
_NEAR = 1e4  # metres
_FARTHEST = 1e8  # metres; farther from the origin no projection puts the earth

Attrs = dict[str, Any]


def mapping_of(dataset: xr.Dataset, field: xr.DataArray, axes: Iterable[str]) -> Attrs:
    """Attributes of the grid mapping of a field, of several the one that names its axes; none where there is none.

    A field that names none has the one called spatial_ref, as GDAL and rioxarray have it.
    """
    text = str(field.attrs.get("grid_mapping", field.encoding.get("grid_mapping", "spatial_ref")))
    parts = dict(re.findall(r"(\S+)\s*:((?:\s+[^\s:]+(?!\S*:))*)", text)) or {text: ""}
    names = sorted(parts, key=lambda name: not set(axes) <= set(parts[name].split()))
    return next((dict(dataset[name].attrs) for name in names if name in dataset.variables), {})


def proj_of(field: xr.DataArray, mapping: Attrs, scales: tuple[float, float]) -> str:
    """The PROJ string of a grid mapping in metres, or that of longlat.

    Well-known text has units of its own. False northings and eastings of CF without it are in the units of y and x.

    Args:
        field: Its field.
        mapping: Its attributes.
        scales: Metres in the units of y and of x.

    Raises:
        InputError: where there is none, or it cannot be understood.
    """
    if not mapping:
        raise InputError(f"{field.name} has no grid mapping", remedy="name one in its attribute grid_mapping")
    faults = []
    for read in (_by_text, _by_parameters, _by_proj, _by_epsg):
        try:
            crs = read(mapping, scales)
        except CRSError as error:
            faults.append(error)
            continue
        if crs is not None:
            return proj4(crs)
    raise InputError(f"the grid mapping of {field.name} cannot be understood", got=faults[0] if faults else mapping)


def proj4(crs: CRS) -> str:
    """The PROJ string in metres of a projection, or that of longlat."""
    if crs.is_geographic:
        return "+proj=longlat"
    with warnings.catch_warnings():  # a PROJ string says less than CF: names, and what they call the datum
        warnings.simplefilter("ignore", UserWarning)
        proj = crs.to_proj4().replace(" +no_defs", "").replace(" +type=crs", "")
    return in_metres(_origin_in_km(proj) if "+units=km" in proj else proj)


def _origin_in_km(proj: str) -> str:
    """A PROJ string in km, whose x_0 and y_0 are in metres by PROJ, but by mistake often in km, as its axes are.

    No projection has a false easting or northing of a few kilometres, so these are taken to be a thousand times that.
    """
    given = {name: float(value) for name, value in re.findall(r"\+([xy]_0)=(\S+)", proj)}
    if not any(given.values()) or max(map(abs, given.values())) > _NEAR:
        return proj
    _warn(" and ".join(f"{name}={value:g}" for name, value in given.items()))
    return re.sub(r"\+([xy]_0)=(\S+)", lambda match: f"+{match[1]}={1000 * float(match[2]):.15g}", proj)


@lru_cache
def _warn(origin: str) -> None:
    log.warning("a projection in km has %s, in metres by PROJ: taken as km", origin)


def _by_text(mapping: Attrs, scales: tuple[float, float]) -> CRS | None:
    return next((CRS(check_proj(str(mapping[name]))) for name in _TEXT if name in mapping), None)


def _by_parameters(mapping: Attrs, scales: tuple[float, float]) -> CRS | None:
    if "grid_mapping_name" not in mapping:
        return None
    mapping = {name: value for name, value in mapping.items() if name not in _TEXT}
    for name, scale in zip(("false_northing", "false_easting"), scales, strict=True):
        mapping[name] = scale * float(mapping.get(name, 0))
        if abs(mapping[name]) > _FARTHEST:
            raise InputError(f"its {name} is {mapping[name] / 1000:g} km", expected="a length in the unit of the axes")
    return CRS.from_cf(mapping)


def _by_proj(mapping: Attrs, scales: tuple[float, float]) -> CRS | None:
    return next((CRS(check_proj(str(mapping[name]))) for name in _PROJ if name in mapping), None)


def _by_epsg(mapping: Attrs, scales: tuple[float, float]) -> CRS | None:
    codes = (re.search(r"\d+", str(mapping[name])) for name in _EPSG if name in mapping)
    return next((CRS.from_epsg(int(code[0])) for code in codes if code), None)
