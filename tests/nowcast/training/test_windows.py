import shutil

import numpy as np
import pytest
import zarr

from nowcast.data.orientations import turned as turned_to
from nowcast.data.windows import Window, find_windows, history_of
from nowcast.training.windows import TrainingStore, TrainingWindows, training_sources
from pipelines.errors import InputError
from pipelines.store.schema import open_store
from pipelines.store.units import counts_to_vil


@pytest.fixture
def opened(small_store):
    return open_store(small_store)


@pytest.fixture
def source(small_store):
    return TrainingStore(small_store)


def test_windows_by_hand(opened):
    # 30 frames hold windows of 20 that start at 0 and 10; event 4 is missing from frame 25 on, so only 0 is left.
    found = find_windows(opened, history=10, lead=10, stride=10, split="test")
    assert found == [Window(4, 0), Window(5, 0), Window(5, 10)]


def test_no_window_leaves_its_split(opened):
    for split, events in {"train": {0, 1, 2}, "val": {3}, "test": {4, 5}}.items():
        found = find_windows(opened, history=10, lead=10, stride=1, split=split)
        assert {window.event for window in found} == events


def test_a_gap_in_time_breaks_windows(opened):
    times = opened["valid_time"].values.copy()
    times[5, 12:] += np.timedelta64(60, "s")
    gap = opened.assign_coords(valid_time=(("event", "frame"), times))
    assert find_windows(gap, history=6, lead=6, stride=6, events=["E5"]) == [Window(5, 0), Window(5, 12), Window(5, 18)]


def test_unknown_event_and_empty_split(opened):
    with pytest.raises(InputError, match="no event E9"):
        find_windows(opened, history=10, lead=10, stride=10, events=["E9"])
    with pytest.raises(InputError, match="no window of 10"):
        find_windows(opened, history=10, lead=30, stride=10)


def test_history_carries_counts_time_and_place(opened):
    history = history_of(opened, [Window(5, 10), Window(0, 0)], 10)
    assert history.dims == ("case", "frame", "y", "x") and history.dtype == "float32"
    assert history["event"].values.tolist() == ["E5", "E0"]
    assert (history["init_time"] == history["valid_time"].isel(frame=-1)).all()
    assert history["corner_x"].values.tolist() == [500_000.0, 0.0]
    assert np.isnan(history.values[:, :, :2, :2]).all() and np.isfinite(history.values[:, :, 2:]).all()
    np.testing.assert_array_equal(history.values[0], opened["vil"].isel(event=5, frame=slice(10, 20)).values)


def test_each_epoch_is_every_window_once_in_an_order_of_its_own(source, opened):
    windows = find_windows(opened, history=10, lead=10, stride=2, split="train")
    plain = TrainingWindows([(source, windows)], 10, 10, side=16, seed=1)
    epochs = [[plain[n].tobytes() for n in range(e * len(windows), (e + 1) * len(windows))] for e in (0, 1)]
    assert len(set(epochs[0])) == len(windows)
    assert sorted(epochs[0]) == sorted(epochs[1]) and epochs[0] != epochs[1]


def test_sample_number_decides_everything(source, opened):
    windows = find_windows(opened, history=10, lead=10, stride=2, split="train")
    first, second = (TrainingWindows([(source, windows)], 10, 10, side=16, seed=1, augment=True) for _ in range(2))
    backwards = {n: second[n] for n in reversed(range(40))}
    assert all((first[n] == backwards[n]).all() for n in range(40))
    other = TrainingWindows([(source, windows)], 10, 10, side=16, seed=2, augment=True)
    assert any((first[n] != other[n]).any() for n in range(40))


def test_turning_keeps_the_pixels(source, opened):
    windows = find_windows(opened, history=10, lead=10, stride=2, split="train")
    turned, plain = (
        TrainingWindows([(source, windows)], 10, 10, side=16, seed=1, augment=augment) for augment in (True, False)
    )
    assert all((np.sort(turned[n], None) == np.sort(plain[n], None)).all() for n in range(8))
    assert len({np.argwhere(turned[n][0] == 255).tobytes() for n in range(30)}) >= 4  # the missing corner moves about


def test_time_runs_backwards_in_half_of_the_windows(source, opened):
    windows = find_windows(opened, history=10, lead=10, stride=2, split="train")
    plain, reversing = (
        TrainingWindows([(source, windows)], 10, 10, side=16, seed=1, reverse=reverse) for reverse in (False, True)
    )
    forwards = [(reversing[n] == plain[n]).all() for n in range(60)]
    backwards = [(reversing[n] == plain[n][::-1]).all() for n in range(60)]
    assert 15 < sum(forwards) < 45 and all(a != b for a, b in zip(forwards, backwards, strict=True))


def test_samples_mark_missing(source, opened):
    windows = find_windows(opened, history=10, lead=10, stride=2, split="train")
    values, seen = TrainingWindows([(source, windows)], 10, 10, side=16, seed=1).sample(4)
    assert values.shape == seen.shape == (20, 16, 16) and values.dtype == "float32"
    assert not seen[:, :2, :2].any() and (values[~seen] == 0).all() and seen[:, 2:].all()


