"""Grid mappings by CF, however they are named and written: the same place by pyproj."""

import logging

import numpy as np
import pytest
import xarray as xr
from pyproj import CRS, Transformer

from pipelines.errors import InputError
from pipelines.radar.cf_mapping import mapping_of, proj_of
from pipelines.store.geo import projection

LAEA, WGS84 = CRS.from_epsg(3035), CRS.from_epsg(4326)


def named(mapping: str | None, **mappings: dict) -> xr.Dataset:
    attrs = {} if mapping is None else {"grid_mapping": mapping}
    return xr.Dataset({"rr": (("y", "x"), np.zeros((2, 2)), attrs)} | {k: ((), 0, v) for k, v in mappings.items()})


@pytest.mark.parametrize(
    "text",
    ["crs", "crs: x y", "crs: y x", "crs: x y wgs84: lat lon", "wgs84: lat lon crs: x y",
     "gone: x y crs: x y"],
)  # fmt: skip
def test_the_mapping_that_goes_with_the_axes(text):
    made = named(text, crs={"epsg_code": "EPSG:3035"}, wgs84={"epsg_code": "EPSG:4326"})
    assert mapping_of(made, made["rr"], ["y", "x"]) == {"epsg_code": "EPSG:3035"}


def test_a_field_that_names_none_has_the_one_of_gdal():
    gdal, other = named(None, spatial_ref=LAEA.to_cf()), named(None, crs=LAEA.to_cf())
    assert mapping_of(gdal, gdal["rr"], ["y", "x"])["crs_wkt"]
    assert mapping_of(other, other["rr"], ["y", "x"]) == {}
    wrong = named("another", spatial_ref=LAEA.to_cf())
    assert mapping_of(wrong, wrong["rr"], ["y", "x"]) == {}


@pytest.mark.parametrize(
    "mapping",
    [
        LAEA.to_cf(),
        {name: value for name, value in LAEA.to_cf().items() if name != "crs_wkt"},
        {"crs_wkt": LAEA.to_wkt()},
        {"spatial_ref": LAEA.to_wkt(version="WKT1_GDAL")},
        {"proj4": LAEA.to_proj4()},
        {"proj4_params": LAEA.to_proj4()},
        {"epsg_code": "EPSG:3035"},
        {"epsg_code": 3035},
        {"epsg": np.int32(3035)},
        {"grid_mapping_name": "no_such_projection", "proj4": LAEA.to_proj4()},
    ],
)
def test_the_same_place_by_each_way_to_write_it(mapping):
    proj = proj_of(named(None)["rr"], mapping, (1, 1))
    wanted = Transformer.from_crs(LAEA.geodetic_crs, LAEA, always_xy=True).transform(9.5, 47.5)
    assert projection(proj)(9.5, 47.5) == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize("mapping", [WGS84.to_cf(), {"epsg_code": 4258}, {"grid_mapping_name": "latitude_longitude"}])
def test_degrees(mapping):
    assert proj_of(named(None)["rr"], mapping, (1, 1)) == "+proj=longlat"


def test_a_false_easting_of_metres_in_a_projection_in_km_is_taken_as_km(caplog):
    """PROJ takes x_0 in metres whatever the unit of the axes; files give it in km, and say so in no other way."""
    text = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +ellps=WGS84 +units={} +x_0={} +y_0={}"
    metre = projection(text.format("m", 543000, 4650000))(8.08, 55.78)
    for x_0, y_0, lines in ((543, 4650, 1), (543, 4650, 1), (543000, 4650000, 1), (0, 4650, 2)):
        proj = proj_of(named(None)["rr"], {"spatial_ref": CRS(text.format("km", x_0, y_0)).to_wkt()}, (1000, 1000))
        shift = 543000 if x_0 == 0 else 0
        assert projection(proj)(8.08, 55.78) == pytest.approx((metre[0] - shift, metre[1]), abs=0.01)
        assert len([one for one in caplog.records if one.levelno == logging.WARNING]) == lines
    assert "x_0=543 and y_0=4650, in metres by PROJ: taken as km" in caplog.text


@pytest.mark.parametrize(
    ("mapping", "reason"),
    [
        ({}, "rr has no grid mapping; name one in its attribute grid_mapping"),
        ({"grid_mapping_name": "no_such"}, "the grid mapping of rr cannot be understood; got .*no_such"),
        ({"long_name": "a map"}, "the grid mapping of rr cannot be understood; got .*a map"),
        ({"spatial_ref": "nonsense"}, "the grid mapping of rr cannot be understood"),
    ],
)
def test_others_are_refused(mapping, reason):
    with pytest.raises(InputError, match=reason):
        proj_of(named(None)["rr"], mapping, (1, 1))
