"""Answers for places: numbers worked out by hand, then properties of any ensemble, then what is refused."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import nowcast
from nowcast.data.statistics import ensemble_onset, ensemble_probability
from nowcast.forecasting.answer_files import lead_table, save_answers, threshold_table
from nowcast.forecasting.answers import answer
from nowcast.forecasting.places import Place, read_areas
from nowcast.forecasting.sentences import clock, percent, sentences
from pipelines.errors import InputError
from pipelines.store.amounts import threshold_in_counts
from pipelines.store.geo import lat_lon
from pipelines.store.units import COUNTS, RAIN_RATE, REFLECTIVITY, VIL, from_counts, rain_rate_to_counts

PROJ = "+proj=laea +lat_0=52 +lon_0=5 +R=6370997 +units=m"
INIT = np.datetime64("2021-07-04T14:00", "ns")
STEP = np.timedelta64(15, "m")
NEVER = np.datetime64("NaT")


def make_forecast(counts: np.ndarray, **attrs) -> xr.Dataset:
    """A forecast file of one case, from counts with dims (member, lead_time, y, x); 2 km around 52 N 5 E."""
    members, leads, rows, columns = counts.shape
    times = np.arange(1, leads + 1) * STEP
    return xr.Dataset(
        {"vil": (("case", "member", "lead_time", "y", "x"), np.asarray(counts, "float32")[None], {"units": "1"})},
        {
            "event": ("case", ["storm"]),
            "init_time": ("case", [INIT]),
            "lead_time": times,
            "valid_time": (("case", "lead_time"), [INIT + times]),
            "member": np.arange(members),
            "y": 1000.0 + 2000 * np.arange(rows),
            "x": 1000.0 + 2000 * np.arange(columns),
            "proj": ("case", [PROJ]),
            "corner_x": ("case", [-1000.0 * columns]),
            "corner_y": ("case", [-1000.0 * rows]),
        },
        {"model": "made", **attrs},
    )


def degrees(column: float, row: float, columns: int = 4, rows: int = 4) -> tuple[float, float]:
    """Latitude and longitude of a place in pixels from the south-west corner."""
    lat, lon = lat_lon(PROJ, -1000.0 * columns, -1000.0 * rows, np.array([2000 * column]), np.array([2000 * row]))
    return lat.item(), lon.item()


RATES = np.array([[0, 2.4, 4, 0], [0, 0, 8, 8], [0, 0, 0, 0]])  # mm h-1 by member and lead time


@pytest.fixture
def by_hand() -> xr.Dataset:
    """Three members and four lead times of a quarter of an hour; rain in one pixel of 4 x 4."""
    rates = np.zeros((3, 4, 4, 4))
    rates[:, :, 2, 1] = RATES
    return make_forecast(rain_rate_to_counts(rates), quantity=RAIN_RATE)


def test_quantiles_probabilities_sums_and_times_by_hand(by_hand):
    one = answer(by_hand, [Place("here", *degrees(1.5, 2.5))], thresholds=[1, 5]).isel(place=0)
    np.testing.assert_allclose(one["amount"], RATES, rtol=1e-5)
    np.testing.assert_allclose(one["amount_quantile"].sel(quantile=0.5), [0, 0, 4, 0], rtol=1e-5)
    np.testing.assert_allclose(one["amount_quantile"].sel(quantile=0.75), [0, 1.2, 6, 4], rtol=1e-5)
    np.testing.assert_allclose(one["probability"], [[0, 1 / 3, 2 / 3, 1 / 3], [0, 0, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(one["accumulation"], [[0, 0.6, 1.6, 1.6], [0, 0, 2, 4], [0, 0, 0, 0]], rtol=1e-5)
    np.testing.assert_allclose(one["accumulation_quantile"].sel(quantile=0.5), [0, 0, 1.6, 1.6], rtol=1e-5)
    np.testing.assert_allclose(one["probability_any"], [2 / 3, 1 / 3])
    at = INIT + STEP * np.arange(5)
    assert one["onset"].values[0].tolist() == at[[2, 2, 3]].tolist()  # of the two members that have any
    assert one["onset"].values[1].tolist() == at[[3, 3, 3]].tolist()
    np.testing.assert_array_equal(one["end"].values[0], [at[4], at[4], NEVER])  # the second rains on
    np.testing.assert_array_equal(one["end"].values[1], [NEVER] * 3)
    assert one["amount"].attrs["units"] == "mm h-1" and one["accumulation"].attrs["units"] == "mm"
    dry = answer(by_hand, [Place("dry", *degrees(0.5, 0.5))]).isel(place=0)
    assert (dry["probability_any"] == 0).all() and dry["onset"].isnull().all() and dry["end"].isnull().all()


def test_the_sentence_says_when_how_surely_how_long_and_how_much(by_hand):
    places = [Place("Here", *degrees(1.5, 2.5)), Place("Dry", *degrees(0.5, 0.5))]
    here, dry = sentences(answer(by_hand, places, thresholds=["1mm/h"]))
    assert here == (
        "Here: 67 % chance of 1 mm h⁻¹ or more within 60 min of 2021-07-04 14:00 UTC; begins most likely about 14:30 "
        "(10 to 90 %: 14:30 to 14:45), last ends about 15:00 (10 to 90 %: 15:00 to later) UTC; 1.6 mm (0.2 "
        "to 3.8) by 15:00."
    )
    assert dry == (
        "Dry: 1 mm h⁻¹ or more is unlikely within 60 min of 2021-07-04 14:00 UTC (none of 3 members); 0.0 mm (0.0 to "
        "0.0) by 15:00."
    )
    (alone,) = sentences(answer(by_hand.isel(member=[0]), places[:1], thresholds=[1]))
    assert alone == (
        "Here: 1 mm h⁻¹ or more within 60 min of 2021-07-04 14:00 UTC, from 14:30, until 15:00 UTC; 1.6 mm by 15:00."
    )


def test_a_point_is_the_pixel_that_contains_it(by_hand):
    inside = [degrees(*at) for at in ((1.02, 2.02), (1.98, 2.02), (1.02, 2.98), (1.98, 2.98))]
    outside = [degrees(*at) for at in ((0.98, 2.5), (2.02, 2.5), (1.5, 1.98), (1.5, 3.02))]
    answered = answer(by_hand, [Place(str(n), *at) for n, at in enumerate([*inside, *outside])], thresholds=[1])
    np.testing.assert_allclose(answered["probability_any"].values[:, 0], [2 / 3] * 4 + [0] * 4)


def test_an_area_is_the_mean_and_the_maximum_of_the_pixels_whose_centres_it_contains(by_hand):
    (south, west), (north, east) = degrees(1.1, 2.1), degrees(2.9, 3.9)  # pixels (2, 1), (2, 2), (3, 1) and (3, 2)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    area = {"type": "Feature", "properties": {"Name": "Basin"}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    mean, largest = (nowcast.at(by_hand, areas=area, thresholds=[1]).isel(place=n) for n in (0, 1))
    assert mean["name"] == "Basin" and mean["series"] == "mean of 4 pixels"
    assert mean["inside"].item() == pytest.approx(1)
    np.testing.assert_allclose(mean["amount"], RATES / 4, rtol=1e-5)
    np.testing.assert_allclose(mean["probability"][0], [0, 0, 2 / 3, 1 / 3])
    np.testing.assert_allclose(mean["accumulation"].values[:, -1], [0.4, 1, 0], rtol=1e-5)
    assert largest["series"] == "maximum of 4 pixels"
    np.testing.assert_allclose(largest["amount"], RATES, rtol=1e-5)
    np.testing.assert_allclose(largest["accumulation"].values[:, -1], [1.6, 4, 0], rtol=1e-5)
    hole = [list(degrees(*at))[::-1] for at in ((1.1, 2.1), (1.9, 2.1), (1.9, 2.9), (1.1, 2.9), (1.1, 2.1))]
    (outer_south, outer_west), (outer_north, outer_east) = degrees(1.05, 2.05), degrees(2.9, 3.9)
    outer = [[outer_west, outer_south], [outer_east, outer_south], [outer_east, outer_north], [outer_west, outer_north]]
    holed = {"type": "MultiPolygon", "coordinates": [[[*outer, outer[0]], hole]]}
    without = nowcast.at(by_hand, areas=holed, thresholds=[1]).isel(place=0)
    assert without["series"] == "mean of 3 pixels" and (without["amount"] < 1e-6).all()


def test_the_mean_of_an_area_is_of_what_adds_up():
    counts = np.zeros((1, 1, 4, 4))
    counts[..., 0, 0] = 100
    square = [list(degrees(*at))[::-1] for at in ((0.1, 0.1), (1.9, 0.1), (1.9, 1.9), (0.1, 1.9), (0.1, 0.1))]
    area = {"type": "Polygon", "coordinates": [square]}
    forecast = make_forecast(counts)
    by_unit = {unit: nowcast.at(forecast, areas=area, units=unit)["amount"].values[0].item()
               for unit in ("mm/h", "kg/m2", "counts", "dBZ")}  # fmt: skip
    rate, vil, decibels = (from_counts(np.array([100.0]), q).item() for q in (RAIN_RATE, VIL, REFLECTIVITY))
    assert by_unit["mm/h"] == pytest.approx(rate / 4) and by_unit["kg/m2"] == pytest.approx(vil / 4)
    assert from_counts(np.array([by_unit["counts"]]), VIL).item() == pytest.approx(vil / 4)
    nothing = from_counts(np.array([0.0]), REFLECTIVITY).item()
    assert by_unit["dBZ"] == pytest.approx(10 * np.log10((10 ** (decibels / 10) + 3 * 10 ** (nothing / 10)) / 4))
    assert "accumulation" not in nowcast.at(forecast, areas=area) and "accumulation" in nowcast.at(
        forecast, areas=area, units="mm/h"
    )


def test_a_pixel_never_observed_says_so_and_an_area_counts_only_what_was_observed(by_hand):
    by_hand["vil"][..., 0, 0] = np.nan
    square = [list(degrees(*at))[::-1] for at in ((0.1, 0.1), (1.9, 0.1), (1.9, 0.9), (0.1, 0.9), (0.1, 0.1))]
    area = {"type": "Polygon", "coordinates": [square]}
    answered = nowcast.at(by_hand, {"Blind": degrees(0.5, 0.5)}, areas=area, thresholds=[1])
    blind, half, _ = (answered.isel(place=n) for n in range(3))
    assert blind["probability_any"].isnull().all() and blind["amount_quantile"].isnull().all()
    assert half["inside"].item() == pytest.approx(0.5) and (half["amount"] == 0).all()
    lines = sentences(answered)
    assert lines[0] == "Blind: the radar never observed it, so there is no forecast."
    assert lines[1].endswith("Only 50 % of it lies in the domain and was observed.")


def test_an_area_partly_outside_says_how_much_is_inside(by_hand):
    square = [list(degrees(*at))[::-1] for at in ((2.5, 1), (5.5, 1), (5.5, 3), (2.5, 3), (2.5, 1))]
    answered = nowcast.at(by_hand, areas={"type": "Polygon", "coordinates": [square]})
    assert answered["inside"].values[0] == pytest.approx(0.5, abs=0.01)


def test_beyond_what_advection_reaches_is_said_where_the_file_knows(by_hand):
    known = np.ones((1, 4, 4, 4), bool)
    known[:, 2:, 2, 1] = False
    by_hand["reached"] = (("case", "lead_time", "y", "x"), known)
    answered = answer(by_hand, [Place("Here", *degrees(1.5, 2.5))], thresholds=[1])
    assert answered["reached"].values.tolist() == [[1, 1, 0, 0]]
    assert sentences(answered)[0].endswith(" From 14:45 UTC on it is beyond what advection reaches.")


def test_every_case_that_holds_a_point_answers_or_the_one_asked_for(by_hand):
    later = by_hand.assign_coords(init_time=by_hand["init_time"] + STEP, valid_time=by_hand["valid_time"] + STEP)
    north = later.assign_coords(corner_y=("case", [1e6]))
    three = xr.concat([by_hand, north, later], "case")
    place = [Place("Here", *degrees(1.5, 2.5))]
    answered = answer(three, place, thresholds=[1])
    assert answered["case"].values.tolist() == [0, 2] and answered["init_time"].values[1] == INIT + STEP
    assert sentences(answered)[1].startswith("Here, case 2 of event storm: 67 % chance")
    assert answer(three, place, case=2)["case"].values.tolist() == [2]
    with pytest.raises(InputError, match=r"Here .* lies outside of the forecast"):
        answer(three, place, case=1)
    with pytest.raises(InputError, match="no case 3 in the forecast; expected 0 to 2"):
        answer(three, place, case=3)


def test_a_place_outside_is_refused_by_name_with_the_bounds_and_the_distance(by_hand):
    line = (
        r"Bonn \(50.73 N 7.1 E\) lies outside of the forecast; got 19\d km to its nearest pixel; "
        r"expected between 51.97 N 4.96 E and 52.03 N 5.04 E"
    )
    with pytest.raises(InputError, match=line):
        answer(by_hand, [Place("Bonn", 50.73, 7.1)])


def test_observations_stand_beside_the_forecast(by_hand):
    observed = by_hand["vil"].isel(case=0, member=1, drop=True).values
    store = xr.Dataset(
        {"vil": (("event", "frame", "y", "x"), observed[None])},
        {"event": ["storm"], "valid_time": (("event", "frame"), by_hand["valid_time"].values)},
    )
    one = nowcast.at(by_hand, [degrees(1.5, 2.5)], obs=store)
    np.testing.assert_allclose(one["observed"][0], RATES[1], rtol=1e-5)


def test_one_threshold_needs_no_list(by_hand):
    here = [degrees(1.5, 2.5)]
    for threshold in (2.5, "2.5mm/h", ["2.5 mm/h"]):
        assert nowcast.at(by_hand, here, thresholds=threshold)["threshold"].values.tolist() == [2.5]


def test_members_are_read_in_parts(tmp_path):
    counts = np.random.default_rng(0).integers(0, 255, (21, 3, 4, 4)).astype("float32")
    make_forecast(counts).to_netcdf(tmp_path / "f.nc", encoding={"vil": {"chunksizes": (1, 8, 3, 4, 4)}})
    places = {"a": degrees(0.5, 3.5), "b": degrees(3.5, 0.5)}
    for forecast in (make_forecast(counts), tmp_path / "f.nc"):
        amounts = nowcast.at(forecast, places)["amount"].transpose("place", "member", "lead_time")
        np.testing.assert_array_equal(amounts, [counts[:, :, 3, 0], counts[:, :, 0, 3]])


def test_times_of_another_day_and_shares_near_none_and_all_in_words():
    init = np.datetime64("2021-07-04T23:55")
    assert clock(init, init) == "23:55" and clock(NEVER, init) == ""
    assert clock(init + np.timedelta64(10, "m"), init) == "2021-07-05 00:05"
    shares = (0, 0.001, 0.01, 0.5, 0.994, 0.999, 1)
    assert [percent(share) for share in shares] == ["0 %", "under 1 %", "1 %", "50 %", "99 %", "over 99 %", "100 %"]


def test_tables_have_a_row_for_each_lead_time_and_for_each_threshold(by_hand):
    answered = answer(by_hand, [Place("Here", *degrees(1.5, 2.5))], thresholds=[1, 5])
    leads, limits = lead_table(answered), threshold_table(answered)
    assert leads["lead_minutes"].tolist() == [15, 30, 45, 60] and leads["name"].unique().tolist() == ["Here"]
    assert leads["q50"].tolist() == pytest.approx([0, 0, 4, 0], rel=1e-5) and leads["units"].unique() == ["mm h-1"]
    assert leads["p_ge_1"].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1 / 3])
    assert leads["accumulation_mm_q50"].tolist() == pytest.approx([0, 0, 1.6, 1.6], rel=1e-5)
    assert limits["probability"].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert limits["onset_q10"].tolist() == [INIT + 2 * STEP, INIT + 3 * STEP] and limits["end_q90"].isnull().all()


def test_a_file_gives_back_the_answers(by_hand, tmp_path):
    answered = answer(by_hand, [Place("Here", *degrees(1.5, 2.5))], thresholds=[1, 5])
    with xr.open_dataset(save_answers(answered, tmp_path / "a.nc"), decode_timedelta=True) as back:
        xr.testing.assert_allclose(back.drop_vars("event"), answered.drop_vars("event"))
        assert (back["onset"] == answered["onset"]).all() and back["end"].isnull().equals(answered["end"].isnull())
    with pytest.raises(InputError, match=r"a\.nc exists; say --overwrite"):
        save_answers(answered, tmp_path / "a.nc")
    with pytest.raises(InputError, match=r"cannot write .*a\.txt; expected a name ending in \.csv or \.nc"):
        save_answers(answered, tmp_path / "a.txt")


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 5))
def test_of_any_ensemble(seed, members, leads):
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.3, 4, (members, leads)) * (rng.random((members, leads)) < 0.6)
    forecast = make_forecast(rain_rate_to_counts(rates)[..., None, None] * np.ones((2, 2)), quantity=RAIN_RATE)
    one = answer(forecast, [Place("p", *degrees(0.5, 0.5, 2, 2))], thresholds=[0.5, 2]).isel(place=0)
    shown = one["amount"].values  # rates below the least count are 0
    np.testing.assert_allclose(
        one["accumulation_quantile"], np.quantile(np.cumsum(shown, 1) / 4, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    )
    assert (one["accumulation_quantile"].diff("lead_time") >= -1e-9).all()
    assert (one["amount_quantile"].diff("quantile") >= 0).all()
    assert (one["probability_any"] >= one["probability"].max("lead_time")).all()
    assert (one["probability_any"] <= one["probability"].sum("lead_time") + 1e-9).all()
    assert (one["probability"].diff("threshold") <= 0).all()
    never = one["probability_any"] == 0
    assert (one["onset"].isnull().all("time_quantile") == never).all()
    ordered = one["onset"].values[~never.values]
    assert (np.diff(ordered, axis=1) >= np.timedelta64(0)).all()
    known = one["end"].notnull()
    assert (one["end"] > one["onset"]).where(known, True).all()


@pytest.mark.parametrize("count", [219, 74, 133, 160, 181, 97])
def test_a_member_of_exactly_the_threshold_reaches_it(count):
    made = make_forecast(np.full((1, 2, 4, 4), count), quantity=RAIN_RATE)
    one = answer(made, [Place("here", *degrees(1.5, 2.5))], thresholds=f"{count}counts").isel(place=0)
    assert one["probability"].values.tolist() == [[1, 1]]


UNITS = {RAIN_RATE: "mm/h", REFLECTIVITY: "dBZ", VIL: "kg/m2", COUNTS: "counts"}
STEPS = st.integers(6 * 128, 254 * 128 - 1)  # of 1/128 count, as files have them


@settings(max_examples=40)
@given(STEPS, st.sampled_from(list(UNITS)), st.sampled_from(list(UNITS)))
def test_a_value_that_equals_a_threshold_reaches_it_in_every_unit_and_everywhere(step, said_in, quantity):
    """Members a step below, at and above the threshold, which is said in one unit and answered in another."""
    counts = np.array([step - 1, step, step + 1, 0], "float32") / 128
    made = make_forecast(np.broadcast_to(counts[:, None, None, None], (4, 2, 4, 4)), quantity=said_in)
    threshold = f"{from_counts(np.array([step / 128]), said_in)[0]:.17g}{UNITS[said_in]}"
    ring = [list(degrees(*at))[::-1] for at in ((0.1, 0.1), (2.9, 0.1), (2.9, 2.9), (0.1, 2.9), (0.1, 0.1))]
    here, area = degrees(1.5, 2.5), {"type": "Polygon", "coordinates": [ring]}
    answered = answer(made, [Place("here", *here), *read_areas(area)], thresholds=threshold, quantity=quantity)
    assert answered.sizes["place"] == 3 and (answered["probability"] == 0.5).all()
    assert (answered["probability_any"] == 0.5).all() and answered["onset"].notnull().all()
    assert (nowcast.probability_at(made, *here, threshold) == 0.5).all()
    level = threshold_in_counts(threshold)
    assert level == step / 128
    for members in (counts, counts.astype("float64")):
        assert ensemble_probability(members, level) == ensemble_onset(members[:, None], level)[0] == 0.5


def test_thresholds_that_are_the_same_are_one_and_may_be_an_array(by_hand):
    place = [Place("here", *degrees(1.5, 2.5))]
    twice = answer(by_hand, place, thresholds=["2.5", "2.5mm/h"])
    assert twice["threshold"].values.tolist() == [2.5] and len(threshold_table(twice)) == 1
    xr.testing.assert_identical(
        answer(by_hand, place, thresholds=np.array([1, 5])), answer(by_hand, place, thresholds=[1, 5])
    )
    xr.testing.assert_identical(answer(by_hand, place, thresholds=np.int64(5)), answer(by_hand, place, thresholds=5))


def test_a_series_that_is_missing_later_is_no_place_that_was_never_observed(by_hand):
    counts = by_hand["vil"].values[0].copy()
    counts[:, 3] = np.nan
    made = make_forecast(counts, quantity=RAIN_RATE)
    (line,) = sentences(answer(made, [Place("here", *degrees(1.5, 2.5))], thresholds=1))
    assert line.startswith("here: 67 % chance of 1 mm h⁻¹ or more") and "nan" not in line
