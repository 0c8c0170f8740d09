"""Scores and states on disk: what is written, merged and refused."""

import numpy as np
import pytest
import xarray as xr

from nowcast.verification import merge_states, save, save_states, scores_of, states, verify
from pipelines.errors import InputError


@pytest.fixture
def inputs(make_store, make_forecast) -> tuple[xr.Dataset, xr.Dataset]:
    """A forecast of four events in counts, ties among them, and the store."""
    rng = np.random.default_rng(0)
    store = make_store(rng.integers(0, 120, (4, 4, 20, 20))).assign_attrs(event_list_hash="abc")
    return make_forecast(rng.integers(0, 120, (4, 3, 2, 20, 20))).assign_attrs(model="mine"), store


@pytest.fixture
def parts(inputs, tmp_path):
    """The states of cases 2 and 0, of 1, and of 3, beside a reference, as three workers leave them."""
    forecast, store = inputs
    paths = [tmp_path / f"{number}.nc" for number in range(3)]
    for path, cases in zip(paths, ([2, 0], [1], [3]), strict=True):
        part = forecast.isel(case=cases)
        save_states(states(part, store, reference=part.isel(member=[0]).assign_attrs(model="theirs")), path)
    return paths


def test_states_of_many_files_score_like_one(inputs, parts) -> None:
    forecast, store = inputs
    whole = verify(forecast, store, reference=forecast.isel(member=[0]).assign_attrs(model="theirs"), samples=5)
    merged = scores_of(merge_states(parts), samples=5)
    xr.testing.assert_allclose(merged, whole)
    assert merged.attrs["case_list_hash"] == whole.attrs["case_list_hash"]
    assert merged.attrs["events"] == 4 and list(merged["model"].values) == ["mine", "theirs"]
    xr.testing.assert_allclose(scores_of(merge_states(parts[::-1]), samples=5), whole)


def test_a_case_counts_once(parts) -> None:
    with pytest.raises(InputError, match="is in both sums"):
        merge_states([*parts, parts[1]])


def test_states_of_other_forecasts_or_lists_are_refused(inputs, parts, tmp_path) -> None:
    forecast, store = inputs
    one = forecast.isel(case=[0])
    for number, (match, (other, observed)) in enumerate({
        "numbers of forecasts": (one, store),
        "different model": (one.assign_attrs(model="another"), store),
        "different event_list_hash": (one, store.assign_attrs(event_list_hash="other")),
    }.items()):  # fmt: skip
        path = tmp_path / f"other-{number}.nc"
        reference = () if number == 0 else other.isel(member=[0]).assign_attrs(model="theirs")
        save_states(states(other, observed, reference=reference), path)
        with pytest.raises(InputError, match=match):
            merge_states([parts[1], path])


def test_files_without_sums_are_refused(inputs, tmp_path) -> None:
    (tmp_path / "text.nc").write_text("no NetCDF")
    save(verify(*inputs, samples=0), tmp_path / "scores.nc")
    for name, match in {"absent.nc": "cannot be read", "text.nc": "cannot be read", "scores.nc": "no sums"}.items():
        with pytest.raises(InputError, match=match):
            merge_states([tmp_path / name])


def test_states_are_not_overwritten_unasked(inputs, parts) -> None:
    with pytest.raises(InputError, match="--overwrite"):
        save_states(states(*inputs), parts[0])
    save_states(states(*inputs), parts[0], overwrite=True)
    assert len(merge_states(parts[:1])) == 1


def test_coordinates_are_written_as_cf_asks(inputs, tmp_path) -> None:
    with xr.open_dataset(save(verify(*inputs, samples=5), tmp_path / "scores.nc"), decode_timedelta=False) as read:
        assert read["lead_time"].attrs["units"] == "minutes"
        for name, coordinate in read.coords.items():
            assert "_FillValue" not in coordinate.encoding and coordinate.dtype != np.int64, name
