"""PredLDM on video: trained from the command line in grey and in colour, and what colours change by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

from nowcast.cli import app as cli
from nowcast.data.windows import find_windows, history_of
from nowcast.models.checkpoint import load_network
from nowcast.models.frames import FrameScale, clip_of
from nowcast.models.network import Batch, Draws
from nowcast.models.predldm.frame_vae import FrameVAESettings, block_cosines, build_frame_vae
from nowcast.models.predldm.network import PredLDM
from nowcast.models.predldm.settings import PredLDMSettings
from nowcast.models.trained import TrainedForecaster
from nowcast.training.config import load_config
from nowcast.training.run import train
from nowcast.training.windows import TrainingStore, TrainingWindows, channels_of, training_sources
from pipelines.errors import InputError
from pipelines.store.schema import open_store

SMALL = (
    "network.side=16",
    "network.frame_vae={factor: 4, latent_channels: 8, channels: [8, 8]}",
    "network.mtvae={hidden: 8, layers: 1, heads: 2}",
    "network.denoiser={hidden: 16, blocks: 1, heads: 2}",
    "network.sampling={sampler: ddim, steps: 2, member_batch: 2}",
    "stages={autoencoder: {steps: 2, batch: 2}, diffusion: {steps: 2, batch: 2}, ensemble: {steps: 1, batch: 1}}",
)


def run(*words: object) -> str:
    result = CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def prepared(footage, folder: Path, *options: str) -> Path:
    """A store of two clips of 16 x 16 pixels, one to train on and one to test; none to validate on."""
    for number, split in enumerate(("train", "test")):
        (folder / "in" / split).mkdir(parents=True)
        footage.video(folder / "in" / split / f"{number}.mkv", footage.frames(20), fps=12)
    run("prepare-video", folder / "in", folder / "v.zarr", "--size", 16, "--split-rule", "folders", *options)
    return folder / "v.zarr"


@pytest.mark.parametrize(("config", "options"), [("kth-small", ("--grey",)), ("kitti-small", ())])
def test_a_network_is_trained_on_video_and_forecasts_it(footage, tmp_path, config, options):
    store = prepared(footage, tmp_path, *options)
    sets = [word for setting in SMALL for word in ("--set", setting)]
    run("train", config, "--store", store, "--run", tmp_path / "run", "--device", "cpu", *sets)
    assert {path.name.partition("-")[0] for path in (tmp_path / "run" / "samples").iterdir()} == {
        "autoencoder",
        "diffusion",
        "ensemble",
    }
    run("forecast", tmp_path / "run", store, tmp_path / "f.nc", "--ensemble", 3, "--device", "cpu")
    video = xr.open_dataset(tmp_path / "f.nc", decode_timedelta=True)["video"]
    assert video.shape == (1, 3, 10, 1 if options else 3, 16, 16)
    assert video.notnull().all() and (video >= 0).all() and (video <= 255).all()
    assert not (video.isel(member=0) == video.isel(member=1)).all()
    assert "PSNR" in run("verify", tmp_path / "f.nc", store)
    _, resolved = load_network(tmp_path / "run")
    assert resolved["network"].get("channels", 1) == video.sizes["channel"]


def test_a_network_of_grey_frames_refuses_colours(footage, tmp_path):
    store = open_store(prepared(footage, tmp_path))
    history = history_of(store, find_windows(store, history=10, lead=10, stride=20, split="test"), 10)
    config = load_config("kth-small", list(SMALL))
    forecaster = TrainedForecaster(PredLDM(PredLDMSettings(**config.network)))
    with pytest.raises(InputError, match="trained on frames of other channels; got 3; expected 1"):
        forecaster.forecast(history, (1 + np.arange(10)) * np.timedelta64(83333, "us"), 1, 0)


def test_a_first_guess_of_video_is_refused_in_training_and_in_a_forecast(footage, tmp_path):
    path = prepared(footage, tmp_path, "--grey")
    store = open_store(path)
    history = history_of(store, find_windows(store, history=10, lead=10, stride=20, split="test"), 10)
    config = load_config("kth-small", [*SMALL, "network.first_guess=sprog"])
    forecaster = TrainedForecaster(PredLDM(PredLDMSettings(**config.network)))
    with pytest.raises(InputError, match="the network takes a first guess, which is of radar; got video"):
        forecaster.forecast(history, (1 + np.arange(10)) * np.timedelta64(83333, "us"), 1, 0)
    with pytest.raises(InputError, match="a first guess is of radar"):
        train(config, [path], tmp_path / "run", device="cpu")


def test_channels_are_the_store_s_and_the_same_in_all(footage, tmp_path, small_store):
    grey, colour = (
        prepared(footage, tmp_path / name, *options) for name, options in (("grey", ("--grey",)), ("colour", ()))
    )
    grey, colour, radar = map(TrainingStore, (grey, colour, small_store))
    assert [channels_of([store]) for store in (grey, colour, radar)] == [1, 3, 1]
    for pair in ([grey, colour], [grey, radar]):
        with pytest.raises(InputError, match="do not go together"):
            channels_of(pair)
    with pytest.raises(InputError, match="windows of radar"):
        training_sources([grey], history=10, lead=10, stride=1, split="train", cadence=(0, 1))


def test_batches_of_colour_are_whole_and_of_grey_like_radar(footage, tmp_path):
    for options, shape in ((("--grey",), (1, 20, 1, 16, 16)), ((), (1, 20, 3, 16, 16))):
        store = prepared(footage, tmp_path / f"{len(options)}", *options)
        sources = training_sources([TrainingStore(store)], history=10, lead=10, stride=1, split="train")
        windows = TrainingWindows(sources, 10, 10, side=16, seed=0, augment=True)
        values, seen = windows.sample(0)
        clip = clip_of(values[None], seen[None], FrameScale(0, 1, 0))
        assert clip.frames.shape == shape and clip.observed.shape == (1, 20, 1, 16, 16) and clip.observed.all()
    np.testing.assert_array_equal(values[10:, :, 0, 0], [(10 * n, 100, 200 - 10 * n) for n in range(10, 20)])


def test_white_is_seen(footage, tmp_path):
    (tmp_path / "in" / "train").mkdir(parents=True)
    white = [np.full((24, 32, 3), 255, np.uint8)] * 20
    footage.video(tmp_path / "in" / "train" / "0.mkv", white, fps=12)
    run("prepare-video", tmp_path / "in", tmp_path / "v.zarr", "--size", 16, "--split-rule", "folders", "--grey")
    source = TrainingStore(tmp_path / "v.zarr")
    sources = training_sources([source], history=10, lead=10, stride=1, split="train")
    values, seen = TrainingWindows(sources, 10, 10, side=16, seed=0).sample(0)
    assert (values == 255).all() and seen.all()


def test_block_cosines_of_colours_begin_with_their_mean():
    basis = block_cosines(4, 9, channels=3)
    np.testing.assert_allclose(basis[0], np.full((3, 4, 4), 1 / (4 * 3**0.5)), rtol=1e-6)
    gram = basis.flatten(1) @ basis.flatten(1).T
    torch.testing.assert_close(gram, torch.eye(9), atol=1e-6, rtol=0)
    differs = [not torch.allclose(one[0], one[1]) for one in basis]
    assert differs.index(True) == 6  # one colour difference after six frequencies of grey: 0, 1, 1, 2, 4 and 4
    whole = block_cosines(4, 48, channels=3).flatten(1)
    torch.testing.assert_close(whole @ whole.T, torch.eye(48), atol=1e-6, rtol=0)


def test_the_small_vae_of_colours_starts_as_a_cosine_transform():
    frames = torch.rand(1, 2, 3, 8, 8)
    vae = build_frame_vae(FrameVAESettings(factor=4, latent_channels=48, channels=(8, 8)), channels=3)
    latents = vae.encode(frames)
    means = frames.unfold(3, 4, 4).unfold(4, 4, 4).mean((2, 5, 6))
    torch.testing.assert_close(latents[:, :, 0], means)
    flat = torch.tensor([0.2, 0.5, 0.9]).view(1, 1, 3, 1, 1).expand(1, 2, 3, 8, 8)
    torch.testing.assert_close(vae.decode(vae.encode(flat)), flat.contiguous(), atol=1e-5, rtol=1e-5)


def test_no_echo_is_cut_off_in_video():
    config = load_config("kth-small", list(SMALL))
    assert config.network["echo"] == 0
    dark = np.full((1, 10, 16, 16), 3, "float32")
    exact = {
        "frame_vae": {"factor": 4, "latent_channels": 16, "channels": [8, 8]},
        "mtvae": {"hidden": 16, "layers": 1, "heads": 2},
    }
    network = PredLDM(PredLDMSettings(**{**config.network, **exact}))
    scale = network.settings.frame_scale
    clip = clip_of(dark, dark > 0, scale)
    made = network.stages["autoencoder"].preview(Batch(clip, clip), Draws([[torch.Generator()]]))
    shown = scale.floored(scale.to_values(made)).detach().numpy()
    np.testing.assert_allclose(shown[:, :, 0], dark, atol=0.01)
