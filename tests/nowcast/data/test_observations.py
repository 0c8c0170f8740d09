"""Observations by place and time: which pixels are shared, which frames are taken, and what is refused."""

from contextlib import contextmanager

import dask.array
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from nowcast.data import observations as module
from nowcast.data.footprint import Footprint, footprint_of, footprints
from nowcast.data.observations import Case, Observations
from nowcast.data.radar_file import open_radar
from pipelines.errors import InputError
from pipelines.store.geo import SEVIR_PROJ

PROJ = "+proj=laea +lat_0=52 +lon_0=10 +R=6371000 +units=m"  # of cf_radar, as WHOLE is
START = np.datetime64("2024-07-01T12:00", "us")
STEP = np.timedelta64(300, "s")
WHOLE = Footprint(PROJ, 4_000.0, -2_000.0, 1000.0, 30, 40)


def store_of(parts: dict[str, tuple[np.ndarray, int, int]]) -> xr.Dataset:
    """A store of events of one size: counts (frame, y, x), and rows north and columns east of `WHOLE`'s corner."""
    counts, rows, columns = zip(*parts.values(), strict=True)
    size = counts[0].shape[1:]
    return xr.Dataset(
        {"vil": (("event", "frame", "y", "x"), np.stack(counts).astype("float32"))},
        {
            "event": list(parts),
            "valid_time": (("event", "frame"), np.stack([START + np.arange(len(counts[0])) * STEP] * len(parts))),
            "proj": ("event", [PROJ] * len(parts)),
            "corner_y": ("event", WHOLE.south + 1000.0 * np.array(rows)),
            "corner_x": ("event", WHOLE.west + 1000.0 * np.array(columns)),
            "y": 1000.0 * np.arange(size[0]) + 500,
            "x": 1000.0 * np.arange(size[1]) + 500,
        },
    )


def case(footprint: Footprint | None, event: str = "live", frames=(1, 2)) -> Case:
    return Case(event, START, START + np.array(frames) * STEP, footprint)


@pytest.mark.parametrize(
    ("other", "offset"),
    [
        (WHOLE, (0, 0)),
        (Footprint(PROJ, 24_000.0, 5_000.0, 1000.0, 10, 10), (7, 20)),
        (Footprint(PROJ, -1_000.0, -6_000.0, 1000.0, 10, 10), (-4, -5)),
        (Footprint(CRS.from_string(PROJ).to_wkt(), 4_010.0, -2_000.0, 1000.0, 30, 40), (0, 0)),  # 0.01 pixels off
        (Footprint(PROJ, 44_000.0, -2_000.0, 1000.0, 10, 10), None),  # beside it
        (Footprint(PROJ, 4_500.0, -2_000.0, 1000.0, 30, 40), None),  # half a pixel off
        (Footprint(PROJ, 4_000.0, -2_000.0, 2000.0, 30, 40), None),
        (Footprint(PROJ.replace("lat_0=52", "lat_0=53"), 4_000.0, -2_000.0, 1000.0, 30, 40), None),
    ],
)
def test_grids_share_pixels_where_they_lie_on_each_other(other: Footprint, offset) -> None:
    assert WHOLE.offset(other) == offset
    assert WHOLE.same_as(other) == (offset == (0, 0))


def test_a_footprint_is_read_from_coordinates_of_the_corner_of_the_projection_and_of_a_part() -> None:
    store = store_of({"a": (np.zeros((1, 30, 40)), 0, 0)})
    assert footprints(store, "event") == [WHOLE]
    part = Footprint(PROJ, 7_000.0, 3_000.0, 1000.0, 10, 20)
    assert footprints(store.isel(y=slice(5, 15), x=slice(3, 23)), "event") == [part]
    attrs = {"standard_name": "projection_x_coordinate"}
    projected = store.assign_coords(y=("y", store["y"].data - 2_000, attrs), x=("x", store["x"].data + 4_000, attrs))
    assert footprints(projected, "event") == [WHOLE]
    assert footprints(store.drop_vars("proj"), "event") == [None]
    assert footprints(store.assign_coords(corner_x=("event", [np.nan])), "event") == [None]


