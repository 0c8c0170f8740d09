"""Scenes: tiles side by side are one domain, and windows hold what a guess of that domain says of them."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import zarr

from nowcast.models.corrector import CorrectorSettings
from nowcast.training.config import RunConfig, SceneSettings, parse_config
from nowcast.training.run import train
from nowcast.training.scenes import SceneWindows, mosaics
from nowcast.training.windows import TrainingStore, training_sources
from pipelines.errors import InputError
from pipelines.store import schema

TILE, FRAMES = 32, 8
PROJ = "+proj=laea +lat_0=38 +lon_0=-98 +units=m"


@pytest.fixture(scope="module")
def composite(moving_storm) -> np.ndarray:
    """Frames of 96 x 96 pixels with three storms, missing in the north-east corner."""
    storms = [moving_storm(start, (2, 1), FRAMES, size=96) for start in ((15, 20), (40, 60), (60, 20))]
    counts = np.maximum.reduce(storms).round().astype("uint8")
    counts[:, 64:, 64:] = 255
    return counts


@pytest.fixture(scope="module")
def tiles(composite, tmp_path_factory) -> Path:
    """The composite as tiles of 32 pixels, except for the one without a value; and a dry tile of another day."""
    places = [(row, column) for row in range(3) for column in range(3) if (row, column) != (2, 2)]
    events = [
        schema.Event(
            id=f"tile-{row}-{column}", time=datetime(2019, 6, 1), offsets=tuple(300.0 * f for f in range(FRAMES)),
            split="train", proj=PROJ, corner_x=5000 + 32_000.0 * column, corner_y=-7000 + 32_000.0 * row,
        )
        for row, column in places
    ]  # fmt: skip
    other = schema.Event(id="other", time=datetime(2019, 6, 2), offsets=events[0].offsets, split="train", proj=PROJ)
    path = tmp_path_factory.mktemp("tiles") / "tiles.zarr"
    attrs = schema.attributes(
        [*events, other], protocol="radar-train-128", reducer="none", cadence_minutes=5, source_files=["made 1"]
    )
    schema.create(path, [*events, other], side=TILE, pixel_m=1000.0, attrs=attrs)
    parts = [composite[:, TILE * r : TILE * (r + 1), TILE * c : TILE * (c + 1)] for r, c in places]
    group = zarr.open_group(path, mode="r+")
    group["vil"][:] = np.stack([*parts, np.zeros_like(parts[0])])
    group["missing_fraction"][:] = 0
    return path


def config(**changes) -> RunConfig:
    content = {
        "model": "corrector",
        "protocol": "radar-train-128",
        "scenes": {"sides": [100], "number": 3, "windows": 2},
        "network": {
            "history": 5, "lead": 3, "side": 32, "case_widths": [4, 4], "case_blocks": 1, "member_widths": [4],
            "ensemble": {"members": 2, "blocks": [1, 4]},
        },
        "stages": {"ensemble": {"steps": 2, "batch": 2, "rate": 1e-3}},
    }  # fmt: skip
    return parse_config({**content, **changes}, "test")


def made(tiles: Path, folder: Path, **changes) -> SceneWindows:
    told = config(**changes)
    settings = CorrectorSettings(**told.network)
    sources = training_sources([TrainingStore(tiles)], history=5, lead=3, stride=1, split="train", least_echo=0.01)
    assert told.scenes is not None
    windows = SceneWindows(sources, settings, told.scenes, told, members=2, training=True, folder=folder)
    windows.make(0, 1)
    return windows


def test_tiles_of_one_time_lie_side_by_side(tiles):
    found = mosaics(TrainingStore(tiles).store)
    np.testing.assert_array_equal(found[0].events, [[0, 1, 2], [3, 4, 5], [6, 7, -1]])
    assert found[7] is found[0] and found[7].place[7] == (2, 1)
    np.testing.assert_array_equal(found[8].events, [[8]])


def test_a_window_holds_the_guess_of_the_whole_composite(tiles, composite, tmp_path):
    windows = made(tiles, tmp_path)
    assert len(windows) == 6
    settings = CorrectorSettings(**config().network)
    seen = composite[None, :5] != 255
    whole = settings.guess(np.where(seen, composite[:5], 0).astype("float32"), seen, 5, 1)
    batch = windows.batch(range(6))
    history, guess = batch.history, batch.history.guess
    assert guess.fields.shape == (6, 4, 3, 1, 32, 32) and guess.drawn.shape == (6, 2, 3, 1, 32, 32)
    assert guess.grid.tolist() == [[5, 1]] * 6
    newest = np.where(composite[4] == 255, 0, composite[4])
    for number in range(6):
        frame = (50 * history.frames[number, -1, 0]).round().numpy()
        places = [(y, x) for y in range(65) for x in range(65) if (newest[y : y + 32, x : x + 32] == frame).all()]
        fields = [50 * whole.fields[0, ..., y : y + 32, x : x + 32] for y, x in places]
        assert min(float((50 * guess.fields[number] - field).abs().max()) for field in fields) <= 0.5  # 8 bits
    spread = 50 * guess.drawn.std(1)
    assert float(spread.amax((1, 2, 3, 4)).min()) > 1


def test_scenes_are_made_once_and_the_same_again(tiles, tmp_path):
    one = made(tiles, tmp_path / "one", augment=True, reverse=True, liquid=2.0)
    files = sorted((tmp_path / "one").iterdir())
    before = [file.read_bytes() for file in files]
    files[1].unlink()
    stamps = [files[0].stat().st_mtime_ns, files[2].stat().st_mtime_ns]
    again = made(tiles, tmp_path / "one", augment=True, reverse=True, liquid=2.0)
    assert [files[0].stat().st_mtime_ns, files[2].stat().st_mtime_ns] == stamps
    with np.load(files[1]) as kept:
        assert {name: kept[name].shape for name in ("grid_1", "frames_0", "drawn_1")} == {
            "grid_1": (2,), "frames_0": (8, 32, 32), "drawn_1": (2, 3, 32, 32),
        }  # fmt: skip
    for number in range(8):
        first, second = (windows.batch(range(number, number + 1)) for windows in (one, again))
        assert (first.future.frames == second.future.frames).all()
        assert (first.history.guess.drawn == second.history.guess.drawn).all()
    assert len(before) == 3 and len({*before}) == 3


def test_every_window_once_an_epoch(tiles, tmp_path):
    windows = made(tiles, tmp_path)
    epochs = [[windows.batch(range(n, n + 1)).future.frames.numpy().tobytes() for n in range(6 * e, 6 * e + 6)]
              for e in (0, 1)]  # fmt: skip
    assert sorted(epochs[0]) == sorted(epochs[1]) and epochs[0] != epochs[1]


def test_sides_take_turns_and_a_tile_is_one_window(tiles, tmp_path):
    scenes = {"sides": [100, 32], "number": 2, "windows": 3}
    made(tiles, tmp_path, scenes=scenes)
    large, small = (np.load(file) for file in sorted(tmp_path.glob("*.npz")))
    whole = [TrainingStore(tiles).array[event, :] for event in range(8)]
    for number in range(3):
        assert any((large[f"frames_{number}"] == tile).all() for tile in whole) is False
        assert any((small[f"frames_{number}"] == tile).all() for tile in whole)


def test_stores_without_echo_are_refused(tiles, tmp_path):
    sources = training_sources([TrainingStore(tiles)], history=5, lead=3, stride=1, split="train")
    dry = [(of, [window for window in found if window.event == 8]) for of, found in sources]
    told, scenes = config(), SceneSettings(sides=(100,), number=1)
    windows = SceneWindows(
        dry, CorrectorSettings(**told.network), scenes, told, members=2, training=True, folder=tmp_path
    )
    with pytest.raises(InputError, match="enough echo"):
        windows.make(0, 1)


def test_a_corrector_is_trained_on_scenes_that_the_run_folder_keeps(tiles, tmp_path):
    model = train(config(), [tiles], tmp_path / "run", device="cpu")
    assert model.is_file() and len(list((tmp_path / "run" / "scenes").iterdir())) == 4  # three, and one to validate on


def test_scenes_need_a_network_of_members(tiles, tmp_path):
    told = config(model="predldm", network={}, stages={"autoencoder": {"steps": 1, "batch": 1}})
    with pytest.raises(InputError, match="scenes are for networks"):
        train(told, [tiles], tmp_path / "run", device="cpu")
