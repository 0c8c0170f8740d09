"""Energy by scale: the radially averaged power spectrum of the ensemble mean, the members and the observation.

Of a field of ny x nx pixels, |FFT|^2 / (ny nx) is averaged over rings of wavenumber k = 0, 1, ... below half the longer
side, in cycles along that side: a wavelength of max(ny, nx) / k pixels. So does pysteps' `rapsd`; for its use on
nowcasts see Ravuri et al. (2021), doi:10.1038/s41586-021-03854-z. A mean loses energy at small scales with lead time as
it blurs; a member should not. Energies are averaged over members and fields, no window is applied, and a pixel that
does not count is 0 in all three, which leaves their ratio fair.
"""

from functools import cache

import numpy as np
import scipy.fft
import xarray as xr

from nowcast.verification.contract import Pair, Sums, ratio
from nowcast.verification.metrics.categorical import SUMMARIES

KINDS = np.array([*SUMMARIES, "observed"])


def energies(pair: Pair) -> Sums:
    """Sums over fields of the ring averages, counts squared; dims (kind, wavenumber), of `KINDS`."""
    fields = (
        pair.on_grid(pair.mean)[None],
        pair.filled,
        pair.on_grid(pair.truth)[None],
    )
    energy = np.stack([_ring_averages(field) for field in fields])
    wavenumbers = np.arange(energy.shape[1])
    return {
        "kind": (("kind",), KINDS),
        "wavenumber": (("wavenumber",), wavenumbers),
        "energy": (("kind", "wavenumber"), energy),
    }


def _ring_averages(fields: np.ndarray) -> np.ndarray:
    """Power of fields with dims (field, y, x), averaged over them and over rings; dims (wavenumber,)."""
    transform = scipy.fft.rfft2(fields)
    power = (transform.real**2 + transform.imag**2).mean(axis=0) / fields[0].size
    ring, times, rings = _rings(fields.shape[1:])
    sums, counts = (np.bincount(ring, weights=weights.ravel())[:rings] for weights in (times * power, times))
    return sums / counts


@cache
def _rings(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, int]:
    """The ring of each wave of `rfft2`, how many waves of `fft2` it stands for, and the number of rings."""
    rows, columns = shape
    side = max(shape)
    y, x = np.meshgrid(scipy.fft.fftfreq(rows, 1 / side), scipy.fft.rfftfreq(columns, 1 / side), indexing="ij")
    own = (x == 0) | (2 * x == side)
    return np.rint(np.hypot(y, x)).astype(int).ravel(), np.where(own, 1.0, 2.0), (side + 1) // 2


def energy(totals: xr.Dataset) -> xr.DataArray:
    """Energy of the mean, the members and the observation at each scale, counts squared; dims (kind, wavenumber)."""
    return ratio(totals["energy"], totals["fields"])


def energy_ratio(totals: xr.Dataset) -> xr.DataArray:
    """Energy of the forecast over that observed, 1 for realistic detail; dims (summary, wavenumber)."""
    forecast = totals["energy"].sel(kind=SUMMARIES).rename(kind="summary")
    return ratio(forecast, totals["energy"].sel(kind="observed", drop=True))
