"""STEPS by pysteps, the ensemble that a learned one has to beat (Bowler et al. 2006, doi:10.1256/qj.04.100; Pulkkinen
et al. 2019, doi:10.5194/gmd-12-4185-2019).

pysteps works on rain rate: counts become rain rate and its forecast becomes counts by pipelines.store.units.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from nowcast.data.seeds import integer_seed, numpy_generator
from nowcast.extrapolation.cascade import FRAMES
from nowcast.extrapolation.first_guess import without_gaps
from nowcast.models.forecaster import Cases, Forecaster
from pipelines.errors import InputError
from pipelines.store.units import counts_to_rain_rate, rain_rate_to_counts

_LOG = logging.getLogger(__name__)

_THRESHOLD = 0.1  # mm h-1; the least count with echo, 6, is 0.115
_DECIBELS_AT_THRESHOLD, _DRY_DECIBELS = -10.0, -15.0

Fill = Literal["past", "persistence"]


class PySteps(Forecaster):
    """STEPS ensemble by pysteps; pixels that a member does not reach repeat a frame of the history, drawn at random.

    The settings are pysteps' defaults (six cascade levels, AR(2), Lucas-Kanade motion with perturbations), with the
    minutes between frames and the kilometres of a pixel as in the store or file. Where the air comes from outside of
    the observed domain, each member repeats one frame of the history at all lead times. Its own generator draws that
    frame, so members differ there too.

    A case is persistence everywhere when one of its last three frames has no echo, or when its echo, or the change of
    its echo, is too small for pysteps to fit a model. pysteps draws the seed of each member from that of the previous
    one: a member does not depend on how many follow, and members 0 to the highest requested are always computed.

    Args:
        fill: Fills the pixels that a member does not reach. "past": a frame of the history drawn at random.
            "persistence": the newest observed counts, equal in all members.
    """

    source = (
        "Bowler et al. 2006, https://doi.org/10.1256/qj.04.100, by pysteps, https://doi.org/10.5194/gmd-12-4185-2019"
    )

    def __init__(self, fill: Fill = "past"):
        self.fill = fill

    def predict(self, cases: Cases, leads: int, members: Sequence[int], seed: int) -> np.ndarray:
        """See `Forecaster.predict`.

        Raises:
            InputError: when pysteps is not installed, or the history is shorter than three frames.
        """
        given = cases.frames.shape[1]
        if given < FRAMES:
            raise InputError("the history is too short for pysteps", got=given, expected=f"{FRAMES} frames or more")
        motion, forecast = _pysteps()
        forecast = partial(
            forecast,
            timesteps=leads,
            n_ens_members=max(members) + 1,
            precip_thr=_DECIBELS_AT_THRESHOLD,
            kmperpixel=cases.pixel_km,
            timestep=cases.cadence_minutes,
        )
        counts = np.repeat(cases.last_seen()[:, None, None], len(members), axis=1).repeat(leads, axis=2)
        for case, key in enumerate(cases.keys):
            frames = without_gaps(cases.frames[case], cases.observed[case])
            if not (frames[-FRAMES:] > 0).any(axis=(1, 2)).all():
                continue
            decibels = _to_decibels(frames)
            case_seed = integer_seed(seed, "steps", key) % 2**32
            try:
                with _quiet():
                    made = forecast(decibels[-FRAMES:], motion(decibels), seed=case_seed)
            except (ValueError, RuntimeError) as error:
                _LOG.warning("%s: persistence, since pysteps cannot fit its model (%s)", key, error)
                continue
            if self.fill == "past":
                drawn = [numpy_generator(seed, "steps fill", key, member).integers(given) for member in members]
                counts[case] = _or(frames[drawn][:, None], counts[case])
            counts[case] = _or(_to_counts(made[list(members)]), counts[case])
        return counts


def _or(fields: np.ndarray, others: np.ndarray) -> np.ndarray:
    """`fields`, and `others` where `fields` are NaN."""
    return np.where(np.isnan(fields), others, fields)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence pysteps, which prints its settings and progress and divides by zero where a field is dry."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _pysteps() -> tuple[Any, Any]:
    """pysteps' functions for motion and for forecasts."""
    try:
        with _quiet():
            from pysteps.motion.lucaskanade import dense_lucaskanade
            from pysteps.nowcasts.steps import forecast
    except ImportError as error:
        remedy = "pip install pysteps (it needs a C compiler)"
        raise InputError("the package pysteps is not installed", remedy=remedy) from error
    return dense_lucaskanade, forecast


def _to_decibels(counts: np.ndarray) -> np.ndarray:
    rate = counts_to_rain_rate(counts)
    decibels = np.where(rate < _THRESHOLD, _DRY_DECIBELS, 10 * np.log10(np.maximum(rate, _THRESHOLD)))
    return np.where(np.isnan(counts), np.nan, decibels).astype("float64")


def _to_counts(decibels: np.ndarray) -> np.ndarray:
    rate = np.where(decibels < _DECIBELS_AT_THRESHOLD, 0, 10 ** (decibels / 10))
    return rain_rate_to_counts(rate)
