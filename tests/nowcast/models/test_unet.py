"""U-Net: parameters beside the published ones, and the whole network beside plain functions."""

import pytest
import torch
from torch.nn import functional

from nowcast.models import build_network
from nowcast.models.frames import Clip


def counts(network: torch.nn.Module) -> tuple[int, int]:
    """Trainable numbers, and the means and variances of batch normalisation."""
    statistics = [b.numel() for name, b in network.named_buffers() if name.endswith(("running_mean", "running_var"))]
    return sum(p.numel() for p in network.parameters()), sum(statistics)


@pytest.mark.parametrize(("frames", "trainable"), [((13, 12), 16_556_044), ((10, 10), 16_555_114)])
def test_it_is_as_large_as_published(frames, trainable):
    # SEVIR's authors, 13 -> 12 frames, counted with the statistics: 16,565,900; 16.6 M in Earthformer's table.
    network = build_network("unet", dict(zip(("history", "lead"), frames, strict=True)))
    assert counts(network) == (trainable, 9_856)


def test_forward_beside_plain_functions(tiny):
    network = tiny("unet")
    x = 4 * torch.rand(2, 5, 1, 16, 16)
    tensors = iter([t for name, t in network.state_dict().items() if not name.endswith("num_batches_tracked")])

    def norm(x):
        scale, shift, mean, variance = (next(tensors) for _ in range(4))
        return functional.relu(functional.batch_norm(x, mean, variance, scale, shift))

    def convolutions(x):
        for _ in range(2):
            x = norm(functional.conv2d(x, next(tensors), next(tensors), padding=1))
        return x

    with torch.no_grad():
        for name, buffer in network.named_buffers():
            if name.endswith(("mean", "var")):
                buffer.add_(torch.rand(buffer.shape))
        first = convolutions(x[:, :, 0])
        second = convolutions(functional.max_pool2d(first, 2))
        y = convolutions(functional.max_pool2d(second, 2))
        for skip in (second, first):
            y = functional.conv_transpose2d(y, next(tensors), next(tensors), stride=2)
            y = convolutions(norm(torch.cat([skip, y], 1)))
        y = functional.conv2d(y, next(tensors), next(tensors))
        made = network(Clip(x, torch.ones_like(x, dtype=torch.bool)))
    assert next(tensors, None) is None
    torch.testing.assert_close(made[:, :, 0], y, rtol=1e-5, atol=1e-5)