@settings(max_examples=40)
@given(row=st.integers(-8, 28), column=st.integers(-8, 38), gap=st.integers(0, 5))
def test_a_field_is_put_together_from_all_tiles_that_share_its_pixels(row: int, column: int, gap: int) -> None:
    truth = np.random.default_rng(1).integers(0, 255, (3, 30, 40)).astype("float32")
    truth[:, 5:8, 5:8] = np.nan
    tiles = {f"{x}": (truth[:, 10:25, x : x + 12], 10, x) for x in (2, 14 + gap)}
    store = Observations.open(store_of(tiles))
    asked = Footprint(PROJ, WHOLE.west + 1000.0 * column, WHOLE.south + 1000.0 * row, 1000.0, 9, 11)
    covered = np.full((60, 70), False)
    for x in (2, 14 + gap):
        covered[20:35, 10 + x : 22 + x] = True
    padded = np.full((3, 60, 70), np.nan)
    padded[:, 10:40, 10:50] = truth
    expected = np.where(covered, padded, np.nan)[1:, row + 10 : row + 19, column + 10 : column + 21]
    if not covered[row + 10 : row + 19, column + 10 : column + 21].any():
        with pytest.raises(InputError, match="no pixel of the forecast's event live"):
            store.fields(case(asked))
        return
    np.testing.assert_array_equal(store.fields(case(asked)), expected)
    assert store.seen(case(asked)).tolist() == [True, True]


def test_an_event_of_the_same_name_elsewhere_is_another_one() -> None:
    tiles = {"live": (np.full((3, 10, 10), 7.0), 20, 0), "b": (np.full((3, 10, 10), 9.0), 0, 0)}
    store = Observations.open(store_of(tiles))
    here = Footprint(PROJ, WHOLE.west, WHOLE.south, 1000.0, 10, 10)
    assert (store.fields(case(here)) == 9).all()
    assert (store.fields(case(None)) == 7).all()  # a forecast that does not say where it lies
    with pytest.raises(InputError, match="no event c, which the forecast has"):
        store.fields(case(None, event="c"))


def test_frames_not_there_are_missing_and_the_past_ends_at_the_init_time() -> None:
    truth = np.arange(6.0).reshape(6, 1, 1) * np.ones((6, 30, 40))
    store = Observations.open(store_of({"a": (truth, 0, 0)}))
    late = case(WHOLE, frames=(4, 5, 6))
    assert store.seen(late).tolist() == [True, True, False]
    np.testing.assert_array_equal(store.fields(late)[:, 0, 0], [4, 5, np.nan])
    ahead = Case("live", START + 3 * STEP, START + np.array([4]) * STEP, WHOLE)
    assert store.past(ahead, 2)[:, 0, 0].tolist() == [2, 3]
    assert store.times(late)[[0, -1]].tolist() == [START.item(), (START + 5 * STEP).item()]


def test_a_file_of_radar_in_any_order_is_read_by_time_to_a_tenth_of_a_step(cf_radar, tmp_path) -> None:
    counts = np.random.default_rng(0).integers(6, 255, (6, 30, 40)).astype("float32")
    counts[counts == 255] = np.nan
    off = np.array([0, 20, -20, 29, 40, 0]) * np.timedelta64(1, "s")
    order = [3, 0, 5, 1, 4, 2]
    cf_radar(counts[order], (START + np.arange(6) * STEP + off)[order]).to_netcdf(tmp_path / "rain.nc")
    store = open_radar(tmp_path / "rain.nc")
    np.testing.assert_array_equal(store["vil"].values[0], counts)
    assert (np.diff(store["valid_time"].values[0]) > np.timedelta64(0, "s")).all()
    assert footprints(store, "event")[0].same_as(WHOLE)
    observations = Observations.open(tmp_path / "rain.nc")
    asked = case(WHOLE, "other", range(1, 6))
    assert observations.seen(asked).tolist() == [True, True, True, False, True]  # 40 seconds are more than a tenth
    np.testing.assert_array_equal(observations.fields(asked)[[0, 1, 2, 4]], counts[[1, 2, 3, 5]])


