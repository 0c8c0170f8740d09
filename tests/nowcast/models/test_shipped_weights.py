"""The weights that come with the package, by the names of their models."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr

from nowcast.cli.benchmark import run_benchmark
from nowcast.forecasting.forecast import load_forecaster
from nowcast.forecasting.trained_on import shipped_card
from nowcast.models.checkpoint import SHIPPED, load_tensors, read_header
from nowcast.models.device import multiplies_bf16
from nowcast.models.persistence import Persistence
from nowcast.models.pysteps import PySteps
from nowcast.models.sprog import Sprog
from nowcast.training.config import load_config, parse_config
from nowcast.training.run import train
from pipelines.errors import InputError
from pipelines.sevir.prepare import prepare
from pipelines.simulation.storms import simulate_archive

TEMPERATURE = [2.0, 1.1]  # chosen after training
HEAVY = ("diffusers", "transformers", "accelerate", "scipy.stats", "matplotlib", "torch._dynamo")
LEADS = (np.arange(1, 11) * 300).astype("timedelta64[s]")


@pytest.fixture(scope="module", params=["predldm", "corrector"])
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def shipped(name):
    return load_forecaster(name, device="cpu")[0]


def test_it_is_loaded_without_libraries_that_it_does_not_use():
    code = "from nowcast.models import checkpoint, trained; from nowcast.diffusion import samplers; "
    code += "checkpoint.load_network('predldm'); samplers.SAMPLERS['v', 'ddim']('v', samplers.LINEAR, 1); "
    code += f"import sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def window(shared_data) -> np.ndarray:
    """Twenty frames of radar that the model was not trained on: FMI, 9 May 2017."""
    with xr.open_dataset(shared_data / "radar" / "fmi_20170509.nc", mask_and_scale=False) as file:
        counts = file["vil"].values[10:30, 128 * 4 : 128 * 5, 128 * 2 : 128 * 3]
    return np.where(counts == 255, np.nan, counts).astype("float32")


def history_of(counts: np.ndarray) -> xr.DataArray:
    times = np.datetime64("2017-05-09T12:00:00", "s") + np.arange(len(counts)) * np.timedelta64(300, "s")
    coords = {
        "event": ("case", ["E"]),
        "init_time": ("case", times[-1:]),
        "valid_time": (("case", "frame"), times[None]),
    }
    return xr.DataArray(counts[None], dims=("case", "frame", "y", "x"), coords=coords)


def fair_crps(members: np.ndarray, obs: np.ndarray) -> float:
    """Mean over all pixels of members (member, ...)."""
    distance = np.abs(members[:, None] - members[None]).mean((0, 1)) / 2 if len(members) > 1 else 0.0
    fair = distance * len(members) / max(len(members) - 1, 1)
    return float(np.nanmean(np.abs(members - obs).mean(0) - fair))


def test_the_files_are_small_and_have_a_card(name):
    assert sum(path.stat().st_size for path in SHIPPED.glob("*.safetensors")) < 25e6
    assert all(tensor.dtype == torch.float16 for tensor in load_tensors(SHIPPED / f"{name}.safetensors").values())
    card = shipped_card(name)
    assert card is not None and card.days
    assert f"# {name}" in (SHIPPED / "MODEL_CARD.md").read_text()


def test_predldm_says_how_it_was_trained():
    header = read_header(SHIPPED / "predldm.safetensors")
    assert header["stages"] == ["autoencoder", "ensemble"]
    trained = load_config("predldm-refine")
    network = load_config("predldm").network | trained.network  # goes on from it
    network["sampling"]["temperature"] = TEMPERATURE
    assert parse_config(header["config"], "header") == trained.model_copy(update={"network": network})


@pytest.fixture(scope="module")
def score(window):
    """The fair CRPS of a model on radar that no weights saw."""
    return lambda model: fair_crps(model.forecast(history_of(window[:10]), LEADS, 10, 0)[0].values, window[10:])


@pytest.fixture(scope="module")
def references(score) -> dict[str, float]:
    return {model.__name__: score(model()) for model in (Persistence, Sprog, PySteps)}


def test_on_radar_it_has_not_seen_it_is_better_than_what_it_starts_from_and_steps(shipped, score, references):
    crps = score(shipped)
    assert crps < min(references["Persistence"], references["Sprog"])
    assert crps < 1.05 * references["PySteps"]


def test_a_dry_history_stays_dry_and_missing_stays_missing(shipped):
    counts = np.zeros((10, 128, 128), "float32")
    counts[:, :, :20] = np.nan
    forecast = shipped.forecast(history_of(counts), LEADS, 4, 0)[0]
    assert np.isnan(forecast.values[..., :20]).all() and np.isfinite(forecast.values[..., 20:]).all()
    assert not np.nan_to_num(forecast.values).any()


def test_what_lies_just_below_the_least_echo_stays_dry(shipped):
    """Blocks on their way: interpolation along the motion overshoots, and must make no echo of them."""
    row, column = np.mgrid[:128, :128]
    counts = np.stack([5.0 * (((row - frame) // 2 + (column - 2 * frame) // 2) % 5 == 0) for frame in range(10)])
    forecast = shipped.forecast(history_of(counts.astype("float32")), LEADS, 4, 0)[0]
    assert not forecast.values.any()


def test_sixteen_bits_stay_within_a_tenth_of_the_spread(name, window):
    history = history_of(window[:10])
    forecasts = []
    for bf16 in (True, False):
        forecaster = load_forecaster(name, device="cpu")[0]
        assert forecaster.bf16 == multiplies_bf16("cpu")
        forecaster.bf16 = bf16
        forecasts.append(forecaster.forecast(history, LEADS, 2, 0)[0].values)
    fast, exact = forecasts
    assert 0 < np.abs(fast - exact).mean() < 0.1 * exact.std(0).mean()


@pytest.mark.parametrize(("bf16", "mean", "largest"), [(False, 1e-4, 0.02), (True, 0.1, None)])
def test_members_are_the_same_in_any_company_but_for_rounding(name, window, bf16, mean, largest):
    forecaster = load_forecaster(name, device="cpu")[0]
    forecaster.bf16 = bf16
    history = history_of(window[:10])
    together, *apart = (
        forecaster.forecast(history, LEADS, numbers, 0)[0].values for numbers in ([3, 4, 11, 17, 19], [3, 19], [11])
    )
    difference = np.abs(np.concatenate(apart) - together[[0, 4, 2]])
    assert difference.mean() < mean
    assert largest is None or difference.max() < largest


def test_the_benchmark_prints_all_models():
    table = run_benchmark("ensemble-cpu", 2)
    assert list(table.columns[0].cells) == ["corrector", "predldm", "steps", "pysteps"]
    assert all(float(cell) > 0 for column in table.columns[1:] for cell in column.cells)
    with pytest.raises(InputError, match="ensemble-cpu"):
        run_benchmark("ensemble-gpu", 2)


def test_fine_tuning_goes_on_from_it(tmp_path):
    store = tmp_path / "sevir.zarr"
    prepare(simulate_archive(tmp_path / "archive", events=4, seed=0), store, protocol="sevir-128-10-10", workers=1)
    few = {"steps": 1, "batch": 1, "warmup": 0, "validate_every": 1}
    config = load_config("finetune", [f"stages.ensemble.{key}={value}" for key, value in few.items()])
    tuned = train(config, [store], tmp_path / "run", init="predldm", device="cpu")
    before, after = load_tensors(SHIPPED / "predldm.safetensors"), load_tensors(tuned)
    moved = {name for name, tensor in after.items() if not torch.allclose(tensor, before[name].to(tensor.dtype))}
    assert moved and all(name.startswith("denoiser.") for name in moved)
    forecast = load_forecaster(str(tmp_path / "run"), device="cpu")[0]
    assert forecast.window == (10, 10)
