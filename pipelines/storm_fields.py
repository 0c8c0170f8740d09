"""Physics of simulated storms: VIL count fields that move, grow, merge and decay as radar echo does.

A storm event is one Gaussian-like latent field, mapped to SEVIR's counts by its ranks:

    latent(x, t) = systems + cells + cascade,  all living in the moving air;  counts = Q(latent)

* systems: mesoscale lines and clusters, hours long, with a sharp leading and a broad trailing (stratiform) side.
* cells: convective cores of a few km and some tens of minutes, born at the leading side of a system or alone.
* cascade: power-law noise whose wavelengths L decorrelate in the moving frame after a time that grows with L
  (the Lagrangian cascade of S-PROG: Seed, 2003, doi:10.1175/1520-0450(2003)042<0381:ADASSA>2.0.CO;2).
* motion: a mean wind that veers slowly plus a smooth, slowly varying eddy field. Air parcels are traced back to
  their material coordinates, so each frame is interpolated once and repeated advection blurs nothing.

Lengths are km, times are frames of five minutes, row 0 is the south edge.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import fft, ndimage

FRAMES = 49
SIZE = 384  # km across the window, and pixels
MISSING = 255

_DOMAIN = 640  # km across the periodic material domain: the window plus the longest travel
_STEP = 2  # km a material pixel; radar mosaics resolve no more
_CELLS = _DOMAIN // _STEP
_COARSE = 8  # km a pixel of the smooth fields: systems and motion
_MINUTES = 5

# Shares of pixels that reach a count, of the two published SEVIR events in DiffCast's demo.
_COUNTS = np.array([1, 3, 8, 16, 31, 59, 74, 100, 116, 133, 146, 160, 181, 200, 219])
_SHARES = np.array(
    [0.6, 0.52, 0.40, 0.33, 0.275, 0.206, 0.167, 0.104, 0.065, 0.029, 0.0125, 0.0047, 0.0012, 0.0003, 0.00006]
)
_SHARE_74 = 0.167


@dataclass(frozen=True)
class _Systems:
    """Mesoscale systems, arrays of shape (system,): place at mid-event, axis, size and life."""

    x: np.ndarray
    y: np.ndarray
    angle: np.ndarray  # of the long axis, radians from east
    length: np.ndarray
    width: np.ndarray
    drift: np.ndarray  # km a frame towards the leading side, relative to the air
    peak: np.ndarray  # frame of greatest strength
    life: np.ndarray  # e-folding half life, frames
    strength: np.ndarray

    def activity(self, frame: np.ndarray | float) -> np.ndarray:
        """Strength at `frame`, broadcast over the systems."""
        return self.strength * np.exp(-(((frame - self.peak) / self.life) ** 2))


def simulate_counts(rng: np.random.Generator) -> np.ndarray:
    """One storm event as SEVIR's VIL counts.

    Args:
        rng: Generator that every draw of the event comes from.

    Returns:
        uint8 counts 0-254 with shape (384, 384, 49): y (south first), x, frame; 1 km, five minutes.
    """
    travel = _travel(rng)
    systems = _draw_systems(rng)
    cells = _draw_cells(rng, systems)
    warp = _warp(rng)
    latent = np.empty((FRAMES, SIZE, SIZE), np.float32)
    for frame, texture in enumerate(_cascade(rng)):
        field = texture + _render_systems(systems, warp, frame)
        _add_cells(field, cells, frame)
        latent[frame] = _seen_from_window(field, travel[frame])
    return np.ascontiguousarray(np.moveaxis(_to_counts(latent, rng), 0, -1))


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Periodic noise of unit standard deviation, smoothed over `scale` pixels in the last two axes."""
    sigma = (0,) * (len(shape) - 2) + (scale, scale)
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return noise / noise.std(axis=(-2, -1), keepdims=True)