def test_what_was_not_observed_or_is_not_in_counts_is_refused(cf_radar, tmp_path) -> None:
    store = store_of({"a": (np.zeros((3, 30, 40)), 0, 0)})
    forecast = store.rename(event="case", frame="lead_time")
    forecast.to_netcdf(tmp_path / "out.nc")
    with pytest.raises(InputError, match=r"out.nc is a forecast; expected a store, or a file of radar"):
        Observations.open(tmp_path / "out.nc")
    with pytest.raises(InputError, match="the store is not in counts; got units mm h-1"):
        Observations.open(store.assign(vil=store["vil"].assign_attrs(units="mm h-1")))
    with pytest.raises(InputError, match=r"no store and no file of radar at .*absent"):
        Observations.open(tmp_path / "absent.nc")
    cf_radar(np.zeros((2, 30, 40)), START + np.arange(2) * STEP, units="K").to_netcdf(tmp_path / "warm.nc")
    with pytest.raises(InputError, match=r"warm.nc cannot be read: .*got units .K."):
        Observations.open(tmp_path / "warm.nc")


def test_the_footprint_of_a_case_is_found_without_reading_its_fields():
    """Two columns and three rows of 1000 m whose corner is at (500, 0); the field cannot be read."""

    def unreadable(block_id=None):
        raise AssertionError("the field was read")

    field = dask.array.map_blocks(unreadable, chunks=((3,), (2,)), dtype="float32", meta=np.empty((0, 0), "float32"))
    placing = {"proj": "+proj=laea +units=m", "corner_x": 500.0, "corner_y": 0.0}
    coords = {"y": [500.0, 1500.0, 2500.0], "x": [500.0, 1500.0]}
    found = footprint_of(xr.Dataset({"vil": (("y", "x"), field), **placing}, coords))
    assert found == Footprint("+proj=laea +units=m", 500.0, 0.0, 1000.0, 3, 2)


def test_frames_of_files_are_read_in_parts_that_show_progress(cf_radar, tmp_path, monkeypatch):
    counts = np.random.default_rng(0).integers(6, 254, (7, 8, 9)).astype("float32")
    cf_radar(counts).to_netcdf(tmp_path / "radar.nc")
    steps = []

    @contextmanager
    def counted(label, total):
        steps.append([label, total])
        yield lambda: steps.append(1)

    monkeypatch.setattr(module, "progress", counted)
    store = Observations.open(tmp_path / "radar.nc")
    times = store.store["valid_time"].values[0]
    case = Case(store.store["event"].item(), times[0], times[[6, 0, 3, 4, 5]])
    np.testing.assert_array_equal(store.fields(case), counts[[6, 0, 3, 4, 5]])
    assert steps == [["reading frames", 5], *[1] * 5]


def test_squares_about_other_centres_are_explained():
    store = store_of({"b": (np.full((3, 10, 10), 9.0), 0, 0)})
    ours, theirs = (SEVIR_PROJ.replace("+lat_0=38 +lon_0=-98", f"+lat_0={lat} +lon_0=7.5") for lat in (46.1, 46.6))
    store = store.assign_coords(proj=("event", [ours]))
    for proj, line in (
        (
            theirs,
            r"live are of grids of latitude and longitude with other centres, .* laid on squares about its centre; ",
        ),
        (ours, "no pixel of the forecast's event live; got 10 x 10"),
        (SEVIR_PROJ, "no pixel of the forecast's event live; got 10 x 10"),
    ):
        with pytest.raises(InputError, match=line):
            Observations.open(store).fields(case(Footprint(proj, 9e6, 9e6, 1000.0, 10, 10)))


def test_a_gap_in_an_event_does_not_widen_how_far_a_truth_may_miss_its_time() -> None:
    times = START + np.array([0, 5, 10, 40]) * np.timedelta64(1, "m")
    store = store_of({"a": (np.ones((4, 30, 40)), 0, 0)}).assign_coords(valid_time=(("event", "frame"), times[None]))
    off = Case("a", START, START + np.array([10, 12]) * np.timedelta64(1, "m"))
    assert Observations.open(store).seen(off).tolist() == [True, False]


def test_where_tiles_overlap_the_pixels_that_either_has_seen_are_known() -> None:
    seen = np.ones((3, 30, 40))
    for parts in ({"a": (seen, 0, 0), "b": (np.nan * seen, 0, 0)}, {"a": (np.nan * seen, 0, 0), "b": (seen, 0, 0)}):
        np.testing.assert_array_equal(Observations.open(store_of(parts)).fields(case(WHOLE)), seen[:2])
