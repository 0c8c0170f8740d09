"""The VAE of single images against that of diffusers, whose weights it takes."""

import pytest
import torch
from diffusers import AutoencoderKL

from nowcast.models.predldm.convolutional_vae import ConvolutionalVAE


@pytest.mark.parametrize("attention", [False, True])
def test_it_is_that_of_diffusers(attention):
    levels = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    torch.manual_seed(0)
    oracle = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        block_out_channels=(8, 16),
        layers_per_block=2,
        latent_channels=5,
        norm_num_groups=4,
        mid_block_add_attention=attention,
        **levels,
    )
    torch.manual_seed(0)
    vae = ConvolutionalVAE(3, 5, (8, 16), layers=2, groups=4, attention=attention)
    theirs, ours = oracle.state_dict(), vae.state_dict()
    assert list(ours) == list(theirs)  # in one order: optimizers and hooks number them
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    x = torch.rand(2, 3, 12, 16)
    moments = oracle.encode(x).latent_dist
    mean, log_variance = vae.encode(x)
    close = {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close((mean, log_variance), (moments.mean, moments.logvar), **close)
    torch.testing.assert_close(vae.decode(mean), oracle.decode(mean).sample, **close)


def test_log_variances_are_cut():
    vae = ConvolutionalVAE(1, 1, (4,), layers=1, groups=2, attention=False)
    torch.nn.init.constant_(vae.quant_conv.bias, -99.0)
    assert (vae.encode(torch.zeros(1, 1, 4, 4))[1] == -30).all()
