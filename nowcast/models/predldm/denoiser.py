"""CA-LDM, the second stage of PredLDM: a condition-aware diffusion transformer on the latents of MT-VAE.

z_t: noised latents (B, T, C, h, w). c: latents of the history; c_t: the same, noised. t: diffusion time (B,), in
[0, 1000]. eps_theta: the denoiser, made of eps_omega (self-attention, alternating over space and over time, patches of
1 x p x p) and eps_tau (cross-attention to the history's tokens). Equations by their number in Xu et al., PredLDM
(https://openreview.net/forum?id=TWmnOUzcCo). N: patches a frame. d: width. K: 1, or members that share a history.

Each block adds attention and feed-forward with shifts, scales and gates from t (adaLN; DiT, Peebles and Xie 2023,
https://arxiv.org/abs/2212.09748), whose projection all blocks share beside a learned table each (PixArt-alpha,
https://arxiv.org/abs/2310.00426). Gates, cross-attention and output start at zero: a new block is the identity.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from nowcast.models.layers.attention import Attention
from nowcast.models.layers.positions import sinusoids

_TIME_CHANNELS = 256
_LONGEST = 10  # of the positions, of which there are some twenty: longer waves would barely tell two apart


class DenoiserSettings(BaseModel):
    """Size of the denoiser.

    Attributes:
        hidden: Width d of the tokens.
        blocks: Transformer blocks, over space and over time in turn.
        heads: Attention heads.
        patch: Latent locations along a side of a token; the patch is 1 frame long.
        context_frames: Newest frames of the history that cross-attention sees; None for all, as in the paper.
        mlp_ratio: Width of the feed-forward layers in units of `hidden`. The paper does not state it. At its 32 blocks
            of width 1152, a ratio of 1 gives 10 d^2 weights a block (self-attention 4, cross-attention 4, feed-forward
            2) and 438 M in all, the nearest to the 421 M of its Table 5; DiT's usual 4 would give 693 M.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: int = Field(default=1152, multiple_of=16)
    blocks: int = 32
    heads: int = 16
    patch: int = 2
    context_frames: int | None = None
    mlp_ratio: float = 1.0


class Context(NamedTuple):
    """The denoiser's view of B cases, the same for all members and sampling steps.

    Attributes:
        keys_values: Keys and values of the history's tokens, one pair a block.
        guess: Tokens of the first guess, shape (B, T, N, d), which are added to those of the noised latents; or None.
    """

    keys_values: Sequence[tuple[Tensor, Tensor]]
    guess: Tensor | None


