"""The contract that every line of the table of metrics keeps."""

import numpy as np
import pytest
import xarray as xr

from nowcast.verification.aggregate import add, statistics
from nowcast.verification.contract import Pair, coverage
from nowcast.verification.metrics.table import METRICS

THRESHOLDS = (40.0, 74.0)
SIDE = 32
# At pixels beside a pixel, so that half a field has not half of their sums.
LOOK_AROUND = {"ssim", "csi_block", "csi_m_block", "fss", "fss_mean", "energy", "energy_ratio"}
STATISTICS = {s.__name__: s for metric in METRICS.values() for s in metric.statistics}


def random_pair(seed: int, counted: np.ndarray | None = None) -> Pair:
    rng = np.random.default_rng(seed)
    slope = np.linspace(0, 110, SIDE)  # so that averages of 16x16 pixels lie on both sides of the thresholds
    fields = (slope + rng.uniform(0, 60, (5, SIDE, SIDE))).astype("float32")
    return Pair(fields[1:], fields[0], np.ones((SIDE, SIDE), bool) if counted is None else counted, THRESHOLDS)


def state(pair: Pair) -> xr.Dataset:
    return statistics(pair).expand_dims(event=["e0"], lead_time=[np.timedelta64(300, "s")])


def documented_dims(docstring: str) -> set[str]:
    """The names that a docstring gives after "dims ("; totals have none here."""
    if "no dims" in docstring.lower() or "dims of the totals" in docstring.lower():
        return set()
    inside = docstring.split("dims (")[1].split(")")[0]
    return {name.strip() for name in inside.split(",") if name.strip()}


@pytest.mark.parametrize("name", METRICS)
def test_score_has_the_dims_of_its_docstring_and_is_finite_on_ordinary_fields(name: str) -> None:
    score = METRICS[name].score(statistics(random_pair(0)))
    assert set(score.dims) == documented_dims(METRICS[name].score.__doc__)
    assert np.isfinite(score).all()


@pytest.mark.parametrize("name", STATISTICS)
def test_statistic_has_the_dims_of_its_docstring(name: str) -> None:
    for value in xr.Dataset(STATISTICS[name](random_pair(0))).data_vars.values():
        assert set(value.dims) == documented_dims(STATISTICS[name].__doc__)


@pytest.mark.parametrize("name", METRICS)
def test_score_needs_no_more_than_the_statistics_it_names(name: str) -> None:
    pair = random_pair(0)
    sums = dict(coverage(pair))
    for statistic in METRICS[name].statistics:
        sums |= statistic(pair)
    xr.testing.assert_allclose(METRICS[name].score(xr.Dataset(sums)), METRICS[name].score(statistics(pair)))


@pytest.mark.parametrize("name", METRICS)
def test_a_pixel_that_does_not_count_changes_nothing(name: str) -> None:
    if name == "counted_fraction":
        pytest.skip("counts them")
    counted = np.ones((SIDE, SIDE), bool)
    counted[2:5, 1:7] = False
    pair = random_pair(3, counted)
    spoilt = Pair(np.where(counted, pair.members, np.nan), np.where(counted, pair.obs, 254), counted, THRESHOLDS)
    xr.testing.assert_identical(METRICS[name].score(statistics(pair)), METRICS[name].score(statistics(spoilt)))


@pytest.mark.parametrize("name", METRICS)
def test_score_of_no_pixel_is_nan_and_adds_nothing(name: str) -> None:
    nothing, something = random_pair(1, np.zeros((SIDE, SIDE), bool)), random_pair(2)
    score = METRICS[name].score
    empty = score(statistics(nothing))
    assert (empty == 0).all() if name == "counted_fraction" else np.isnan(empty).all()
    if name != "counted_fraction":
        both = add(state(nothing), state(something))
        xr.testing.assert_allclose(score(both), score(state(something)))


@pytest.mark.parametrize("name", [name for name in METRICS if name not in LOOK_AROUND])
def test_score_of_two_states_added_is_that_of_their_union(name: str) -> None:
    left = np.zeros((SIDE, SIDE), bool)
    left[:, :13] = True
    whole, halves = random_pair(4), [random_pair(4, half) for half in (left, ~left)]
    added = add(*map(state, halves))
    added["grid_pixels"] /= 2  # each half was cut from the whole grid
    xr.testing.assert_allclose(METRICS[name].score(added), METRICS[name].score(state(whole)))


@pytest.mark.parametrize("name", METRICS)
def test_a_perfect_forecast_has_the_best_score(name: str) -> None:
    if METRICS[name].best is None:
        pytest.skip("has no best value")
    pair = random_pair(5)
    perfect = Pair(np.stack([pair.obs] * 3), pair.obs, pair.counted, THRESHOLDS)
    np.testing.assert_allclose(METRICS[name].score(statistics(perfect)), METRICS[name].best, atol=1e-6)
