"""LPIPS, FVD and KVD: distances known by hand, states that add up to the union, and what a forecast is seen as."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from nowcast.verification import merge_states, save_states, scores_of, states, verify
from nowcast.verification.metrics.perceptual import Perception, frechet_distance, kernel_distance
from pipelines.errors import InputError


def brightness(fields: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """A distance that can be worked out: between averages."""
    return np.abs(fields.mean((1, 2)) - truth.mean())


def first_and_last(videos: np.ndarray) -> np.ndarray:
    """Two features: the averages of the first frame and of the last."""
    return videos.mean((2, 3))[:, [0, -1]].astype("float32")


SEEN = Perception(brightness, first_and_last, {"i3d_weights_sha256": "abc"})


@pytest.fixture
def inputs(make_store, make_forecast) -> tuple[xr.Dataset, xr.Dataset]:
    """Three events, two members, two lead times; two pixels missing."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 200, (3, 3, 20, 20)).astype("float32")
    truth[0, 1, :2, 0] = np.nan
    return make_forecast(rng.integers(0, 200, (3, 2, 2, 20, 20))).assign_attrs(model="mine"), make_store(truth)


def test_gaussians_of_known_distance() -> None:
    # Of diagonal covariances: |m - n|^2 + sum (s - t)^2 = 9 + 16 + (2 - 1)^2 + (3 - 5)^2
    diagonal = frechet_distance(np.array([3.0, 0.0]), np.diag([4.0, 9.0]), np.array([0.0, 4.0]), np.diag([1.0, 25.0]))
    assert diagonal == pytest.approx(30)
    # C = [[2, 1], [1, 2]] and the identity share eigenvectors: (sqrt 3 - 1)^2 + (1 - 1)^2
    correlated = frechet_distance(np.zeros(2), np.array([[2.0, 1.0], [1.0, 2.0]]), np.zeros(2), np.eye(2))
    assert correlated == pytest.approx((np.sqrt(3) - 1) ** 2)
    # C = [[1, 1], [1, 1]] has no inverse; C D = [[1, 4], [1, 4]] for D = diag(1, 4): trace 5, so 2 + 5 - 2 sqrt 5
    singular = frechet_distance(np.zeros(2), np.ones((2, 2)), np.zeros(2), np.diag([1.0, 4.0]))
    assert singular == pytest.approx(7 - 2 * np.sqrt(5))


@given(st.integers(0, 2**32 - 1))
def test_frechet_distance_is_zero_only_to_itself_symmetric_and_does_not_turn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    (m, n), (a, b) = rng.normal(size=(2, 4)), rng.normal(size=(2, 4, 4))
    c, d, turn = a @ a.T, b @ b.T, np.linalg.qr(rng.normal(size=(4, 4)))[0]
    distance = frechet_distance(m, c, n, d)
    assert frechet_distance(m, c, m, c) == pytest.approx(0, abs=1e-6 * (1 + np.trace(c)))
    assert distance > 0 and distance == pytest.approx(frechet_distance(n, d, m, c), rel=1e-6)
    turned = frechet_distance(turn @ m, turn @ c @ turn.T, turn @ n, turn @ d @ turn.T)
    assert distance == pytest.approx(turned, rel=1e-6)


def test_kernel_distance_of_two_points_by_hand() -> None:
    x, y = np.array([[1.0, 1.0], [0.0, 2.0]]), np.array([[0.0, 0.0], [2.0, 0.0]])
    # k = (x.y / 2 + 1)^3. Between events a and b: x.x' = 2 -> 8; y.y' = 0 -> 1; x_a.y_b = 2 -> 8; x_b.y_a = 0 -> 1
    events = np.array(["a", "b"])
    assert kernel_distance(x, y, events, events) == pytest.approx(8 + 1 - 2 * (8 + 1) / 2)
    assert kernel_distance(x, x, events, events) == 0
    assert np.isnan(kernel_distance(x, y, np.array(["a", "a"]), np.array(["a", "a"])))


def test_kernel_distance_does_not_depend_on_how_it_is_cut(monkeypatch) -> None:
    rng = np.random.default_rng(1)
    x, y, events = rng.normal(size=(30, 4)), rng.normal(1, 1, size=(10, 4)), np.repeat(np.arange(5), 2)
    whole = kernel_distance(x, y, np.repeat(events, 3), events)
    monkeypatch.setattr("nowcast.verification.metrics.perceptual._ROWS", 7)
    assert kernel_distance(x, y, np.repeat(events, 3), events) == pytest.approx(whole)
    assert whole > 0  # another mean


