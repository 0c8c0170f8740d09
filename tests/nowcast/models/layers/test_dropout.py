"""Dropout: shares, means, and draws that belong to a sample."""

import pytest
import torch

from nowcast.models.layers.dropout import Dropout
from nowcast.models.network import Draws


def dropout(*seeds: int) -> Dropout:
    return Dropout(Draws([[torch.Generator().manual_seed(seed)] for seed in seeds]), torch.device("cpu"))


def test_elements_are_dropped_one_by_one_and_the_mean_stays():
    x = dropout(1).elements(torch.ones(1, 200_000), 0.2)
    assert x.unique().tolist() == [0, 1.25]
    assert x.mean().item() == pytest.approx(1, abs=5 * 0.5 / 200_000**0.5)  # five standard errors


def test_samples_are_dropped_whole():
    x = dropout(*range(2000)).samples(torch.ones(2000, 3, 2), 0.2)
    assert (x == x[:, :1, :1]).all() and x.unique().tolist() == [0, 1.25]
    assert x.mean().item() == pytest.approx(1, abs=5 * 0.5 / 2000**0.5)


@pytest.mark.parametrize("kind", ["elements", "samples"])
def test_a_sample_does_not_depend_on_those_beside_it(kind):
    x = torch.ones(2, 8, 1) if kind == "elements" else torch.ones(2, 1, 1)

    def drawn(*seeds: int) -> torch.Tensor:
        layer = dropout(*seeds)
        return torch.stack([getattr(layer, kind)(x, 0.5) for _ in range(20)])

    assert torch.equal(drawn(1, 2), drawn(1, 2)) and torch.equal(drawn(1, 2)[:, 1], drawn(3, 2)[:, 1])
    assert not torch.equal(drawn(1, 2)[:, 0], drawn(3, 2)[:, 0])
    assert len({tuple(row.flatten().tolist()) for row in drawn(1, 2)}) > 1  # anew at every call
    assert torch.equal(getattr(dropout(1, 2), kind)(x, 0.0), x)
