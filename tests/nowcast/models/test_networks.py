"""The contract of `nowcast.models.network`, held over every trainable model of the table at a tiny size."""

from typing import Literal

import numpy as np
import pytest
import torch
import xarray as xr

from nowcast.models import MODELS, is_trainable, model_class
from nowcast.models.checkpoint import load_network, save_tensors
from nowcast.models.frames import Clip, FrameScale, clip_of
from nowcast.models.network import Batch, Draws, Network
from nowcast.models.trained import TrainedForecaster
from pipelines.errors import InputError

NO_GUESS = Literal["none"]  # the setting of a network that reads no first guess
NETWORKS = [name for name in MODELS if is_trainable(model_class(name))]
TRAINABLE = [*NETWORKS, "predldm, 3d", "predldm, 2d+1d"]
REGRESSING = [name for name in NETWORKS if model_class(name).deterministic]
GUIDED = [name for name in REGRESSING if model_class(name).Settings.model_fields["first_guess"].annotation != NO_GUESS]
IN_COLOUR = [name for name in TRAINABLE if name != "corrector"]  # first guesses, which it needs, are of radar
SCALE = FrameScale(0.0, 50.0, 0.0)


def draws(size: int, progress: float = 1.0) -> Draws:
    return Draws([[torch.Generator().manual_seed(number)] for number in range(size)], progress)


@pytest.fixture(scope="module")
def windows(moving_storm) -> Batch:
    """Four storms of four motions, five frames given and three ahead, 32 x 32 pixels."""
    motions = ((1, 0), (0, -1), (-1, 1), (1, 1))
    counts = np.stack([moving_storm((16, 16), motion, 8, size=32) for motion in motions])
    return Batch(*(clip_of(part, np.ones_like(part, bool), SCALE) for part in (counts[:, :5], counts[:, 5:])))


def guessed(windows: Batch, network: Network) -> Batch:
    """The windows with the first guess that the network asks for."""
    history = windows.history
    counts, seen = SCALE.to_values(history.frames[:, :, 0]).numpy(), history.observed[:, :, 0].numpy()
    return windows._replace(history=history._replace(guess=network.settings.guess(counts, seen, 5.0, 1.0)))


@pytest.fixture(scope="module")
def history(to_history, moving_storm) -> xr.DataArray:
    """Two cases of 48 x 48 pixels, the second with a missing corner."""
    counts = np.stack([moving_storm((24, 24), velocity, 5, size=48) for velocity in ((2, 0), (-1, 1))])
    counts[1, :, 40:, :10] = np.nan
    return to_history(counts)


def in_colour(history: xr.DataArray) -> xr.DataArray:
    """The same frames thrice, of other brightness each."""
    channels = xr.concat([history, history / 2, history / 3], "channel").transpose("case", "frame", "channel", "y", "x")
    return channels.fillna(0).assign_attrs(data_range=255)


@pytest.mark.parametrize("name", TRAINABLE)
def test_four_windows_are_learned_by_heart(tiny, windows, name):
    network = tiny(name)
    windows = guessed(windows, network)
    stage = next(iter(network.stages.values()))
    stage.begin([windows])
    optimizer = torch.optim.Adam(stage.trained.train().parameters(), 0.01)
    first = last = stage.loss(windows, draws(4, 0.0))["loss"]
    for step in range(300):
        optimizer.zero_grad()
        last.backward()
        optimizer.step()
        last = stage.loss(windows, draws(4, step / 300))["loss"]
        if last < first / 10:
            return
    pytest.fail(f"the loss fell from {first:.3f} to {last:.3f} only")


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_preview_is_seen_beside_the_future(tiny, windows, name):
    network = tiny(name)
    for stage in network.stages.values():
        assert stage.preview(guessed(windows, network), draws(4)).shape == windows.future.frames.shape


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_saved_network_makes_the_same_forecast(tiny, history, lead_times, tmp_path, name):
    network = tiny(name)
    config = {"model": name.partition(",")[0], "network": network.settings.model_dump(mode="json")}
    save_tensors(tmp_path / "model.safetensors", network.state_dict(), {"config": config, "stages": []})
    loaded, _ = load_network(tmp_path / "model.safetensors")
    one, other = (TrainedForecaster(n).forecast(history, lead_times(3), 2, 0) for n in (network, loaded))
    xr.testing.assert_equal(one, other)
    assert one.std() > 1


@pytest.mark.parametrize("name", IN_COLOUR)
def test_colour_is_forecast_and_other_channels_are_refused(tiny, history, lead_times, name):
    forecaster = TrainedForecaster(tiny(name, channels=3))
    forecast = forecaster.forecast(in_colour(history), lead_times(3), 1, 0)
    assert forecast.dims == ("case", "member", "lead_time", "channel", "y", "x") and forecast.notnull().all()
    assert not np.allclose(forecast.isel(channel=0), forecast.isel(channel=2))
    with pytest.raises(InputError, match="other channels"):
        forecaster.forecast(history, lead_times(3), 1, 0)


