"""Points and areas as people write them, and what is said of wrong ones."""

import json

import pytest

from nowcast.forecasting.places import Place, degrees_text, point, points_of, read_areas
from pipelines.errors import InputError

SQUARE = {"type": "Polygon", "coordinates": [[[5, 51], [6, 51], [6, 52], [5, 52], [5, 51]]]}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("46.2,6.1", ("46.2 N 6.1 E", 46.2, 6.1)),
        (" -33.9 , 151.2", ("33.9 S 151.2 E", -33.9, 151.2)),
        ("Geneva=46.2,6.1", ("Geneva", 46.2, 6.1)),
        ("A=B, west=46,-6", ("A=B, west", 46, -6)),
        ("0,254", ("0 N 106 W", 0, 254)),
    ],
)
def test_points_of_text(text, place):
    assert point(text) == Place(*place)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Geneva", r"no point; got 'Geneva'; expected LATITUDE,LONGITUDE or NAME=LATITUDE,LONGITUDE"),
        ("96.2,6.1", r"the point 96.2,6.1 has no such latitude; got 96.2; expected -90 to 90 degrees"),
        ("6.1,400", "has no such longitude"),
        ("1.2.3,4", "has no latitude; got '1.2.3'; expected degrees"),
        ("46.2,6.1,7", "no point"),
    ],
)
def test_wrong_points_are_named(text, line):
    with pytest.raises(InputError, match=line):
        point(text)


def test_points_of_python():
    assert points_of([(46.2, 6.1), "X=1,2"]) == [Place("46.2 N 6.1 E", 46.2, 6.1), Place("X", 1, 2)]
    assert points_of({"Geneva": (46.2, 6.1)}) == [Place("Geneva", 46.2, 6.1)]
    with pytest.raises(InputError, match=r"the point A is no pair; got \(1, 2, 3\)"):
        points_of({"A": (1, 2, 3)})


@pytest.mark.parametrize(
    "text",
    [
        "name,lat,lon\nA,46.2,6.1\n\nB,-1,2\n",
        "Longitude;NAME;x;LAT\n6.1;A;?;46.2\n2;B;;-1",
        "station;latitude;longitude\nA;46,2;6,1\nB;-1;2\n",
        "Station\tid\tlat\tlng\nA\t1\t46.2\t6.1\nB\t2\t-1\t2\n",
        "id,site,lat,lon,name\n1,x,46.2,6.1,A\n2,y,-1,2,B\n",
    ],
)
def test_points_of_a_csv_file_with_columns_in_any_order_and_case(tmp_path, text):
    (tmp_path / "points.csv").write_text("\ufeff" + text, encoding="utf-8")
    assert points_of(tmp_path / "points.csv") == [Place("A", 46.2, 6.1), Place("B", -1, 2)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name,lat,lon\nA,46.2,6.1\nB,north,2\n", r"line 3 of points.csv has no latitude; got 'north'"),
        ("name,lat,lon\nA,46.2\n", r"line 2 of points.csv has no longitude; got ''"),
        ("name,lat,lon\nA,6.1,46.2\nB,146,2", r"line 3 of points.csv has no such latitude; got 146"),
        ("town,lat\nA,1", r"points.csv has not one column name; got town,lat, separated by commas; expected name, lat"),
        ("town;lat\nA;1", r"points.csv has not one column name; got town;lat, separated by semicolons; expected name"),
        (
            "place|lat|lon\nA|1|1",
            r"points.csv has not one column name; got place\|lat\|lon, separated by commas; expect",
        ),
        ("name,lat,lon\nA,146.2,6.1", r"no such latitude; got 146.2; expected -90 to 90 degrees; are latitude and"),
        ("name,lat,lon\nA,646.2,6.1", r"no such latitude; got 646.2; expected -90 to 90 degrees$"),
        ("name,lat,latitude,lon\nA,1,1,1", r"points.csv has not one column lat;"),
        ("", r"points.csv has not one column name; got an empty file"),
        ("name,lat,lon\n", r"points.csv has no point"),
    ],
)
def test_wrong_rows_are_named_by_their_line(tmp_path, text, line):
    (tmp_path / "points.csv").write_text(text)
    with pytest.raises(InputError, match=line):
        points_of(tmp_path / "points.csv")


