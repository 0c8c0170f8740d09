"""Physics of simulated storms: VIL count fields that move, grow, merge and decay as radar echo does.

A storm event is one latent field in the moving air, mapped to SEVIR's counts by its ranks:

    latent = systems + cascade * (quiet + gusty * systems) + cells;  counts = Q(latent)

* systems: mesoscale lines and clusters, hours long, with a sharp leading and a broad trailing (stratiform) side.
* cells: convective cores of a few km that live for some tens of minutes, several to a storm, born one after the
  other; most storms stand in a system, some alone.
* cascade: power-law noise whose wavelengths decorrelate in the moving air after a time that grows with the
  wavelength (the Lagrangian cascade of S-PROG; Seed, 2003, J. Appl. Meteor. 42, 381-388).
* motion: a mean wind that turns slowly plus smooth, slowly varying eddies. Pixels are traced back to where their air
  was in mid-event (their material coordinates), so that a frame is interpolated once and advection blurs nothing.
* Q: gives the event SEVIR's shares of pixels above each count.

Lengths are km, times are frames of five minutes, speeds km a frame; row 0 is the south edge. The material domain is
periodic and wider than the window, so that new echo comes in with the wind.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import fft, ndimage

FRAMES = 49
SIZE = 384  # km across the window, and pixels
MISSING = 255

_DOMAIN = 640  # km across the material domain: the window and the longest travel
_STEP = 2  # km a pixel of the material domain; mosaics of radars resolve no more
_CELLS = _DOMAIN // _STEP
_COARSE = 8  # km a pixel of the smooth fields: systems and motion
_MIDDLE = FRAMES // 2
_SPEED = 0.3  # km a frame in a metre a second

# Shares of pixels that reach a count, mean of the two SEVIR events that DiffCast's authors show.
_COUNTS = (1, 5, 8, 16, 31, 59, 74, 100, 116, 133, 146, 160, 181, 200)
_SHARES = np.array((0.65, 0.55, 0.43, 0.33, 0.275, 0.206, 0.167, 0.104, 0.065, 0.029, 0.0125, 0.0047, 0.0012, 0.0003))
_SHARE_74 = _SHARES[_COUNTS.index(74)]


@dataclass(frozen=True)
class _Systems:
    """Mesoscale systems, each array with shape (system,)."""

    x: np.ndarray  # place in mid-event
    y: np.ndarray
    angle: np.ndarray  # of the long axis, radians from east
    length: np.ndarray
    width: np.ndarray  # of the leading half
    drift: np.ndarray  # speed towards the leading side, relative to the air
    peak: np.ndarray  # frame of greatest strength
    life: np.ndarray  # frames from the peak to 1/e
    strength: np.ndarray

    def activity(self, frame: np.ndarray | float) -> np.ndarray:
        """Strength at `frame`, which broadcasts against (system,)."""
        return self.strength * np.exp(-(((frame - self.peak) / self.life) ** 2))


@dataclass(frozen=True)
class _Cells:
    """Convective cells, each array with shape (cell, 1, 1), ready to broadcast over a patch of pixels."""

    x: np.ndarray
    y: np.ndarray
    birth: np.ndarray
    life: np.ndarray
    radius: np.ndarray  # along the long axis
    aspect: np.ndarray
    tilt: np.ndarray  # of the long axis, radians from east
    strength: np.ndarray


def simulate_counts(rng: np.random.Generator) -> np.ndarray:
    """One storm event as SEVIR's VIL counts.

    Args:
        rng: Generator that every draw of the event comes from.

    Returns:
        uint8 counts 0-254 with shape (384, 384, 49): y (south first), x, frame; 1 km, five minutes.
    """
    travel = _draw_travel(rng)
    warp = _draw_warp(rng)
    systems = _draw_systems(rng)
    cells = _draw_cells(rng, systems)
    latent = np.empty((FRAMES, SIZE, SIZE), np.float32)
    for frame, noise in enumerate(_cascade(rng)):
        base = _render_systems(systems, warp, frame)
        field = base + noise * (0.35 + 0.17 * base)
        _add_cells(field, cells, frame)
        latent[frame] = _seen_from_window(field, travel[frame])
    return np.ascontiguousarray(np.moveaxis(_to_counts(latent, rng), 0, -1))


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Periodic noise of unit standard deviation, smoothed over `scale` pixels in the last two axes."""
    sigma = (0,) * (len(shape) - 2) + (scale, scale)
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return noise / noise.std(axis=(-2, -1), keepdims=True)