def test_liquid_is_scaled_by_a_factor_a_window_and_missing_stays(source, opened):
    windows = find_windows(opened, history=10, lead=10, stride=2, split="train")
    plain, scaled = (
        TrainingWindows([(source, windows)], 10, 10, side=16, seed=1, liquid=liquid) for liquid in (1.0, 2.0)
    )
    factors = set()
    for number in range(8):
        before, after = plain[number], scaled[number]
        np.testing.assert_array_equal(after == 255, before == 255)
        strong = (before >= 50) & (before <= 200)
        assert strong.any()
        ratio = counts_to_vil(after[strong].astype(float)) / counts_to_vil(before[strong].astype(float))
        assert ratio.min() > 0.48 and ratio.max() < 2.1 and np.ptp(ratio) < 0.06 * ratio.mean()
        factors.add(round(float(np.median(ratio)), 1))
    assert len(factors) >= 4


def test_a_range_of_cadences_takes_every_so_many_frames(source, opened):
    minutes = (opened["valid_time"].values[0, 1] - opened["valid_time"].values[0, 0]) / np.timedelta64(1, "m")
    choice = {"history": 4, "lead": 4, "stride": 1, "split": "train"}
    [(_, plain)] = training_sources([source], **choice)
    [(_, every_second)] = training_sources([source], cadence=(1.5 * minutes, 2.5 * minutes), **choice)
    assert {window.step for window in plain} == {1} and {window.step for window in every_second} == {2}
    frames = opened.sizes["frame"]
    assert min(window.start for window in every_second) == -2  # the newest three of the history are needed
    assert max(window.start for window in every_second) == frames - 1 - 2 * 5
    first = TrainingWindows([(source, [Window(0, -4, 2)])], 4, 4, side=16, seed=0)[0]
    assert (first[:2] == 255).all()
    np.testing.assert_array_equal(first[2:], zarr.open_array(f"{source.path}/vil")[0, :12:2])


def test_events_without_echo_are_left_out(source, opened):
    choice = {"history": 10, "lead": 10, "stride": 1, "split": "train"}
    with pytest.raises(InputError, match="no store has a window of split train"):
        training_sources([source], least_echo=1.0, **choice)
    assert training_sources([source], least_echo=0.01, **choice) == training_sources([source], **choice)


def test_a_square_is_cut_out_of_larger_frames(source, opened):
    windows = find_windows(opened, history=10, lead=10, stride=2, split="train")
    cut = TrainingWindows([(source, windows)], 10, 10, side=8, seed=1, augment=True)
    middle = TrainingWindows([(source, [Window(0, 0)])], 10, 10, side=8, seed=1)
    assert cut[0].shape == (20, 8, 8)
    np.testing.assert_array_equal(middle[0], zarr.open_array(f"{source.path}/vil")[0, :20, 4:12, 4:12])
    with pytest.raises(InputError, match="too small"):
        TrainingWindows([(source, windows)], 10, 10, side=32, seed=1)


def test_missing_pixels_are_no_echo(small_store, tmp_path):
    store = tmp_path / "dry.zarr"
    shutil.copytree(small_store, store)
    counts = zarr.open_array(f"{store}/vil", mode="r+")
    counts[:] = np.broadcast_to(np.where(np.arange(16) < 8, 255, 0).astype("uint8"), counts.shape)
    counts[1, :, 0, 8:] = 16
    shares = TrainingStore(store).echo_shares
    assert shares[0] == 0 and shares[1] == pytest.approx(8 / 256)


def test_windows_are_turned_in_all_eight_ways(source, opened):
    windows = find_windows(opened, history=10, lead=10, stride=2, split="train")
    plain, turned = (
        TrainingWindows([(source, windows)], 10, 10, side=16, seed=1, augment=augment) for augment in (False, True)
    )
    ways = [[way for way in range(8) if (turned_to(plain[n], way) == turned[n]).all()] for n in range(60)]
    assert all(len(way) == 1 for way in ways) and {way for [way] in ways} == set(range(8))


def test_a_square_is_cut_at_every_place_where_it_fits(source):
    cut = TrainingWindows([(source, [Window(0, 0)])], 10, 10, side=15, seed=1, augment=True)
    assert {cut._corner((16, 17), n) for n in range(60)} == {(y, x) for y in (0, 1) for x in (0, 1, 2)}


def test_a_cadence_at_either_end_of_the_range_is_taken(source):
    choice = {"history": 4, "lead": 4, "stride": 1, "split": "train"}
    for cadence, steps in (((5, 10), {1, 2}), ((5, 5), {1}), ((10, 10), {2})):
        sources = training_sources([source], cadence=cadence, **choice)
        assert {window.step for _, windows in sources for window in windows} == steps
    with pytest.raises(InputError, match="no store has a window"):
        training_sources([source], cadence=(6, 9), **choice)
