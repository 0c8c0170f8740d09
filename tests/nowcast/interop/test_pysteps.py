"""Our models behind pysteps' signature, beside pysteps' own methods, and in pysteps' blending."""

import contextlib
import io
from datetime import datetime

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from nowcast.interop.pysteps import external_nowcast, forecast
from pipelines.errors import InputError

pysteps = pytest.importorskip("pysteps")
OPTIONS = {"kmperpixel": 1.0, "timestep": 5.0}


def rain(frames: int = 10, start: int = 0) -> np.ndarray:
    """Rain rates in mm/h of a shower that moves 2 pixels east and 1 pixel south a frame, row 0 in the north.

    Its texture moves along and changes a little, as pysteps' autoregression needs it.
    """
    y, x = np.mgrid[:64, :64]
    rng = np.random.default_rng(0)
    texture = gaussian_filter(rng.normal(size=(160, 160)), 2)
    changes = [gaussian_filter(rng.normal(size=(64, 64)), 1) for _ in range(start + frames)]
    fields = []
    for n in range(start, start + frames):
        shower = 8 * np.exp(-((y - 24 - n) ** 2 + (x - 14 - 2 * n) ** 2) / 60)
        fields.append(shower * np.exp(3 * texture[40 - n : 104 - n, 60 - 2 * n : 124 - 2 * n] + 0.5 * changes[n]))
    rates = np.stack(fields)
    return np.where(rates < 0.1, 0, rates)


def decibels(rates: np.ndarray) -> np.ndarray:
    return np.where(rates >= 0.1, 10 * np.log10(np.maximum(rates, 0.1)), -15.0)


def quietly(function, *arguments, **options):
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments, **options)


def test_a_shower_is_where_pysteps_has_it():
    velocity = np.stack([np.full((64, 64), 2.0), np.full((64, 64), 1.0)])
    theirs = pysteps.nowcasts.get_method("extrapolation")(rain()[-1], velocity, 6)
    ours = forecast(rain(), velocity, 6, 1, model="advection", **OPTIONS)
    assert ours.shape == (1, *theirs.shape) and ours.dtype == theirs.dtype
    for lead in range(6):
        inside = np.isfinite(theirs[lead])
        assert np.corrcoef(ours[0, lead][inside], theirs[lead][inside])[0, 1] > 0.95
        assert np.argmax(ours[0, lead].sum(0)) == pytest.approx(np.argmax(np.nansum(theirs[lead], 0)), abs=1)
        assert np.corrcoef(ours[0, lead][inside], rain()[-1][inside])[0, 1] < 0.9 or lead == 0


def test_dims_units_and_seeds_are_those_of_pysteps_steps():
    data, velocity = decibels(rain()), np.stack([np.full((64, 64), 2.0), np.full((64, 64), 1.0)])
    options = {"n_cascade_levels": 4, "precip_thr": -10.0, "seed": 5, **OPTIONS}
    theirs = quietly(pysteps.nowcasts.get_method("steps"), data[-3:], velocity, 3, n_ens_members=2, **options)
    ours, again = (forecast(data, velocity, 3, 2, model="pysteps", transform="dB", **options) for _ in range(2))
    assert ours.shape == theirs.shape == (2, 3, 64, 64)
    assert ours.min() == -15 and ours.max() == pytest.approx(theirs[np.isfinite(theirs)].max(), abs=3)
    np.testing.assert_array_equal(ours, again)
    other, drawn, another = (
        forecast(data, velocity, 3, 2, model="pysteps", transform="dB", **{**options, "seed": seed})
        for seed in (6, None, None)
    )
    assert (ours != other).any() and (ours[0] != ours[1]).any() and (drawn != another).any()
    rates = forecast(rain(), None, 3, 2, model="pysteps", **options)
    np.testing.assert_allclose(ours, decibels(rates), atol=1e-9)


def test_some_time_steps_alone_and_a_corner_never_seen():
    data = rain()
    data[:, :5, :5] = np.nan
    whole, some = (forecast(data, None, steps, model="persistence", **OPTIONS) for steps in (4, [2, 4]))
    np.testing.assert_array_equal(some, whole[:, [1, 3]])
    assert np.isnan(whole[..., :5, :5]).all() and np.isfinite(whole[..., 5:, :]).all()
    np.testing.assert_allclose(whole[0, 0, 5:], data[-1, 5:], rtol=0.05, atol=0.1)


def test_blending_takes_our_members_as_an_external_nowcast(tmp_path):
    data, later = decibels(rain()), decibels(rain(5, 9))
    velocity = np.stack([np.full((64, 64), 2.0), np.full((64, 64), 1.0)])
    members = forecast(data, None, 4, 2, model="pysteps", transform="dB", seed=1, **OPTIONS)
    nowcast = external_nowcast(data, members)
    assert nowcast.shape == (2, 5, 64, 64)
    np.testing.assert_array_equal(nowcast[:, 0], np.stack([data[-1]] * 2))
    blended = quietly(
        pysteps.blending.get_method("steps"), data[-3:], later[None], velocity,
        np.broadcast_to(velocity, (1, 5, *velocity.shape)), 4, 5.0, datetime(2024, 7, 1), 2, precip_nowcast=nowcast,
        nowcasting_method="external_nowcast", noise_method=None, vel_pert_method=None, n_cascade_levels=4,
        precip_thr=-10.0, kmperpixel=1.0, seed=1, outdir_path_skill=f"{tmp_path}/",
    )  # fmt: skip
    assert np.asarray(blended).shape[-2:] == (64, 64) and len(blended) == 2
    first = np.asarray(blended)[0][-4]
    assert np.isfinite(first).any() and np.nanmax(first) == pytest.approx(members[0, 0].max(), abs=4)


@pytest.mark.parametrize(
    ("data", "steps", "line"),
    [
        (rain()[0], 3, r"precip has another shape; got \(64, 64\); expected \(t, m, n\)"),
        (rain(), [1.5], "time steps are not whole numbers from 1 on"),
        (rain(), 0, "time steps are not whole numbers from 1 on"),
        (rain()[:2], 3, "the history is too short"),
        (rain() - 15, 3, "rain rate in mm h-1 cannot be -15"),
    ],
)
def test_what_cannot_be_is_one_line(data, steps, line):
    with pytest.raises(InputError, match=line):
        forecast(data, None, steps, model="persistence", **OPTIONS)


def test_a_number_of_time_steps_may_be_numpys():
    made = forecast(rain(), None, np.int64(3), model="persistence", **OPTIONS)
    np.testing.assert_array_equal(made, forecast(rain(), None, 3, model="persistence", **OPTIONS))