def _draw_travel(rng: np.random.Generator) -> np.ndarray:
    """Km that the air at each point has come since mid-event, float32 (frame, east and north, y, x), coarse grid."""
    n = SIZE // _COARSE
    speed = rng.uniform(6, 16) * _SPEED
    heading = rng.normal(np.pi / 6, 0.6) + np.linspace(-0.5, 0.5, FRAMES) * rng.normal(0, 0.4)
    mean = speed * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    eddies = _smooth_noise(rng, (2, 2, 2 * n, 2 * n), 7)[..., :n, :n] * rng.uniform(1.3, 3) * _SPEED
    y, x = np.mgrid[:n, :n].astype(float)
    travel = np.zeros((FRAMES, 2, n, n))
    for frame in range(1, FRAMES):
        share = frame / FRAMES
        wind = mean[frame][:, None, None] + (1 - share) * eddies[0] + share * eddies[1]
        upstream = (y - wind[1] / _COARSE, x - wind[0] / _COARSE)
        for part in (0, 1):
            earlier = ndimage.map_coordinates(travel[frame - 1, part], upstream, order=1, mode="nearest")
            travel[frame, part] = earlier + wind[part]
    return (travel - travel[_MIDDLE].mean(axis=(1, 2))[:, None, None]).astype(np.float32)


def _seen_from_window(field: np.ndarray, travel: np.ndarray) -> np.ndarray:
    """The material field as the 384 x 384 window sees it after `travel` (2, y, x)."""
    pixel = np.arange(SIZE, dtype=np.float32)
    east, north = (cv2.resize(part, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR) for part in travel)
    column = (pixel - east) / _STEP
    row = (pixel[:, None] - north) / _STEP
    return cv2.remap(field, column, row, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP)


