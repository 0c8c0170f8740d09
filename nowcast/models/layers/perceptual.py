"""The perceptual distance as a term of a loss, from weights that no package ships."""

from torch import Tensor

from nowcast.models.frames import FrameScale
from nowcast.perception.lpips import PerceptualLoss, load_perceptual


class PerceptualTerm:
    """LPIPS of frames in a network's units. No module: a checkpoint neither holds its network nor needs its file."""

    def __init__(self, weight: float, file: str | None, scale: FrameScale):
        self.weight, self._file, self._scale = weight, file, scale
        self._network: PerceptualLoss | None = None

    def load(self) -> None:
        """Load the network where it has any weight: a missing file is told before the first step, not after it.

        Raises:
            InputError: when there is no such file, or it is another network.
        """
        if self.weight and self._network is None:
            self._network = load_perceptual(self._file)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean distance of frames (..., K, H, W)."""
        self.load()
        assert self._network is not None
        images = [(self._scale.to_values(frames) / 127.5 - 1).flatten(0, -4) for frames in (x, y)]
        return self._network.to(x.device)(*images).mean()
