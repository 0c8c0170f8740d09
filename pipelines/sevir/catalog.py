"""CATALOG.csv, also after it was saved by a spreadsheet; lost values are restored where that is safe.

A spreadsheet adds a byte-order mark and columns, writes dates as 5/31/18 22:05, and takes `+proj=...` for a formula,
which leaves nothing or #NAME?. Such dates are month first; where one of them cannot be, none is believed. A lost
projection is taken to be SEVIR's where the corners of the event agree with it (see pipelines.sevir.plan).
"""

import logging
from pathlib import Path

import pandas as pd

from pipelines.errors import InputError
from pipelines.sevir.archive import open_text

log = logging.getLogger(__name__)

COLUMNS = (
    "id",
    "file_name",
    "file_index",
    "img_type",
    "time_utc",
    "minute_offsets",
    "event_type",
    "llcrnrlat",
    "llcrnrlon",
    "proj",
    "size_x",
    "width_m",
)
NUMBERS = ("file_index", "llcrnrlat", "llcrnrlon", "size_x", "width_m")
OPTIONAL_NUMBERS = ("urcrnrlat", "urcrnrlon", "pct_missing")
_SPREADSHEET_TIMES = ("%m/%d/%y %H:%M", "%m/%d/%Y %H:%M", "%m/%d/%y %H:%M:%S", "%m/%d/%Y %H:%M:%S")


def read_catalog(path: str | Path) -> pd.DataFrame:
    """The VIL rows of a catalog, a path or a URL, with `COLUMNS` and `OPTIONAL_NUMBERS`.

    A column `image_types` holds those of the event, sorted and separated by blanks. A number or time that cannot be
    read is NaN or NaT, a lost projection is empty.

    Raises:
        InputError: when there is no such file, it is not CSV, or it lacks a column or any VIL row.
    """
    try:
        with open_text(str(path)) as text:
            rows = pd.read_csv(text, dtype=str, keep_default_na=False, skipinitialspace=True)
    except FileNotFoundError as error:
        what = f"no catalog at {path}"
        raise InputError(what, expected="a folder with CATALOG.csv", remedy="or say --catalog CSV") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read", got=error) from error
    except ValueError as error:
        raise InputError(f"{path} is not a CSV table", got=error) from error
    rows.columns = rows.columns.str.strip()
    absent = [name for name in COLUMNS if name not in rows]
    if absent:
        raise InputError(f"{path} lacks columns", got=f"no {', '.join(absent)}", expected=", ".join(COLUMNS))
    rows = rows.reindex(columns=[*COLUMNS, *OPTIONAL_NUMBERS], fill_value="")
    rows = rows.apply(lambda column: column.str.strip())
    image_types = (
        rows.sort_values("img_type").drop_duplicates(["id", "img_type"]).groupby("id")["img_type"].agg(" ".join)
    )
    rows = rows.loc[rows["img_type"] == "vil"].reset_index(drop=True)
    if rows.empty:
        raise InputError(f"{path} has no row of img_type vil")
    rows["image_types"] = rows["id"].map(image_types)
    rows["time_utc"] = _times(rows["time_utc"])
    rows["proj"] = rows["proj"].where(rows["proj"].str.contains("proj="), "")
    if lost := (rows["proj"] == "").sum():
        log.warning("%s: %d rows without a projection, taken to be in SEVIR's where their corners agree", path, lost)
    for name in NUMBERS + OPTIONAL_NUMBERS:
        rows[name] = pd.to_numeric(rows[name], errors="coerce")
    return rows


def _times(text: pd.Series) -> pd.Series:
    """UTC times, NaT where they cannot be read or believed."""
    times = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True).dt.tz_localize(None)
    months = pd.to_numeric(text.str.extract(r"^(\d+)/", expand=False))
    if (months > 12).any():
        return times
    for form in _SPREADSHEET_TIMES:
        times = times.fillna(pd.to_datetime(text, format=form, errors="coerce"))
    return times
