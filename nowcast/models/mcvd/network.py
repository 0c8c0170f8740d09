"""MCVD: diffusion on the pixels of a block of frames, given the frames before them (and, in training, after them).

Voleti, Jolicoeur-Martineau and Pal 2022, https://arxiv.org/abs/2205.09853. x0: the K frames of a block. z: x0 with
noise. t: diffusion time. c: condition, frames without noise: the last frames before the block, then those after it,
then first guesses of the block where the settings ask for them (these are ours). In training, past and future may be
masked, each sample's at random: they are then 0 in network units, mid-grey where frames are on [-1, 1].

A forecast is made block by block. Each is sampled from noise, given the newest frames, its own included, with no
future; the last is cut. In every step the sample is cut to the range of frames. The authors add one more pass of the
U-Net at the end, at the label of another noise level, which is left out here: the last step ends on x0 itself.

Domains larger than those of the training are denoised in tiles, whose predictions are blended in every step, so that
members are whole.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle

from nowcast.diffusion.objectives import OBJECTIVES
from nowcast.diffusion.samplers import check_sampler, draw_noise, sample
from nowcast.models.frames import Clip
from nowcast.models.layers.dropout import Dropout
from nowcast.models.layers.masked import weighted_mean
from nowcast.models.layers.tiles import blend, cover
from nowcast.models.mcvd.unet import Size, UNet
from nowcast.models.network import Batch, Draws, Network, NetworkSettings, SamplingSettings, Stage

_BRIGHTEST = 255.0  # of radar 254, close enough


class MCVDSampling(SamplingSettings):
    """How members are drawn; `steps` are calls of the U-Net per block of frames."""

    steps: int = 100


class MCVDSettings(NetworkSettings):
    """The `network` section of an MCVD.

    Attributes:
        kind: How the condition enters: `concat` beside the noised frames, `spatin` at every norm.
        block: Frames K made at once.
        future: Frames after the block that are given in training. They are masked in a forecast.
        mask_past: Probability that a training sample's past is masked.
        mask_future: Probability that a training sample's future is masked.
        width: Channels of the first level.
        multipliers: Channels of each level in units of `width`; each level halves the sides.
        depth: Residual blocks of a level on the way down; one more on the way up.
        attention: Sides, in patches, of the levels with attention.
        head_width: Channels of a head of attention, a divisor of `width`, which it is by default.
        spatin_width: Channels between the condition and the norms, for `spatin`.
        dropout: Share of features dropped in training.
        patch: Pixels along a side of a patch, whose pixels are the channels of one place; 1 as published.
        objective: The quantity that the U-Net predicts, a key of OBJECTIVES; epsilon as published. A U-Net of fewer
            channels than a patch has pixels in a whole block cannot carry their noise: x0 spares it that.
        sampling: How members are drawn.
    """

    first_guess: Literal["none", "advection", "sprog"] = "none"
    kind: Literal["concat", "spatin"] = "concat"
    block: PositiveInt = 5
    future: NonNegativeInt = 0
    mask_past: float = Field(default=0.0, ge=0, lt=1)
    mask_future: float = Field(default=0.0, ge=0, lt=1)
    width: int = Field(default=96, gt=0, multiple_of=4)
    multipliers: tuple[PositiveInt, ...] = Field(default=(1, 2, 3, 4), min_length=1)
    depth: PositiveInt = 2
    attention: tuple[PositiveInt, ...] = (32, 16, 8)
    head_width: PositiveInt | None = None
    spatin_width: PositiveInt = 128
    dropout: float = Field(default=0.1, ge=0, lt=1)
    patch: PositiveInt = 1
    objective: Literal["epsilon", "v", "x0"] = "epsilon"
    sampling: MCVDSampling = MCVDSampling()

    @property
    def members_at_once(self) -> int:
        """See `NetworkSettings`."""
        return self.sampling.member_batch

    @property
    def multiple(self) -> int:
        """See `NetworkSettings`: whole patches, whose number each level halves."""
        return self.patch * 2 ** (len(self.multipliers) - 1)

    @property
    def size(self) -> Size:
        """The size of the U-Net."""
        pixels, spatin = self.patch**2, self.kind == "spatin"
        told = (self.history + self.future) * self.channels + self.block * self.guess_channels
        return Size(
            inputs=self.block * self.channels * pixels,
            told=told * pixels,
            side=self.side // self.patch,
            width=self.width,
            multipliers=self.multipliers,
            depth=self.depth,
            attention=self.attention,
            head_width=self.head_width or self.width,
            spatin_width=self.spatin_width if spatin else None,
            dropout=self.dropout,
        )

    @model_validator(mode="after")
    def _fits_together(self) -> "MCVDSettings":
        check_sampler(self.objective, self.sampling.sampler, self.sampling.steps)
        if self.block + self.future > self.lead:
            raise ValueError(f"block {self.block} and future {self.future} are longer than lead {self.lead}")
        if self.width % (self.head_width or self.width):
            raise ValueError(f"width {self.width} is no multiple of head_width {self.head_width}")
        if self.future and not self.mask_future:
            raise ValueError("a future that is never masked in training (mask_future) cannot be missing in a forecast")
        return self


class Condition(NamedTuple):
    """The part of a forecast that all members of some cases share.

    Attributes:
        history: Frames (B, T, C, H, W).
        guess: First guesses of the lead times (B, lead, guess_channels, H, W), where the settings ask for them.
    """

    history: Tensor
    guess: Tensor | None


class MCVD(Network[Condition]):
    """MCVD: masked conditional video diffusion on pixels, a block of frames after another."""

    Settings = MCVDSettings
    source = "Voleti, Jolicoeur-Martineau and Pal 2022, https://arxiv.org/abs/2205.09853"
    whole_domain = True

    def __init__(self, settings: MCVDSettings, *, pretrained: bool = True):
        super().__init__(settings, pretrained=pretrained)
        self.unet = UNet(settings.size)
        self.objective = OBJECTIVES[settings.objective]()
        self.stages = {"diffusion": DiffusionStage(self)}

    def condition(self, history: Clip) -> Condition:
        """See `Network.condition`."""
        return Condition(history.frames, None if history.guess is None else history.guess.as_channels)

    def generate(self, condition: Condition, draws: Draws) -> Tensor:
        """See `Network.generate`."""
        settings, members = self.settings, len(draws.generators[0])
        frames = condition.history.repeat_interleave(members, 0)
        guesses: Sequence[Tensor | None] = [None] * -(-settings.lead // settings.block)
        if condition.guess is not None:
            missing = len(guesses) * settings.block - settings.lead
            whole = pad(condition.guess, (0, 0, 0, 0, 0, 0, 0, missing)).repeat_interleave(members, 0)
            guesses = whole.split(settings.block, 1)
        for guess in guesses:
            told = self.told(frames[:, -settings.history :], None, guess)
            frames = torch.cat([frames, self._block(told, draws)], 1)
        return frames[:, settings.history :][:, : settings.lead].unflatten(0, (-1, members))

    def _block(self, told: Tensor, draws: Draws) -> Tensor:
        """A block of frames (B, K, C, H, W) sampled for the condition `told`."""
        settings = self.settings
        height, width = told.shape[-2:]
        noise = draw_noise((settings.block, settings.channels, height, width), draws.flat).to(told.device)
        tiles = cover(height, width, settings.side)
        low, high = settings.frame_scale.to_network(torch.tensor([0.0, _BRIGHTEST])).tolist()

        def denoise(z: Tensor, t: Tensor) -> Tensor:
            parts = (self.denoise(tile.of(z), t, tile.of(told)) for tile in tiles)
            return self.objective.clipped(blend(parts, tiles, height, width).float(), z, t, low, high)

        return sample(
            denoise,
            noise,
            objective=settings.objective,
            sampler=settings.sampling.sampler,
            steps=settings.sampling.steps,
            stop=settings.sampling.stop,
            generators=draws.flat,
        )

    def told(self, past: Tensor, future: Tensor | None, guess: Tensor | None) -> Tensor:
        """The condition as channels, (B, ..., H, W).

        Args:
            past: Frames before the block (B, history, C, H, W).
            future: Frames after it (B, future, C, H, W); masked where None.
            guess: First guesses of it (B, K, guess_channels, H, W), where the settings ask for them.
        """
        if future is None:
            future = torch.zeros_like(past[:, :1]).expand(-1, self.settings.future, -1, -1, -1)
        return torch.cat([part.flatten(1, 2) for part in (past, future, guess) if part is not None], 1)

    def denoise(self, z: Tensor, t: Tensor, told: Tensor, dropout: Dropout | None = None) -> Tensor:
        """The prediction for noised frames (B, K, C, H, W) at times (B,), same shape."""
        patch = self.settings.patch
        folded = pixel_unshuffle(z.flatten(1, 2), patch)
        made = self.unet(folded, t, pixel_unshuffle(told, patch), dropout)
        return pixel_shuffle(made, patch).reshape(z.shape)


class DiffusionStage(Stage):
    """The only stage: half the squared error of the prediction, summed over observed pixels, averaged over samples."""

    def __init__(self, network: MCVD):
        self.network = network

    @property
    def trained(self) -> nn.Module:
        """The whole network."""
        return self.network

    def loss(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """See `Stage.loss`. Each sample's block begins at random, where the window has room for it."""
        network, settings = self.network, self.network.settings
        lengths = [settings.history, settings.block, settings.future]
        starts = [_below(settings.lead - settings.block - settings.future + 1, of) for of in draws.cases]
        frames, observed = (torch.cat([getattr(clip, name) for clip in batch], 1) for name in ("frames", "observed"))
        past, x0, future = _cut(frames, starts, sum(lengths)).split(lengths, 1)
        seen = _cut(observed, starts, sum(lengths)).split(lengths, 1)[1]
        guess = None
        if batch.history.guess is not None:
            guess = _cut(batch.history.guess.as_channels, starts, settings.block)
        past, future = (
            self._masked(part, rate, draws)
            for part, rate in ((past, settings.mask_past), (future, settings.mask_future))
        )
        t = network.objective.draw_times(draws.cases).to(x0.device)
        noise = draw_noise(x0.shape[1:], draws.cases).to(x0.device)
        dropout = Dropout(draws, x0.device) if network.training else None
        made = network.denoise(network.objective.noisy(x0, noise, t), t, network.told(past, future, guess), dropout)
        error = (made.float() - network.objective.target(x0, noise, t)).square()
        return {"loss": 0.5 * (error * seen).sum() / len(x0), "mse": weighted_mean(error, seen.float())}

    @staticmethod
    def _masked(frames: Tensor, rate: float, draws: Draws) -> Tensor:
        """Frames (B, T, C, H, W), all 0 in the samples that are drawn at `rate`."""
        kept = [bool(torch.rand((), generator=generator) >= rate) for generator in draws.cases]
        return frames * torch.tensor(kept, device=frames.device).view(-1, 1, 1, 1, 1)

    def preview(self, batch: Batch, draws: Draws) -> Tensor:
        """One member of the forecast."""
        return self.network.generate(self.network.condition(batch.history), draws)[:, 0]


def _below(limit: int, generator: torch.Generator) -> int:
    """A number drawn from 0 to `limit` - 1."""
    return int(torch.randint(limit, (), generator=generator))


def _cut(x: Tensor, starts: Sequence[int], length: int) -> Tensor:
    """`length` frames of each sample of x (B, T, ...), from its own start on."""
    return torch.stack([row[start : start + length] for row, start in zip(x, starts, strict=True)])
