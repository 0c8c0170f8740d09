"""Fixtures that several test files share."""

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import settings

from pipelines.store.plugins import plugins

# Several threads on tensors this small, beside other test processes, take longer than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("nowcast", deadline=None)  # a busy machine is no defect
settings.load_profile("nowcast")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real radar kept beside the checkout; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no ../shared/data beside the checkout (real radar for development)")
    return SHARED_DATA


class Footage:
    """Writes videos of every kind that is read."""

    @staticmethod
    def frames(count: int) -> list[np.ndarray]:
        """Frame n is (10 n, 100, 200 - 10 n), wide and low."""
        return [np.full((24, 32, 3), (10 * n, 100, 200 - 10 * n), np.uint8) for n in range(count)]

    @staticmethod
    def video(path: Path, frames: list[np.ndarray], fps: int = 25) -> None:
        """Lossless, in the container that the suffix says."""
        with av.open(path, "w") as container:
            stream = container.add_stream("ffv1", rate=fps)
            stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "bgr0"
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())

    @staticmethod
    def pictures(folder: Path, frames: list[np.ndarray]) -> None:
        """Names without leading zeros, so that the order of text is not the order of time."""
        folder.mkdir(parents=True)
        for number, frame in enumerate(frames):
            cv2.imwrite(str(folder / f"frame{number}.png"), frame[..., ::-1])

    @staticmethod
    def seq(path: Path, frames: list[np.ndarray], *, stated: int | None = None, gap: bytes = b"") -> None:
        header = bytearray(1024)
        struct.pack_into("<II", header, 568, 102, len(frames) if stated is None else stated)
        pictures = [cv2.imencode(".jpg", f[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes() for f in frames]
        time = b"\1" * 8
        records = [struct.pack("<I", len(picture) + 4) + picture + time + gap for picture in pictures]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(header) + b"".join(records))


@pytest.fixture(scope="session")
def footage() -> type[Footage]:
    """Writers of videos."""
    return Footage


@pytest.fixture
def installed_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package of tests/plugin, really installed while the test runs."""
    pytest.importorskip("setuptools", reason="the package is built by setuptools, without a network")
    pytest.importorskip("pip")
    source, target = tmp_path / "plugin_source", tmp_path / "plugin_target"
    shutil.copytree(Path(__file__).parent / "plugin", source)
    quiet = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-index")
    command = [sys.executable, "-m", "pip", "install", *quiet, "--target", target, source]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.syspath_prepend(str(target))
    plugins.cache_clear()
    yield
    plugins.cache_clear()
