"""A variational autoencoder of single images by convolutions: Stable Diffusion's (Rombach et al. 2022,
https://arxiv.org/abs/2112.10752), in the layout of diffusers' AutoencoderKL, whose weights it takes by name.

Of our own because the forecast of a trained network should not wait for all of diffusers to be imported.
x: images (B, C, H, W). Each level except the last halves their sides.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, scaled_dot_product_attention

_EPSILON = 1e-6  # of all normalisations


class ConvolutionalVAE(nn.Module):
    """Images to the moments of latents, and latents to images.

    Args:
        colours: Channels of the images.
        latent_channels: Channels of the latents.
        channels: Channels of each level.
        layers: Residual blocks of a level, one more where it decodes.
        groups: Groups of channels that are normalised together.
        attention: Whether the places of the smallest level attend to each other.
    """

    def __init__(
        self,
        colours: int,
        latent_channels: int,
        channels: Sequence[int],
        layers: int,
        groups: int,
        attention: bool,
    ):
        super().__init__()
        self.encoder = _Encoder(colours, 2 * latent_channels, channels, layers, groups, attention)
        self.decoder = _Decoder(latent_channels, colours, channels[::-1], layers + 1, groups, attention)
        self.quant_conv = nn.Conv2d(2 * latent_channels, 2 * latent_channels, 1)
        self.post_quant_conv = nn.Conv2d(latent_channels, latent_channels, 1)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latents of images, each with shape (B, latent_channels, h, w)."""
        mean, log_variance = self.quant_conv(self.encoder(x)).chunk(2, 1)
        return mean, log_variance.clamp(-30, 20)

    def decode(self, z: Tensor) -> Tensor:
        """Images of latents."""
        return self.decoder(self.post_quant_conv(z))


class _Encoder(nn.Module):
    def __init__(self, given: int, made: int, channels: Sequence[int], layers: int, groups: int, attention: bool):
        super().__init__()
        self.conv_in = _three_by_three(given, channels[0])
        last = len(channels) - 1
        before = [channels[0], *channels]
        self.down_blocks = nn.Sequential(
            *(
                _level(before[i], width, layers, groups, {} if i == last else {"downsamplers": _Halved})
                for i, width in enumerate(channels)
            )
        )
        self.mid_block = _Middle(channels[-1], groups, attention)
        self.conv_norm_out = nn.GroupNorm(groups, channels[-1], _EPSILON)
        self.conv_act = nn.SiLU()
        self.conv_out = _three_by_three(channels[-1], made)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid_block(self.down_blocks(self.conv_in(x)))
        return self.conv_out(self.conv_act(self.conv_norm_out(x)))


class _Decoder(nn.Module):
    def __init__(self, given: int, made: int, channels: Sequence[int], layers: int, groups: int, attention: bool):
        super().__init__()
        self.conv_in = _three_by_three(given, channels[0])
        self.up_blocks = nn.Sequential()  # named before the middle, as diffusers does
        self.mid_block = _Middle(channels[0], groups, attention)
        last = len(channels) - 1
        before = [channels[0], *channels]
        for i, width in enumerate(channels):
            resamplers = {} if i == last else {"upsamplers": _Doubled}
            self.up_blocks.append(_level(before[i], width, layers, groups, resamplers))
        self.conv_norm_out = nn.GroupNorm(groups, channels[-1], _EPSILON)
        self.conv_act = nn.SiLU()
        self.conv_out = _three_by_three(channels[-1], made)

    def forward(self, z: Tensor) -> Tensor:
        x = self.up_blocks(self.mid_block(self.conv_in(z)))
        return self.conv_out(self.conv_act(self.conv_norm_out(x)))


def _level(
    given: int, width: int, layers: int, groups: int, resamplers: Mapping[str, Callable[[int], nn.Module]]
) -> nn.Sequential:
    blocks = nn.Sequential(*(_Residual(width if i else given, width, groups) for i in range(layers)))
    resampled = {name: nn.Sequential(made(width)) for name, made in resamplers.items()}
    return nn.Sequential(OrderedDict[str, nn.Module](resnets=blocks, **resampled))


class _Middle(nn.Module):
    """Two residual blocks, and between them attention where it is asked for."""

    def __init__(self, width: int, groups: int, attention: bool):
        super().__init__()
        first = _Residual(width, width, groups)
        self.attentions = nn.Sequential(*([_PlaceAttention(width, groups)] if attention else []))
        self.resnets = nn.Sequential(first, _Residual(width, width, groups))

    def forward(self, x: Tensor) -> Tensor:
        return self.resnets[1](self.attentions(self.resnets[0](x)))


class _Residual(nn.Module):
    def __init__(self, given: int, width: int, groups: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, given, _EPSILON)
        self.conv1 = _three_by_three(given, width)
        self.norm2 = nn.GroupNorm(groups, width, _EPSILON)
        self.conv2 = _three_by_three(width, width)
        self.conv_shortcut = nn.Conv2d(given, width, 1) if given != width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv1(nn.functional.silu(self.norm1(x)))
        return self.conv_shortcut(x) + self.conv2(nn.functional.silu(self.norm2(hidden)))


class _PlaceAttention(nn.Module):
    """Attention of each place to all others, in one head."""

    def __init__(self, width: int, groups: int):
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, width, _EPSILON)
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        places = self.group_norm(x.flatten(2)).transpose(1, 2)
        heads = scaled_dot_product_attention(*(layer(places)[:, None] for layer in (self.to_q, self.to_k, self.to_v)))
        return x + self.to_out(heads[:, 0]).transpose(1, 2).unflatten(2, x.shape[2:])


class _Halved(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(pad(x, (0, 1, 0, 1)))


class _Doubled(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv = _three_by_three(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(interpolate(x, scale_factor=2.0))


def _three_by_three(given: int, made: int) -> nn.Conv2d:
    return nn.Conv2d(given, made, 3, padding=1)
