"""A reader that another package adds by an entry point: the package is really installed."""

from datetime import datetime

import numpy as np
import pytest

from pipelines.errors import InputError
from pipelines.radar.files import find_files, product, read_counts, read_header
from pipelines.store.units import RAIN_RATE


def test_an_installed_package_adds_a_reader_and_its_broken_one_costs_one_line(
    installed_plugin, tmp_path, caplog
) -> None:
    folder = tmp_path / "radar"
    folder.mkdir()
    for minute in (0, 5):
        (folder / f"rain_20240701120{minute}.rows").write_text(f"0 10 nan\n0 0 {minute}\n")
    (folder / "notes.txt").write_text("no radar")
    (folder / "rain_202407011205.broken").write_text("its reader is left out")
    paths = find_files([folder])
    assert [path.suffix for path in paths] == [".rows", ".rows"] and product(paths[0]) == "rain"
    found = read_header(paths[1])
    assert (found.quantity, found.times) == (RAIN_RATE, (datetime(2024, 7, 1, 12, 5),))
    counts = read_counts(paths[1], 0, found.quantity)
    assert counts.shape == (2, 3) and counts[1].tolist() == [0, 121, 255] and counts[0, 2] > 80
    assert np.array_equal(read_counts(paths[0], 0, found.quantity)[0], [0, 0, 0])
    (line,) = caplog.messages
    assert "plug-in broken = nowcast_rows:no_such_reader of nowcast.readers is left out: AttributeError" in line
    with pytest.raises(InputError, match=r"\.broken cannot be read: its format is not known"):
        read_header(folder / "rain_202407011205.broken")


def test_without_the_package_its_suffix_is_not_known(tmp_path) -> None:
    (tmp_path / "rain_202407011205.rows").write_text("0 1\n")
    with pytest.raises(InputError, match=r"its format is not known; got \.rows; expected \.grib2, "):
        read_header(tmp_path / "rain_202407011205.rows")
