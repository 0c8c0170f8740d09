"""Blocks by hand, and against torch's pooling as the papers use it."""

import numpy as np
import pytest
import torch
import xarray as xr

from nowcast.verification.contract import Pair
from nowcast.verification.metrics.blocks import block_contingency, csi_block, csi_m_block


def totals(members: np.ndarray, obs: np.ndarray, counted: np.ndarray | None = None, thresholds=(74.0,)) -> xr.Dataset:
    counted = np.ones(obs.shape, bool) if counted is None else counted
    pair = Pair(np.asarray(members, "float32"), np.asarray(obs, "float32"), counted, thresholds)
    return xr.Dataset(block_contingency(pair))


def table(result: xr.Dataset, block: str, summary: str) -> list[float]:
    one = result.sel(block=block, summary=summary, threshold=74)
    return [one[f"block_{name}"].item() for name in ("hits", "misses", "false_alarms", "correct_negatives")]


def test_a_displaced_echo_hits_in_its_block() -> None:
    obs, member = np.zeros((4, 8)), np.zeros((1, 4, 8))
    obs[0, 0] = 100  # the member has it two pixels off in the same block, and a false one in the other block
    member[0, 2, 2] = member[0, 1, 5] = 80
    result = totals(member, obs)
    assert table(result, "max 4", "member") == [1, 0, 1, 0]
    assert table(result, "mean 4", "member") == [0, 0, 0, 2]
    assert csi_block(result).sel(block="max 4", summary="mean").item() == 0.5
    assert np.isnan(csi_block(result).sel(block="mean 4")).all()


def test_the_average_of_a_block_is_an_event_from_the_threshold_on() -> None:
    obs = np.zeros((4, 8))
    obs[:2, :4], obs[:2, 4:] = 148, 147  # averages 74 and 73.5
    assert table(totals(obs[None], obs), "mean 4", "mean") == [1, 0, 0, 1]


def test_members_are_coarsened_one_by_one_and_the_mean_after_averaging() -> None:
    members = np.zeros((2, 4, 4))
    members[0, 0, 0] = members[1, 3, 3] = 100
    obs = np.full((4, 4), 100)
    result = totals(members, obs)
    assert table(result, "max 4", "member") == [2, 0, 0, 0]
    assert table(result, "max 4", "mean") == [0, 1, 0, 0]


def test_only_whole_blocks_of_counted_pixels_count() -> None:
    obs = np.full((9, 10), 100.0)
    counted = np.ones((9, 10), bool)
    counted[0, 0] = False
    result = totals(np.where(counted, obs, np.nan)[None], obs, counted)
    assert table(result, "max 4", "mean") == [3, 0, 0, 0]
    assert table(result, "max 16", "mean") == [0, 0, 0, 0]


@pytest.mark.parametrize("size", [4, 16])
def test_agrees_with_torch_pooling(size: int) -> None:
    rng = np.random.default_rng(0)
    field, obs = np.round(rng.gamma(1, 40, (2, 48, 48))).astype("float32")
    pools = {"max": torch.nn.functional.max_pool2d, "mean": torch.nn.functional.avg_pool2d}
    result = totals(field[None], obs, thresholds=(16.0, 40.0))
    for name, pool in pools.items():
        x, y = (pool(torch.from_numpy(values)[None], size)[0].numpy() for values in (field, obs))
        expected = [((x >= t) & (y >= t)).sum() / ((x >= t) | (y >= t)).sum() for t in (16, 40)]
        ours = csi_block(result).sel(block=f"{name} {size}", summary="mean")
        np.testing.assert_allclose(ours, expected)
        mean = csi_m_block(result).sel(block=f"{name} {size}", summary="member")
        assert mean.item() == pytest.approx(np.mean(expected))
