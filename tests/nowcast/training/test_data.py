"""The batches of a training run: which samples they hold, and of which windows."""

from types import SimpleNamespace

import pytest
import torch

from nowcast.models.network import NetworkSettings
from nowcast.training.data import TrainingData
from nowcast.training.windows import TrainingStore
from pipelines.errors import InputError


@pytest.fixture
def data_of(toy_config, small_store, tmp_path):
    """The data of one of several processes."""

    def build(process: int, processes: int) -> TrainingData:
        accelerator = SimpleNamespace(process_index=process, num_processes=processes, device="cpu")
        settings = NetworkSettings(history=6, lead=4, side=16)
        return TrainingData(toy_config, settings, [TrainingStore(small_store)], accelerator, tmp_path)

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