def test_kernel_distance_is_unbiased() -> None:
    """Of members and observations that have an event's own mean in common and nothing else to tell them apart."""
    rng = np.random.default_rng(2)
    events = np.arange(6)
    values = []
    for _ in range(2000):
        own = rng.normal(size=(6, 1))
        x, y = (own[:, None] + rng.normal(size=(6, 3, 1))).reshape(18, 1), own + rng.normal(size=(6, 1))
        values.append(kernel_distance(x, y, np.repeat(events, 3), events))
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))


def test_scores_are_those_of_the_pictures(inputs) -> None:
    forecast, store = inputs
    scores = verify(forecast, store, samples=5, perception=SEEN)
    truth = store["vil"].values[:, 1:]
    counted = np.isfinite(truth)
    truth, members = np.where(counted, truth, 0), np.where(counted[:, None], forecast["vil"].values, 0)
    far = np.abs(members.mean((3, 4)) - truth.mean((2, 3))[:, None])
    np.testing.assert_allclose(scores["lpips"].sel(summary="member"), far.mean((0, 1)), rtol=1e-5)
    of_mean = np.abs(members.mean(1).mean((2, 3)) - truth.mean((2, 3))).mean(0)
    np.testing.assert_allclose(scores["lpips"].sel(summary="mean"), of_mean, rtol=1e-5)
    assert {"lpips_pooled", "lpips_lead_averaged", "lpips_interval"} <= set(scores)
    x, y = members.mean((3, 4)).reshape(6, 2), truth.mean((2, 3))
    expected = frechet_distance(x.mean(0), np.cov(x.T), y.mean(0), np.cov(y.T))
    assert scores["fvd"].item() == pytest.approx(expected, rel=1e-4) and scores["videos"] == 6
    events = np.arange(3)
    assert scores["kvd"].item() == pytest.approx(kernel_distance(x, y, np.repeat(events, 2), events), rel=1e-4)
    assert scores.attrs["i3d_weights_sha256"] == "abc"


def test_channels_are_the_colours_of_one_image() -> None:
    rng = np.random.default_rng(3)
    members, truth = rng.integers(0, 255, (2, 4, 3, 8, 8)).astype("float32"), np.zeros((4, 3, 8, 8), "float32")
    shapes = []

    def distance(images: np.ndarray, obs: np.ndarray) -> np.ndarray:
        shapes.append((images.shape, obs.shape))
        return images.mean((1, 2, 3))

    def features(videos: np.ndarray) -> np.ndarray:
        shapes.append(videos.shape)
        return videos.mean((2, 3, 4))

    seen = Perception(distance, features)
    (sums,) = seen.distances([members], truth)
    np.testing.assert_allclose(sums["lpips"][1], members.mean((0, 2, 3, 4))[:, None].repeat(2, axis=1), rtol=1e-5)
    assert shapes == [((3, 3, 8, 8), (3, 8, 8))] * 4 and sums["images"][1].tolist() == [1] * 4
    observed, forecast = seen.video_features([members], truth)
    assert shapes[4:] == [(1, 4, 3, 8, 8), (2, 4, 3, 8, 8)] and observed.shape == (4,) and forecast.shape == (2, 4)


def test_a_perfect_forecast_looks_perfect(inputs) -> None:
    forecast, store = inputs
    perfect = forecast.isel(member=[0])
    perfect["vil"].values[:] = store["vil"].values[:, None, 1:]
    both = verify(perfect, store, reference=forecast, samples=0, perception=SEEN)
    scores = both.sel(forecast="forecast")
    np.testing.assert_allclose(scores["lpips"], 0, atol=1e-5)
    assert scores["fvd"].item() == pytest.approx(0, abs=1e-4) and scores["kvd"].item() == 0
    np.testing.assert_allclose(both["lpips_pooled_skill"].sel(forecast="reference"), 1, atol=1e-5)


def test_states_that_carry_features_add_up(inputs, tmp_path) -> None:
    forecast, store = inputs
    paths = [tmp_path / "one.nc", tmp_path / "two.nc"]
    for path, cases in zip(paths, ([2, 0], [1]), strict=True):
        save_states(states(forecast.isel(case=cases), store, reference=forecast, perception=SEEN), path)
    merged = scores_of(merge_states(paths), samples=0)
    xr.testing.assert_allclose(merged, verify(forecast, store, reference=forecast, samples=0, perception=SEEN))
    other = Perception(brightness, first_and_last, {"i3d_weights_sha256": "other"})
    save_states(states(forecast.isel(case=[1]), store, reference=forecast, perception=other), tmp_path / "three.nc")
    with pytest.raises(InputError, match="i3d_weights_sha256"):
        merge_states([paths[0], tmp_path / "three.nc"])


def test_nothing_looks_unless_asked(inputs) -> None:
    scores = verify(*inputs, samples=0)
    assert not {"lpips", "fvd", "kvd", "videos"} & set(scores)
