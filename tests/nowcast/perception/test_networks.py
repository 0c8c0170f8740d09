"""The networks behind the perceptual scores: from counts in files to numbers in a table."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from nowcast.cli import app as cli
from nowcast.perception.i3d import I3D
from nowcast.perception.lpips import ALEXNET, PerceptualLoss
from nowcast.verification.metrics.perceptual import load_perception
from pipelines.errors import InputError


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights of LPIPS and of I3D."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    state = {name: value for name, value in PerceptualLoss(ALEXNET).state_dict().items() if name.startswith("features")}
    linear = {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1) for i, width in enumerate(ALEXNET.widths)}
    save_file({**state, **linear}, folder / "lpips.safetensors")
    save_file(I3D().state_dict(), folder / "i3d.safetensors")
    return folder / "lpips.safetensors", folder / "i3d.safetensors"


def counts(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape).astype("float32")


def test_lpips_of_counts(weights):
    perception = load_perception(weights[0], None)
    assert perception.features is None and set(perception.attrs) == {"lpips_weights_sha256"}
    fields = counts(70, 32, 32)  # more than one batch
    distances = perception.distance(fields, fields[3])
    assert distances.shape == (70,) and distances[3] < 1e-6 < np.delete(distances, 3).min()
    assert distances[66] == pytest.approx(perception.distance(fields[3:4], fields[66])[0], rel=1e-5)
    grey = perception.distance(np.repeat(fields[5:7, None], 3, axis=1), np.repeat(fields[3:4], 3, axis=0))
    np.testing.assert_allclose(grey, distances[5:7], rtol=1e-5)
    images = torch.from_numpy(fields[[5, 3]])[:, None] / 255 * 2 - 1
    torch.manual_seed(0)
    network = PerceptualLoss(ALEXNET)
    for i, width in enumerate(ALEXNET.widths):
        network.linear[i].copy_(torch.rand(1, width, 1, 1).flatten())
    assert distances[5] == pytest.approx(network(images[:1], images[1:]).item(), rel=1e-5)


def test_fields_that_are_too_small_and_forecasts_that_are_too_short(weights):
    perception = load_perception(*weights)
    with pytest.raises(InputError, match="too small for LPIPS"):
        perception.distance(counts(2, 30, 40), counts(30, 40))
    with pytest.raises(InputError, match="too few lead times for FVD; got 8"):
        perception.features(counts(2, 8, 16, 16))


def test_verify_with_and_without_weights(weights, small_store, tmp_path):
    def run(*words):
        return CliRunner().invoke(cli.app, [*map(str, words)])

    forecast, out = tmp_path / "forecast.nc", tmp_path / "scores.nc"
    assert run("forecast", "persistence", small_store, forecast, "--event", "E5", "--limit", 1).exit_code == 0
    refused = run("verify", forecast, small_store, "--i3d-weights", tmp_path / "absent")
    assert isinstance(refused.exception, InputError) and "rgb_imagenet.pt" in str(refused.exception)
    done = run("verify", forecast, small_store, "--i3d-weights", weights[1], "--out", out)
    assert done.exit_code == 0
    assert "members as videos over all lead times: FVD -, KVD - (1 videos)" in done.stdout
    told = run("info", out, "--all").stdout
    assert "FVD -, KVD -" in told
