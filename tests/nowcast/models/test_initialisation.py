"""Networks without first weights: what a checkpoint fills, and what is only counted."""

import pytest
import torch
from torch import nn

from nowcast.models import MODELS, build_network, is_trainable, model_class
from nowcast.models.initialisation import Uninitialised, weightless


def test_initialisation_is_left_out_inside_of_the_context_alone():
    weight = torch.zeros(2)
    with Uninitialised():
        assert nn.init.normal_(weight) is weight and nn.init.constant_(tensor=weight, val=3.0) is weight
        assert weight.tolist() == [0, 0] and torch.ones(2).sum() == 2
    assert nn.init.constant_(weight, 3.0).tolist() == [3, 3]


@pytest.mark.parametrize("name", [name for name in MODELS if is_trainable(model_class(name))])
def test_a_network_is_counted_without_memory_and_filled_by_a_checkpoint(tiny, name):
    whole = tiny(name)
    settings = whole.settings.model_dump(exclude_unset=True)
    with weightless():
        outline = build_network(name, settings, pretrained=False)
    assert {p.device.type for p in outline.parameters()} == {"meta"}
    assert {n: p.shape for n, p in outline.named_parameters()} == {n: p.shape for n, p in whole.named_parameters()}
    with Uninitialised():
        filled = build_network(name, settings, pretrained=False)
    filled.load_state_dict(whole.state_dict())
    lasting = dict(whole.named_buffers())
    assert all(torch.equal(buffer, lasting[n]) for n, buffer in filled.named_buffers())  # also those of no checkpoint
