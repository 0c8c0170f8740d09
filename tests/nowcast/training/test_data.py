"""The batches of a training run: which samples they hold, and of which windows."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import zarr

from nowcast.extrapolation.ensemble import motion_errors
from nowcast.models.network import NetworkSettings
from nowcast.training.data import TrainingData
from nowcast.training.windows import TrainingStore
from pipelines.errors import InputError


@pytest.fixture
def data_of(toy_config, small_store, tmp_path):
    """The data of one of several processes, in counts, where the configuration and the network may differ."""

    def build(process: int = 0, processes: int = 1, network: dict | None = None, **config) -> TrainingData:
        accelerator = SimpleNamespace(process_index=process, num_processes=processes, device="cpu")
        settings = NetworkSettings(history=6, lead=4, side=16, offset=0, scale=1, **(network or {}))
        changed = toy_config.model_copy(update=config)
        return TrainingData(changed, settings, [TrainingStore(small_store)], accelerator, tmp_path)

    return build


def test_two_processes_share_the_samples_of_a_batch_and_repeat_none(data_of):
    shares = [data_of(process, 2) for process in range(2)]
    numbers = [list(of.numbers(step, 4)) for step in range(2) for of in shares]
    assert numbers == [[0, 1], [2, 3], [4, 5], [6, 7]]
    with pytest.raises(InputError, match=r"got 3 windows for 2 processes; expected a multiple of 2"):
        shares[0].numbers(0, 3)


def test_the_batches_of_two_processes_are_those_of_one_cut_in_two(data_of):
    alone, first, second = (of.training(1, 4) for of in (data_of(0, 1), data_of(0, 2), data_of(1, 2)))
    for _ in range(2):
        whole, *parts = next(alone), next(first), next(second)
        assert whole.history.frames.shape == (4, 6, 1, 16, 16) and whole.future.frames.shape == (4, 4, 1, 16, 16)
        joined = torch.cat([part.history.frames for part in parts])
        assert torch.equal(joined, whole.history.frames)


def test_validation_is_on_plain_windows_of_its_split_a_stride_apart(data_of, small_store):
    [(numbers, batch)] = data_of(augment=True, reverse=True, liquid=2.0).validation(4)
    frames = torch.cat([batch.history.frames, batch.future.frames], 1)[:, :, 0].numpy()
    event = zarr.open_array(f"{small_store}/vil")[3].astype("float32")  # the only one of the split
    event[event == 255] = 0
    assert numbers == range(3)
    expected = [event[start : start + 10] for start in (0, 10, 20)]
    assert sorted(window.tobytes() for window in frames) == sorted(window.tobytes() for window in expected)


def test_each_window_has_first_guesses_of_its_own_minutes_and_kilometres(data_of):
    """Frames every 5 minutes, and every second of them: the errors of members' motion are those of 5 and of 10."""
    data = data_of(network={"first_guess": "steps"}, cadence=(5.0, 10.0))
    guess = next(data.training(0, 12)).history.guess
    known = [motion_errors(4, minutes, 3.0) for minutes in (5.0, 10.0)]
    found = [[np.allclose(own.errors, errors) for errors in known] for own in guess.perturbed]
    assert len(found) == 12 and all(sum(each) == 1 for each in found) and len({tuple(each) for each in found}) == 2
