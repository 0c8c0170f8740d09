"""I3D with random weights: what comes out, for whom, and files that are not it."""

import pytest
import torch
from safetensors.torch import save_file

from nowcast.perception.i3d import I3D, _pool, _same, load_i3d
from pipelines.errors import InputError


@pytest.fixture(scope="module")
def network() -> I3D:
    """Random weights that keep the signal's size through all layers."""
    torch.manual_seed(0)
    network = I3D()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d):
            torch.nn.init.kaiming_normal_(module.weight)
    return network


def test_clips_do_not_see_each_other_and_time_has_a_direction(network):
    clip = torch.rand(1, 1, 10, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    both = network(torch.cat([clip, clip.flip(2)]))
    assert both.shape == (2, 400) and (both[0] - both[1]).abs().mean() > 0.01 * both.abs().mean()
    alone = network(clip)
    torch.testing.assert_close(both[:1], alone)
    torch.testing.assert_close(alone, network(clip.expand(-1, 3, -1, -1, -1)))  # in colours that are all the same


def test_weights_have_the_published_names_and_shapes(network):
    state = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert state["Conv3d_1a_7x7.conv3d.weight"] == (64, 3, 7, 7, 7)
    assert state["Mixed_3b.b1b.conv3d.weight"] == (128, 96, 3, 3, 3)
    assert state["Mixed_5c.b3b.bn.running_var"] == (128,)
    assert state["logits.conv3d.weight"] == (400, 1024, 1, 1, 1) and state["logits.conv3d.bias"] == (400,)
    # Inception-v1 inflated has 12.7 million parameters with 400 classes.
    assert sum(parameter.numel() for parameter in network.parameters()) == 12_697_264


def test_padding_is_that_of_tensorflow():
    x = torch.arange(1.0, 6.0).view(1, 1, 1, 1, 5)
    assert _same(x, (1, 1, 3), (1, 1, 2)).flatten().tolist() == [0, 1, 2, 3, 4, 5, 0]
    assert _same(x[..., :4], (1, 1, 3), (1, 1, 2)).flatten().tolist() == [1, 2, 3, 4, 0]
    assert _pool(x[..., :4], (1, 1, 3), (1, 1, 2)).flatten().tolist() == [3, 4]


def test_a_file_is_read_by_its_names(network, tmp_path):
    state = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
    save_file(state, tmp_path / "i3d.safetensors")
    loaded = load_i3d(str(tmp_path / "i3d.safetensors")).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no weights for FVD and KVD.*rgb_imagenet.pt"):
        load_i3d(str(tmp_path / "absent"))
    save_file({"Conv3d_1a_7x7.conv3d.weight": torch.zeros(64, 2, 7, 7, 7)}, tmp_path / "flow.safetensors")
    with pytest.raises(InputError, match=r"is not I3D.*got Conv3d_1a_7x7.conv3d.weight \(64, 2, 7, 7, 7\)"):
        load_i3d(str(tmp_path / "flow.safetensors"))