def _cascade(rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yields each frame's power-law noise, float32 (row, column) of unit variance; a wavelength ages by AR(1)."""
    ky, kx = np.meshgrid(fft.fftfreq(_CELLS, _STEP), fft.rfftfreq(_CELLS, _STEP), indexing="ij")
    k = np.hypot(ky, kx)
    power = (160**-2 + k**2) ** -1.5 * np.exp(-2 * (2.5 * k) ** 2)  # flat beyond 160 km, the radar beam's blur below 5
    power[0, 0] = 0
    amplitude = (_CELLS * np.sqrt(power / (2 * power.mean()))).astype(np.float32)
    lifetime = 0.6 / np.maximum(k, 1 / _DOMAIN)  # frames: half an hour at 10 km
    memory = np.exp(-1 / lifetime).astype(np.float32)
    renewal = np.sqrt(1 - memory**2)

    def white() -> np.ndarray:
        real, imaginary = rng.standard_normal((2, *k.shape), dtype=np.float32)
        return real + 1j * imaginary

    state = white()
    for _ in range(FRAMES):
        yield fft.irfft2(amplitude * state, (_CELLS, _CELLS))
        state = memory * state + renewal * white()


def _draw_systems(rng: np.random.Generator) -> _Systems:
    """Three to seven systems, some of them lines; the first is well inside the window in mid-event."""
    n = int(rng.integers(3, 8))
    line = rng.random(n) < 0.4
    place = rng.uniform(0, _DOMAIN, (2, n))
    place[:, 0] = rng.uniform(0.25 * SIZE, 0.75 * SIZE, 2)
    return _Systems(
        x=place[0],
        y=place[1],
        angle=rng.normal(1.0, 0.5, n),
        length=np.where(line, rng.uniform(90, 180, n), rng.uniform(35, 80, n)),
        width=np.where(line, rng.uniform(12, 22, n), rng.uniform(25, 50, n)),
        drift=np.where(line, rng.uniform(0.2, 0.9, n), rng.normal(0, 0.3, n)),
        peak=rng.uniform(5, 45, n),
        life=rng.uniform(20, 60, n),
        strength=rng.uniform(1.5, 3, n),
    )


def _draw_warp(rng: np.random.Generator) -> np.ndarray:
    """Smooth displacements (2, row, column) that bend the axes and outlines of systems."""
    shape = (2, _DOMAIN // _COARSE, _DOMAIN // _COARSE)
    return 14 * _smooth_noise(rng, shape, 5) + 6 * _smooth_noise(rng, shape, 2)


def _render_systems(systems: _Systems, warp: np.ndarray, frame: int) -> np.ndarray:
    """Systems at `frame`, float32 (row, column), 0 to 2: saturated, so that a system decays by shrinking."""
    pixel = np.arange(0, _DOMAIN, _COARSE)
    total = np.zeros(warp.shape[1:])
    moved = systems.drift * (frame - _MIDDLE)
    for i, active in enumerate(systems.activity(frame)):
        sin, cos = np.sin(systems.angle[i]), np.cos(systems.angle[i])
        dx = pixel + warp[0] - systems.x[i] - moved[i] * sin
        dy = pixel[:, None] + warp[1] - systems.y[i] + moved[i] * cos
        dx, dy = ((d + _DOMAIN / 2) % _DOMAIN - _DOMAIN / 2 for d in (dx, dy))
        along, across = dx * cos + dy * sin, dx * sin - dy * cos
        width = systems.width[i] * np.where(across > 0, 1, 2.2)
        total += active * np.exp(-((along / systems.length[i]) ** 2) - (across / width) ** 2)
    saturated = (2 - 2 * np.exp(-total)).astype(np.float32)
    return cv2.resize(saturated, (_CELLS, _CELLS), interpolation=cv2.INTER_CUBIC)


def _draw_cells(rng: np.random.Generator, systems: _Systems) -> _Cells:
    """The cells of 900 storms, each a row of four that are born one after the other on the storm's flank."""
    storms, shape = 900, (900, 4)
    parent = rng.integers(0, len(systems.x), storms)
    start = rng.uniform(-25, FRAMES, storms)
    along = rng.uniform(-1, 1, storms) * systems.length[parent]
    across = rng.normal(0.1, 0.6, storms) * systems.width[parent] + systems.drift[parent] * (start - _MIDDLE)
    sin, cos = np.sin(systems.angle[parent]), np.cos(systems.angle[parent])
    activity = systems.activity(start[:, None])[np.arange(storms), parent]

    alone = rng.random(storms) < 0.25
    x, y = np.where(
        alone,
        rng.uniform(0, _DOMAIN, (2, storms)),
        (systems.x[parent] + along * cos + across * sin, systems.y[parent] + along * sin - across * cos),
    )
    strength = rng.gamma(3, 0.3, storms) * np.where(alone, 1.5, np.minimum(activity, 1.5))
    flank = rng.normal(-1, 1, (storms, 1)) + rng.normal(0, 0.6, shape)
    distance = np.arange(4) * rng.uniform(1, 5, (storms, 1))
    arrays = (
        x[:, None] + distance * np.cos(flank),
        y[:, None] + distance * np.sin(flank),
        start[:, None] + np.cumsum(rng.uniform(0.5, 4, shape), axis=1),
        rng.uniform(3, 8, shape),
        rng.uniform(2.5, 5, shape) * np.where(alone, 1.3, 1)[:, None],
        rng.uniform(1, 2, shape),
        rng.uniform(0, np.pi, shape),
        strength[:, None] * rng.uniform(0.5, 1.3, shape),
    )
    return _Cells(*(array.reshape(-1, 1, 1) for array in arrays))


def _add_cells(field: np.ndarray, cells: _Cells, frame: int) -> None:
    """Adds the cells that live at `frame` to the material field, in place."""
    age = (frame - cells.birth) / cells.life
    alive = ((age > 0) & (age < 1)).ravel()
    age, x, y, tilt, radius, aspect, strength = (
        array[alive] for array in (age, cells.x, cells.y, cells.tilt, cells.radius, cells.aspect, cells.strength)
    )
    patch = np.arange(-6, 7)
    column = np.rint(x / _STEP).astype(int) + patch
    row = np.rint(y / _STEP).astype(int) + patch[:, None]
    dx, dy = column * _STEP - x, row * _STEP - y
    major = (dx * np.cos(tilt) + dy * np.sin(tilt)) / radius
    minor = (dy * np.cos(tilt) - dx * np.sin(tilt)) / radius * aspect
    grown = strength * np.sin(np.pi * np.sqrt(age)) ** 2  # grows faster than it decays
    bump = grown * np.exp(-(major**2) - minor**2)
    np.add.at(field, (row % _CELLS, column % _CELLS), bump.astype(np.float32))


def _to_counts(latent: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Maps latent values to uint8 counts by rank; the event is the wetter, the more of the window its systems cover."""
    sample = np.sort(latent[:, ::4, ::4], axis=None)
    wetness = np.clip(np.mean(sample > 1.1) / _SHARE_74, 0.65, 1.1)
    shares = wetness * _SHARE_74 * (_SHARES / _SHARE_74) ** rng.uniform(0.75, 1.05)
    levels = np.interp(np.append(1 - shares, 1), np.linspace(0, 1, sample.size), sample)
    peak = rng.uniform(203, 250)
    return np.interp(latent, levels, (*_COUNTS, peak), left=0).astype(np.uint8)
