import logging

import pytest

from pipelines.errors import InputError
from pipelines.sevir.catalog import read_catalog


def test_no_catalog(tmp_path):
    with pytest.raises(InputError, match="no catalog at"):
        read_catalog(tmp_path / "CATALOG.csv")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01", b'id,"a\nb'])
def test_a_catalog_that_is_no_table(tmp_path, content):
    path = tmp_path / "CATALOG.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match="CATALOG"):
        read_catalog(path)


def test_a_missing_column_is_named(archive):
    for row in archive.rows:
        del row["proj"], row["file_index"]
    with pytest.raises(InputError, match="lacks columns; got no file_index, proj"):
        read_catalog(archive.write_catalog())


def test_no_vil_rows(archive):
    for row in archive.rows:
        row["img_type"] = "ir107"
    with pytest.raises(InputError, match="no row of img_type vil"):
        read_catalog(archive.write_catalog())


def test_a_byte_order_mark_is_no_part_of_the_first_column(archive):
    path = archive.root / "CATALOG.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_catalog(path)["id"].tolist() == ["A", "B", "C"]


def test_extra_columns_and_blanks_around_a_value_are_no_matter(archive):
    for row in archive.rows:
        row[" remark "] = "my favourite"
        row["id"] = f" {row['id']} "
    rows = read_catalog(archive.write_catalog())
    assert rows["id"].tolist() == ["A", "B", "C"]
    assert "remark" not in rows


@pytest.mark.parametrize("text", ["5/1/18 10:00", "05/01/2018 10:00", "5/1/2018 10:00:00", "2018-05-01T10:00"])
def test_dates_of_a_spreadsheet_are_month_first(archive, text):
    archive.rows[0]["time_utc"] = text
    rows = read_catalog(archive.write_catalog())
    assert str(rows["time_utc"][0]) == "2018-05-01 10:00:00"
    assert str(rows["time_utc"][1]) == "2018-05-01 11:00:00"


def test_dates_that_may_be_day_first_are_not_believed(archive):
    archive.rows[0]["time_utc"], archive.rows[1]["time_utc"] = "5/1/18 10:00", "31/1/18 10:00"
    rows = read_catalog(archive.write_catalog())
    assert rows["time_utc"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize("proj", ["", "#NAME?", "0"])
def test_a_projection_that_a_spreadsheet_took_for_a_formula_is_lost(archive, proj, caplog):
    archive.rows[0]["proj"] = proj
    with caplog.at_level(logging.WARNING):
        assert (read_catalog(archive.write_catalog())["proj"] == "").tolist() == [True, False, False]
    assert "1 rows without a projection" in caplog.text


def test_optional_columns_are_nan_where_the_catalog_lacks_them(archive):
    archive.rows[0]["pct_missing"] = 12.5
    rows = read_catalog(archive.write_catalog())
    assert rows["pct_missing"].tolist()[0] == 12.5
    assert rows[["urcrnrlat", "urcrnrlon"]].isna().all().all()