def test_areas_of_geojson(tmp_path):
    features = [
        {"type": "Feature", "properties": {"NAME": "Aare", "id": 3}, "geometry": SQUARE},
        {"type": "Feature", "id": 7, "properties": None, "geometry": SQUARE},
        {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [6.1, 46.2]}},
    ]
    (tmp_path / "areas.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    aare, seven, spot = read_areas(tmp_path / "areas.geojson")
    assert (aare.name, seven.name, spot.name) == ("Aare", "7", "area 3")
    assert aare.area is not None and aare.area.area == pytest.approx(1)
    assert (spot.latitude, spot.longitude, spot.area) == (46.2, 6.1, None)
    assert read_areas(SQUARE)[0].name == "area 1"


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"id": 1, "title": "T", "NAME_0": "Switzerland", "NAME_1": "Bern"}, "Bern"),
        ({"NAME_1": "Bern", "NAME_2": "Thun"}, "Thun"),
        ({"NAME_1": "Bern", "NAME": "Aare"}, "Aare"),
        ({"id": 1, "title": "T"}, "T"),
        ({"GID": "x", "ID": 0}, "0"),
    ],
)
def test_names_of_areas(properties, name):
    assert read_areas({"type": "Feature", "properties": properties, "geometry": SQUARE})[0].name == name


@pytest.mark.parametrize("name", ["urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326", "urn:ogc:def:crs:EPSG::4269"])
def test_degrees_that_a_file_declares_are_read(name):
    feature = {"type": "Feature", "properties": {}, "geometry": SQUARE}
    crs = {"type": "name", "properties": {"name": name}}
    assert read_areas({"type": "FeatureCollection", "crs": crs, "features": [feature]})[0].longitude == 5.5
    assert read_areas({"type": "FeatureCollection", "crs": None, "features": [feature]})[0].longitude == 5.5


@pytest.mark.parametrize(
    ("crs", "got"),
    [
        ({"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::2056"}}, "urn:ogc:def:crs:EPSG::2056"),
        ({"type": "name", "properties": {"name": "EPSG:43260"}}, "EPSG:43260"),
        ({"type": "EPSG", "properties": {"code": 3857}}, "{'type': 'EPSG', 'properties': {'code': 3857}}"),
    ],
)
def test_areas_in_another_projection_are_refused(crs, got):
    with pytest.raises(InputError) as told:
        read_areas({"type": "FeatureCollection", "crs": crs, "features": []})
    assert str(told.value) == (
        f"the GeoJSON is not in degrees of WGS 84; got {got}; expected longitude and latitude (RFC 7946); "
        "convert it: ogr2ogr -t_srs EPSG:4326 degrees.geojson FILE"
    )


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"type": "LineString", "coordinates": [[5, 51], [6, 52]]}, "area 1 of the GeoJSON is no area; got LineString"),
        ({"type": "Polygon", "coordinates": []}, "is no area; got Polygon without coordinates"),
        (
            {"type": "Polygon", "coordinates": [[[5, 51], [6, 52], [6, 51], [5, 52], [5, 51]]]},
            "area 1 of the GeoJSON is no valid area; got Self-intersection",
        ),
        (
            {"type": "Polygon", "coordinates": [[[6e5, 2e5], [7e5, 2e5], [7e5, 3e5], [6e5, 2e5]]]},
            "area 1 of the GeoJSON has no such latitude; got 200000; expected -90 to 90 degrees",
        ),
        ({"type": "FeatureCollection", "features": []}, "the GeoJSON has no area"),
        ({"hello": 1}, "the GeoJSON is no GeoJSON; got"),
    ],
)
def test_wrong_areas_are_named(content, line):
    with pytest.raises(InputError, match=line):
        read_areas(content)


def test_a_file_that_is_no_geojson(tmp_path):
    (tmp_path / "a.geojson").write_text("<kml>")
    with pytest.raises(InputError, match=r"a.geojson is no GeoJSON; got JSONDecodeError"):
        read_areas(tmp_path / "a.geojson")
    with pytest.raises(InputError, match="cannot be read; got FileNotFoundError"):
        read_areas(tmp_path / "none.geojson")


def test_degrees_in_words():
    assert degrees_text(-33.9, 151.25) == "33.9 S 151.25 E" and degrees_text(0, 254) == "0 N 106 W"
