"""Summaries in place of members: the numbers, the file, and who refuses it."""

import sys
from datetime import datetime

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nowcast.cli import app as cli
from nowcast.data.conventions import THRESHOLDS
from nowcast.data.forecast_file import open_forecast
from nowcast.data.packing import COUNT_STEP, pack
from nowcast.data.seeds import numpy_generator
from nowcast.forecasting.forecast import Request, write_forecast
from nowcast.forecasting.summary import QUANTILES, summarise
from nowcast.models.forecaster import Forecaster
from nowcast.models.persistence import Persistence
from pipelines.errors import InputError
from pipelines.store.kind import VIDEO
from pipelines.store.schema import Event, attributes, create

HALF_STEP, HALF_PERCENTILE = 1 / 256 + 1e-4, 0.5e-4 + 1e-6


def test_numbers_by_hand():
    counts = np.array([0.0, 10, 20, 74])[:, None, None, None]
    packed = pack(np.concatenate([counts, np.full_like(counts, np.nan)], axis=3), COUNT_STEP)
    mean, spread, quantiles, probabilities = summarise(packed, (16, 74, 75))
    assert mean[0, 0, 0] == 26
    assert spread[0, 0, 0] == pytest.approx(np.sqrt((26**2 + 16**2 + 6**2 + 48**2) / 3))
    np.testing.assert_allclose(quantiles[:, 0, 0, 0], [1.5, 7.5, 15, 33.5, 65.9], rtol=1e-6)
    np.testing.assert_allclose(probabilities[:, 0, 0, 0], [0.5, 0.25, 0])
    assert all(np.isnan(part[..., 1]).all() for part in (mean, spread, quantiles, probabilities))


@settings(max_examples=30)
@given(arrays("int16", (5, 2, 3, 2), elements=st.integers(0, 254 * 128)))
def test_numbers_keep_their_order(packed):
    mean, spread, quantiles, probabilities = summarise(packed, THRESHOLDS)
    counts = packed / 128
    assert (np.diff(quantiles, axis=0) >= 0).all() and (np.diff(probabilities, axis=0) <= 0).all()
    assert (counts.min(0) - 1e-3 <= mean).all() and (mean <= counts.max(0) + 1e-3).all()
    assert ((spread > 0) == (counts.min(0) < counts.max(0))).all()
    np.testing.assert_array_equal(quantiles[2], np.median(counts, 0).astype("float32"))


class Showers(Forecaster):
    """Members that are noise of their own, three at a time."""

    member_batch = 3
    takes_video = True

    def predict(self, cases, steps, members, seed):
        shape = (steps, *cases.frames.shape[2:])
        return np.array([[numpy_generator(seed, key, m).gamma(0.5, 80, shape) for m in members] for key in cases.keys])


def make(store, out, model=None, **request):
    return write_forecast(
        model or Showers(), store, out, Request(**{"members": 7, **request}), described={"model": "showers"}
    )


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_numbers_are_those_of_a_file_with_members(small_store, tmp_path, suffix):
    members = open_forecast(make(small_store, tmp_path / "members.nc"))
    file = make(small_store, tmp_path / f"summary{suffix}", summary_only=True)
    engine = {"engine": "zarr", "consolidated": False} if suffix == ".zarr" else {}
    made = xr.open_dataset(file, decode_timedelta=True, decode_coords="all", **engine)
    assert set(made) == {"vil_mean", "vil_spread", "vil_quantile", "vil_probability", "reached", "observed"}
    assert made["vil_quantile"].dims == ("case", "quantile", "lead_time", "y", "x")
    assert made["vil_probability"].dims == ("case", "threshold", "lead_time", "y", "x")
    counts = members["vil"]
    seen = counts.notnull().all("member")
    expected = {
        "vil_mean": (counts.mean("member"), HALF_STEP),
        "vil_spread": (counts.std("member", ddof=1), HALF_STEP),
        "vil_quantile": (counts.quantile(QUANTILES, "member", skipna=False), HALF_STEP),
        "vil_probability": ((counts >= made["threshold"]).mean("member").where(seen), HALF_PERCENTILE),
    }
    for name, (value, tolerance) in expected.items():
        value = value.transpose(*made[name].dims).values
        np.testing.assert_allclose(made[name].values, value, rtol=0, atol=tolerance)
        assert np.isnan(made[name].values[..., :2, :2]).all() and made[name].values[..., 2:].max() > 0
    for name in ("event", "init_time", "valid_time", "lead_time", "latitude", "proj", "y"):
        np.testing.assert_array_equal(made[name], members[name])
    assert made["threshold"].values.tolist() == list(THRESHOLDS)
    assert made.attrs["summary_of"] == "7 members" and made.attrs["seed"] == members.attrs["seed"]


def test_a_video_has_no_probabilities(tmp_path):
    event = Event(id="clip", time=datetime(2000, 1, 1), offsets=tuple(n / 25 for n in range(20)), split="test")
    attrs = attributes(
        [event], protocol="kth-128-10-10", reducer="none", cadence_minutes=1 / 1500, source_files=[], kind=VIDEO
    )
    create(tmp_path / "kth.zarr", [event], side=4, channels=("red", "green", "blue"), attrs=attrs)
    zarr.open_group(tmp_path / "kth.zarr", mode="r+")["missing_fraction"][:] = 0
    members = open_forecast(make(tmp_path / "kth.zarr", tmp_path / "members.nc"))["video"]
    made = xr.open_dataset(make(tmp_path / "kth.zarr", tmp_path / "f.nc", summary_only=True))
    assert set(made) == {"video_mean", "video_spread", "video_quantile"}
    assert made["video_quantile"].dims == ("case", "quantile", "lead_time", "channel", "y", "x")
    np.testing.assert_allclose(made["video_mean"], members.mean("member"), rtol=0, atol=HALF_STEP)


def test_one_member_has_no_summary(small_store, tmp_path):
    with pytest.raises(InputError, match="a summary of an ensemble; got one member; expected two or more"):
        make(small_store, tmp_path / "f.nc", Persistence(), summary_only=True)
    assert list(tmp_path.iterdir()) == []


def test_commands_say_what_a_summary_is(small_store, tmp_path, monkeypatch, capsys):
    file = make(small_store, tmp_path / "summary.nc", summary_only=True, limit=1)

    def say(*words):
        monkeypatch.setattr(sys, "argv", ["nowcast", *map(str, words)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        return exit_.value.code or 0, *capsys.readouterr()

    capsys.readouterr()
    code, out, _ = say("info", file)
    assert code == 0 and out.startswith("summary of nowcast by showers: case: 1, quantile: 5, lead_time: 10, ")
    assert "variables: vil_mean, vil_spread, vil_quantile, vil_probability, reached, observed" in out
    picture, film = tmp_path / "a.png", tmp_path / "a.gif"
    for words in (("plot", file, picture), ("animate", file, film), ("verify", file, small_store)):
        code, _, err = say(*words)
        assert code == 2 and "holds a summary of an ensemble and no members; forecast again" in err
        assert err.count("\n") == 1