def space_time_positions(times: int, side: int, channels: int) -> Tensor:
    """Fixed embeddings, shape (times, side * side, channels): 1/4 of the channels for time, 3/8 for rows and columns.

    Apart from each other, so that two tokens are alike exactly as far as they are near in time and in space.
    """
    time = sinusoids(torch.arange(times), channels // 4, _LONGEST)
    place = sinusoids(torch.arange(side), 3 * channels // 8, _LONGEST)
    parts = [time[:, None, None], place[None, :, None], place[None, None]]
    return torch.cat([part.expand(times, side, side, -1) for part in parts], -1).flatten(1, 2)


def patchify(z: Tensor, patch: int) -> Tensor:
    """Latents (B, T, C, h, w) to patches (B, T, N, C*p*p)."""
    return pixel_unshuffle(z, patch).flatten(3).transpose(2, 3)


def unpatchify(tokens: Tensor, patch: int, height: int) -> Tensor:
    """Patches (B, T, N, C*p*p) to latents (B, T, C, h, w) of `height` h."""
    return pixel_shuffle(tokens.transpose(2, 3).unflatten(3, (height // patch, -1)), patch)


class Block(nn.Module):
    """Self-attention over space or over time, cross-attention to the history, feed-forward."""

    def __init__(self, settings: DenoiserSettings, over_time: bool):
        super().__init__()
        d, wide = settings.hidden, int(settings.hidden * settings.mlp_ratio)
        self.over_time = over_time
        self.modulation = nn.Parameter(torch.zeros(6, d))
        self.self_norm = nn.LayerNorm(d, elementwise_affine=False)
        self.self_attention = Attention(d, settings.heads)
        self.cross_norm = nn.LayerNorm(d)
        self.cross_attention = Attention(d, settings.heads)
        self.forward_norm = nn.LayerNorm(d, elementwise_affine=False)
        self.feed_forward = nn.Sequential(nn.Linear(d, wide), nn.GELU(approximate="tanh"), nn.Linear(wide, d))
        with torch.no_grad():
            # Equal and large: cross-attention then begins at the same place in the newest frames, since nearby tokens
            # have similar positions, and a small model need not spend its few steps on finding that.
            self.cross_attention.key.weight.copy_(self.cross_attention.query.weight.mul_(2))
            nn.init.zeros_(self.cross_attention.out.weight)
            nn.init.zeros_(self.cross_attention.out.bias)

    def forward(self, x: Tensor, time: Tensor, history: tuple[Tensor, Tensor] | None) -> Tensor:
        """Tokens (B, T, N, d) to the same shape, with adaLN from `time` (B, 6, d) and the history's keys and values."""
        modulation = (time + self.modulation)[:, :, None, None]
        shift, scale, gate, forward_shift, forward_scale, forward_gate = modulation.unbind(1)
        x = x + gate * self._attend(self.self_norm(x) * (1 + scale) + shift)  # eps_omega
        if history is not None:
            cases = history[0].shape[0]
            # Members of a case are more queries to the same keys: K * T * N of them in one product.
            queries = self.cross_norm(x).reshape(cases, -1, x.shape[-1])
            x = x + self.cross_attention(queries, history).view(x.shape)  # eps_tau
        hidden = self.feed_forward(self.forward_norm(x) * (1 + forward_scale) + forward_shift)
        return x + forward_gate * hidden

    def _attend(self, x: Tensor) -> Tensor:
        if not self.over_time:
            return self.self_attention(x.flatten(0, 1)).view(x.shape)
        sequences = x.transpose(1, 2)
        return self.self_attention(sequences.flatten(0, 1)).view(sequences.shape).transpose(1, 2)


class Denoiser(nn.Module):
    """eps_theta(z_t, t, c), and eps_theta(z_t, t) where no context is given.

    Args:
        settings: Its size.
        channels: Channels C of the latents.
        side: Latent locations along a side, h = w.
        history: Frames of the history.
        lead: Frames forecast.
        guess_channels: Channels of the first guess, 0 where the paper's condition is the only one.
        drawn_channels: Channels of the difference between a member's own first guess and that of its case, 0 without.
    """

    positions: Tensor

    def __init__(
        self,
        settings: DenoiserSettings,
        channels: int,
        side: int,
        history: int,
        lead: int,
        guess_channels: int = 0,
        drawn_channels: int = 0,
    ):
        super().__init__()
        d, self.patch = settings.hidden, settings.patch
        self.history, self.context_frames = history, settings.context_frames or history
        self.embed = nn.Linear(channels * self.patch**2, d)
        self.embed_history = nn.Linear((channels + 1) * self.patch**2, d)
        self.embed_guess = nn.Linear(guess_channels * self.patch**2, d) if guess_channels else None
        self.embed_drawn = nn.Linear(drawn_channels * self.patch**2, d) if drawn_channels else None
        self.time = nn.Sequential(nn.Linear(_TIME_CHANNELS, d), nn.SiLU(), nn.Linear(d, d), nn.SiLU())
        self.modulation = nn.Linear(d, 6 * d)
        blocks = [Block(settings, over_time=bool(i % 2)) for i in range(settings.blocks)]
        self.blocks: Sequence[Block] = nn.ModuleList(blocks)  # type: ignore[assignment]
        self.out_norm = nn.LayerNorm(d, elementwise_affine=False)
        self.out_modulation = nn.Linear(d, 2 * d)
        self.out = nn.Linear(d, channels * self.patch**2)
        for layer in (self.modulation, self.out_modulation, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        positions = space_time_positions(history + lead, side // self.patch, d)
        self.register_buffer("positions", positions, persistent=False)

    def context(self, history: Tensor, valid: Tensor, guess: Tensor | None = None) -> Context:
        """Encode the history. Called once for all members and sampling steps of some cases.

        Args:
            history: Normalised latents c with shape (B, T, C, h, w).
            valid: Observed fraction of each location's pixels with shape (B, T, 1, h, w).
            guess: First guess of the lead times with shape (B, T, guess_channels, h, w), if the denoiser takes one.
        """
        newest = slice(self.history - self.context_frames, self.history)
        tokens = self.embed_history(patchify(torch.cat([history, valid], 2)[:, newest], self.patch))
        tokens = (tokens + self.positions[newest]).flatten(1, 2)
        keys_values = [block.cross_attention.keys_values(tokens) for block in self.blocks]
        embedded = None
        if self.embed_guess is not None and guess is not None:
            embedded = self.embed_guess(patchify(guess, self.patch))
        return Context(keys_values, embedded)

    def forward(self, z: Tensor, t: Tensor, context: Context | None = None, drawn: Tensor | None = None) -> Tensor:
        """The prediction that the objective asks for, with the shape of `z`.

        Args:
            z: Noised latents with shape (B*K, T, C, h, w), the K members of a case next to each other.
            t: Diffusion times with shape (B*K,), in [0, 1000].
            context: Of B cases. Without one, cross-attention is left out, and the frames are taken for the history's
                own: they carry its positions in time.
            drawn: Difference between each member's own first guess and that of its case, shape (B*K, T, drawn_channels,
                h, w).
        """
        first = 0 if context is None else self.history
        x = self.embed(patchify(z, self.patch)) + self.positions[first : first + z.shape[1]]
        if context is not None and context.guess is not None:
            x = x + context.guess.repeat_interleave(len(x) // len(context.guess), 0)
        if self.embed_drawn is not None and drawn is not None:
            x = x + self.embed_drawn(patchify(drawn, self.patch))
        time = self.time(sinusoids(t, _TIME_CHANNELS, 10_000))
        modulation = self.modulation(time).unflatten(1, (6, -1))
        for i, block in enumerate(self.blocks):
            x = block(x, modulation, None if context is None else context.keys_values[i])
        shift, scale = self.out_modulation(time)[:, None, None].chunk(2, -1)
        return unpatchify(self.out(self.out_norm(x) * (1 + scale) + shift), self.patch, z.shape[-2])
