"""The windows that the protocols in circulation make of a catalog, counted by hand."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nowcast.data.windows import evaluation_windows
from pipelines.sevir import plan
from pipelines.sevir.archive import Archive
from pipelines.sevir.catalog import read_catalog
from pipelines.store.protocol import load_protocol
from pipelines.store.schema import attributes, create, open_store

# Events by date: 5 in 2018, 2 in February 2019, 1 in April, 3 in July, 2 in November.
TIMES = (
    [f"2018-0{month}-01 12:00:00" for month in range(1, 6)]
    + ["2019-02-01 00:00:00", "2019-02-02 00:00:00", "2019-04-01 00:00:00"]
    + ["2019-07-01 00:00:00", "2019-07-02 00:00:00", "2019-07-03 00:00:00"]
    + ["2019-11-01 00:00:00", "2019-11-02 00:00:00"]
)


@pytest.fixture
def catalog(tmp_path) -> Path:
    """Thirteen sound events; one with missing pixels, one twice in differing rows."""
    count = len(TIMES)
    rows = pd.DataFrame(
        {
            "id": [f"S{number}" for number in range(count)],
            "file_name": "vil/all.h5",
            "file_index": range(count),
            "img_type": "vil",
            "time_utc": TIMES,
            "minute_offsets": ":".join(str(minutes) for minutes in range(-120, 121, 5)),
            "event_type": "",
            "llcrnrlat": 38.0,
            "llcrnrlon": -98.0,
            "proj": "+proj=laea +lat_0=38 +lon_0=-98 +units=m +a=6370997.0 +ellps=sphere",
            "size_x": 384,
            "width_m": 384000,
            "pct_missing": 0.0,
        }
    )
    gappy = rows.iloc[[0]].assign(id="GAPPY", pct_missing=0.5)
    twice = pd.concat([rows.iloc[[8]].assign(id="TWICE", file_index=index) for index in (13, 14)])
    pd.concat([rows, gappy, twice]).to_csv(tmp_path / "CATALOG.csv", index=False)
    return tmp_path / "CATALOG.csv"


@pytest.mark.parametrize(
    ("name", "gappy", "expected"),
    [
        # (49 - 25) // 12 + 1 = 3 windows an event; 5 + 0, 3 and 5 events.
        ("sevir-384-13-12", False, {"train": 15, "val": 9, "test": 15}),
        # (49 - 20) // 10 + 1 = 3; 6, 3 and 5 events.
        ("sevir-128-10-10", True, {"train": 18, "val": 9, "test": 15}),
        # (49 - 25) // 5 + 1 = 5; 5, 6 and 2 events.
        ("sevir-128-5-20", False, {"train": 25, "val": 30, "test": 10}),
        # 25 frames of ten minutes, (25 - 13) // 6 + 1 = 3; 8, 1 and 5 events.
        ("sevir-lr-7-6", True, {"train": 24, "val": 3, "test": 15}),
    ],
)
def test_windows_of_a_protocol(catalog, tmp_path, monkeypatch, name, gappy, expected):
    monkeypatch.setattr(plan, "_check_files", lambda events, *_: (events, ()))
    protocol = load_protocol(name)
    rows = read_catalog(catalog)
    made = plan.make_plan(rows, Archive(""), protocol, side=384, max_missing=protocol.max_missing)
    assert len({event.id for event in made.events}) == len(made.events) == 13 + gappy
    assert {one.id for one in made.left_out} == {"TWICE"} | ({"GAPPY"} - ({"GAPPY"} if gappy else set()))

    attrs = attributes(made.events, protocol=name, reducer="mean", cadence_minutes=5, source_files=[])
    create(tmp_path / "s.zarr", made.events, side=4, pixel_m=3000, attrs=attrs)
    store = open_store(tmp_path / "s.zarr")
    store["missing_fraction"] = store["missing_fraction"].copy(data=np.zeros(store["missing_fraction"].shape, "f4"))
    splits = store["split"].values
    windows = {split: evaluation_windows(store, protocol, split) for split in expected}
    assert {split: len(found) for split, found in windows.items()} == expected
    for split, found in windows.items():
        assert {splits[window.event] for window in found} == {split}
    for split, count in Counter(event.split for event in made.events).items():
        events, shown = f"{count} event{'s' * (count > 1)}", f"{expected[split]} windows"
        assert f"  {split}: {events}, {shown} of {protocol.history} -> {protocol.lead} frames" in str(made).splitlines()
