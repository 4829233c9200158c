"""The files of examples/home."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def home() -> Path:
    return ROOT / "examples" / "home"
