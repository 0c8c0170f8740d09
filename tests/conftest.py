"""Fixtures that several test files share."""

import os
from pathlib import Path

import pytest

# Several threads on tensors this small, beside other test processes, take longer than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real radar kept beside the checkout; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no ../shared/data beside the checkout (real radar for development)")
    return SHARED_DATA