def _travel(rng: np.random.Generator) -> np.ndarray:
    """Km that the air at each point has come since mid-event, float32 (frame, east and north, y, x), coarse grid."""
    n = SIZE // _COARSE
    speed = rng.uniform(6, 16) * 0.06 * _MINUTES  # m/s to km a frame
    heading = rng.normal(np.pi / 6, 0.6) + np.linspace(-0.5, 0.5, FRAMES) * rng.normal(0, 0.4)
    mean = speed * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    eddies = _smooth_noise(rng, (2, 2, 2 * n, 2 * n), 7)[..., :n, :n] * rng.uniform(0.4, 0.9)
    y, x = np.mgrid[:n, :n].astype(float)
    steps = [np.zeros((2, n, n))]
    for frame in range(FRAMES - 1):
        age = frame / FRAMES
        wind = mean[frame][:, None, None] + (1 - age) * eddies[0] + age * eddies[1]
        upstream = [y - wind[1] / _COARSE, x - wind[0] / _COARSE]
        steps.append(
            np.stack([ndimage.map_coordinates(d, upstream, order=1, mode="nearest") for d in steps[-1]]) + wind
        )
    travel = np.stack(steps)
    travel -= travel[FRAMES // 2].mean(axis=(1, 2))[:, None, None]
    return travel.astype(np.float32)


def _seen_from_window(field: np.ndarray, travel: np.ndarray) -> np.ndarray:
    """The material field (periodic) as the 384 x 384 window sees it after `travel` (2, y, x)."""
    pixel = np.arange(SIZE, dtype=np.float32)
    east, north = (cv2.resize(part, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for part in travel)
    column = (pixel[None, :] - east) / _STEP
    row = (pixel[:, None] - north) / _STEP
    return cv2.remap(field, column % _CELLS, row % _CELLS, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP)


def _cascade(rng: np.random.Generator):
    """Yields a frame of power-law noise, float32 (row, column) of the material grid; each wavelength ages by AR(1)."""
    ky, kx = np.meshgrid(fft.fftfreq(_CELLS, _STEP), fft.rfftfreq(_CELLS, _STEP), indexing="ij")
    k = np.hypot(ky, kx)
    outer = 1 / 160
    amplitude = ((outer**2 + k**2) ** (-2.7 / 4) * np.exp(-((2.5 * k) ** 2))).astype(np.float32)
    amplitude[0, 0] = 0
    amplitude *= 0.55 * _CELLS / np.sqrt(2 * np.mean(amplitude**2))
    wavelength = 1 / np.maximum(k, 1 / _DOMAIN)
    memory = np.exp(-1 / (1.2 * (wavelength / 10) ** 1.0 * 2)).astype(np.float32)
    fresh = np.sqrt(1 - memory**2)

    def white() -> np.ndarray:
        pair = rng.standard_normal((2, *k.shape), dtype=np.float32)
        return pair[0] + 1j * pair[1]

    state = white()
    for _ in range(FRAMES):
        yield fft.irfft2(amplitude * state, (_CELLS, _CELLS))
        state = memory * state + fresh * white()


def _draw_systems(rng: np.random.Generator) -> _Systems:
    """Three to seven systems; the first is near the window's centre in mid-event, about a third of them are lines."""
    n = int(rng.integers(3, 8))
    line = rng.random(n) < 0.4
    place = rng.uniform(0, _DOMAIN, (2, n))
    place[:, 0] = rng.uniform(0.25 * SIZE, 0.75 * SIZE, 2)
    return _Systems(
        x=place[0],
        y=place[1],
        angle=rng.normal(1.0, 0.5, n),
        length=np.where(line, rng.uniform(70, 170, n), rng.uniform(25, 60, n)),
        width=np.where(line, rng.uniform(10, 20, n), rng.uniform(18, 40, n)),
        drift=np.where(line, rng.uniform(0.2, 0.9, n), rng.normal(0, 0.3, n)),
        peak=rng.uniform(5, 45, n),
        life=rng.uniform(20, 60, n),
        strength=rng.uniform(1.6, 2.6, n),
    )


def _warp(rng: np.random.Generator) -> np.ndarray:
    """Smooth displacements (2, row, column), km, that bend the axes and outlines of systems."""
    n = _DOMAIN // _COARSE
    return 14 * _smooth_noise(rng, (2, n, n), 5) + 6 * _smooth_noise(rng, (2, n, n), 2)


def _render_systems(systems: _Systems, warp: np.ndarray, frame: int) -> np.ndarray:
    """Strength of the systems at `frame`, float32 (row, column) of the material grid."""
    n = _DOMAIN // _COARSE
    pixel = np.arange(n) * _COARSE
    total = np.zeros((n, n), np.float32)
    moved = systems.drift * (frame - FRAMES // 2)
    for i, active in enumerate(systems.activity(frame)):
        ahead = np.array([np.sin(systems.angle[i]), -np.cos(systems.angle[i])])
        dx = pixel[None, :] + warp[0] - systems.x[i] - moved[i] * ahead[0]
        dy = pixel[:, None] + warp[1] - systems.y[i] - moved[i] * ahead[1]
        dx, dy = ((d + _DOMAIN / 2) % _DOMAIN - _DOMAIN / 2 for d in (dx, dy))
        across = dx * ahead[0] + dy * ahead[1]
        along = -dx * ahead[1] + dy * ahead[0]
        width = np.where(across > 0, systems.width[i], 2.2 * systems.width[i])
        total = np.maximum(total, active * np.exp(-((along / systems.length[i]) ** 4) - (across / width) ** 2))
    return cv2.resize(total.astype(np.float32), (_CELLS, _CELLS), interpolation=cv2.INTER_CUBIC)


def _draw_cells(rng: np.random.Generator, systems: _Systems) -> dict[str, np.ndarray]:
    """Convective cells, arrays of shape (cell,): place, birth and life in frames, radius, strength."""
    n = 700
    parent = rng.integers(0, len(systems.x), n)
    birth = rng.uniform(-12, FRAMES, n)
    along = rng.uniform(-1, 1, n) * systems.length[parent]
    across = rng.normal(0.1, 0.5, n) * systems.width[parent] + systems.drift[parent] * (birth - FRAMES // 2)
    sin, cos = np.sin(systems.angle[parent]), np.cos(systems.angle[parent])
    alone = rng.random(n) < 0.25
    scattered = rng.uniform(0, _DOMAIN, (2, n))
    activity = np.array([systems.activity(b)[p] for b, p in zip(birth, parent, strict=True)])
    return {
        "x": np.where(alone, scattered[0], systems.x[parent] + along * cos + across * sin),
        "y": np.where(alone, scattered[1], systems.y[parent] + along * sin - across * cos),
        "birth": birth,
        "life": rng.uniform(5, 16, n),
        "radius": rng.uniform(3, 8, n),
        "strength": rng.gamma(3, 0.45, n) * np.where(alone, 1.2, activity / 2),
    }


def _add_cells(field: np.ndarray, cells: dict[str, np.ndarray], frame: int) -> None:
    """Adds the cells that live at `frame` to the material field, in place."""
    age = (frame - cells["birth"]) / cells["life"]
    alive = (age > 0) & (age < 1)
    age, x, y, radius, strength = (a[alive] for a in (age, *(cells[k] for k in ("x", "y", "radius", "strength"))))
    strength = strength * np.sin(np.pi * np.sqrt(age)) ** 2  # grows faster than it decays
    reach = np.arange(-9, 10)
    column = np.rint(x / _STEP)[:, None, None] + reach[None, None, :]
    row = np.rint(y / _STEP)[:, None, None] + reach[None, :, None]
    squared = (column * _STEP - x[:, None, None]) ** 2 + (row * _STEP - y[:, None, None]) ** 2
    bump = strength[:, None, None] * np.exp(-squared / radius[:, None, None] ** 2)
    np.add.at(field, (row.astype(int) % _CELLS, column.astype(int) % _CELLS), bump.astype(np.float32))


def _to_counts(latent: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Maps latent values to uint8 counts so that the event has SEVIR's shares of pixels above each count."""
    wetness = rng.uniform(0.6, 1.1)
    contrast = rng.uniform(0.85, 1.15)
    shares = wetness * _SHARE_74 * (_SHARES / _SHARE_74) ** contrast
    sample = np.sort(latent[:, ::4, ::4], axis=None)
    levels = np.interp(1 - shares, np.linspace(0, 1, sample.size), sample)
    counts = np.interp(latent, levels, _COUNTS, left=0)
    return counts.astype(np.uint8)
