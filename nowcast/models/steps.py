"""STEPS, the ensemble that a learned one has to beat, by pysteps (Bowler et al. 2006, doi:10.1256/qj.04.100;
Pulkkinen et al. 2019, doi:10.5194/gmd-12-4185-2019).

It works on rain rate, which is taken from counts and turned back into them by the relations in pipelines.store.units.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from nowcast.data.seeds import integer_seed
from nowcast.models.forecaster import Cases, Forecaster
from pipelines.errors import InputError
from pipelines.store.units import counts_to_rain_rate, rain_rate_to_counts

_LOG = logging.getLogger(__name__)

_KM_PER_PIXEL = 3.0  # SEVIR at 128x128; in pysteps it scales the perturbation of motion and the growth of the wet area
_THRESHOLD = 0.1  # mm h-1; the least count with echo, 6, is 0.115
_DECIBELS_AT_THRESHOLD, _DRY_DECIBELS = -10.0, -15.0
_FRAMES = 3  # which the second-order autoregressive model takes


class Steps(Forecaster):
    """pysteps STEPS in its default settings: six cascade levels, AR(2), Lucas-Kanade motion with perturbations.

    Pixels that the motion reaches from outside of the observed domain are filled by persistence. A case is persistence
    altogether where it has no echo in one of its last three frames, or so little of it or of its change that pysteps
    cannot fit its model. The grid spacing is taken to be 3 km. pysteps draws the seed of a member from that of the one
    before: a member does not depend on how many follow, and members 0 to the highest asked for are always made.
    """

    def predict(self, cases: Cases, steps: int, members: Sequence[int], seed: int) -> np.ndarray:
        """See `Forecaster.predict`.

        Raises:
            InputError: when pysteps is not installed, or the history is shorter than three frames.
        """
        given = cases.frames.shape[1]
        if given < _FRAMES:
            raise InputError("the history is too short for steps", got=given, expected=f"{_FRAMES} frames or more")
        motion, forecast = _pysteps()
        forecast = partial(
            forecast,
            timesteps=steps,
            n_ens_members=max(members) + 1,
            precip_thr=_DECIBELS_AT_THRESHOLD,
            kmperpixel=_KM_PER_PIXEL,
            timestep=cases.cadence_minutes,
        )
        counts = np.repeat(cases.last_seen()[:, None, None], len(members), axis=1).repeat(steps, axis=2)
        for case, key in enumerate(cases.keys):
            frames = _without_gaps(cases.frames[case], cases.observed[case])
            if not (frames[-_FRAMES:] > 0).any(axis=(1, 2)).all():
                continue
            decibels = _to_decibels(frames)
            case_seed = integer_seed(seed, "steps", key) % 2**32
            try:
                with _quiet():
                    made = forecast(decibels[-_FRAMES:], motion(decibels), seed=case_seed)
            except (ValueError, RuntimeError) as error:
                _LOG.warning("%s: persistence, since pysteps cannot fit its model (%s)", key, error)
                continue
            ensemble = _to_counts(made[list(members)])
            counts[case] = np.where(np.isnan(ensemble), counts[case], ensemble)
        return counts


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """pysteps prints its settings and progress, and divides by zero where a field is dry."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _pysteps() -> tuple[Any, Any]:
    """The motion and the forecast function of pysteps."""
    try:
        with _quiet():
            from pysteps.motion.lucaskanade import dense_lucaskanade
            from pysteps.nowcasts.steps import forecast
    except ImportError as error:
        remedy = "pip install nowcast[steps] (it takes a C compiler)"
        raise InputError("the model steps needs pysteps, which is not installed", remedy=remedy) from error
    return dense_lucaskanade, forecast


def _without_gaps(frames: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Frames with every gap filled by what was last seen there; NaN where nothing was yet."""
    filled = np.where(observed, frames, np.nan)
    for before, after in pairwise(filled):
        np.copyto(after, before, where=np.isnan(after))
    return filled


def _to_decibels(counts: np.ndarray) -> np.ndarray:
    rate = counts_to_rain_rate(counts)
    decibels = np.where(rate < _THRESHOLD, _DRY_DECIBELS, 10 * np.log10(np.maximum(rate, _THRESHOLD)))
    return np.where(np.isnan(counts), np.nan, decibels).astype("float64")


def _to_counts(decibels: np.ndarray) -> np.ndarray:
    rate = np.where(decibels < _DECIBELS_AT_THRESHOLD, 0, 10 ** (decibels / 10))
    return rain_rate_to_counts(rate)
