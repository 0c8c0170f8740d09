"""Motion of the echo by optical flow, and semi-Lagrangian advection along it.

Arrays are batched by case; a velocity has shape (case, y, x, 2), pixels per frame, its last axis (x, y).
"""

import cv2
import numpy as np

_SMOOTHING = 5.0  # pixels; less follows noise, more loses the differences between neighbouring storms
_REACH = 40.0  # pixels; extends the motion to places far from echo
_REACH_WEIGHT = 1e-3
_LEAST_SIDE = 12  # pixels, for the search
HISTORY = 10  # frames that `reached_after` takes the motion from
_SEEN = 0.5  # a sample is missing when the bilinear weight of its seen pixels is below this


def motion(frames: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Estimate the mean motion of the echo over a history.

    Dense inverse search flow (Kroeger et al. 2016, doi:10.1007/978-3-319-46493-0_29) between consecutive frames,
    averaged over time and, by Gaussians, over space. Only observed echo has weight.

    Args:
        frames: Counts with shape (case, frame, y, x), zero where missing. Counts need no transform: the count scale
            is logarithmic already.
        observed: False where missing, same shape.

    Returns:
        Velocity in pixels per frame, shape (case, y, x, 2), float32; zero in a case without echo, and where a side has
        less than 12 pixels.
    """
    return np.stack([_motion(*case) for case in zip(frames, observed, strict=True)])


def _motion(frames: np.ndarray, observed: np.ndarray) -> np.ndarray:
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    images = frames.round().astype("uint8")
    momentum = np.zeros((*frames.shape[1:], 2), "float32")
    weight = np.zeros(frames.shape[1:], "float32")
    large_enough = min(frames.shape[1:]) >= _LEAST_SIDE
    for before, after, seen in zip(images, images[1:], observed[:-1] & observed[1:], strict=False):
        if large_enough and (echo := seen & (before > 0)).any():
            flow = search.calc(before, after, None)  # type: ignore[call-overload]
            momentum += flow * echo[..., None]
            weight += echo
    if not weight.any():
        return momentum
    near, far = (_blur(momentum, width) for width in (_SMOOTHING, _REACH))
    near_weight, far_weight = (_blur(weight, width) for width in (_SMOOTHING, _REACH))
    total = near + _REACH_WEIGHT * (far + _REACH_WEIGHT * momentum.mean((0, 1)))
    total_weight = near_weight + _REACH_WEIGHT * (far_weight + _REACH_WEIGHT * weight.mean())
    return total / total_weight[..., None]


def _blur(image: np.ndarray, width: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), width, borderType=cv2.BORDER_CONSTANT)


def extrapolate(fields: np.ndarray, velocity: np.ndarray, leads: int) -> np.ndarray:
    """Advect fields along a steady velocity.

    Args:
        fields: Counts with shape (case, y, x), NaN missing.
        velocity: Pixels per frame, shape (case, y, x, 2), as from `motion`.
        leads: Number of lead times, one frame apart.

    Returns:
        Counts with shape (case, lead, y, x), float32, NaN where the air comes from outside of the domain or from
        missing pixels.
    """
    return np.stack(
        [
            advect(np.broadcast_to(field, (leads, *field.shape)), np.isfinite(field), departures(flow, leads))
            for field, flow in zip(fields, velocity, strict=True)
        ]
    )


def reached(frames: np.ndarray, observed: np.ndarray, leads: int) -> np.ndarray:
    """Find the pixels that advection reaches from inside the domain.

    Args:
        frames: Counts with shape (case, frame, y, x), zero where missing.
        observed: False where missing, same shape.
        leads: Number of lead times, one frame apart.

    Returns:
        False where the air comes from outside of the domain or from pixels never observed, shape (case, lead, y, x).
    """
    seen = np.where(observed.any(axis=1), 0.0, np.nan)
    return np.isfinite(extrapolate(seen, motion(frames, observed), leads))


def reached_after(past: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Find the pixels of one case that advection reaches, by the motion of its newest ten frames.

    Args:
        past: Counts with shape (frame, y, x), NaN missing, one frame or more.
        steps: Lead times in frames, shape (lead_time,).

    Returns:
        See `reached`; shape (lead_time, y, x).
    """
    newest = past[-HISTORY:]
    seen = np.isfinite(newest)
    return reached(np.where(seen, newest, 0)[None], seen[None], int(steps.max()))[0, steps - 1]


def departures(velocity: np.ndarray, leads: int) -> np.ndarray:
    """Trace the air of each pixel back by 1..leads frames: backward semi-Lagrangian, midpoint rule.

    Source: Germann and Zawadzki 2002, doi:10.1175/1520-0493(2002)130<2859:SDOTPO>2.0.CO;2.

    Args:
        velocity: Pixels per frame, shape (y, x, 2).
        leads: Number of lead times, one frame apart.

    Returns:
        Departure points in pixels, shape (lead, y, x, 2), the last axis (x, y).
    """
    height, width = velocity.shape[:2]
    departure = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype("float32")
    step = velocity.astype("float32")
    paths = np.empty((leads, height, width, 2), "float32")
    for lead in range(leads):
        step = _sample(velocity, departure - step / 2, cv2.BORDER_REPLICATE)
        departure = departure - step
        paths[lead] = departure
    return paths


def advect(
    fields: np.ndarray, seen: np.ndarray, paths: np.ndarray, interpolation: int = cv2.INTER_LINEAR
) -> np.ndarray:
    """Advect one field per lead time, each by a single interpolation.

    Args:
        fields: Counts with shape (lead, y, x).
        seen: True where the counts are known, shape (y, x).
        paths: Departure points, as from `departures`.
        interpolation: OpenCV's number of an interpolation method.

    Returns:
        Counts with shape (lead, y, x), float32, NaN where a path departs outside of the domain or at unknown pixels.
    """
    carried = np.empty(fields.shape, "float32")
    weight = seen.astype("float32")
    for lead, (field, points) in enumerate(zip(fields, paths, strict=True)):
        known = np.where(seen, field, 0).astype("float32")
        value = _sample(known, points, cv2.BORDER_CONSTANT, interpolation)
        share = _sample(weight, points, cv2.BORDER_CONSTANT)
        carried[lead] = np.divide(value, share, out=np.full_like(value, np.nan), where=share >= _SEEN)
    return carried


def _sample(image: np.ndarray, points: np.ndarray, border: int, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    return cv2.remap(image, points, None, interpolation, borderMode=border, borderValue=0)  # type: ignore[call-overload]