@pytest.mark.parametrize("name", TRAINABLE)
def test_missing_values_are_seen_as_no_echo(tiny, history, lead_times, name):
    forecaster = TrainedForecaster(tiny(name))
    some = history.copy()
    some[0, 2, :20] = np.nan  # the third frame alone, which others see
    dry = some.fillna(0).where(history.notnull())
    one, other = (forecaster.forecast(given, lead_times(3), 1, 0) for given in (some, dry))
    assert one.isel(case=0).notnull().all()
    if name in REGRESSING:  # PredLDM is told what is missing
        xr.testing.assert_equal(one, other)


@pytest.mark.parametrize("kind", ["advection", "sprog"])
@pytest.mark.parametrize("name", GUIDED)
def test_first_guesses_are_inputs(tiny, history, lead_times, name, kind):
    forecaster = TrainedForecaster(tiny(name, first_guess=kind))
    forecast = forecaster.forecast(history, lead_times(3), 1, 0)
    assert forecast.isel(case=0).notnull().all() and forecast.std() > 1
    network = forecaster.network
    clip = Clip(torch.zeros(1, 5, 1, 32, 32), torch.ones(1, 5, 1, 32, 32, dtype=torch.bool))
    counts = history.values[:1, :, :32, :32]
    guess = network.settings.guess(counts, np.isfinite(counts), 5.0, 1.0)
    assert guess.as_channels.shape == (1, 3, network.settings.guess_channels, 32, 32)
    with torch.no_grad():
        same, otherwise = (network(clip._replace(guess=given)) for given in (guess, _dried(guess)))
    assert (same - otherwise).abs().amax((0, 2, 3, 4)).min() > 1e-3  # at every lead time


def _dried(guess):
    return guess._replace(fields=torch.zeros_like(guess.fields))


@pytest.mark.parametrize("name", REGRESSING)
def test_members_of_their_own_guess_are_refused(tiny, name):
    with pytest.raises(InputError, match="first_guess"):
        tiny(name, first_guess="steps")


@pytest.mark.parametrize("name", REGRESSING)
def test_a_larger_domain_is_cut_into_tiles(tiny, history, lead_times, name):
    forecaster = TrainedForecaster(tiny(name))
    whole = forecaster.forecast(history, lead_times(3), 1, 0)
    corner = forecaster.forecast(history[..., :32, :32], lead_times(3), 1, 0)
    one_tile = {"y": slice(16), "x": slice(16)}  # tiles of 32 pixels begin at 0 and 16
    xr.testing.assert_allclose(whole.isel(one_tile), corner.isel(one_tile), rtol=1e-5, atol=1e-3)
    two_tiles = {"y": slice(16, 32), "x": slice(16)}
    assert not np.allclose(whole.isel(two_tiles), corner.isel(two_tiles), atol=1)


@pytest.mark.parametrize("name", REGRESSING)
@pytest.mark.parametrize("side", [128, 384])
def test_the_sides_of_sevir(tiny, to_history, lead_times, name, side):
    counts = np.random.default_rng(0).integers(0, 255, (1, 5, side, side)).astype("float32")
    forecast = TrainedForecaster(tiny(name, side=side)).forecast(to_history(counts), lead_times(3), 1, 0)
    assert forecast.shape == (1, 1, 3, side, side) and forecast.notnull().all()


@pytest.mark.parametrize("name", REGRESSING)
def test_longer_forecasts_go_on_from_shorter_ones(tiny, to_history, history, lead_times, name):
    forecaster = TrainedForecaster(tiny(name))
    longer = forecaster.forecast(history, lead_times(5), 1, 0).values
    first = forecaster.forecast(history, lead_times(3), 1, 0).values
    after = to_history(np.concatenate([history.values[:, 3:], first[:, 0]], 1))
    np.testing.assert_array_equal(longer[:, :, :3], first)
    np.testing.assert_allclose(longer[:, :, 3:], forecaster.forecast(after, lead_times(2), 1, 0), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("unet", {"side": 30}, "side 30 is no multiple of 4"),
        ("unet", {"widths": []}, "widths"),
        ("convlstm", {"side": 31}, "side 31 is no multiple of 2"),
        ("convlstm", {"kernel": 4}, "kernel"),
        ("convlstm", {"weaned": 0}, "weaned"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(tiny, name, settings, said):
    with pytest.raises(InputError, match=said):
        tiny(name, **settings)
