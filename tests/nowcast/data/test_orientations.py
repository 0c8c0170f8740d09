from typing import ClassVar

import numpy as np
import pytest

from nowcast.data.orientations import WAYS, turned, turned_back
from nowcast.models.forecaster import Cases
from nowcast.models.network import Network, NetworkSettings
from nowcast.models.trained import TrainedForecaster

FIELD = np.array([[1, 2, 3], [4, 5, 6]])


def test_turns_and_flips_by_hand():
    assert turned(FIELD, 0).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert turned(FIELD, 1).tolist() == [[3, 6], [2, 5], [1, 4]]
    assert turned(FIELD, 2).tolist() == [[6, 5, 4], [3, 2, 1]]
    assert turned(FIELD, 4).tolist() == [[3, 2, 1], [6, 5, 4]]


def test_there_are_eight_ways_and_each_has_a_way_back():
    fields = np.random.default_rng(0).normal(size=(2, 3, 4, 4))
    assert len({turned(fields, way).tobytes() for way in range(WAYS)}) == WAYS
    for way in range(WAYS):
        np.testing.assert_array_equal(turned_back(turned(fields, way), way), fields)


class Settings(NetworkSettings):
    side: int = 2
    offset: float = 0.0
    scale: float = 1.0
    ways: int = WAYS

    @property
    def orientations(self) -> int:
        return self.ways


class Marking(Network):
    """Persistence except for the first pixel that it sees, which says whose generator was given: 1000 or more."""

    Settings = Settings
    whole_domain = True
    stages: ClassVar = {}

    def condition(self, history):
        self.conditioned = getattr(self, "conditioned", 0) + 1
        return history.frames[:, -1]

    def generate(self, condition, draws):
        frames = condition[:, None, None].repeat(1, len(draws.generators[0]), self.settings.lead, 1, 1, 1)
        for case, members in zip(frames, draws.generators, strict=True):
            for member, generator in zip(case, members, strict=True):
                member[:, 0, 0, 0] = 1000 + generator.initial_seed() % 1000
        return frames


@pytest.fixture
def cases():
    frames = np.arange(2 * 10 * 2 * 3, dtype="float32").reshape(2, 10, 2, 3)
    return Cases(frames, np.ones_like(frames, bool), ("A@1", "B@1"), 5.0)


def test_members_see_their_case_turned_and_are_turned_back(cases):
    made = TrainedForecaster(Marking(Settings())).predict(cases, 1, range(10), seed=0)
    marked = [tuple(np.argwhere(field >= 1000)[0]) for field in made[0, :, 0]]
    # Where a member finds its corner: way 1 begins with the last column, way 2 with the last row too, and so on.
    assert marked[:4] == [(0, 0), (0, 2), (1, 2), (1, 0)]
    assert sorted(marked[4:8]) == [(0, 0), (0, 2), (1, 0), (1, 2)]
    assert marked[8:] == marked[:2]
    as_it_was = np.broadcast_to(cases.frames[:, -1][:, None, None], made.shape)
    np.testing.assert_array_equal(np.where(made < 1000, made, as_it_was), as_it_was)


def test_a_turned_member_does_not_depend_on_the_others(cases):
    whole = TrainedForecaster(Marking(Settings())).predict(cases, 2, range(20), seed=0)
    few = TrainedForecaster(Marking(Settings())).predict(cases, 2, [17, 3], seed=0)
    np.testing.assert_array_equal(few, whole[:, [17, 3]])


def test_a_case_is_encoded_once_for_each_way(cases):
    forecaster = TrainedForecaster(Marking(Settings()))
    members = forecaster.prepare(cases, 1, seed=0)
    for numbers in (range(16), range(16, 20)):
        members(numbers)
    assert forecaster.network.conditioned == WAYS


def test_without_turns_all_see_the_case_as_it_is(cases):
    made = TrainedForecaster(Marking(Settings(ways=1))).predict(cases, 1, range(8), seed=0)
    assert (made[:, :, :, 0, 0] >= 1000).all() and (made[:, :, :, 1:] < 1000).all()


def test_a_case_has_draws_of_its_own_whatever_stands_beside_it(cases):
    """Two cases of one history, called otherwise, have other members; each has the same ones alone."""
    frames = np.repeat(cases.frames[:1], 2, axis=0)
    both = Cases(frames, np.ones_like(frames, bool), ("A@1", "B@1"), 5.0)
    alone = Cases(frames[:1], np.ones_like(frames[:1], bool), ("B@1",), 5.0)
    forecaster = TrainedForecaster(Marking(Settings()))
    together = forecaster.predict(both, 1, range(4), seed=0)
    assert not (together[0] == together[1]).all(axis=(1, 2, 3)).any()
    np.testing.assert_array_equal(forecaster.predict(alone, 1, range(4), seed=0)[0], together[1])
